//! What endpoints say about another attempt: `retry-after` and `grpc-retry-pushback-ms`.

use proptest::prelude::*;
use tulle_decide::retry::{Advice, pushback, retry_after};

const SECOND: u64 = 1_000_000_000;
/// Sun, 06 Nov 1994 08:49:37 GMT.
const EXAMPLE: u64 = 784_111_777;

#[test]
fn seconds() {
    let cases = [
        ("0", Some(0)),
        ("120", Some(120)),
        ("007", Some(7)),
        ("99999999999999999999999", Some(u64::MAX)),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        (" 1", None),
        ("1 ", None),
        ("1, 2", None),
        ("soon", None),
    ];
    for (text, seconds) in cases {
        let expected = seconds.map(|seconds: u64| seconds.saturating_mul(SECOND));
        assert_eq!(retry_after(text.as_bytes(), EXAMPLE), expected, "{text:?}");
    }
}

#[test]
fn dates_of_all_three_formats() {
    for text in
        ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
    {
        for (wall, left) in [(EXAMPLE - 90, 90), (EXAMPLE, 0), (EXAMPLE + 1, 0)] {
            assert_eq!(retry_after(text.as_bytes(), wall), Some(left * SECOND), "{text} {wall}");
        }
    }
    let seconds_since_1970 = [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400),
        ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
        ("Fri, 31 Dec 2038 23:59:60 GMT", 2_177_452_800),
        ("Mon, 01 Mar 2100 12:00:00 GMT", 4_107_585_600),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
    ];
    for (text, seconds) in seconds_since_1970 {
        assert_eq!(retry_after(text.as_bytes(), 0), Some(u64::saturating_mul(seconds, SECOND)), "{text}");
    }
}

#[test]
fn years_of_two_digits_are_not_far_ahead() {
    let in_2026 = 1_790_000_000;
    let in_2030 = retry_after(b"Tuesday, 01-Jan-30 00:00:00 GMT", in_2026);
    assert_eq!(in_2030, Some((1_893_456_000 - in_2026) * SECOND));
    let in_1994 = retry_after(b"Sunday, 06-Nov-94 08:49:37 GMT", in_2026);
    assert_eq!(in_1994, Some(0));
}

#[test]
fn what_is_no_date_is_none() {
    for text in [
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 08:49 GMT",
        "Sun, 06 Nov 1994 08:49:37:00 GMT",
        "Sun, 06 Nov 1969 08:49:37 GMT",
        "Sun, 06 Nov 1994 00 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Sun Nov  6 08:49:37 94",
        "Sun Nov 006 08:49:37 1994",
        ", GMT",
        "\u{e9}",
    ] {
        assert_eq!(retry_after(text.as_bytes(), EXAMPLE), None, "{text:?}");
    }
    assert_eq!(retry_after(b"\xff", EXAMPLE), None);
}

#[test]
fn pushbacks() {
    let cases = [
        ("0", Advice::After(0)),
        ("250", Advice::After(250_000_000)),
        ("99999999999999999999999", Advice::After(u64::MAX)),
        ("-1", Advice::Never),
        ("", Advice::Never),
        ("1.5", Advice::Never),
        ("1s", Advice::Never),
    ];
    for (text, expected) in cases {
        assert_eq!(pushback(text.as_bytes()), expected, "{text:?}");
    }
}

#[test]
fn the_pushback_counts_before_the_header_of_http() {
    let cases = [
        (None, None, Advice::None),
        (Some("2"), None, Advice::After(2 * SECOND)),
        (Some("2"), Some("5"), Advice::After(5_000_000)),
        (Some("2"), Some("-1"), Advice::Never),
        (Some("later"), None, Advice::None),
        (None, Some("x"), Advice::Never),
    ];
    for (after, back, expected) in cases {
        assert_eq!(
            Advice::of(after.map(str::as_bytes), back.map(str::as_bytes), EXAMPLE),
            expected,
            "{after:?} {back:?}"
        );
    }
}

proptest! {
    #[test]
    fn no_value_is_too_much(value: Vec<u8>, wall: u64) {
        let _ = Advice::of(Some(&value), None, wall);
        let _ = pushback(&value);
    }

    /// A day that is counted day by day is the day that was read.
    #[test]
    fn every_day_is_counted_once(day in 0_u64..50_000) {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (mut year, mut month, mut left) = (1970, 0, day);
        loop {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = [31, 28 + u64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month];
            if left < length {
                break;
            }
            left -= length;
            month = (month + 1) % 12;
            year += u64::from(month == 0);
        }
        let text = format!("Any, {:02} {} {year:04} 00:00:00 GMT", left + 1, MONTHS[month]);
        prop_assert_eq!(retry_after(text.as_bytes(), 0), Some(day * 86_400 * SECOND));
    }
}
