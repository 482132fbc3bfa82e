//! Turns the states of an unbuffered rustls connection into bytes: one loop for receiving, one for sending.
//!
//! The loops are the same for both sides, so they are written once over [`Process`].

use super::error::TlsError;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus,
    WriteTraffic,
};

/// Plaintext bytes of one record at most (RFC 8446 section 5.1).
pub(super) const MAX_PAYLOAD: usize = 16 * 1024;
/// Room for a record's header, nonce, content type and tag in any suite we offer (29 bytes at most), rounded up.
const OVERHEAD: usize = 64;

/// The part of rustls's two connection types that is the same.
pub(super) trait Process {
    type Data;
    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    /// Whether encoded messages wait to be sent.
    fn has_output(&self) -> bool;
}

impl Process for UnbufferedServerConnection {
    type Data = ServerConnectionData;
    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
    fn has_output(&self) -> bool {
        self.wants_write()
    }
}

impl Process for UnbufferedClientConnection {
    type Data = ClientConnectionData;
    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
    fn has_output(&self) -> bool {
        self.wants_write()
    }
}

enum Step {
    /// Something moved: look again.
    Again,
    /// The peer said `close_notify`.
    PeerClosed,
    /// Nothing more without new bytes.
    Wait,
}

/// Processes all complete records: (bytes consumed, whether the peer closed).
pub(super) fn receive<P: Process>(
    connection: &mut P,
    incoming: &mut [u8],
    plain: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(usize, bool), TlsError> {
    let mut consumed = 0;
    let mut closed = false;
    // Every step consumes a record or empties a queue that records filled; the bound only guards against a defect.
    for _ in 0..incoming.len() + 1024 {
        let rest = incoming.get_mut(consumed..).unwrap_or_default();
        let mut status = connection.process(rest);
        let step = step(&mut status, plain, out);
        consumed += status.discard;
        match step {
            Ok(Step::Again) => {}
            Ok(Step::PeerClosed) => closed = true,
            Ok(Step::Wait) => return Ok((consumed, closed)),
            Err(error) => {
                let rest = incoming.get_mut(consumed..).unwrap_or_default();
                flush(connection, rest, out);
                return Err(error);
            }
        }
    }
    Err(TlsError::Stuck)
}

fn step<D>(
    status: &mut UnbufferedStatus<'_, '_, D>,
    plain: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<Step, TlsError> {
    let state = std::mem::replace(&mut status.state, Ok(ConnectionState::BlockedHandshake));
    match state? {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = record?;
                status.discard += record.discard;
                plain.extend_from_slice(record.payload);
            }
        }
        ConnectionState::EncodeTlsData(mut data) => encode(&mut data, out)?,
        ConnectionState::TransmitTlsData(data) => data.done(),
        ConnectionState::PeerClosed => return Ok(Step::PeerClosed),
        ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) | ConnectionState::Closed => {
            return Ok(Step::Wait);
        }
        // Early data is never offered nor accepted: our configurations leave it off.
        _ => return Err(TlsError::Stuck),
    }
    Ok(Step::Again)
}

/// Appends what is queued, an alert above all, without looking at further records.
fn flush<P: Process>(connection: &mut P, rest: &mut [u8], out: &mut Vec<u8>) {
    while connection.has_output() {
        match connection.process(rest).state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                if encode(&mut data, out).is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

fn encode<D>(data: &mut EncodeTlsData<'_, D>, out: &mut Vec<u8>) -> Result<(), TlsError> {
    let start = out.len();
    let mut room = 0;
    for _ in 0..2 {
        out.resize(start + room, 0);
        match data.encode(out.get_mut(start..).unwrap_or_default()) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                room = required_size;
            }
            Err(EncodeError::AlreadyEncoded) => break,
        }
    }
    out.truncate(start);
    Err(TlsError::Stuck)
}

/// Calls `write` with the state in which application data may be encrypted, after appending what is queued before it.
fn when_writable<P: Process>(
    connection: &mut P,
    read_ahead: usize,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut WriteTraffic<'_, P::Data>, &mut Vec<u8>) -> Result<(), TlsError>,
) -> Result<(), TlsError> {
    // rustls indexes its input by what it has read ahead of a handshake message in parts: show it that many bytes.
    // They are not looked at, since no record follows them. Rare: peers send small messages in one record.
    let mut unseen = vec![0; read_ahead];
    for _ in 0..1024 {
        match connection.process(&mut unseen).state? {
            ConnectionState::WriteTraffic(mut traffic) => return write(&mut traffic, out),
            ConnectionState::EncodeTlsData(mut data) => encode(&mut data, out)?,
            ConnectionState::TransmitTlsData(data) => data.done(),
            // Reported once by `receive`, which came first; our direction stays open.
            ConnectionState::PeerClosed => {}
            ConnectionState::Closed => return Err(TlsError::Closed),
            _ => return Err(TlsError::Stuck),
        }
    }
    Err(TlsError::Stuck)
}

/// Appends one record with the bytes of `piece`.
pub(super) fn encrypt<P: Process>(
    connection: &mut P,
    read_ahead: usize,
    piece: &Piece<'_>,
    out: &mut Vec<u8>,
) -> Result<(), TlsError> {
    when_writable(connection, read_ahead, out, |traffic, out| match piece {
        Piece::Whole(bytes) => grow(out, bytes.len() + OVERHEAD, |out| traffic.encrypt(bytes, out)),
        Piece::Spread(spread) => {
            // The parts are gathered behind the room for their own ciphertext, so no other buffer is needed.
            let start = out.len();
            let room = spread.len + OVERHEAD;
            out.resize(start + room, 0);
            spread.copy_to(out);
            let (before, gathered) = out.split_at_mut(start + room);
            let written = traffic.encrypt(gathered, before.get_mut(start..).unwrap_or_default());
            match written {
                Ok(written) => {
                    out.truncate(start + written);
                    Ok(())
                }
                // A key update came in between and takes room too: rare enough for a copy.
                Err(EncryptError::InsufficientSize(_)) => {
                    let copy = gathered.to_vec();
                    out.truncate(start);
                    grow(out, copy.len() + 4 * OVERHEAD, |out| traffic.encrypt(&copy, out))
                }
                Err(EncryptError::EncryptExhausted) => {
                    out.truncate(start);
                    Err(TlsError::Exhausted)
                }
            }
        }
    })
}

/// Appends `close_notify`.
pub(super) fn close<P: Process>(
    connection: &mut P,
    read_ahead: usize,
    out: &mut Vec<u8>,
) -> Result<(), TlsError> {
    when_writable(connection, read_ahead, out, |traffic, out| {
        grow(out, OVERHEAD, |out| traffic.queue_close_notify(out))
    })
}

/// Appends what `write` makes, in `room` bytes or in as many as it says it needs.
fn grow(
    out: &mut Vec<u8>,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), TlsError> {
    let start = out.len();
    let mut result = Err(TlsError::Stuck);
    for _ in 0..2 {
        out.resize(start + room, 0);
        match write(out.get_mut(start..).unwrap_or_default()) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                room = required_size;
            }
            Err(EncryptError::EncryptExhausted) => {
                result = Err(TlsError::Exhausted);
                break;
            }
        }
    }
    out.truncate(start);
    result
}

/// Several slices read as one stream of bytes.
pub(super) struct Parts<'a> {
    rest: &'a [&'a [u8]],
    /// Bytes of the first slice of `rest` that are used up.
    offset: usize,
}

/// What goes into one record; never empty.
pub(super) enum Piece<'a> {
    /// One slice.
    Whole(&'a [u8]),
    /// Bytes of several slices.
    Spread(Spread<'a>),
}

/// `len` bytes from `offset` of the first of `slices` on.
pub(super) struct Spread<'a> {
    slices: &'a [&'a [u8]],
    offset: usize,
    len: usize,
}

impl Spread<'_> {
    fn copy_to(&self, out: &mut Vec<u8>) {
        let mut left = self.len;
        let mut offset = self.offset;
        for slice in self.slices {
            let bytes = slice.get(offset..).unwrap_or_default();
            let bytes = bytes.get(..left).unwrap_or(bytes);
            out.extend_from_slice(bytes);
            left -= bytes.len();
            offset = 0;
        }
    }
}

impl<'a> Parts<'a> {
    pub(super) fn new(parts: &'a [&'a [u8]]) -> Self {
        Self { rest: parts, offset: 0 }
    }

    /// The next piece of at most `max` bytes. It spans slices only where that saves a record.
    pub(super) fn next(&mut self, max: usize) -> Option<Piece<'a>> {
        let first = loop {
            let (&first, rest) = self.rest.split_first()?;
            if let Some(bytes @ [_, ..]) = first.get(self.offset..) {
                break bytes;
            }
            *self = Self::new(rest);
        };
        if let Some(bytes) = first.get(..max) {
            self.offset += max;
            return Some(Piece::Whole(bytes));
        }
        let others: usize = self.rest.iter().skip(1).map(|s| s.len()).sum();
        if others == 0 {
            self.rest = &[];
            return Some(Piece::Whole(first));
        }
        let spread = Spread { slices: self.rest, offset: self.offset, len: max.min(first.len() + others) };
        self.skip(spread.len);
        Some(Piece::Spread(spread))
    }

    fn skip(&mut self, mut count: usize) {
        while let Some((first, rest)) = self.rest.split_first() {
            let left = first.len() - self.offset;
            if count < left {
                self.offset += count;
                return;
            }
            count -= left;
            *self = Self::new(rest);
        }
    }
}
