//! Floods and bombs: each is cut at its exact bound, and an honest peer beside it is not.

use crate::h2_fixture::*;
use tulle_decide::h2::{Broken, Config, ErrorCode};

const LIMIT: u32 = 1_000_000;

/// Feeds rounds, flushing after each, until the connection breaks: which round, and why.
fn cut_at(caller: &mut Caller, mut round: impl FnMut(&mut Caller, u32) -> Vec<u8>) -> (u32, &'static str) {
    for n in 0..LIMIT {
        let bytes = round(caller, n);
        let got = caller.feed(&bytes);
        caller.flush();
        if let Some(Got::Broken(Broken { code, reason })) = got.last() {
            assert_eq!(*code, ErrorCode::EnhanceYourCalm);
            return (n, reason);
        }
    }
    (LIMIT, "never")
}

/// What a client sends for a stream of this number.
type Way = fn(u32) -> Vec<u8>;

fn odd(n: u32) -> u32 {
    2 * n + 1
}

#[test]
fn frames_that_cost_the_peer_nothing_are_metered() {
    let open = || {
        let mut caller = Caller::ready(&SERVER);
        caller.feed(&headers(1, WHOLE));
        caller
    };
    let cut = |bytes: Vec<u8>| cut_at(&mut open(), |_, _| bytes.clone());
    // One frame of traffic and two of SETTINGS went before.
    assert_eq!(cut(ping(0)), (1000, "PING flood"));
    assert_eq!(cut(ping(ACK)), (1000, "PING flood"));
    assert_eq!(cut(settings(&[])), (98, "SETTINGS flood"));
    assert_eq!(cut(frame(SETTINGS, ACK, 0, &[])), (98, "SETTINGS flood"));
    assert_eq!(cut(goaway(0, 0)), (98, "SETTINGS flood"));
    assert_eq!(cut(data(1, 0, &[])), (100, "flood of empty DATA"));
    assert_eq!(cut(data(1, PADDED, &[1, 0])), (100, "flood of empty DATA"));
    assert_eq!(cut(priority(1, 0)), (1000, "PRIORITY flood"));
    assert_eq!(cut(priority(77, 0)), (1000, "PRIORITY flood"));
    assert_eq!(cut(window(0, 1)), (4000, "WINDOW_UPDATE flood"));
    assert_eq!(cut(window(1, 1)), (4000, "WINDOW_UPDATE flood"));
    assert_eq!(cut(frame(0x77, 0, 0, &[])), (1000, "flood of unknown frames"));
}

#[test]
fn frames_on_closed_streams_are_metered() {
    let mut caller = Caller::ready(&SERVER);
    caller.feed(&headers(1, WHOLE | END));
    caller.answer(1);
    assert_eq!(cut_at(&mut caller, |_, _| reset(1, 8)), (2000, "flood of frames on closed streams"));
}

#[test]
fn header_lists_on_a_reset_stream_are_metered() {
    let mut caller = Caller::ready(&SERVER);
    caller.feed(&headers(1, WHOLE));
    caller.conn.finish(id(1));
    // The stream's own head pays for two.
    assert_eq!(cut_at(&mut caller, |_, _| headers(1, WHOLE)), (2000, "flood of frames on closed streams"));
}

#[test]
fn honest_peers_pass() {
    let mut caller = Caller::ready(&SERVER);
    let mut stream = 1;
    // Ten seconds of 1,000 calls a second, each with a bandwidth probe, window updates, and a priority.
    for n in 0..10_000_u64 {
        caller.now = n;
        let call = [
            headers(stream, WHOLE),
            priority(stream, 0),
            data(stream, END, b"message"),
            ping(0),
            window(0, 100),
            window(stream, 100),
        ];
        let got = caller.feed(&call.concat());
        assert_eq!(got.len(), 2, "{got:?}");
        caller.answer(stream);
        caller.flush();
        stream += 2;
    }
    // An idle one that pings every ten seconds for a day, and changes its settings.
    for _ in 0..8640 {
        caller.now += 10_000;
        assert_eq!(caller.feed(&[ping(0), settings(&[])].concat()).len(), 1);
        caller.flush();
    }
}

#[test]
fn rapid_reset_is_cut_at_101() {
    let mut caller = Caller::ready(&SERVER);
    let cut = cut_at(&mut caller, |caller, n| {
        if n > 0 {
            caller.conn.finish(id(odd(n - 1)));
        }
        caller.now += 100;
        [headers(odd(n), WHOLE | END), reset(odd(n), 8)].concat()
    });
    assert_eq!(cut, (100, "flood of resets"));
}

#[test]
fn resets_beside_more_completed_streams_pass_until_they_outnumber_them() {
    let mut caller = Caller::ready(&SERVER);
    let round = |caller: &mut Caller, n: u32| {
        let got = caller.feed(&[headers(odd(2 * n), WHOLE | END), headers(odd(2 * n + 1), WHOLE)].concat());
        assert!(got.len() == 2, "{n}: {got:?}");
        caller.answer(odd(2 * n));
    };
    for n in 0..1000 {
        round(&mut caller, n);
        caller.feed(&reset(odd(2 * n + 1), 8));
        caller.conn.finish(id(odd(2 * n + 1)));
        caller.flush();
    }
    let begun = 2000;
    let cut = cut_at(&mut caller, |caller, n| {
        if n > 0 {
            caller.conn.finish(id(odd(begun + n - 1)));
        }
        [headers(odd(begun + n), WHOLE | END), reset(odd(begun + n), 8)].concat()
    });
    assert_eq!(cut, (0, "flood of resets"));
}

#[test]
fn made_you_reset_is_cut_at_101_in_all_its_ways() {
    let ways: [(&str, Way); 8] = [
        ("WINDOW_UPDATE by 0", |id| [headers(id, WHOLE | END), window(id, 0)].concat()),
        ("WINDOW_UPDATE above 2^31-1", |id| [headers(id, WHOLE | END), window(id, 0x7FFF_FFFF)].concat()),
        ("PRIORITY of another size", |id| {
            [headers(id, WHOLE | END), frame(PRIORITY, 0, id, &[0; 4])].concat()
        }),
        ("PRIORITY that depends on itself", |id| [headers(id, WHOLE | END), priority(id, id)].concat()),
        ("DATA behind the end", |id| [headers(id, WHOLE | END), data(id, 0, b"x")].concat()),
        ("HEADERS behind the end", |id| [headers(id, WHOLE | END), headers(id, WHOLE | END)].concat()),
        ("DATA beyond the window", |id| {
            [headers(id, WHOLE), data(id, 0, &[0; 16_384]).repeat(3), data(id, 0, &[0; 16_384])].concat()
        }),
        ("trailers that do not end", |id| [headers(id, WHOLE), headers(id, WHOLE)].concat()),
    ];
    for (name, way) in ways {
        let mut caller = Caller::ready(&SERVER);
        let cut = cut_at(&mut caller, |caller, n| {
            if n > 0 {
                caller.conn.finish(id(odd(n - 1)));
            }
            way(odd(n))
        });
        assert_eq!(cut, (100, "flood of resets"), "{name}");
    }
}

#[test]
fn the_callers_own_resets_count_when_they_blame_the_peer() {
    let run = |code: ErrorCode| {
        let mut caller = Caller::ready(&SERVER);
        cut_at(&mut caller, |caller, n| {
            if n > 0 {
                caller.conn.reset(id(odd(n - 1)), code);
                caller.conn.finish(id(odd(n - 1)));
            }
            if n < 5000 { headers(odd(n), WHOLE | END) } else { ping(0) }
        })
    };
    assert_eq!(run(ErrorCode::ProtocolError), (101, "flood of resets"));
    let (upstream, reason) = run(ErrorCode::InternalError);
    assert!(upstream > 5000, "not the peer's fault: {reason}");
}

#[test]
fn streams_above_the_limit_are_cut_and_never_begun() {
    let mut caller = Caller::ready(&SERVER);
    let mut begun = 0;
    let cut = cut_at(&mut caller, |caller, n| {
        begun = begun.max(caller.conn.streams());
        headers(odd(n), WHOLE | END)
    });
    assert_eq!((begun, cut), (100, (200, "flood of resets")));
}

#[test]
fn a_peer_that_never_finishes_reading_gets_no_more_answers() {
    let mut caller = Caller::ready(&SERVER);
    let mut answers = 0;
    let broken = (0..LIMIT).find_map(|n| {
        // Slowly enough for every meter.
        caller.now += 1000;
        answers = n;
        match caller.feed(&ping(0)).pop() {
            Some(Got::Broken(broken)) => Some(broken),
            _ => None,
        }
    });
    assert_eq!(broken.unwrap().reason, "answers that the peer does not read");
    assert_eq!(answers, 1000);
    assert!(caller.conn.output().len() < 18_000);
}

#[test]
fn a_slow_reader_of_a_long_answer_may_ask_much() {
    let mut caller = Caller::ready(&SERVER);
    caller.feed(&[settings(&[(4, 1 << 30)]), window(0, 1 << 30), headers(1, WHOLE | END)].concat());
    caller.flush();
    caller.conn.headers(id(1), false, |lines| lines.status(200));
    // The output never runs empty, but it moves.
    for n in 0..10_000 {
        caller.now += 100;
        caller.conn.data(id(1), &vec![0; 1 << 19], false);
        assert_eq!(caller.feed(&ping(0)), [], "{n}");
        assert!(caller.conn.output().len() > 100_000);
        caller.conn.sent(1000);
    }
}

#[test]
fn continuation_floods_are_cut_by_count_and_by_bytes() {
    let mut caller = Caller::ready(&SERVER);
    caller.feed(&frame(HEADERS, END, 1, &[0]));
    let tiny = cut_at(&mut caller, |_, _| frame(CONTINUATION, 0, 1, &[0]));
    assert_eq!(tiny, (24, "CONTINUATION flood"));

    let mut caller = Caller::ready(&SERVER);
    caller.feed(&frame(HEADERS, END, 1, &[0]));
    let large = cut_at(&mut caller, |_, _| frame(CONTINUATION, 0, 1, &[0; 16_384]));
    assert_eq!(large, (3, "a header block above the limit"));

    // Empty ones over many streams.
    let mut caller = Caller::ready(&SERVER);
    let empty = cut_at(&mut caller, |caller, n| {
        if n > 0 {
            caller.answer(odd(n - 1));
        }
        let block = block(&[("a", "b")]);
        let id = odd(n);
        [frame(HEADERS, END, id, &[]), frame(CONTINUATION, WHOLE, id, &block)].concat()
    });
    assert_eq!(empty, (100, "flood of empty HEADERS or CONTINUATION"));
}

#[test]
fn an_hpack_bomb_reaches_the_sink_and_nothing_else() {
    let mut caller = Caller::ready(&Config { header_bytes: 1000, ..SERVER });
    let mut bomb = vec![0x40, 1, b'x', 0x7F, 0xA1, 0x1E];
    bomb.extend([b'y'; 4000]);
    bomb.extend([FIRST_DYNAMIC; 10_000]);
    let got = caller.feed(&frame(HEADERS, WHOLE | END, 1, &bomb));
    let [Got::Headers { lines, .. }] = &got[..] else { panic!("{got:?}") };
    assert_eq!(lines.len(), 10_001, "it is the sink that bounds what it keeps");
}

#[test]
fn settings_of_thousands_of_windows_cost_one_change() {
    let mut caller = Caller::ready(&SERVER);
    for n in 0..100 {
        caller.feed(&headers(odd(n), WHOLE));
    }
    let mut list = vec![(4, 0x7FFF_FFFF); 2000];
    list.push((4, 1000));
    let got = caller.feed(&settings(&list));
    assert_eq!(got.len(), 1, "only the last one counts: {got:?}");
    caller.conn.headers(id(1), false, |lines| lines.status(200));
    assert_eq!(caller.conn.room(id(1)), 1000);
}

#[test]
fn a_server_may_reset_our_streams_as_it_likes() {
    let mut caller = Caller::ready(&CLIENT);
    for n in 0..1000 {
        caller.now += 10;
        let stream = request(&mut caller.conn, true);
        assert_eq!(stream, odd(n));
        assert_eq!(caller.feed(&reset(stream, 11)).len(), 1);
        caller.conn.finish(id(stream));
        caller.flush();
    }
}
