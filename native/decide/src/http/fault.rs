//! Why a message is refused: one table of stable codes. In: nothing; out: the answer's status and a machine-readable
//! reason, which is what access logs, metrics and the `x-tulle-reason` header show.

/// A refused request: the status to answer with, and why. The connection is closed after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{status} {reason}")]
pub struct Reject {
    /// 400, 414, 417, 431, 501 or 505.
    pub status: u16,
    /// A stable code in `snake_case`, one of [`REASONS`].
    pub reason: &'static str,
}

/// A refused response: the upstream connection is closed, the client gets a 502.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadResponse {
    /// A stable code in `snake_case`, one of [`REASONS`].
    pub reason: &'static str,
}

impl From<Reject> for BadResponse {
    fn from(reject: Reject) -> Self {
        Self { reason: reject.reason }
    }
}

/// A refused chunked body: nothing more of it is sent on, and both connections are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ChunkError {
    /// A stable code in `snake_case`, one of [`REASONS`].
    pub reason: &'static str,
}

impl From<Reject> for ChunkError {
    fn from(reject: Reject) -> Self {
        Self { reason: reject.reason }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $status:literal $code:literal;)*) => {
        /// Every reason this module refuses a message for.
        pub mod reason {
            use super::Reject;
            $($(#[$doc])* pub const $name: Reject = Reject { status: $status, reason: $code };)*
        }
        /// All of [`reason`], for tables and documentation.
        pub const REASONS: &[Reject] = &[$(reason::$name),*];
    };
}

reasons! {
    /// Not `method SP target SP HTTP/1.x CRLF`, each separated by exactly one space.
    BAD_REQUEST_LINE = 400 "bad_request_line";
    /// Not `HTTP/1.x SP status [SP reason] CRLF`.
    BAD_STATUS_LINE = 400 "bad_status_line";
    /// A status below 100 or above 599, or not three digits.
    BAD_STATUS = 400 "bad_status";
    /// A method longer than 32 bytes.
    METHOD_TOO_LONG = 501 "method_too_long";
    /// The target is in none of the four forms, or in one that the method does not take.
    BAD_TARGET = 400 "bad_target";
    /// The target contains `#`.
    FRAGMENT_IN_TARGET = 400 "fragment_in_target";
    /// A major version other than 1 (the HTTP/2 preface too).
    UNSUPPORTED_VERSION = 505 "unsupported_version";
    /// The head ended in the middle.
    INCOMPLETE_HEAD = 400 "incomplete_head";
    /// The request line alone is over the limit.
    TARGET_TOO_LONG = 414 "target_too_long";
    /// The head has more bytes than the limit.
    HEAD_TOO_LARGE = 431 "head_too_large";
    /// The head has more fields than the limit.
    TOO_MANY_FIELDS = 431 "too_many_fields";
    /// A line ended by LF alone.
    BARE_LF = 400 "bare_lf";
    /// A CR that no LF follows.
    BARE_CR = 400 "bare_cr";
    /// A line that begins with a space or tab.
    OBS_FOLD = 400 "obs_fold";
    /// A field name that is not a token, or no colon.
    BAD_FIELD_NAME = 400 "bad_field_name";
    /// A space or tab between field name and colon.
    SPACE_BEFORE_COLON = 400 "space_before_colon";
    /// A control character in a field value.
    BAD_FIELD_VALUE = 400 "bad_field_value";
    /// HTTP/1.1 without Host.
    MISSING_HOST = 400 "missing_host";
    /// Two or more Host fields.
    DUPLICATE_HOST = 400 "duplicate_host";
    /// A Host without a name in it.
    EMPTY_HOST = 400 "empty_host";
    /// A Host or authority that is not `name`, `IPv4` or `[IPv6]` with an optional port.
    BAD_HOST = 400 "bad_host";
    /// Two or more lengths, equal or not.
    DUPLICATE_CONTENT_LENGTH = 400 "duplicate_content_length";
    /// Not plain digits up to 2^63 - 1.
    BAD_CONTENT_LENGTH = 400 "bad_content_length";
    /// Both framings at once.
    LENGTH_AND_TRANSFER_ENCODING = 400 "length_and_transfer_encoding";
    /// A transfer coding before HTTP/1.1.
    TRANSFER_ENCODING_IN_HTTP10 = 400 "transfer_encoding_in_http10";
    /// Two or more Transfer-Encoding fields.
    DUPLICATE_TRANSFER_ENCODING = 400 "duplicate_transfer_encoding";
    /// `chunked` not exactly once and last, or no list of codings at all.
    BAD_TRANSFER_ENCODING = 400 "bad_transfer_encoding";
    /// A coding that is not `chunked`.
    UNKNOWN_TRANSFER_ENCODING = 501 "unknown_transfer_encoding";
    /// A Connection field that is no list of tokens, or of more than 64.
    BAD_CONNECTION = 400 "bad_connection";
    /// An expectation other than `100-continue`.
    UNKNOWN_EXPECTATION = 417 "unknown_expectation";
    /// A Max-Forwards that is no number.
    BAD_MAX_FORWARDS = 400 "bad_max_forwards";
    /// CONNECT or TRACE with a body, which has no meaning.
    UNEXPECTED_BODY = 400 "unexpected_body";
    /// A 101 without `Connection: upgrade` and Upgrade.
    BAD_UPGRADE = 400 "bad_upgrade";
    /// Not 1 to 16 hexadecimal digits up to 2^63 - 1, or something else than CRLF or `;` behind them.
    BAD_CHUNK_SIZE = 400 "bad_chunk_size";
    /// A chunk extension that is not `;name[=token-or-quoted-string]`.
    BAD_CHUNK_EXTENSION = 400 "bad_chunk_extension";
    /// More bytes of chunk extensions than anybody needs.
    CHUNK_EXTENSIONS_TOO_LARGE = 400 "chunk_extensions_too_large";
    /// Chunk data that CRLF does not follow.
    BAD_CHUNK_END = 400 "bad_chunk_end";
    /// Trailers over the limits of a head.
    TRAILERS_TOO_LARGE = 431 "trailers_too_large";
    /// HTTP/2: a pseudo-header field is missing, doubled, unknown, malformed, or behind an ordinary field.
    BAD_PSEUDO_FIELD = 400 "bad_pseudo_field";
    /// HTTP/2: a capital letter in a field name.
    UPPER_CASE_FIELD_NAME = 400 "upper_case_field_name";
    /// HTTP/2: a field that is about one HTTP/1 connection, such as Connection, or TE with more than `trailers`.
    CONNECTION_FIELD = 400 "connection_field";
    /// HTTP/2: Host names another place than `:authority`.
    HOST_AGAINST_AUTHORITY = 400 "host_against_authority";
    /// HTTP/2: Content-Length and the body disagree.
    LENGTH_AGAINST_BODY = 400 "length_against_body";
    /// A path that does not begin with `/` or holds a byte that must be escaped.
    BAD_PATH = 400 "bad_path";
    /// `%` without two hexadecimal digits.
    BAD_ESCAPE = 400 "bad_escape";
    /// `..` above the root.
    PATH_ABOVE_ROOT = 400 "path_above_root";
    /// A backslash, raw or escaped.
    BACKSLASH_IN_PATH = 400 "backslash_in_path";
    /// `%00`.
    NUL_IN_PATH = 400 "nul_in_path";
    /// `%2F` where the listener refuses it.
    ENCODED_SLASH = 400 "encoded_slash";
    /// `;` or `%3B` where the listener refuses it.
    PATH_PARAMETERS = 400 "path_parameters";
}
