//! Servers that do as they are told, on ports below the ephemeral ones.

use crate::tls::{ServerTls, Session};
use rustix::fd::OwnedFd;
use rustix::net::{self, AddressFamily, SocketType};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The first of these ports that can be taken.
fn take<T, E>(bind: impl Fn(SocketAddr) -> Result<T, E>) -> T {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 22_000 + u16::try_from(std::process::id() % 400).unwrap() * 20;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000;
        if let Ok(taken) = bind(([127, 0, 0, 1], port).into()) {
            return taken;
        }
    }
}

pub(super) fn listen() -> TcpListener {
    take(TcpListener::bind)
}

/// An address at which nobody listens, nor can as long as this lives.
pub(super) struct Nobody {
    pub(super) address: SocketAddr,
    _holds: OwnedFd,
}

impl Nobody {
    pub(super) fn new() -> Self {
        take(|address| {
            let holds = net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
            net::bind(&holds, &address).map(|()| Self { address, _holds: holds })
        })
    }
}

/// Serves each connection on a thread of its own, until it is dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) accepted: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    join: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn new(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let listener = listen();
        let (address, serve) = (listener.local_addr().unwrap(), Arc::new(serve));
        let (accepted, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stop) = (Arc::clone(&accepted), Arc::clone(&over));
        let join = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                let (serve, number) = (Arc::clone(&serve), count.fetch_add(1, Ordering::Relaxed));
                std::thread::spawn(move || serve(stream, number));
            }
        });
        Self { address, accepted, over, join: Some(join) }
    }

    /// Answers each request in text.
    pub(super) fn text(answer: &'static str) -> Self {
        Self::new(move |mut stream, _| {
            read_head(&mut stream);
            let _gone = stream.write_all(answer.as_bytes());
        })
    }

    pub(super) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _wake = TcpStream::connect(self.address);
        if let Some(join) = self.join.take() {
            join.join().unwrap();
        }
    }
}

/// Reads up to the blank line.
pub(super) fn read_head(stream: &mut impl Read) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.extend(byte);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// The server's end of TLS on a blocking connection.
pub(super) struct Secure {
    stream: TcpStream,
    session: Session,
    sealed: Vec<u8>,
    plain: Vec<u8>,
}

impl Secure {
    /// After the handshake; none: it failed.
    pub(super) fn accept(stream: TcpStream, tls: &ServerTls) -> Option<Self> {
        let session = tls.session().unwrap();
        let mut secure = Self { stream, session, sealed: Vec::new(), plain: Vec::new() };
        while secure.session.is_handshaking() {
            secure.fill()?;
        }
        Some(secure)
    }

    fn fill(&mut self) -> Option<()> {
        let (mut bytes, mut out) = ([0; 4096], Vec::new());
        let count = self.stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
        self.sealed.extend(&bytes[..count]);
        let received = self.session.receive(&mut self.sealed, &mut self.plain, &mut out);
        self.stream.write_all(&out).ok()?;
        self.sealed.drain(..received.ok()?.consumed);
        Some(())
    }
}

impl Read for Secure {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.plain.is_empty() {
            if self.fill().is_none() {
                return Ok(0);
            }
        }
        let count = into.len().min(self.plain.len());
        into[..count].copy_from_slice(&self.plain[..count]);
        self.plain.drain(..count);
        Ok(count)
    }
}

impl Write for Secure {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut out = Vec::new();
        self.session.send(&[bytes], &mut out).map_err(std::io::Error::other)?;
        self.stream.write_all(&out)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
