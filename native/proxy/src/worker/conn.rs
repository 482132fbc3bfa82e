//! What a worker holds: connections on both sides.

use super::config::{WorkerConfig, WorkerListener, WorkerService};
use super::mux::Mux;
use crate::clock::Nanos;
use crate::io::Link;
use crate::slab::Id;
use crate::standing::Standing;
use crate::telemetry::Text;
use crate::timers::Deadline;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tulle_decide::circuit::Held;

/// A connection of either side.
pub(crate) struct Conn {
    pub(crate) link: Link,
    pub(crate) deadline: Deadline,
    pub(crate) role: Role,
    /// HTTP/2, once that is what is spoken.
    pub(crate) mux: Option<Box<Mux>>,
    /// It stands in the worker's queue of things to look at again.
    pub(crate) queued: bool,
}

pub(crate) enum Role {
    Client(Client),
    Upstream(Upstream),
}

/// A client's connection.
pub(crate) struct Client {
    pub(crate) listener: Rc<WorkerListener>,
    /// The configuration that `listener` is of.
    pub(crate) generation: u32,
    /// Nothing was received that tells which protocol it speaks.
    pub(crate) fresh: bool,
    /// Its listener is gone: the connection ends with its next answer, by the last configuration that named it.
    pub(crate) orphan: Option<Rc<WorkerConfig>>,
    pub(crate) peer: SocketAddr,
    /// The peer's IP address as text.
    pub(crate) ip: Text<45>,
    /// The value of `x-forwarded-client-cert`, where the listener sends one.
    pub(crate) identity: Option<Box<[u8]>>,
    /// The peer's SPIFFE ID, as records name it.
    pub(crate) identity_number: u32,
    pub(crate) phase: Phase,
    /// A PROXY header may be what comes first.
    pub(crate) header_pending: bool,
    /// TLS ends here: what is read was sealed.
    pub(crate) sealed: bool,
    /// What the client connected to, as a PROXY header says.
    pub(crate) destination: Option<Box<SocketAddr>>,
    /// The first byte of the head that is being read.
    pub(crate) head_began: Nanos,
    /// How far the head that is being read was searched for its end.
    pub(crate) scanned: usize,
}

/// Where a client's connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// What it speaks is not known yet: a PROXY header may come, or a look at the first bytes tells.
    Entry,
    /// TLS first.
    Handshake,
    /// Between requests.
    Idle,
    /// Some of a head is there.
    Head,
    /// A request is under way.
    Busy(Id),
    /// Answered; what the client still sends is thrown away for a while, so that it can read the answer.
    Lingering,
    /// Requests are streams of HTTP/2.
    Mux,
}

/// A connection to an endpoint.
pub(crate) struct Upstream {
    pub(crate) pool: Id,
    pub(crate) service: Rc<WorkerService>,
    /// What TLS verified, where there is TLS.
    pub(crate) host: Option<Box<str>>,
    pub(crate) state: State,
    pub(crate) requests: u32,
    /// Where it leads to.
    pub(crate) standing: Arc<Standing>,
    /// It counts among the connections to that.
    pub(crate) held: Option<Held>,
}

/// Where an upstream connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// TCP, then TLS, for this exchange.
    Connecting(Id),
    /// In its pool.
    Idle,
    /// Serving this exchange.
    Busy(Id),
    /// TCP, then TLS, for the exchanges that wait at its [`Mux`].
    Opening,
    /// Serving streams of HTTP/2, or none.
    Mux,
}

impl Conn {
    pub(crate) fn client(&mut self) -> Option<&mut Client> {
        match &mut self.role {
            Role::Client(client) => Some(client),
            Role::Upstream(_) => None,
        }
    }

    /// Where an upstream's connection stands.
    pub(crate) fn state(&self) -> Option<State> {
        match &self.role {
            Role::Upstream(upstream) => Some(upstream.state),
            Role::Client(_) => None,
        }
    }

    pub(crate) fn upstream(&mut self) -> Option<&mut Upstream> {
        match &mut self.role {
            Role::Upstream(upstream) => Some(upstream),
            Role::Client(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::exchange::Exchange;
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        // It is a `Conn` and nothing else; an exchange is there only while there is a request.
        assert!(size_of::<Conn>() <= 456, "{} bytes", size_of::<Conn>());
        assert!(size_of::<Exchange>() <= 1064, "{} bytes", size_of::<Exchange>());
    }
}
