//! What an endpoint says about another attempt: in, the values of `retry-after` and `grpc-retry-pushback-ms`; out, how
//! long to wait at least, or not to try again.

const SECOND: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;

/// What an endpoint says about another attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Advice {
    /// Nothing.
    #[default]
    None,
    /// Not before so many nanoseconds have gone by.
    After(u64),
    /// Not at all.
    Never,
}

impl Advice {
    /// Of both headers; that of gRPC, which is about this very call, counts where both are there. A `retry-after` that
    /// cannot be read is as if it were not there. `wall_s` is the time of day in seconds since 1970.
    #[must_use]
    pub fn of(retry_after_value: Option<&[u8]>, pushback_value: Option<&[u8]>, wall_s: u64) -> Self {
        match (pushback_value, retry_after_value) {
            (Some(value), _) => pushback(value),
            (None, Some(value)) => retry_after(value, wall_s).map_or(Self::None, Self::After),
            (None, None) => Self::None,
        }
    }
}

/// `grpc-retry-pushback-ms` (gRPC's proposal A6): a whole number of milliseconds; what is negative or no number forbids
/// another attempt.
#[must_use]
pub fn pushback(value: &[u8]) -> Advice {
    digits(value).map_or(Advice::Never, |ms| Advice::After(ms.saturating_mul(MS)))
}

/// `retry-after` (RFC 9110 section 10.2.3) in nanoseconds from now: seconds, or a date, which needs the time of day in
/// seconds since 1970. A date that is past is 0. None, if it is neither.
#[must_use]
pub fn retry_after(value: &[u8], wall_s: u64) -> Option<u64> {
    let seconds = match digits(value) {
        Some(seconds) => seconds,
        None => http_date(value, wall_s)?.saturating_sub(wall_s),
    };
    Some(seconds.saturating_mul(SECOND))
}

/// A number of digits only; one too large for `u64` is the largest.
fn digits(value: &[u8]) -> Option<u64> {
    let all = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    all.then(|| value.iter().fold(0, |sum: u64, digit| push(sum, *digit)))
}

fn push(sum: u64, digit: u8) -> u64 {
    sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
}

/// Seconds since 1970 of a date in one of the three formats of RFC 9110 section 5.6.7.
fn http_date(value: &[u8], wall_s: u64) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    if let Some((_, rest)) = text.split_once(", ") {
        let (date, time) = rest.strip_suffix(" GMT")?.rsplit_once(' ')?;
        let old = date.contains('-');
        let mut parts = date.split(if old { '-' } else { ' ' });
        let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let year = if old { century(number(year, 2)?, wall_s) } else { number(year, 4)? };
        return seconds(year, month, number(day, 2)?, time);
    }
    // asctime: `Sun Nov  6 08:49:37 1994`.
    let mut parts = text.split_ascii_whitespace();
    let (_, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let (time, year) = (parts.next()?, parts.next()?);
    let day = number(day, day.len().clamp(1, 2))?;
    parts.next().is_none().then(|| seconds(number(year, 4)?, month, day, time)).flatten()
}

/// A year of two digits that would be more than 50 years ahead is of the century before.
fn century(year: u64, wall_s: u64) -> u64 {
    // Close enough to tell centuries apart.
    let now = 1970 + wall_s / 31_556_952;
    let year = now / 100 * 100 + year;
    if year > now + 50 { year - 100 } else { year }
}

fn number(text: &str, length: usize) -> Option<u64> {
    digits(text.as_bytes()).filter(|_| text.len() == length)
}

fn seconds(year: u64, month: &str, day: u64, time: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = (1..).zip(MONTHS).find(|(_, name)| *name == month)?.0;
    let mut parts = time.split(':');
    let (hour, minute, second) =
        (number(parts.next()?, 2)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    // 60 is a leap second.
    let valid = parts.next().is_none() && hour < 24 && minute < 60 && second <= 60;
    let valid = valid && (1..=31).contains(&day) && year >= 1970;
    valid.then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years are taken to begin in March, so that the leap day
/// comes last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let before = year * 365 + year / 4 - year / 100 + year / 400;
    before + (153 * month + 2) / 5 + day - 1 - 719_468
}
