//! The engine's handle (being written).
use crate::Error;
use std::net::SocketAddr;
use std::time::Duration;

/// A running data plane.
#[derive(Debug)]
pub struct Engine {}

impl Engine {
    /// Checks and starts a snapshot (JSON): listeners are open when this returns.
    pub fn start(_snapshot: &[u8]) -> Result<Self, Error> {
        Ok(Self {})
    }
    /// Swaps the configuration whole; an error changes nothing.
    pub fn apply(&self, _snapshot: &[u8]) -> Result<(), Error> {
        Ok(())
    }
    /// Hands in what DNS names resolve to: JSON `{"name:port": ["ip:port", …]}`; names left out keep what they had.
    pub fn resolve(&self, _addresses: &[u8]) -> Result<(), Error> {
        Ok(())
    }
    /// Listener names and the addresses they got.
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        Vec::new()
    }
    /// Counters as JSON.
    pub fn stats(&self) -> String {
        "{}".into()
    }
    /// Stops accepting and ends connections as they become idle; returns at once.
    pub fn drain(&self) {}
    /// Waits until nothing is in flight, at most this long; true when drained.
    pub fn wait_drained(&self, _limit: Duration) -> bool {
        true
    }
    /// Ends everything and joins the threads. Also done by drop.
    pub fn close(&self) {}
}
