//! The benchmark's upstream for HTTP/2 without TLS: gRPC calls, fixed bodies, and a page that counts them. In: two
//! ports of 127.0.0.1, for requests and for the page; out: `listening`, then answers until it is ended. One thread on
//! edge-triggered epoll; what a turn has to say on a connection goes out in one write.
//!
//! POST `/bench.Echo/Unary` is answered by one message of 32 bytes, `/bench.Echo/Both` by one for each message. GET
//! `/small`, `/1k` and `/16k` have 128, 1,024 and 16,384 bytes; `/echo` what a proxy adds, a line each.
//! `cargo run --release -p tulle-proxy --example upstream 9001 9002`
#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "a program of its own reads the clock")]

#[path = "upstream/call.rs"]
mod call;
#[path = "upstream/connection.rs"]
mod connection;

use connection::{Client, Served};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::Instant;
use tulle_decide::h2::Millis;

/// Tokens of the two listeners; a connection's is its place in the table, behind them.
const REQUESTS: u64 = 0;
const PAGE: u64 = 1;
const FIRST: u64 = 2;
const EVENTS_PER_TURN: usize = 256;
/// One read; a longer input is read in several turns of the same event.
const READ_BYTES: usize = 256 * 1024;

/// Somebody connected.
enum Peer {
    Client(Box<Client>),
    /// Asks for the page.
    Reader(TcpStream),
}

/// All there is.
struct Upstream {
    epoll: OwnedFd,
    listeners: [TcpListener; 2],
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
    started: Instant,
    /// Connections accepted, those of the page included.
    accepted: u64,
    /// Requests and messages answered, those for the page included.
    answered: u64,
}

fn main() -> ExitCode {
    let ports: Vec<u16> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let &[requests, page] = ports.as_slice() else { return fail("usage: upstream PORT PAGE_PORT") };
    match Upstream::bind(requests, page).and_then(Upstream::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(text: &str) -> ExitCode {
    let _nobody_reads = writeln!(std::io::stderr(), "{text}");
    ExitCode::FAILURE
}

impl Upstream {
    fn bind(requests: u16, page: u16) -> std::io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let listen = |port: u16, token: u64| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
            // The standard library asks for a backlog of 128, too short for many connections at once.
            rustix::net::listen(&listener, 4096)?;
            listener.set_nonblocking(true)?;
            epoll::add(&epoll, &listener, EventData::new_u64(token), EventFlags::IN)?;
            std::io::Result::Ok(listener)
        };
        let listeners = [listen(requests, REQUESTS)?, listen(page, PAGE)?];
        Ok(Self {
            epoll,
            listeners,
            peers: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; READ_BYTES],
            started: Instant::now(),
            accepted: 0,
            answered: 0,
        })
    }

    fn run(mut self) -> std::io::Result<()> {
        let mut out = std::io::stdout();
        let _nobody_reads = writeln!(out, "listening");
        let mut events = Vec::with_capacity(EVENTS_PER_TURN);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.data.u64() {
                    token @ (REQUESTS | PAGE) => self.accept(token),
                    token => self.turn(token),
                }
            }
        }
    }

    /// Takes every connection that waits. One that cannot be served is closed.
    fn accept(&mut self, token: u64) {
        loop {
            let [requests, page] = &self.listeners;
            let listener = if token == PAGE { page } else { requests };
            let Ok((stream, _)) = listener.accept() else { return };
            self.accepted += 1;
            if stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)).is_err() {
                continue;
            }
            let place = self.free.pop().unwrap_or(self.peers.len());
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            let data = EventData::new_u64(FIRST + place as u64);
            if epoll::add(&self.epoll, &stream, data, flags).is_err() {
                self.free.push(place);
                continue;
            }
            let peer = if token == PAGE {
                Peer::Reader(stream)
            } else {
                Peer::Client(Client::boxed(stream, place as u64))
            };
            if place >= self.peers.len() {
                self.peers.resize_with(place + 1, || None);
            }
            if let Some(slot) = self.peers.get_mut(place) {
                *slot = Some(peer);
            }
        }
    }

    fn turn(&mut self, token: u64) {
        let Ok(place) = usize::try_from(token - FIRST) else { return };
        let Some(slot) = self.peers.get_mut(place) else { return };
        let open = match slot {
            None => return,
            Some(Peer::Client(client)) => {
                let now = Millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX));
                let Served { answered, open } = client.turn(&mut self.buffer, now);
                self.answered += answered;
                open
            }
            Some(Peer::Reader(stream)) => show(stream, &mut self.answered, self.accepted),
        };
        if !open {
            *slot = None;
            self.free.push(place);
        }
    }
}

/// Answers each question for the page; they come one at a time. Returns whether the connection stays.
fn show(stream: &mut TcpStream, answered: &mut u64, accepted: u64) -> bool {
    let mut question = [0; 1024];
    loop {
        match stream.read(&mut question) {
            Ok(0) => return false,
            Ok(_) => *answered += 1,
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
        // The form of nginx's stub_status, which the benchmark reads of its other upstream, too.
        let page = format!(
            "Active connections: 1 \nserver accepts handled requests\n {accepted} {accepted} {answered} \n\
             Reading: 0 Writing: 1 Waiting: 0 \n"
        );
        let len = page.len();
        if write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{page}").is_err() {
            return false;
        }
    }
}
