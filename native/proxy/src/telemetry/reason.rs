//! Why a request ended as it did: one table from a reason to its code, HTTP status, gRPC code, log flag and side.
//!
//! In: the step that answers or gives up names a [`Reason`]. Out: what the client is told, what the log and metrics say.
//! A client never sees more than the status and the code.

/// Who caused the end of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Nothing went wrong.
    None,
    /// The client.
    Client,
    /// The service behind us.
    Upstream,
    /// Ourselves: a bound, a drain, a defect.
    Ours,
}

impl Side {
    /// Its name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Ours => "ours",
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReasonFacts {
    /// Machine-readable, `snake_case`, stable.
    pub code: &'static str,
    /// The HTTP status of our answer; 0: no answer of ours goes with it, or its status is configured.
    pub status: u16,
    /// The gRPC status code that goes with it.
    pub grpc: u8,
    /// Two or three capital letters for log columns, `-` for `ok`.
    pub flag: &'static str,
    /// Who caused it.
    pub side: Side,
}

/// The code is none of [`Reason::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such reason code")]
pub struct UnknownReason;

macro_rules! reasons {
    ($($(#[$meta:meta])+ $name:ident = $code:literal, $status:literal, $grpc:literal, $flag:literal, $side:ident;)+) => {
        /// How a request, or a connection without one, ended.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[$meta])+ $name,)+
        }

        impl Reason {
            /// Every reason, in the order of the discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its row of the table.
            #[must_use]
            pub const fn facts(self) -> ReasonFacts {
                match self {
                    $(Self::$name => ReasonFacts {
                        code: $code, status: $status, grpc: $grpc, flag: $flag, side: Side::$side,
                    },)+
                }
            }
        }
    };
}

reasons! {
    /// It ended as it should.
    #[default]
    Ok = "ok", 0, 0, "-", None;
    /// The request breaks the protocol; the parser's own code is kept beside it.
    BadRequest = "bad_request", 400, 3, "BR", Client;
    /// No route matches.
    NoRoute = "no_route", 404, 12, "NR", Client;
    /// The rule answers with a redirect; its status is the rule's.
    Redirect = "redirect", 0, 12, "RD", None;
    /// Authorization refused it.
    Denied = "denied", 403, 7, "AD", Client;
    /// The Host names a place that this listener does not answer for.
    HostNotAllowed = "host_not_allowed", 403, 7, "HN", Client;
    /// The Host is not one that the connection's certificate was chosen for.
    Misdirected = "misdirected_request", 421, 5, "MD", Client;
    /// The method is not allowed here.
    MethodNotAllowed = "method_not_allowed", 405, 12, "MA", Client;
    /// The listener allows no upgrade.
    UpgradeRefused = "upgrade_refused", 403, 12, "UP", Client;
    /// An `Expect` other than 100-continue.
    ExpectationFailed = "expectation_failed", 417, 9, "EF", Client;
    /// A transfer coding that we do not know.
    NotImplemented = "not_implemented", 501, 12, "NI", Client;
    /// An HTTP version that we do not speak.
    VersionNotSupported = "version_not_supported", 505, 12, "VN", Client;
    /// The request line is longer than we read.
    UriTooLong = "uri_too_long", 414, 8, "UL", Client;
    /// The head has more bytes or fields than the listener allows.
    HeaderTooLarge = "header_too_large", 431, 8, "HL", Client;
    /// The head did not arrive in time.
    HeaderTimeout = "header_timeout", 408, 4, "HT", Client;
    /// The body is longer than the listener allows.
    BodyTooLarge = "body_too_large", 413, 8, "BL", Client;
    /// The body comes slower than the listener allows.
    BodyTooSlow = "body_too_slow", 408, 4, "BS", Client;
    /// The client went away before its answer was complete.
    ClientClosed = "client_closed", 499, 1, "CC", Client;
    /// The client's TLS handshake failed.
    TlsHandshake = "tls_handshake", 0, 16, "TH", Client;
    /// The client's connection broke the rules of HTTP/2; which one is kept beside it.
    Http2Error = "http2_error", 0, 13, "HE", Client;
    /// The client's connection made us work without an end: resets, pings and the like; what of is kept beside it.
    Http2Flood = "http2_flood", 0, 8, "HF", Client;
    /// What should be a PROXY header is none; the parser's own code is kept beside it.
    ProxyProtocolMalformed = "proxy_protocol_malformed", 0, 3, "PM", Client;
    /// The connection does not begin with a PROXY header, and has to.
    ProxyProtocolMissing = "proxy_protocol_missing", 0, 3, "PH", Client;
    /// The connection comes from where no PROXY header is believed, and has to have one.
    ProxyProtocolRefused = "proxy_protocol_refused", 0, 7, "PX", Client;
    /// What should be a TLS `ClientHello` is none; the parser's own code is kept beside it.
    ClientHelloMalformed = "client_hello_malformed", 0, 3, "CM", Client;
    /// No SNI route takes the name that TLS asks for, or it asks for none.
    SniUnknown = "sni_unknown", 0, 5, "SU", Client;
    /// The listener takes nothing like what the connection begins with.
    ProtocolUnknown = "protocol_unknown", 0, 12, "PU", Client;
    /// What the connection begins with did not arrive in time.
    DetectionTimeout = "detection_timeout", 0, 4, "DT", Client;
    /// No usable endpoint.
    NoEndpoint = "no_endpoint", 503, 14, "NE", Upstream;
    /// No connection to the endpoint.
    ConnectFailure = "connect_failure", 503, 14, "CF", Upstream;
    /// No connection to the endpoint in time.
    ConnectTimeout = "connect_timeout", 504, 14, "CT", Upstream;
    /// The TLS handshake with the endpoint failed, or it is not who it should be.
    UpstreamTls = "upstream_tls", 502, 14, "UH", Upstream;
    /// The endpoint closed or reset before its answer was complete.
    UpstreamReset = "upstream_reset", 502, 14, "UR", Upstream;
    /// An attempt ended with a status that the rule retries; never how a request ends.
    UpstreamStatus = "upstream_status", 502, 14, "US", Upstream;
    /// The rule limits how many requests pass.
    RateLimited = "rate_limited", 429, 8, "RL", Client;
    /// A fault on purpose; its status is the rule's.
    Fault = "fault", 0, 14, "FI", None;
    /// The service is at its adaptive limit, or its queue or our memory is nearly full, and others come first.
    Shed = "shed", 503, 14, "SH", Ours;
    /// The endpoint's answer breaks the protocol.
    UpstreamProtocolError = "upstream_protocol_error", 502, 13, "UE", Upstream;
    /// No response head within the rule's time.
    RequestTimeout = "request_timeout", 504, 4, "RT", Upstream;
    /// No response head within the rule's time for one attempt, and no further attempt.
    PerTryTimeout = "per_try_timeout", 504, 4, "TT", Upstream;
    /// The time that the caller gave its request was up.
    DeadlineExceeded = "deadline_exceeded", 504, 4, "DE", Upstream;
    /// Neither side sent a byte for too long.
    StreamIdle = "stream_idle", 504, 4, "SI", Upstream;
    /// As many requests wait for a connection as may.
    PendingFull = "pending_full", 503, 14, "PF", Upstream;
    /// It waited for a connection too long.
    QueueTimeout = "queue_timeout", 503, 14, "QT", Upstream;
    /// The listener has as many connections as it may.
    ConnectionLimit = "connection_limit", 503, 14, "CL", Ours;
    /// We have more to do than we can.
    Overload = "overload", 503, 14, "OL", Ours;
    /// We are about to end.
    Draining = "draining", 503, 14, "DR", Ours;
    /// A defect of ours.
    Internal = "internal_error", 500, 13, "IE", Ours;
}

impl Reason {
    /// The machine-readable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.facts().code
    }

    /// The HTTP status of our answer; 0: none.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.facts().status
    }

    /// Where its counter is in a table of [`Reason::ALL`].
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

impl std::str::FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(code: &str) -> Result<Self, UnknownReason> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code).ok_or(UnknownReason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_flags_name_one_reason_each() {
        for (i, reason) in Reason::ALL.iter().enumerate() {
            let facts = reason.facts();
            assert_eq!(reason.index(), i);
            assert_eq!(facts.code.parse(), Ok(*reason));
            assert!(
                facts.code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{}",
                facts.code
            );
            assert!(
                facts.flag == "-" || facts.flag.bytes().all(|b| b.is_ascii_uppercase()),
                "{}",
                facts.flag
            );
            let others = Reason::ALL.iter().skip(i + 1).map(|other| other.facts());
            assert!(others.into_iter().all(|o| o.flag != facts.flag && o.code != facts.code), "{reason}");
        }
        for unknown in ["", "OK", "ok ", "bad-request", "no_such_reason"] {
            assert_eq!(unknown.parse::<Reason>(), Err(UnknownReason), "{unknown}");
        }
    }

    #[test]
    fn statuses_agree_with_the_side() {
        for reason in Reason::ALL {
            let ReasonFacts { code, status, grpc, side, .. } = reason.facts();
            let agrees = match side {
                Side::None => status == 0,
                // What we do not implement is asked for by the client.
                Side::Client => matches!(status, 0 | 400..=499 | 501 | 505),
                Side::Upstream => matches!(status, 502..=504),
                Side::Ours => matches!(status, 500 | 503),
            };
            assert!(agrees, "{code}: {status} by {}", side.name());
            assert!(grpc <= 16 && (grpc == 0) == (*reason == Reason::Ok), "{code}: gRPC {grpc}");
        }
    }
}
