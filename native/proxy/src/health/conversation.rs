//! One check: connect, announce, TLS, ask, hear. In: readiness. Out: what was found.
//!
//! A connection of its own for each check: it goes through the endpoint's accept queue and handshake as a client's would,
//! where one that is kept goes on answering for a server that takes no more, or that an address has moved away from.

use super::targets::{Service, Target};
use super::{Verdict, Why};
use crate::clock::Nanos;
use crate::io::{Connecting, Event, Io, Link, LinkError, Socket};
use crate::running::Address;
use crate::slab::Id;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use std::io;
use std::rc::Rc;
use tulle_decide::h2::Millis;
use tulle_decide::health::{ANSWER_BYTES, Dialogue, Peer, Way, authority};
use tulle_decide::proxy_protocol::{write_v1, write_v2};
use tulle_snapshot::wire::{ProxyVersion, ServiceProtocol};

/// A check under way.
pub(super) struct Conversation {
    pub(super) target: Id,
    pub(super) began: u64,
    pub(super) deadline: u64,
    service: Rc<Service>,
    link: Link,
    dialogue: Option<Dialogue>,
    stage: Stage,
    /// Bytes that came where nothing was asked.
    unasked: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// TCP.
    Connecting,
    /// TLS, where there is any.
    Securing,
    /// The question is put.
    Asking,
    /// Nothing is asked but the handshake, in which we showed a certificate: the server may still refuse it.
    Parting,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Found(Verdict),
    /// Ours is the fault: it says nothing of the endpoint.
    Nothing,
}

impl From<Why> for Outcome {
    fn from(why: Why) -> Self {
        Self::Found(Verdict::Unwell(why))
    }
}

const WELL: Outcome = Outcome::Found(Verdict::Well);

impl AsFd for Conversation {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }
}

impl Conversation {
    /// Begins a check; an error: it has ended already.
    pub(super) fn begin(id: Id, target: &Target, now: Nanos, seed: u64) -> Result<Self, Outcome> {
        let service = Rc::clone(&target.service);
        let (connecting, port) = match &target.address {
            Address::Tcp(address) => (Socket::connect_tcp(address), Some(address.port())),
            Address::Unix(path) => (Socket::connect_unix(path), None),
        };
        let (Connecting::Done(socket) | Connecting::Waiting(socket)) =
            connecting.map_err(|error| of_connect(&error))?;
        let host = target.host.as_deref();
        let session = service.tls.as_ref().map(|tls| tls.built.session(host)).transpose();
        let session = session.map_err(|_| Why::Tls)?;
        let secure = session.is_some();
        let authority = authority(host, port, secure);
        let peer = Peer { authority: &authority, secure, timeout: service.timeout };
        Ok(Self {
            target: id,
            began: now.0,
            deadline: now.after(service.timeout).0,
            dialogue: Dialogue::new(&service.asked.question, &peer, seed),
            link: Link::new(socket, session.map(Box::new)),
            service,
            stage: Stage::Connecting,
            unasked: 0,
        })
    }

    /// What is found when the time is over.
    pub(super) fn expired(&self) -> Outcome {
        // Whoever sits on a connection that we have ended took it, certificate and all.
        if self.stage == Stage::Parting { WELL } else { Why::Timeout.into() }
    }

    /// Takes note of what the poller saw, and goes on. None: there is more to come.
    pub(super) fn drive(
        &mut self,
        event: &Event,
        (now, buffer): (Nanos, &mut Vec<u8>),
        io: &mut Io,
    ) -> Option<Outcome> {
        self.link.note(event);
        let outcome = match self.advance((now, buffer), io) {
            Ok(outcome) => outcome?,
            // As when its end is heard: it has heard ours, and did not refuse.
            Err(LinkError::Io(_)) if self.stage == Stage::Parting => WELL,
            Err(LinkError::Tls(_)) => Why::Tls.into(),
            Err(LinkError::Io(error)) if self.stage == Stage::Connecting => of_connect(&error),
            Err(LinkError::Io(_)) => Why::Reset.into(),
        };
        self.part(io);
        Some(outcome)
    }

    fn advance(
        &mut self,
        (now, buffer): (Nanos, &mut Vec<u8>),
        io: &mut Io,
    ) -> Result<Option<Outcome>, LinkError> {
        if self.stage == Stage::Connecting {
            if !self.link.is_writable() {
                return Ok(None);
            }
            self.link.socket().connect_result()?;
            self.stage = Stage::Securing;
            self.announce(io)?;
            if self.link.is_handshaking() {
                self.link.start_handshake(io)?;
            }
        }
        self.link.flush(io)?;
        if self.stage == Stage::Securing {
            if !self.secured(buffer, io)? {
                return Ok(None);
            }
            if !self.speaks_as_asked() {
                return Ok(Some(Why::Tls.into()));
            }
            if let Some(outcome) = self.ask(io)? {
                return Ok(Some(outcome));
            }
        }
        self.hear((now, buffer), io)
    }

    /// Says of the connection that it is our own.
    fn announce(&mut self, io: &mut Io) -> Result<(), LinkError> {
        let mut header = Vec::new();
        match self.service.asked.header {
            None => return Ok(()),
            Some(ProxyVersion::V1) => write_v1(&mut header, None),
            Some(ProxyVersion::V2) => write_v2(&mut header, None),
        }
        self.link.send_clear(&header, io)
    }

    /// True when the handshake is complete, or there is none.
    fn secured(&mut self, buffer: &mut Vec<u8>, io: &mut Io) -> Result<bool, LinkError> {
        buffer.clear();
        let mut result = Ok(0);
        while self.link.is_handshaking() && self.link.may_read() && result.is_ok() {
            result = self.link.fill(buffer, io);
        }
        self.link.keep(buffer, io);
        result?;
        if self.link.is_handshaking() && self.link.at_end() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(!self.link.is_handshaking())
    }

    /// Whether what the handshake settled on is what the question is put into.
    fn speaks_as_asked(&self) -> bool {
        let Some(session) = self.link.session() else { return true };
        let streams = self.service.asked.question.way() == Way::Streams;
        // To a service that is forwarded unread we offer nothing to choose from.
        let unnamed = self.service.asked.protocol == ServiceProtocol::Tcp;
        match session.alpn() {
            None => !streams || unnamed,
            Some(name) => !streams || name == b"h2",
        }
    }

    fn ask(&mut self, io: &mut Io) -> Result<Option<Outcome>, LinkError> {
        if self.dialogue.is_some() {
            self.stage = Stage::Asking;
            self.say(io)?;
            return Ok(None);
        }
        if !self.service.shows_certificate() {
            return Ok(Some(WELL));
        }
        // In TLS 1.3 the handshake is complete for us before the server has looked at our certificate: it says what it
        // thinks of it at the latest when it hears that we have ended.
        self.stage = Stage::Parting;
        self.link.finish(io)?;
        Ok(None)
    }

    fn say(&mut self, io: &mut Io) -> Result<(), LinkError> {
        let Some(dialogue) = &mut self.dialogue else { return Ok(()) };
        let len = dialogue.output().len();
        if len > 0 {
            self.link.send(&[dialogue.output()], io)?;
            dialogue.sent(len);
        }
        Ok(())
    }

    fn hear(
        &mut self,
        (now, buffer): (Nanos, &mut Vec<u8>),
        io: &mut Io,
    ) -> Result<Option<Outcome>, LinkError> {
        while self.link.may_read() {
            buffer.clear();
            // What came before an end that breaks the rules is part of the answer.
            let filled = self.link.fill(buffer, io);
            match &mut self.dialogue {
                _ if buffer.is_empty() => {}
                Some(dialogue) => {
                    if let Some(verdict) = dialogue.receive(buffer, Millis(now.0 / 1_000_000)) {
                        return Ok(Some(Outcome::Found(verdict)));
                    }
                    self.say(io)?;
                }
                None => {
                    self.unasked += buffer.len();
                    if self.unasked > ANSWER_BYTES {
                        return Ok(Some(WELL));
                    }
                }
            }
            filled?;
        }
        if !self.link.at_end() {
            return Ok(None);
        }
        Ok(Some(self.dialogue.as_ref().map_or(WELL, |dialogue| Outcome::Found(dialogue.ended()))))
    }

    /// Ends the connection as its protocols have it, as far as the peer takes that.
    pub(super) fn part(&mut self, io: &mut Io) {
        if let Some(dialogue) = &mut self.dialogue
            && self.stage == Stage::Asking
        {
            dialogue.close();
            let _gone_already = self.say(io);
        }
        let _gone_already = self.link.part(io);
        self.link.release(io);
    }
}

/// Why there is no connection.
fn of_connect(error: &io::Error) -> Outcome {
    match Errno::from_io_error(error) {
        // A Unix socket that nobody listens at, that is not there, or whose queue is full.
        Some(Errno::CONNREFUSED | Errno::NOENT | Errno::AGAIN) => Why::Refused.into(),
        Some(Errno::TIMEDOUT) => Why::Timeout.into(),
        Some(Errno::CONNRESET | Errno::PIPE) => Why::Reset.into(),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL) => {
            Outcome::Nothing
        }
        _ => Why::Unreachable.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_lack_is_no_fault_of_the_endpoint() {
        let unwell = |why| Outcome::Found(Verdict::Unwell(why));
        let cases = [
            (Errno::CONNREFUSED, unwell(Why::Refused)),
            (Errno::NOENT, unwell(Why::Refused)),
            (Errno::AGAIN, unwell(Why::Refused)),
            (Errno::TIMEDOUT, unwell(Why::Timeout)),
            (Errno::CONNRESET, unwell(Why::Reset)),
            (Errno::HOSTUNREACH, unwell(Why::Unreachable)),
            (Errno::NETUNREACH, unwell(Why::Unreachable)),
            (Errno::ACCESS, unwell(Why::Unreachable)),
            (Errno::MFILE, Outcome::Nothing),
            (Errno::NFILE, Outcome::Nothing),
            (Errno::NOMEM, Outcome::Nothing),
            (Errno::ADDRNOTAVAIL, Outcome::Nothing),
        ];
        for (errno, expected) in cases {
            assert_eq!(of_connect(&errno.into()), expected, "{errno}");
        }
    }
}
