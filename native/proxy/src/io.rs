//! The rim: sockets, readiness and buffers. In: bytes from the kernel. Out: bytes to it. Knows nothing of HTTP.

mod buffers;
mod link;
mod poller;
mod socket;

pub(crate) use buffers::{BufferPool, Pending};
pub(crate) use link::{Io, Link, LinkError};
pub(crate) use poller::{Event, Poller, Waker};
pub(crate) use socket::{Connecting, Listening, Socket, probe_free};
