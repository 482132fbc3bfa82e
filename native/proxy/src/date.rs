//! Dates as HTTP writes them: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7).

use std::time::Duration;

const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const DAY: u64 = 86_400;

/// The date of the last second that was asked for; made anew once per second at most.
#[derive(Debug, Default)]
pub(crate) struct HttpDate {
    second: Option<u64>,
    text: Vec<u8>,
}

impl HttpDate {
    /// The date of `wall`, a time since the Unix epoch.
    pub(crate) fn at(&mut self, wall: Duration) -> &[u8] {
        if self.second != Some(wall.as_secs()) {
            self.second = Some(wall.as_secs());
            self.text.clear();
            render(wall.as_secs(), &mut self.text);
        }
        &self.text
    }
}

fn render(second: u64, out: &mut Vec<u8>) {
    let (days, rest) = (second / DAY, second % DAY);
    let (year, month, day) = civil(days);
    let pick = |names: &[&'static [u8; 3]], index: u64| {
        names.get(usize::try_from(index).unwrap_or(0)).map_or(*b"???", |n| **n)
    };
    let two = |out: &mut Vec<u8>, n: u64| out.extend([b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8]);
    out.extend(pick(&DAYS, days % 7));
    out.extend(b", ");
    two(out, day);
    out.push(b' ');
    out.extend(pick(&MONTHS, month - 1));
    out.push(b' ');
    two(out, year / 100);
    two(out, year % 100);
    for (before, n) in [(b' ', rest / 3600), (b':', rest / 60 % 60), (b':', rest % 60)] {
        out.push(before);
        two(out, n);
    }
    out.extend(b" GMT");
}

/// Year, month and day of a day since the epoch: eras of 400 years that begin in March, so that leap days come last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        let cases = [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (4_102_444_800, "Fri, 01 Jan 2100 00:00:00 GMT"),
        ];
        let mut date = HttpDate::default();
        for (second, text) in cases {
            assert_eq!(std::str::from_utf8(date.at(Duration::from_secs(second))), Ok(text));
        }
    }
}
