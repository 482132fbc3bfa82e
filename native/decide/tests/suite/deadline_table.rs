//! Deadlines: the header, the shortest of several, and what is left.

use proptest::prelude::*;
use tulle_decide::deadline::{Deadline, millis, parse};

const MS: u64 = 1_000_000;

#[test]
fn the_header_is_one_to_ten_digits() {
    let cases = [
        ("0", Some(0)),
        ("1", Some(1)),
        ("15000", Some(15_000)),
        ("0000000007", Some(7)),
        ("9999999999", Some(9_999_999_999)),
        ("00000000007", None),
        ("10000000000", None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1e3", None),
        (" 1", None),
        ("1 ", None),
        ("1,2", None),
        ("0x10", None),
        ("\u{661}", None),
    ];
    for (text, ms) in cases {
        assert_eq!(parse(text.as_bytes()), ms.map(|ms: u64| ms * MS), "{text:?}");
    }
}

#[test]
fn the_header_is_never_more_than_what_is_left() {
    for (left, expected) in [
        (0, "0"),
        (MS - 1, "0"),
        (MS, "1"),
        (15_000 * MS + 999_999, "15000"),
        (9_999_999_999 * MS, "9999999999"),
        (u64::MAX, "9999999999"),
    ] {
        assert_eq!(millis(left).to_string(), expected);
    }
}

#[test]
fn the_earliest_limit_counts() {
    let none = Deadline::default();
    let cases = [
        (none, None),
        (none.within(100, None), None),
        (none.within(100, Some(50)), Some(150)),
        (none.within(100, Some(50)).within(0, Some(151)), Some(150)),
        (none.within(100, Some(50)).within(0, Some(149)), Some(149)),
        (none.within(100, Some(50)).within(0, None), Some(150)),
        (none.within(100, Some(0)), Some(100)),
        (none.within(u64::MAX, Some(5)), Some(u64::MAX)),
    ];
    for (deadline, at) in cases {
        assert_eq!(deadline.left_ns(0), at);
    }
    let deadline = none.within(100, Some(50));
    for (now, left) in [(100, 50), (149, 1), (150, 0), (1000, 0)] {
        assert_eq!(deadline.left_ns(now), Some(left));
    }
    assert_eq!(none.left_ns(1000), None);
}

#[test]
fn an_attempt_ends_with_the_shorter_limit() {
    let deadline = Deadline::default().within(0, Some(100));
    let cases = [
        (deadline, 0, None, Some(100)),
        (deadline, 0, Some(30), Some(30)),
        (deadline, 69, Some(30), Some(30)),
        (deadline, 70, Some(30), Some(30)),
        (deadline, 90, Some(30), Some(10)),
        (deadline, 200, Some(30), Some(0)),
        (Deadline::default(), 200, Some(30), Some(30)),
        (Deadline::default(), 200, None, None),
    ];
    for (deadline, now, per_try, expected) in cases {
        assert_eq!(deadline.attempt(now, per_try), expected, "{now} {per_try:?}");
    }
}

proptest! {
    /// From hop to hop there is never more time, and at most a millisecond less.
    #[test]
    fn what_is_written_is_read_back_no_longer(left in 0_u64..9_999_999_999_999_999) {
        let read = parse(millis(left).to_string().as_bytes()).unwrap();
        prop_assert!(read <= left && left - read < MS);
    }

    #[test]
    fn any_value_is_read_or_not(value: Vec<u8>) {
        let valid = (1..=10).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
        prop_assert_eq!(parse(&value).is_some(), valid);
    }
}
