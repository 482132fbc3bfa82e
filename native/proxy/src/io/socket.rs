//! Non-blocking sockets, TCP and Unix, without unsafe code.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    self, AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketFlags, SocketType,
};
use rustix::net::{SocketAddrUnix, sockopt};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::Path;

/// Waiting connections per listening socket; the kernel caps it at net.core.somaxconn.
const BACKLOG: i32 = 4096;

fn stream(family: AddressFamily) -> io::Result<OwnedFd> {
    Ok(net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?)
}

fn family(address: &SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

/// Whether a connection is there at once, or will be when the socket turns writable.
#[derive(Debug)]
pub(crate) enum Connecting {
    Done(Socket),
    Waiting(Socket),
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Socket {
    pub(crate) fn connect_tcp(address: &SocketAddr) -> io::Result<Connecting> {
        let fd = stream(family(address))?;
        sockopt::set_tcp_nodelay(&fd, true)?;
        Self::connected(net::connect(&fd, address), fd)
    }

    pub(crate) fn connect_unix(path: &Path) -> io::Result<Connecting> {
        let fd = stream(AddressFamily::UNIX)?;
        Self::connected(net::connect(&fd, &SocketAddrUnix::new(path)?), fd)
    }

    fn connected(result: Result<(), Errno>, fd: OwnedFd) -> io::Result<Connecting> {
        match result {
            Ok(()) => Ok(Connecting::Done(Self(fd))),
            Err(Errno::INPROGRESS) => Ok(Connecting::Waiting(Self(fd))),
            Err(error) => Err(error.into()),
        }
    }

    /// What became of a connection attempt, once the socket is writable.
    pub(crate) fn connect_result(&self) -> io::Result<()> {
        Ok(sockopt::socket_error(&self.0)??)
    }

    /// Our end of it, where it has an IP address.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        SocketAddr::try_from(net::getsockname(&self.0).ok()?).ok()
    }

    /// Appends what is there to `into`, at most its spare capacity. 0: the peer closed.
    pub(crate) fn read(&self, into: &mut Vec<u8>) -> io::Result<usize> {
        Ok(net::recv(&self.0, rustix::buffer::spare_capacity(into), RecvFlags::empty())?.0)
    }

    /// Writes the parts as one message; may write less.
    pub(crate) fn write(&self, parts: &[&[u8]]) -> io::Result<usize> {
        const PARTS: usize = 8;
        if let [one] = parts {
            return Ok(net::send(&self.0, one, SendFlags::NOSIGNAL)?);
        }
        let mut slices = [IoSlice::new(&[]); PARTS];
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
        }
        let used = slices.get(..parts.len().min(PARTS)).unwrap_or_default();
        Ok(net::sendmsg(&self.0, used, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?)
    }

    /// Says that we will send no more.
    pub(crate) fn finish(&self) {
        let _already_closed = net::shutdown(&self.0, Shutdown::Write);
    }

    /// Makes the coming close a reset, so that a peer cannot take a cut answer for a whole one.
    pub(crate) fn reset_on_close(&self) {
        let _already_closed = sockopt::set_socket_linger(&self.0, Some(std::time::Duration::ZERO));
    }
}

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Listening {
    fd: OwnedFd,
    address: SocketAddr,
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Listening {
    /// Binds with `SO_REUSEPORT`: one socket per worker on the same address.
    pub(crate) fn bind(address: &SocketAddr) -> io::Result<Self> {
        let fd = stream(family(address))?;
        sockopt::set_socket_reuseaddr(&fd, true)?;
        sockopt::set_socket_reuseport(&fd, true)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&fd, true)?;
        }
        // Accepted sockets inherit it.
        sockopt::set_tcp_nodelay(&fd, true)?;
        net::bind(&fd, address)?;
        net::listen(&fd, BACKLOG)?;
        let address = SocketAddr::try_from(net::getsockname(&fd)?)?;
        Ok(Self { fd, address })
    }

    /// The address it got.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes the next waiting connection.
    pub(crate) fn accept(&self) -> Result<(Socket, SocketAddr), Errno> {
        let (fd, peer) = net::acceptfrom_with(&self.fd, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok()).unwrap_or(self.address);
        Ok((Socket(fd), peer))
    }
}

/// Whether nobody holds the address: a bind without `SO_REUSEPORT` fails where any other socket listens.
pub(crate) fn probe_free(address: &SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let fd = stream(family(address))?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, true)?;
    }
    Ok(net::bind(&fd, address)?)
}
