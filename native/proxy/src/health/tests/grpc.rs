//! HTTP/2 in clear: gRPC's own check, and pages.

use super::peers::Server;
use super::*;
use std::io::{Read, Write};
use tulle_decide::h2::{Config, Connection, Event, Lines, Millis, Role};
use tulle_decide::hpack::{Indexing, Line};

/// How a server ends a call: lines of the head, a message, lines of trailers.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) head: &'static [(&'static str, &'static str)],
    pub(super) message: &'static [u8],
    pub(super) trailers: &'static [(&'static str, &'static str)],
}

const GRPC: &[(&str, &str)] = &[(":status", "200"), ("content-type", "application/grpc")];
pub(super) const SERVING: Call =
    Call { head: GRPC, message: b"\0\0\0\0\x02\x08\x01", trailers: &[("grpc-status", "0")] };
const NOT_SERVING: Call = Call { message: b"\0\0\0\0\x02\x08\x02", ..SERVING };
const UNIMPLEMENTED: Call = Call {
    head: &[(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "12")],
    message: b"",
    trailers: &[],
};

struct Nobody;

impl Lines for Nobody {
    fn begin(&mut self) {}
    fn line(&mut self, _line: Line<'_>) {}
}

/// Answers one call.
pub(super) fn serve(mut stream: impl Read + Write, call: Call) {
    let mut h2 = Connection::new(&Config {
        role: Role::Server,
        stream_window: 65_535,
        connection_window: 65_535,
        max_streams: 10,
        header_bytes: 16_384,
        connect_protocol: false,
        seed: 5,
    });
    let (mut input, mut bytes) = (Vec::new(), [0; 4096]);
    loop {
        let output = h2.output().to_vec();
        if stream.write_all(&output).is_err() {
            return;
        }
        h2.sent(output.len());
        let Ok(count @ 1..) = stream.read(&mut bytes) else { return };
        input.extend(&bytes[..count]);
        loop {
            let Ok(got) = h2.receive(&input, Millis(1), &mut Vec::new(), &mut Nobody) else { return };
            input.drain(..got.consumed);
            match got.event {
                None => break,
                Some(Event::Headers { stream, end: true, .. } | Event::Data { stream, end: true, .. }) => {
                    let write = |h2: &mut Connection, lines: &[(&str, &str)], end| {
                        h2.headers(stream, end, |block| {
                            for (name, value) in lines {
                                block.line(name.as_bytes(), value.as_bytes(), Indexing::Without);
                            }
                        });
                    };
                    write(&mut h2, call.head, call.message.is_empty());
                    if !call.message.is_empty() {
                        h2.data(stream, call.message, call.trailers.is_empty());
                    }
                    if !call.trailers.is_empty() {
                        write(&mut h2, call.trailers, true);
                    }
                }
                Some(_) => {}
            }
        }
    }
}

fn server(call: Call) -> Server {
    Server::new(move |stream, _| serve(stream, call))
}

#[test]
fn calls_and_pages() {
    let unwell = Verdict::Unwell;
    let page = Call { head: &[(":status", "200")], message: b"ok", trailers: &[] };
    let down = Call { head: &[(":status", "503")], message: b"", trailers: &[] };
    let cases = [
        ("serving", server(SERVING), true, Verdict::Well),
        ("not-serving", server(NOT_SERVING), true, unwell(Why::NotServing)),
        ("unimplemented", server(UNIMPLEMENTED), true, unwell(Why::Status)),
        ("no-grpc", server(page), true, unwell(Why::BadAnswer)),
        ("page", server(page), false, Verdict::Well),
        ("down", server(down), false, unwell(Why::Status)),
        ("old", Server::text("HTTP/1.1 400 Bad Request\r\n\r\n"), true, unwell(Why::BadAnswer)),
        ("closing", Server::new(|_, _| ()), true, unwell(Why::Reset)),
    ];
    let services: Vec<Value> = cases
        .iter()
        .map(|(name, server, grpc, _)| {
            let probe =
                if *grpc { json!({ "kind": "grpc", "service": "shop.Cart" }) } else { get("/healthz") };
            let one = service(name, &[at(server.address)], &probe);
            with(one, &[("/protocol", json!(if *grpc { "grpc" } else { "http2" }))])
        })
        .collect();
    let expected: Vec<_> = cases.iter().map(|(name, _, _, verdict)| (*name, *verdict)).collect();
    all_are(&services, &expected);
}
