//! A response head behind one byte for the method: refused, or sent on with the framing that was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tulle_decide::http::{
    BodyFraming, ClientConnection, Edits, Fields, HeadLimits, Method, ResponseParts, Version, find_head_end,
    parse_response, write_response,
};

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 50 };
/// With what we add: framing, and which connection it is.
const WRITTEN: HeadLimits = HeadLimits { bytes: 4352, fields: 54 };

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    let method = [Method::Get, Method::Head, Method::Connect][usize::from(choice % 3)];
    let Some(end) = find_head_end(data, 0) else { return };
    let head = &data[..end];
    let mut fields = Fields::new();
    let Ok(response) = parse_response(head, LIMITS, method, &mut fields) else { return };
    let mut out = Vec::new();
    let parts = ResponseParts {
        head,
        response: &response,
        fields: &fields,
        framing: response.framing_for(Version::Http11),
        connection: ClientConnection::Implicit,
        edits: Edits::NONE,
        via: None,
        cookie: None,
        date: None,
    };
    write_response(&mut out, &parts);
    assert_eq!(find_head_end(&out, 0), Some(out.len()));
    let again = parse_response(&out, WRITTEN, method, &mut fields).expect("what we write is legal");
    let expected = match response.framing {
        BodyFraming::UntilClose => BodyFraming::Chunked,
        framing => framing,
    };
    assert_eq!(again.framing, expected);
});
