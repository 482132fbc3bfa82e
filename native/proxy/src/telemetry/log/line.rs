//! One record as one line of JSON, with the same fields in the same order each time; null where there is nothing.
//!
//! Peers choose paths, methods and request ids: they are escaped so that a line is always one valid JSON object, and so
//! that no control character reaches a terminal. Bytes that are not UTF-8 become U+FFFD.

use super::super::flags::Flags;
use super::super::identities::Identities;
use super::super::names::Names;
use super::super::record::{NONE_8, Record, RequestId};
use std::io::Write;
use std::time::Duration;

/// What the ids of a record are looked up in.
pub(super) struct Facts<'a> {
    pub(super) names: Option<&'a Names>,
    pub(super) identities: &'a Identities,
    /// The wall-clock time of the records' time 0.
    pub(super) epoch: Duration,
}

/// Appends the record's line.
pub(super) fn render(out: &mut Vec<u8>, record: &Record, facts: &Facts<'_>) {
    let mut line = Line { out, first: true };
    line.out.push(b'{');
    let at = facts.epoch.saturating_add(Duration::from_nanos(record.at.first_byte));
    line.raw("ts", |out| timestamp(out, at));
    names(&mut line, record, facts);
    request(&mut line, record);
    line.number("duration_ms", Some(record.total()), milliseconds);
    line.number("upstream_ms", record.upstream(), milliseconds);
    line.number("connect_ms", record.connecting(), milliseconds);
    line.raw("request_id", |out| request_id(out, &record.request_id));
    line.raw("trace_id", |out| hex_or_null(out, &record.trace_id));
    line.raw("span_id", |out| hex_or_null(out, &record.span_id));
    line.raw("peer", |out| match record.peer.socket() {
        Some(peer) => put(out, format_args!("\"{peer}\"")),
        None => out.extend_from_slice(b"null"),
    });
    line.text("peer_id", facts.identities.text(record.identity).as_deref());
    let policy = |id| facts.names.and_then(|names| names.policy(id)).map(|(name, _)| &**name);
    line.text("policy", policy(record.policy));
    line.text("shadow_policy", policy(record.shadow_policy));
    line.raw("attempts", |out| attempts(out, record, facts));
    out.extend_from_slice(b"}\n");
}

fn names(line: &mut Line<'_>, record: &Record, facts: &Facts<'_>) {
    let names = facts.names;
    let rule = names.and_then(|names| names.rule(record.rule));
    line.text("listener", names.and_then(|names| names.listener(record.listener)).map(AsRef::as_ref));
    line.text("route", rule.map(|(route, _)| &**route));
    line.number("rule", rule.map(|(_, position)| u64::from(position)), integer);
    line.text("service", names.and_then(|names| names.service(record.service)).map(AsRef::as_ref));
    line.text("endpoint", names.and_then(|names| names.endpoint(record.service, record.endpoint)));
}

fn request(line: &mut Line<'_>, record: &Record) {
    line.bytes("method", Some(record.method.as_bytes()).filter(|method| !method.is_empty()));
    let asked = Some(record.path.as_bytes()).filter(|asked| !asked.is_empty());
    let (path, sni) = if record.flags.contains(Flags::CONNECTION) { (None, asked) } else { (asked, None) };
    line.bytes("path", path);
    line.bytes("sni", sni);
    line.number("status", (record.status != 0).then(|| u64::from(record.status)), integer);
    line.number(
        "grpc_status",
        (record.grpc_status != NONE_8).then(|| u64::from(record.grpc_status)),
        integer,
    );
    let reason = record.reason.facts();
    line.text("reason", Some(reason.code));
    line.text("detail", (!record.detail.is_empty()).then_some(record.detail));
    line.text("flag", Some(reason.flag));
    line.raw("flags", |out| flags(out, record));
    line.number("bytes_in", Some(u64::from(record.head_in).saturating_add(record.body_in)), integer);
    line.number("bytes_out", Some(u64::from(record.head_out).saturating_add(record.body_out)), integer);
    line.number("body_in", Some(record.body_in), integer);
    line.number("body_out", Some(record.body_out), integer);
}

/// A line that is being written.
struct Line<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl Line<'_> {
    fn raw(&mut self, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        value(self.out);
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        self.bytes(name, value.map(str::as_bytes));
    }

    fn bytes(&mut self, name: &str, value: Option<&[u8]>) {
        self.raw(name, |out| match value {
            Some(value) => string(out, value),
            None => out.extend_from_slice(b"null"),
        });
    }

    fn number(&mut self, name: &str, value: Option<u64>, write: fn(&mut Vec<u8>, u64)) {
        self.raw(name, |out| match value {
            Some(value) => write(out, value),
            None => out.extend_from_slice(b"null"),
        });
    }
}

/// A `Vec` takes every write.
fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

fn integer(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Nanoseconds as milliseconds with three decimals.
fn milliseconds(out: &mut Vec<u8>, nanos: u64) {
    let micros = nanos / 1_000;
    integer(out, micros / 1_000);
    put(out, format_args!(".{:03}", micros % 1_000));
}

fn request_id(out: &mut Vec<u8>, id: &RequestId) {
    match id {
        RequestId::None => out.extend_from_slice(b"null"),
        RequestId::Client(text) => string(out, text.as_bytes()),
        RequestId::Generated(bytes) => hex(out, bytes),
    }
}

fn hex_or_null(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.iter().all(|byte| *byte == 0) {
        out.extend_from_slice(b"null");
    } else {
        hex(out, bytes);
    }
}

fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    out.push(b'"');
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    out.push(b'"');
}

fn flags(out: &mut Vec<u8>, record: &Record) {
    let id_cut = matches!(record.request_id, RequestId::Client(id) if id.is_cut());
    let cut = [
        (if record.flags.contains(Flags::CONNECTION) { "sni_cut" } else { "path_cut" }, record.path.is_cut()),
        ("method_cut", record.method.is_cut()),
        ("request_id_cut", id_cut),
    ];
    let cut = cut.into_iter().filter(|(_, is_cut)| *is_cut).map(|(name, _)| name);
    out.push(b'[');
    for (i, name) in record.flags.names().chain(cut).enumerate() {
        put(out, format_args!("{}\"{name}\"", if i == 0 { "" } else { "," }));
    }
    out.push(b']');
}

fn attempts(out: &mut Vec<u8>, record: &Record, facts: &Facts<'_>) {
    out.push(b'[');
    for (i, attempt) in record.attempts.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.push(b'{');
        let mut line = Line { out: &mut *out, first: true };
        line.text("endpoint", facts.names.and_then(|names| names.endpoint(record.service, attempt.endpoint)));
        line.text("reason", Some(attempt.ended.code()));
        line.number("ms", Some(u64::from(attempt.micros) * 1_000), milliseconds);
        out.push(b'}');
    }
    out.push(b']');
}

/// RFC 3339 in UTC, with milliseconds. Days to a civil date: years are taken to begin in March, so that a leap day is
/// the last of its year and months follow one line (153 days in 5 months).
fn timestamp(out: &mut Vec<u8>, since_unix: Duration) {
    let (seconds, millis) = (since_unix.as_secs(), since_unix.subsec_millis());
    let (days, of_day) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    put(
        out,
        format_args!("\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z\""),
    );
}

/// A JSON string of bytes that anyone may have chosen.
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        characters(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

fn characters(out: &mut Vec<u8>, text: &str) {
    let mut written = 0;
    for (at, character) in text.char_indices().filter(|(_, character)| is_escaped(*character)) {
        out.extend_from_slice(text.get(written..at).unwrap_or_default().as_bytes());
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            other => put(out, format_args!("\\u{:04x}", u32::from(other))),
        }
        written = at + character.len_utf8();
    }
    out.extend_from_slice(text.get(written..).unwrap_or_default().as_bytes());
}

/// What RFC 8259 section 7 wants escaped, and control characters beyond it: DEL, C1, and the ones that change a line's
/// direction or end it.
const fn is_escaped(character: char) -> bool {
    match character {
        '"' | '\\' => true,
        '\u{20}'..='\u{7e}' => false,
        _ => matches!(
            character,
            '\0'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_164_800_123, "2024-02-29T00:00:00.123Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ];
        for (millis, text) in cases {
            let mut out = Vec::new();
            timestamp(&mut out, Duration::from_millis(millis));
            assert_eq!(String::from_utf8(out).unwrap(), format!("\"{text}\""), "{millis}");
        }
    }

    #[test]
    fn strings_stay_one_line_whatever_they_hold() {
        let cases: [(&[u8], &str); 8] = [
            (b"/plain?x=1", r#""/plain?x=1""#),
            (b"/\"},{\"a\":\"", r#""/\"},{\"a\":\"""#),
            (b"back\\slash", r#""back\\slash""#),
            (b"\x1b[31mred\r\n\x00\x7f", "\"\\u001b[31mred\\u000d\\u000a\\u0000\\u007f\""),
            ("ü€🦀".as_bytes(), "\"ü€🦀\""),
            ("a\u{2028}\u{202e}\u{85}".as_bytes(), "\"a\\u2028\\u202e\\u0085\""),
            (b"\xff\xfe/\xc3", "\"\u{fffd}\u{fffd}/\u{fffd}\""),
            (b"", "\"\""),
        ];
        for (bytes, json) in cases {
            let mut out = Vec::new();
            string(&mut out, bytes);
            assert_eq!(String::from_utf8(out).unwrap(), json);
        }
    }

    #[test]
    fn any_bytes_come_back_as_text() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..5_000 {
            let mut bytes = Vec::new();
            for _ in 0..state % 40 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                bytes.push(state.to_le_bytes()[0]);
            }
            state = state.wrapping_add(0x2545_f491_4f6c_dd1d);
            let mut out = Vec::new();
            string(&mut out, &bytes);
            let read: String = serde_json::from_slice(&out).unwrap();
            assert_eq!(read, String::from_utf8_lossy(&bytes), "{bytes:?}");
        }
    }

    #[test]
    fn milliseconds_have_three_decimals() {
        for (nanos, text) in [
            (0, "0.000"),
            (999, "0.000"),
            (1_000, "0.001"),
            (1_234_567, "1.234"),
            (60_000_000_000, "60000.000"),
        ] {
            let mut out = Vec::new();
            milliseconds(&mut out, nanos);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
