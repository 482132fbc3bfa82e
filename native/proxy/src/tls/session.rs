//! One TLS connection without I/O: bytes from the socket go in, plaintext and bytes for the socket come out.
//!
//! Before: listen (or an upstream's connect). After: detect and http, which see plaintext only. Buffers belong to the
//! caller, so an idle connection holds keys and little else. Built on the unbuffered interface of rustls.

use super::error::TlsError;
use super::peer::Peer;
use super::record::{self, MAX_PAYLOAD};
use super::resolver;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, CommonState, HandshakeKind, NamedGroup, ProtocolVersion, ServerConfig};
use std::sync::Arc;

/// What a server keeps of a message that is not complete yet. A client's certificate chain has to fit.
const SERVER_TAIL: usize = 36 * 1024;
/// What a client keeps: the largest handshake message rustls takes, in records.
const CLIENT_TAIL: usize = 80 * 1024;

/// What one call of [`Session::receive`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Bytes of `incoming` that are done with; the caller drops them and keeps the rest as it is.
    pub consumed: usize,
    /// Neither side may send application data yet.
    pub handshaking: bool,
    /// The peer said `close_notify`: no more plaintext will come, sending is still allowed.
    pub peer_closed: bool,
}

/// One TLS connection, server or client side.
pub struct Session {
    connection: Connection,
    peer: Option<Box<Peer>>,
    sni: Option<Box<str>>,
    /// Length of the tail the caller still holds.
    kept: usize,
    /// Bytes at the start of that tail which rustls has read but not released (a handshake message in parts).
    read_ahead: usize,
    handshaking: bool,
    peer_closed: bool,
    end: End,
}

/// How far our own end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// In use.
    Open,
    /// We said `close_notify`: receiving goes on.
    Closed,
    /// An error ended both directions.
    Failed,
}

enum Connection {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

impl Session {
    /// A connection that a client opened to us.
    pub fn server(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        Ok(Self::new(Connection::Server(UnbufferedServerConnection::new(config)?)))
    }

    /// A connection that we opened; [`Session::start`] makes its first bytes.
    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, TlsError> {
        Ok(Self::new(Connection::Client(UnbufferedClientConnection::new(config, name)?)))
    }

    fn new(connection: Connection) -> Self {
        Self {
            connection,
            peer: None,
            sni: None,
            kept: 0,
            read_ahead: 0,
            handshaking: true,
            peer_closed: false,
            end: End::Open,
        }
    }

    /// Appends a client's first flight to `out`. Nothing to do for a server.
    pub fn start(&mut self, out: &mut Vec<u8>) -> Result<(), TlsError> {
        self.receive(&mut [], &mut Vec::new(), out).map(|_| ())
    }

    /// Takes in every complete record of `incoming`, appends what it decrypts to `plain` and what must be sent (handshake,
    /// alerts, key updates) to `out`.
    ///
    /// `incoming` is decrypted in place: the caller drops the first `consumed` bytes, keeps the rest unchanged, and
    /// presents it again with more bytes behind it. That rest is at most [`Session::max_tail`] bytes long. Work is bounded
    /// by the length of `incoming`.
    ///
    /// On an error `out` may end with an alert to send, `plain` may have got data that came before, and the connection is
    /// to be closed: nothing more is received or sent.
    pub fn receive(
        &mut self,
        incoming: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Received, TlsError> {
        if self.end == End::Failed {
            return Err(TlsError::Closed);
        }
        if incoming.len() < self.kept {
            return Err(self.fail(TlsError::TailMissing));
        }
        let complete = self.complete(incoming);
        let result = match &mut self.connection {
            Connection::Server(server) => {
                let seen = resolver::watch(self.handshaking && self.sni.is_none());
                let result = record::receive(server, incoming, plain, out);
                if let Some(name) = seen.and_then(resolver::Watch::take) {
                    self.sni = Some(name);
                }
                result
            }
            Connection::Client(client) => record::receive(client, incoming, plain, out),
        };
        match result {
            Ok((consumed, closed)) => self.account(incoming.len(), consumed, complete, closed),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// End of the last complete record in `incoming`, as the bytes on the wire say.
    fn complete(&self, incoming: &[u8]) -> usize {
        let mut end = self.read_ahead;
        while let Some(&[_, _, _, high, low]) = incoming.get(end..end + 5) {
            let next = end + 5 + usize::from(u16::from_be_bytes([high, low]));
            if next > incoming.len() {
                break;
            }
            end = next;
        }
        end
    }

    fn account(
        &mut self,
        len: usize,
        mut consumed: usize,
        complete: usize,
        closed: bool,
    ) -> Result<Received, TlsError> {
        self.peer_closed |= closed;
        if self.peer_closed {
            // RFC 8446 section 6.1: what follows close_notify is ignored.
            consumed = len;
        }
        self.kept = len - consumed;
        self.read_ahead = complete.saturating_sub(consumed);
        if self.kept > self.max_tail() {
            return Err(self.fail(TlsError::TooLong));
        }
        if self.handshaking && !self.common().is_handshaking() {
            self.handshaking = false;
            self.peer = self.peer_certificates().first().and_then(Peer::of).map(Box::new);
        }
        Ok(Received { consumed, handshaking: self.handshaking, peer_closed: self.peer_closed })
    }

    fn fail(&mut self, error: TlsError) -> TlsError {
        self.end = End::Failed;
        error
    }

    /// Encrypts `parts` as one stream of bytes, in as few records of at most 16 KiB as hold them, and appends these to
    /// `out`. An error before the handshake is complete, and after [`Session::close`].
    pub fn send(&mut self, parts: &[&[u8]], out: &mut Vec<u8>) -> Result<(), TlsError> {
        self.may_send()?;
        let mut stream = record::Parts::new(parts);
        while let Some(piece) = stream.next(MAX_PAYLOAD) {
            let result = match &mut self.connection {
                Connection::Server(server) => record::encrypt(server, self.read_ahead, &piece, out),
                Connection::Client(client) => record::encrypt(client, self.read_ahead, &piece, out),
            };
            result.map_err(|error| self.fail(error))?;
        }
        Ok(())
    }

    /// Appends `close_notify`, once, where the handshake got far enough. After it nothing can be sent; the peer's bytes
    /// are still received.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if self.may_send().is_err() {
            return;
        }
        self.end = End::Closed;
        let result = match &mut self.connection {
            Connection::Server(server) => record::close(server, self.read_ahead, out),
            Connection::Client(client) => record::close(client, self.read_ahead, out),
        };
        if result.is_err() {
            self.end = End::Failed;
        }
    }

    fn may_send(&self) -> Result<(), TlsError> {
        match (self.end, self.handshaking) {
            (End::Open, false) => Ok(()),
            (End::Open, true) => Err(TlsError::Handshaking),
            (End::Closed | End::Failed, _) => Err(TlsError::Closed),
        }
    }

    fn common(&self) -> &CommonState {
        match &self.connection {
            Connection::Server(server) => server,
            Connection::Client(client) => client,
        }
    }

    /// Bytes of `incoming` that the caller may have to keep at most: a handshake message that is not complete yet. More
    /// is an error of [`Session::receive`].
    #[must_use]
    pub fn max_tail(&self) -> usize {
        match &self.connection {
            Connection::Server(_) => SERVER_TAIL,
            Connection::Client(_) => CLIENT_TAIL,
        }
    }

    /// True until both sides may send application data.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.handshaking
    }

    /// The protocol that ALPN settled on.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.common().alpn_protocol()
    }

    /// The name the client asked for, in lower case. Server side only, with a configuration of [`super::ServerTls`].
    #[must_use]
    pub fn sni(&self) -> Option<&str> {
        self.sni.as_deref()
    }

    /// The protocol version, once it is agreed.
    #[must_use]
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.common().protocol_version()
    }

    /// The key exchange group, once the handshake is complete.
    pub fn key_exchange(&self) -> Option<NamedGroup> {
        self.common().negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name)
    }

    /// True when the handshake resumed an earlier one.
    #[must_use]
    pub fn resumed(&self) -> bool {
        self.common().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Who the peer proved to be: present when the handshake is complete and it showed a certificate with a SPIFFE ID.
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_deref()
    }

    /// The peer's chain, leaf first; empty when it showed none.
    #[must_use]
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.common().peer_certificates().unwrap_or_default()
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("handshaking", &self.handshaking)
            .field("peer_closed", &self.peer_closed)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
