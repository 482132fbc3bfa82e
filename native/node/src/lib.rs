//! The N-API binding: translation only, no decisions.
//!
//! In: calls from src/engine/addon.ts on Node's main thread; a snapshot comes as its JSON bytes. Out: the same calls on
//! `tulle_proxy::Engine` and `tulle_authority`. What may block (start, drain, close, key making) runs on libuv's pool.
//! A panic is caught at every export and becomes a JavaScript `Error` with its message.

use napi::bindgen_prelude::AsyncTask;
use napi::{Env, Error, Result, Status, Task};
use napi_derive::napi;
use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub mod certs;

/// A running data plane: its threads and its listening sockets.
#[napi]
pub struct Engine {
    /// None once closed, so that descriptors and memory go at once and not when the object is collected.
    inner: Mutex<Option<Arc<tulle_proxy::Engine>>>,
}

/// A listener and the address it got.
#[napi(object)]
pub struct ListenerAddress {
    /// The listener's name.
    pub name: String,
    /// `ip:port`, IPv6 in brackets.
    pub address: String,
}

#[napi]
impl Engine {
    /// Checks and starts a snapshot: listeners are open when the promise resolves.
    #[napi(catch_unwind, ts_return_type = "Promise<Engine>")]
    #[must_use]
    pub fn start(snapshot: &[u8]) -> AsyncTask<Start> {
        AsyncTask::new(Start { snapshot: snapshot.to_vec() })
    }

    /// Swaps the configuration whole; an error changes nothing.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn apply(&self, snapshot: &[u8]) -> Result<AsyncTask<Apply>> {
        Ok(AsyncTask::new(Apply { engine: self.running()?, snapshot: snapshot.to_vec() }))
    }

    /// Hands in what DNS names resolve to: JSON `{"name:port": ["ip:port", …]}`; names left out keep what they had.
    #[napi(catch_unwind)]
    pub fn resolve(&self, addresses: &[u8]) -> Result<()> {
        self.running()?.resolve(addresses).map_err(refused)
    }

    /// The listeners in the order of the snapshot.
    #[napi(catch_unwind)]
    pub fn addresses(&self) -> Result<Vec<ListenerAddress>> {
        let all = self.running()?.addresses().into_iter();
        Ok(all.map(|(name, address)| ListenerAddress { name, address: address.to_string() }).collect())
    }

    /// Counters as JSON.
    #[napi(catch_unwind)]
    pub fn stats(&self) -> Result<String> {
        Ok(self.running()?.stats())
    }

    /// What an operator should hear, since the last call: certificates that expired or could not be reloaded.
    #[napi(catch_unwind)]
    pub fn notices(&self) -> Result<Vec<String>> {
        Ok(self.running()?.notices())
    }

    /// Opens the access log again, as after a rotation.
    #[napi(catch_unwind)]
    pub fn reopen_log(&self) -> Result<()> {
        self.running()?.reopen_log();
        Ok(())
    }

    /// Stops accepting and ends connections as they become idle; returns at once.
    #[napi(catch_unwind)]
    pub fn drain(&self) -> Result<()> {
        self.running()?.drain();
        Ok(())
    }

    /// Waits until nothing is in flight, at most `limitMs`; resolves with true when drained.
    #[napi(catch_unwind, ts_return_type = "Promise<boolean>")]
    pub fn wait_drained(&self, limit_ms: u32) -> Result<AsyncTask<WaitDrained>> {
        let limit = Duration::from_millis(u64::from(limit_ms));
        Ok(AsyncTask::new(WaitDrained { engine: self.running()?, limit }))
    }

    /// Ends everything and joins the threads; the other methods throw afterwards. Does nothing the second time.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn close(&self) -> AsyncTask<Close> {
        AsyncTask::new(Close { engine: self.slot().take() })
    }

    fn running(&self) -> Result<Arc<tulle_proxy::Engine>> {
        self.slot().clone().ok_or_else(|| refused("the engine is closed"))
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<tulle_proxy::Engine>>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// [`Engine::start`] off the main thread.
pub struct Start {
    snapshot: Vec<u8>,
}

impl Task for Start {
    type Output = Arc<tulle_proxy::Engine>;
    type JsValue = Engine;

    fn compute(&mut self) -> Result<Self::Output> {
        caught(|| {
            tulle_proxy::Engine::start_with(&self.snapshot, release_memory).map(Arc::new).map_err(refused)
        })
    }

    fn resolve(&mut self, _env: Env, inner: Self::Output) -> Result<Engine> {
        Ok(Engine { inner: Mutex::new(Some(inner)) })
    }
}

/// [`Engine::apply`] off the main thread.
pub struct Apply {
    engine: Arc<tulle_proxy::Engine>,
    snapshot: Vec<u8>,
}

impl Task for Apply {
    type Output = ();
    type JsValue = ();

    fn compute(&mut self) -> Result<()> {
        caught(|| self.engine.apply(&self.snapshot).map_err(refused))
    }

    fn resolve(&mut self, _env: Env, (): ()) -> Result<()> {
        Ok(())
    }
}

/// [`Engine::wait_drained`] off the main thread.
pub struct WaitDrained {
    engine: Arc<tulle_proxy::Engine>,
    limit: Duration,
}

impl Task for WaitDrained {
    type Output = bool;
    type JsValue = bool;

    fn compute(&mut self) -> Result<bool> {
        caught(|| Ok(self.engine.wait_drained(self.limit)))
    }

    fn resolve(&mut self, _env: Env, drained: bool) -> Result<bool> {
        Ok(drained)
    }
}

/// [`Engine::close`] off the main thread.
pub struct Close {
    engine: Option<Arc<tulle_proxy::Engine>>,
}

impl Task for Close {
    type Output = ();
    type JsValue = ();

    fn compute(&mut self) -> Result<()> {
        caught(|| {
            if let Some(engine) = self.engine.take() {
                engine.close();
            }
            Ok(())
        })
    }

    fn resolve(&mut self, _env: Env, (): ()) -> Result<()> {
        Ok(())
    }
}

/// Gives the pages of freed memory back to the system. Node's allocator is the C library's, which keeps them otherwise.
fn release_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim may be called at any time from any thread; it takes the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// An error whose message is the cause's own one line.
fn refused(cause: impl Display) -> Error {
    Error::new(Status::GenericFailure, cause.to_string())
}

/// Runs the body of a task; a panic becomes an error, as `catch_unwind` does for plain exports.
fn caught<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(refused(panic_message(panic.as_ref()))))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let said =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("internal error: {}", said.unwrap_or("a panic without a message"))
}
