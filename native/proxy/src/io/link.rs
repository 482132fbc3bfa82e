//! One connection's bytes: plain or TLS, with what waits to be read or written.
//!
//! In: readiness from the poller. Out: plain bytes for the protocol above; and theirs, sealed where TLS is on.

use super::{BufferPool, Event, Pending, Socket};
use crate::tls;
use rustix::fd::{AsFd, BorrowedFd};
use std::io;

/// Bytes read from a socket at once; also how far a reader may get ahead of its peer.
const READ_BYTES: usize = 64 * 1024;
/// Several parts up to this many bytes are copied together: that costs less than the kernel's walk over a list of them.
const GATHER_BYTES: usize = 8 * 1024;

/// A worker's scratch memory for reading and writing.
#[derive(Debug, Default)]
pub(crate) struct Io {
    pub(crate) pool: BufferPool,
    sealed_in: Vec<u8>,
    sealed_out: Vec<u8>,
    gathered: Vec<u8>,
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Link {
    socket: Socket,
    tls: Option<Box<tls::Session>>,
    readable: bool,
    writable: bool,
    hup: bool,
    eof: bool,
    finishing: bool,
    /// That we send no more was said, or will be once everything is sent.
    finished: bool,
    broken: bool,
    started: bool,
    /// Plain bytes that were read and not used yet.
    unused: Pending,
    /// Sealed bytes that are not a whole record yet.
    sealed: Pending,
    /// Bytes as they go to the wire.
    out: Pending,
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Link {
    pub(crate) fn new(socket: Socket, tls: Option<Box<tls::Session>>) -> Self {
        Self {
            socket,
            tls,
            readable: false,
            writable: false,
            hup: false,
            eof: false,
            finishing: false,
            finished: false,
            broken: false,
            started: false,
            unused: Pending::default(),
            sealed: Pending::default(),
            out: Pending::default(),
        }
    }

    /// Takes note of what the poller saw.
    #[inline]
    pub(crate) fn note(&mut self, event: &Event) {
        self.readable |= event.readable;
        self.writable |= event.writable;
        self.hup |= event.hup;
        self.broken |= event.error;
    }

    /// A fresh connection takes bytes at once.
    pub(crate) fn assume_writable(&mut self) {
        self.writable = true;
    }

    /// Has the next fill try a read, whatever the poller said.
    pub(crate) fn assume_readable(&mut self) {
        self.readable = true;
    }

    /// The connection is broken both ways: nobody is there to answer.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// The socket may hold more than what was kept.
    pub(crate) fn has_more(&self) -> bool {
        self.readable && !self.eof
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(crate) fn session(&self) -> Option<&tls::Session> {
        self.tls.as_deref()
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// The peer will send no more, and all it sent was read.
    pub(crate) fn at_end(&self) -> bool {
        self.eof && self.unused.is_empty()
    }

    /// The peer's end was seen, though there may be bytes before it.
    pub(crate) fn is_hung_up(&self) -> bool {
        self.hup || self.eof
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.writable
    }

    /// Something may be read: a fill is worth a try.
    pub(crate) fn may_read(&self) -> bool {
        !self.unused.is_empty() || (self.readable && !self.eof)
    }

    /// Our bytes wait for the peer to take them.
    #[inline]
    pub(crate) fn is_blocked(&self) -> bool {
        !self.out.is_empty()
    }

    /// Appends what is there to `into`: what was kept, then at most one read from the socket. Returns how many bytes.
    #[inline]
    pub(crate) fn fill(&mut self, into: &mut Vec<u8>, io: &mut Io) -> Result<usize, LinkError> {
        let before = into.len();
        self.unused.drain_into(into, &mut io.pool);
        if self.readable && !self.eof {
            if self.tls.is_some() {
                self.fill_sealed(into, io)?;
            } else {
                into.reserve(READ_BYTES);
                self.read(into)?;
            }
        }
        Ok(into.len() - before)
    }

    /// One read; a short one means that the socket is drained, unless the end was announced.
    fn read(&mut self, into: &mut Vec<u8>) -> Result<(), LinkError> {
        let space = into.capacity() - into.len();
        match self.socket.read(into) {
            Ok(0) => {
                self.eof = true;
                self.readable = false;
            }
            Ok(count) => self.readable = count == space || self.hup,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn fill_sealed(&mut self, into: &mut Vec<u8>, io: &mut Io) -> Result<(), LinkError> {
        let mut sealed = std::mem::take(&mut io.sealed_in);
        sealed.clear();
        self.sealed.drain_into(&mut sealed, &mut io.pool);
        sealed.reserve(READ_BYTES);
        let mut result = self.read(&mut sealed);
        if result.is_ok() && !sealed.is_empty() {
            result = self.unseal(&mut sealed, into, io);
        }
        io.sealed_in = sealed;
        result
    }

    fn unseal(&mut self, sealed: &mut [u8], into: &mut Vec<u8>, io: &mut Io) -> Result<(), LinkError> {
        let Some(tls) = self.tls.as_mut() else { return Ok(()) };
        io.sealed_out.clear();
        let received = tls.receive(sealed, into, &mut io.sealed_out);
        let answer = std::mem::take(&mut io.sealed_out);
        let sent = if answer.is_empty() { Ok(()) } else { self.write_raw(&[&answer], &mut io.pool) };
        io.sealed_out = answer;
        let received = received?;
        sent?;
        self.eof |= received.peer_closed;
        self.sealed.push(sealed.get(received.consumed..).unwrap_or_default(), &mut io.pool);
        Ok(())
    }

    /// Keeps plain bytes that nobody could use yet for the next [`Link::fill`].
    pub(crate) fn keep(&mut self, bytes: &[u8], io: &mut Io) {
        self.unused.push(bytes, &mut io.pool);
    }

    /// Puts TLS in front of what comes: bytes that were kept are sealed ones from now on.
    pub(crate) fn secure(&mut self, session: Box<tls::Session>) {
        self.tls = Some(session);
        self.sealed = std::mem::take(&mut self.unused);
        self.readable = true;
    }

    /// Bytes were read that nobody has used yet.
    pub(crate) fn has_kept(&self) -> bool {
        !self.unused.is_empty()
    }

    /// Sends bytes in clear, ahead of TLS.
    pub(crate) fn send_clear(&mut self, bytes: &[u8], io: &mut Io) -> Result<(), LinkError> {
        self.write_raw(&[bytes], &mut io.pool)
    }

    /// Begins a client's handshake.
    pub(crate) fn start_handshake(&mut self, io: &mut Io) -> Result<(), LinkError> {
        self.started = true;
        let Some(tls) = self.tls.as_mut() else { return Ok(()) };
        let mut hello = std::mem::take(&mut io.sealed_out);
        hello.clear();
        let started = tls.start(&mut hello);
        let sent = self.write_raw(&[&hello], &mut io.pool);
        io.sealed_out = hello;
        started?;
        sent
    }

    /// Whether [`Link::start_handshake`] was called.
    pub(crate) fn handshake_started(&self) -> bool {
        self.started
    }

    /// Sends the parts, or keeps what the peer does not take yet (then [`Link::is_blocked`]).
    #[inline]
    pub(crate) fn send(&mut self, parts: &[&[u8]], io: &mut Io) -> Result<(), LinkError> {
        if self.tls.is_some() {
            return self.send_sealed(parts, io);
        }
        let total: usize = parts.iter().map(|part| part.len()).sum();
        if parts.len() == 1 || total > GATHER_BYTES {
            return self.write_raw(parts, &mut io.pool);
        }
        io.gathered.clear();
        for part in parts {
            io.gathered.extend_from_slice(part);
        }
        self.write_raw(&[&io.gathered], &mut io.pool)
    }

    fn send_sealed(&mut self, parts: &[&[u8]], io: &mut Io) -> Result<(), LinkError> {
        let Some(tls) = self.tls.as_mut() else { return Ok(()) };
        let mut sealed = std::mem::take(&mut io.sealed_out);
        sealed.clear();
        let result = tls.send(parts, &mut sealed);
        let sent = self.write_raw(&[&sealed], &mut io.pool);
        io.sealed_out = sealed;
        result?;
        sent
    }

    fn write_raw(&mut self, parts: &[&[u8]], pool: &mut BufferPool) -> Result<(), LinkError> {
        let mut written = 0;
        if self.out.is_empty() && self.writable {
            let total: usize = parts.iter().map(|part| part.len()).sum();
            written = self.write_some(parts)?;
            if written == total {
                return Ok(());
            }
            self.writable = false;
        }
        for part in parts {
            let skipped = written.min(part.len());
            written -= skipped;
            self.out.push(part.get(skipped..).unwrap_or_default(), pool);
        }
        Ok(())
    }

    fn write_some(&mut self, parts: &[&[u8]]) -> Result<usize, LinkError> {
        match self.socket.write(parts) {
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends what waited; the rest waits on.
    pub(crate) fn flush(&mut self, io: &mut Io) -> Result<(), LinkError> {
        while self.writable && !self.out.is_empty() {
            let count = match self.socket.write(&[self.out.as_slice()]) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writable = false;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            self.out.consume(count, &mut io.pool);
        }
        if self.finishing && self.out.is_empty() {
            self.finishing = false;
            self.socket.finish();
        }
        Ok(())
    }

    /// Its end will look like what it is, a failure: a reset, and nothing of TLS that says otherwise.
    pub(crate) fn break_off(&mut self) {
        self.broken = true;
        self.socket.reset_on_close();
    }

    /// Says that we will send no more, once everything that waits is sent; nothing, where it is broken or was said before.
    pub(crate) fn finish(&mut self, io: &mut Io) -> Result<(), LinkError> {
        if self.broken || self.finished {
            return Ok(());
        }
        self.part(io)?;
        self.finished = true;
        self.finishing = true;
        self.flush(io)
    }

    /// Says by TLS that this is the end, ahead of closing the socket, which says it by itself.
    pub(crate) fn part(&mut self, io: &mut Io) -> Result<(), LinkError> {
        let Some(tls) = self.tls.as_mut().filter(|_| !self.broken && !self.finished) else { return Ok(()) };
        let mut sealed = std::mem::take(&mut io.sealed_out);
        sealed.clear();
        tls.close(&mut sealed);
        let sent = self.write_raw(&[&sealed], &mut io.pool);
        io.sealed_out = sealed;
        sent
    }

    /// Gives its buffers back.
    pub(crate) fn release(&mut self, io: &mut Io) {
        self.unused.clear(&mut io.pool);
        self.sealed.clear(&mut io.pool);
        self.out.clear(&mut io.pool);
    }
}
