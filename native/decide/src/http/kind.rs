//! Which names a proxy cares about. In: a field name as received; out: its kind, found at parse time so that no later
//! step compares names again.

/// What a field means to a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FieldKind {
    /// Nothing special: passed on.
    Other,
    /// `Host`.
    Host,
    /// `Content-Length`.
    ContentLength,
    /// `Transfer-Encoding`.
    TransferEncoding,
    /// `Connection`.
    Connection,
    /// `Keep-Alive`.
    KeepAlive,
    /// `Proxy-Connection`.
    ProxyConnection,
    /// `TE`.
    Te,
    /// `Trailer`.
    Trailer,
    /// `Upgrade`.
    Upgrade,
    /// `HTTP2-Settings`, of the upgrade to h2c that we never pass on.
    Http2Settings,
    /// `Expect`.
    Expect,
    /// `X-Forwarded-For`.
    ForwardedFor,
    /// `X-Forwarded-Proto`.
    ForwardedProto,
    /// `X-Forwarded-Host`.
    ForwardedHost,
    /// Any other `X-Forwarded-…`, and `X-Real-IP`.
    ForwardedOther,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `X-Request-Id`.
    RequestId,
    /// `Traceparent` (W3C Trace Context).
    Traceparent,
    /// `Tracestate`.
    Tracestate,
    /// `Via`.
    Via,
    /// `X-Forwarded-Client-Cert` and every name that a backend might take for a verified peer: never passed on from
    /// a client, whatever separators it is written with.
    Identity,
    /// In a request, a name that a gateway folding names into variables (CGI, WSGI, PHP) could not tell from one that
    /// we control, such as `content_length`; and `Proxy`, which becomes `HTTP_PROXY` there.
    Alias,
    /// `Proxy-Authorization`.
    ProxyAuthorization,
    /// `Proxy-Authenticate` and `Proxy-Authentication-Info`.
    ProxyAuthenticate,
    /// `Date`.
    Date,
    /// `Server`.
    Server,
    /// `Idempotency-Key`.
    IdempotencyKey,
    /// `Max-Forwards`.
    MaxForwards,
    /// `Grpc-Timeout`.
    GrpcTimeout,
    /// `X-Tulle-…`: what one proxy of ours tells the next. Written anew for each hop, never passed on.
    Own,
    /// Meant for the other end whatever Connection says: `Authorization`, `Cookie`, `Set-Cookie`,
    /// `WWW-Authenticate`, `Cache-Control` and `Content-…`.
    EndToEnd,
}

use FieldKind as K;

/// Room for the longest name compared as a whole; longer ones are matched by their beginning.
const FOLDED: usize = 32;

impl FieldKind {
    /// Its bit in a mask of kinds.
    pub(super) const fn bit(self) -> u64 {
        1 << (self as u8)
    }

    /// Kinds that say something about one connection only, so that they never pass (RFC 9110 section 7.6.1).
    #[must_use]
    pub const fn is_hop_by_hop(self) -> bool {
        const MASK: u64 = K::Connection.bit()
            | K::KeepAlive.bit()
            | K::ProxyConnection.bit()
            | K::Te.bit()
            | K::Trailer.bit()
            | K::Upgrade.bit()
            | K::Http2Settings.bit()
            | K::TransferEncoding.bit()
            | K::ContentLength.bit()
            | K::ProxyAuthorization.bit()
            | K::ProxyAuthenticate.bit();
        MASK & self.bit() != 0
    }

    /// Kinds that a Connection field cannot take away: the other end, or we, rely on them. A nomination of one is
    /// ignored, since a client must not be able to hide a credential or an address from the backend.
    #[must_use]
    pub const fn is_end_to_end(self) -> bool {
        const MASK: u64 = K::Host.bit()
            | K::ContentLength.bit()
            | K::TransferEncoding.bit()
            | K::Expect.bit()
            | K::ForwardedFor.bit()
            | K::ForwardedProto.bit()
            | K::ForwardedHost.bit()
            | K::ForwardedOther.bit()
            | K::Forwarded.bit()
            | K::RequestId.bit()
            | K::Traceparent.bit()
            | K::Tracestate.bit()
            | K::Via.bit()
            | K::Date.bit()
            | K::MaxForwards.bit()
            | K::Own.bit()
            | K::EndToEnd.bit();
        MASK & self.bit() != 0
    }

    /// The kind of a name, in any letter case.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        if !may_matter(name) {
            return K::Other;
        }
        let mut folded = [0_u8; FOLDED];
        let mut odd = false;
        for (to, &b) in folded.iter_mut().zip(name) {
            *to = fold(b);
            odd |= *to == b'-' && b != b'-';
        }
        let kind = folded.get(..name.len()).map_or_else(|| beginning(&folded), whole);
        if odd { kind.misspelt() } else { kind }
    }

    /// What a name is that folds to one of this kind but is written with other separators.
    const fn misspelt(self) -> Self {
        match self {
            K::Other | K::Identity => self,
            K::EndToEnd | K::Date | K::Server | K::IdempotencyKey | K::MaxForwards | K::GrpcTimeout => {
                K::Other
            }
            _ => K::Alias,
        }
    }
}

/// Lower-case; everything that is no letter or digit becomes `-`, as folding gateways do with `_`.
pub(super) fn fold(b: u8) -> u8 {
    const TABLE: [u8; 256] = {
        let mut table = [b'-'; 256];
        let mut i = 0_u8;
        while i < 128 {
            if i.is_ascii_alphanumeric() {
                #[expect(clippy::indexing_slicing, reason = "i is below 128, and this runs at compile time")]
                {
                    table[i as usize] = i.to_ascii_lowercase();
                }
            }
            i += 1;
        }
        table
    };
    TABLE.get(usize::from(b)).copied().unwrap_or(b'-')
}

/// A first look that passes over most names of most messages: by length and first letter, and by the two letters that
/// the families of [`beginning`] start with. The letters compare without case because `| 0x20` folds it.
fn may_matter(name: &[u8]) -> bool {
    /// For each length up to 25, a bit for each first letter of a name that we know.
    const LETTERS: [u32; 26] = {
        let mut table = [0_u32; 26];
        let names: [(usize, &[u8]); 16] = [
            (2, b"t"),
            (3, b"v"),
            (4, b"hd"),
            (5, b"p"),
            (6, b"esc"),
            (7, b"ut"),
            (9, b"fx"),
            (10, b"ckts"),
            (11, b"t"),
            (12, b"xmg"),
            (13, b"ac"),
            (14, b"ch"),
            (15, b"xi"),
            (16, b"pwx"),
            (17, b"tx"),
            (18, b"p"),
        ];
        let mut i = 0;
        while i < names.len() {
            let mut j = 0;
            #[expect(
                clippy::indexing_slicing,
                reason = "runs at compile time, where out of bounds is an error"
            )]
            {
                while j < names[i].1.len() {
                    table[names[i].0] |= 1 << (names[i].1[j] & 31);
                    j += 1;
                }
            }
            i += 1;
        }
        table
    };
    let [first, second, ..] = name else { return false };
    let first = first | 0x20;
    let letter = 1_u32 << (first & 31);
    let known = LETTERS.get(name.len()).is_some_and(|letters| letters & letter != 0);
    known
        || match first {
            // `x` and any separator, `proxy-…`, `content-…`, `client-…`.
            b'x' => !second.is_ascii_alphanumeric(),
            b'p' => name.len() >= 18,
            b'c' => matches!(second | 0x20, b'o' | b'l'),
            b's' => second | 0x20 == b's',
            b't' => second | 0x20 == b'l',
            b'l' => *second == b'5',
            _ => false,
        }
}

fn whole(key: &[u8]) -> K {
    let kind = match key.len() {
        0..=5 => short(key),
        6..=10 => medium(key),
        11..=14 => long(key),
        _ => longer(key),
    };
    if kind == K::Other { beginning(key) } else { kind }
}

fn short(key: &[u8]) -> K {
    match key {
        b"te" => K::Te,
        b"via" => K::Via,
        b"host" => K::Host,
        b"date" => K::Date,
        b"proxy" => K::Alias,
        _ => K::Other,
    }
}

fn medium(key: &[u8]) -> K {
    match key.len() {
        6 => match key {
            b"expect" => K::Expect,
            b"server" => K::Server,
            b"cookie" => K::EndToEnd,
            _ => K::Other,
        },
        7 => match key {
            b"upgrade" => K::Upgrade,
            b"trailer" => K::Trailer,
            _ => K::Other,
        },
        9 => match key {
            b"forwarded" => K::Forwarded,
            b"x-real-ip" => K::ForwardedOther,
            _ => K::Other,
        },
        10 => match key {
            b"connection" => K::Connection,
            b"keep-alive" => K::KeepAlive,
            b"tracestate" => K::Tracestate,
            b"set-cookie" => K::EndToEnd,
            _ => K::Other,
        },
        _ => K::Other,
    }
}

fn long(key: &[u8]) -> K {
    match key.len() {
        11 => match key {
            b"traceparent" => K::Traceparent,
            _ => K::Other,
        },
        12 => match key {
            b"x-request-id" => K::RequestId,
            b"max-forwards" => K::MaxForwards,
            b"grpc-timeout" => K::GrpcTimeout,
            _ => K::Other,
        },
        13 => match key {
            b"authorization" | b"cache-control" => K::EndToEnd,
            _ => K::Other,
        },
        _ => match key {
            b"content-length" => K::ContentLength,
            b"http2-settings" => K::Http2Settings,
            _ => K::Other,
        },
    }
}

fn longer(key: &[u8]) -> K {
    match key.len() {
        15 if key == b"x-forwarded-for" => K::ForwardedFor,
        15 if key == b"idempotency-key" => K::IdempotencyKey,
        16 if key == b"proxy-connection" => K::ProxyConnection,
        16 if key == b"www-authenticate" => K::EndToEnd,
        16 if key == b"x-forwarded-host" => K::ForwardedHost,
        17 if key == b"transfer-encoding" => K::TransferEncoding,
        17 if key == b"x-forwarded-proto" => K::ForwardedProto,
        18 if key == b"proxy-authenticate" => K::ProxyAuthenticate,
        19 if key == b"proxy-authorization" => K::ProxyAuthorization,
        25 if key == b"proxy-authentication-info" => K::ProxyAuthenticate,
        _ => K::Other,
    }
}

/// Families of names: what gateways, load balancers and meshes call the peer they verified.
fn beginning(key: &[u8]) -> K {
    const IDENTITY: [&[u8]; 19] = [
        b"x-forwarded-client-cert",
        b"x-client-cert",
        b"x-client-dn",
        b"x-client-verify",
        b"x-client-san",
        b"x-client-spiffe",
        b"x-ssl-client",
        b"x-ssl-cert",
        b"x-tls-client",
        b"x-envoy-",
        b"x-peer-cert",
        b"x-spiffe-id",
        b"x-amzn-mtls-",
        b"x-arr-clientcert",
        b"client-cert",
        b"ssl-client",
        b"ssl-cert",
        b"tls-client",
        b"l5d-",
    ];
    match key {
        [b'x', b'-', ..]
        | [b's', b's', b'l', ..]
        | [b't', b'l', b's', ..]
        | [b'l', b'5', ..]
        | [b'c', b'l', ..] => {
            if IDENTITY.iter().any(|family| key.starts_with(family)) {
                K::Identity
            } else if key.starts_with(b"x-tulle-") {
                K::Own
            } else if key.starts_with(b"x-forwarded-") {
                K::ForwardedOther
            } else {
                K::Other
            }
        }
        [b'c', ..] if key.starts_with(b"content-") => K::EndToEnd,
        _ => K::Other,
    }
}

#[cfg(test)]
mod tests;
