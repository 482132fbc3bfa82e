//! A request head: found at the same place however it arrives, refused or sent on as one unambiguous head.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tulle_decide::http::{
    Edits, Fields, Forwarded, HeadLimits, RequestParts, find_head_end, is_authority, parse_request,
    write_request,
};

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 50 };

fn sent(head: &[u8]) -> Option<Vec<u8>> {
    let mut fields = Fields::new();
    let request = parse_request(head, LIMITS, &mut fields).ok()?;
    let host = match request.host.of(head) {
        // HTTP/1.0 without Host: what to send instead is the caller's choice.
        b"" => b"none",
        host => host,
    };
    assert!(is_authority(host));
    let mut out = Vec::new();
    write_request(
        &mut out,
        &RequestParts {
            head,
            request: &request,
            fields: &fields,
            path: request.target.path(head),
            query: request.target.query(head),
            host,
            framing: request.framing,
            edits: Edits::NONE,
            forwarded: Forwarded { for_ip: b"192.0.2.1", proto: b"http", host, trust: false, enabled: true },
            request_id: Some(b"id"),
            traceparent: Some(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            via: None,
            own_deadline: false,
            websocket_key: None,
            identity: None,
            upgrade: true,
        },
    );
    Some(out)
}

fn count(text: &[u8], name: &str) -> usize {
    String::from_utf8_lossy(text).to_ascii_lowercase().matches(&format!("\r\n{name}:")).count()
}

fuzz_target!(|data: &[u8]| {
    let whole = find_head_end(data, 0);
    let mut from = 0;
    let piecewise = (1..=data.len()).find_map(|len| {
        let end = find_head_end(&data[..len], from);
        from = len;
        end
    });
    let Some(end) = whole else { return assert_eq!(piecewise, None) };
    let first = sent(&data[..end]);
    let Some(piece) = piecewise else { panic!("found at once, not in pieces") };
    assert_eq!(first, sent(&data[..piece]));
    let Some(first) = first else { return };
    assert_eq!(find_head_end(&first, 0), Some(first.len()));
    assert_eq!(count(&first, "host"), 1);
    assert!(count(&first, "content-length") + count(&first, "transfer-encoding") <= 1);
    assert!(first.iter().all(|&b| b >= b' ' && b != 0x7f || matches!(b, b'\r' | b'\n' | b'\t')));
    let second = sent(&first).expect("what we write is legal");
    // Max-Forwards counts down, and our own fields may change places; nothing else does.
    if count(&first, "max-forwards") == 0 {
        assert_eq!(second.len(), first.len());
    }
});
