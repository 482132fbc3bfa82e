//! A question in HTTP/1.1. In: the probe, received bytes. Out: a request, the verdict.

use super::dialogue::{HEAD, Peer, So, USER_AGENT};
use super::{Verdict, Why};
use crate::http::{BodyFraming, Chunked, Fields, Method, find_head_end, parse_response};
use tulle_snapshot::wire::HealthProbe;

const BAD: Option<Verdict> = Some(Verdict::Unwell(Why::BadAnswer));

/// The request, and how much of the answer is there.
#[derive(Debug)]
pub(super) struct Text {
    request: Vec<u8>,
    sent: usize,
    /// The head as far as it came.
    head: Vec<u8>,
    /// How much of it was looked through for its end.
    scanned: usize,
    /// There once the head is whole and good.
    body: Option<Body>,
}

#[derive(Debug)]
enum Body {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

impl Text {
    pub(super) fn new(probe: &HealthProbe, peer: &Peer<'_>) -> Self {
        let (path, host) = match probe {
            HealthProbe::Http { path, host } => (path.as_str(), host.as_deref()),
            HealthProbe::Grpc { .. } | HealthProbe::Tcp => ("/", None),
        };
        let host = host.unwrap_or(peer.authority);
        // The server is told that it need not wait for more, so that it closes first where it closes fast.
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {USER_AGENT}\r\naccept: */*\r\nconnection: close\r\n\r\n"
        );
        Self { request: request.into_bytes(), sent: 0, head: Vec::new(), scanned: 0, body: None }
    }

    pub(super) fn output(&self) -> &[u8] {
        self.request.get(self.sent..).unwrap_or_default()
    }

    pub(super) fn sent(&mut self, len: usize) {
        self.sent += len;
    }

    pub(super) fn so(&self) -> So {
        if self.body.is_some() { So::Good } else { So::Open }
    }

    pub(super) fn ended(&self) -> Verdict {
        match self.body {
            Some(Body::UntilClose) => Verdict::Well,
            _ => Verdict::Unwell(Why::Reset),
        }
    }

    pub(super) fn receive(&mut self, bytes: &mut [u8]) -> Option<Verdict> {
        if let Some(body) = &mut self.body {
            return body.receive(bytes);
        }
        self.head.extend_from_slice(bytes);
        loop {
            let Some(end) = find_head_end(&self.head, self.scanned) else {
                self.scanned = self.head.len();
                return if self.head.len() > HEAD.bytes as usize { BAD } else { None };
            };
            let (head, rest) = self.head.split_at_mut_checked(end)?;
            let Ok(parsed) = parse_response(head, HEAD, Method::Get, &mut Fields::new()) else { return BAD };
            self.scanned = 0;
            if parsed.is_interim() {
                self.head.drain(..end);
                continue;
            }
            if !(200..300).contains(&parsed.status) {
                return Some(Verdict::Unwell(Why::Status));
            }
            let mut body = match parsed.framing {
                BodyFraming::None => Body::Length(0),
                BodyFraming::Length(length) => Body::Length(length),
                BodyFraming::Chunked => Body::Chunked(Chunked::new(HEAD)),
                BodyFraming::UntilClose | BodyFraming::Stream(_) => Body::UntilClose,
            };
            let verdict = body.receive(rest);
            self.body = Some(body);
            self.head = Vec::new();
            return verdict;
        }
    }
}

impl Body {
    fn receive(&mut self, bytes: &mut [u8]) -> Option<Verdict> {
        match self {
            Self::Length(left) => {
                *left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                (*left == 0).then_some(Verdict::Well)
            }
            Self::Chunked(chunked) => match chunked.decode(bytes) {
                Ok(decoded) => decoded.done.then_some(Verdict::Well),
                Err(_) => BAD,
            },
            Self::UntilClose => None,
        }
    }
}
