//! Points in time as a statement carries them: UTC, milliseconds, RFC 3339 text.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MS_PER_DAY: i64 = 86_400_000;
/// The last millisecond of the year 9999, the last year that RFC 3339 can write.
const MAX_MS: i64 = 253_402_300_799_999;

/// A point in time between 1970 and the end of 9999, to the millisecond.
///
/// Displays as, and parses from, RFC 3339 in UTC: `2026-11-22T00:00:00.123Z`. Parsing takes 0 to 9
/// digits after the point and drops what is finer than a millisecond; an offset other than `Z`,
/// lower case and leap seconds are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// What the system clock says.
    pub fn now() -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Self(
            i64::try_from(since.as_millis())
                .unwrap_or(MAX_MS)
                .min(MAX_MS),
        )
    }

    /// The time `ms` milliseconds after 1970-01-01T00:00:00Z; none outside 1970..=9999.
    pub fn from_unix_ms(ms: i64) -> Option<Self> {
        (0..=MAX_MS).contains(&ms).then_some(Self(ms))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn unix_ms(self) -> i64 {
        self.0
    }

    /// How far two points are apart, whichever comes first.
    pub(crate) fn distance(self, other: Self) -> Duration {
        Duration::from_millis(self.0.abs_diff(other.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date_of(self.0 / MS_PER_DAY);
        let ms = self.0 % MS_PER_DAY;
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        write!(f, ".{:03}Z", ms % 1_000)
    }
}

/// The text is no time that a statement may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a UTC time of RFC 3339: write it as 2026-11-22T00:00:00.123Z")]
#[non_exhaustive]
pub struct InvalidTimestamp;

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        parse(text.as_bytes()).ok_or(InvalidTimestamp)
    }
}

fn parse(text: &[u8]) -> Option<Timestamp> {
    let (seconds, fraction) = text.strip_suffix(b"Z")?.split_at_checked(19)?;
    let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T',
        h1,
        h2,
        b':',
        i1,
        i2,
        b':',
        s1,
        s2,
    ] = *seconds
    else {
        return None;
    };
    let (year, month, day) = (
        number(&[y1, y2, y3, y4])?,
        number(&[m1, m2])?,
        number(&[d1, d2])?,
    );
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[i1, i2])?, number(&[s1, s2])?);
    if year < 1970 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_to(year, month, day);
    // 30 February would come back as another date.
    if date_of(days) != (year, month, day) {
        return None;
    }
    let within = hour * 3_600_000 + minute * 60_000 + second * 1_000 + milliseconds(fraction)?;
    Timestamp::from_unix_ms(days * MS_PER_DAY + within)
}

/// What stands between the seconds and the `Z`: nothing, or a point and 1 to 9 digits.
fn milliseconds(fraction: &[u8]) -> Option<i64> {
    let Some((point, digits)) = fraction.split_first() else {
        return Some(0);
    };
    if *point != b'.' || !(1..=9).contains(&digits.len()) {
        return None;
    }
    Some(number(digits)? * 1_000 / 10_i64.pow(u32::try_from(digits.len()).ok()?))
}

/// Up to nine ASCII digits as a number.
fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

// The calendar repeats every 400 years. Both functions count years from March, so that the leap
// day is the last of its year and month lengths follow (153 m + 2) / 5.
const DAYS_PER_400_YEARS: i64 = 146_097;
const DAYS_FROM_0000_03_01_TO_1970: i64 = 719_468;

fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (cycle, of_cycle) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year;
    cycle * DAYS_PER_400_YEARS + days - DAYS_FROM_0000_03_01_TO_1970
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_FROM_0000_03_01_TO_1970;
    let (cycle, of_cycle) = (days / DAYS_PER_400_YEARS, days % DAYS_PER_400_YEARS);
    let year = (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12 + 1;
    let year = cycle * 400 + year + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Option<i64> {
        text.parse::<Timestamp>().ok().map(Timestamp::unix_ms)
    }

    #[test]
    fn known_times_have_their_known_numbers() {
        for (text, ms) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("2000-02-29T12:34:56.789Z", 951_827_696_789),
            ("2026-11-22T00:00:00.123Z", 1_795_305_600_123),
            ("9999-12-31T23:59:59.999Z", MAX_MS),
        ] {
            assert_eq!(at(text), Some(ms), "{text}");
            assert_eq!(Timestamp(ms).to_string(), text);
        }
    }

    #[test]
    fn finer_fractions_are_cut_and_a_missing_one_is_zero() {
        assert_eq!(at("1970-01-01T00:00:01Z"), Some(1_000));
        assert_eq!(at("1970-01-01T00:00:01.5Z"), Some(1_500));
        assert_eq!(at("1970-01-01T00:00:01.123999999Z"), Some(1_123));
    }

    #[test]
    fn what_is_no_such_time_is_refused() {
        for text in [
            "",
            "Z",
            "2026-11-22T00:00:00",
            "2026-11-22T00:00:00z",
            "2026-11-22t00:00:00Z",
            "2026-11-22 00:00:00Z",
            "2026-11-22T00:00:00+00:00",
            "2026-11-22T00:00:00.Z",
            "2026-11-22T00:00:00.1234567890Z",
            "2026-11-22T00:00:00.-12Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T00:60:00Z",
            "2026-12-31T23:59:60Z",
            "2026-02-29T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-32T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "+026-01-01T00:00:00Z",
            "２026-01-01T00:00:00Z",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
        assert_eq!(Timestamp::from_unix_ms(-1), None);
        assert_eq!(Timestamp::from_unix_ms(MAX_MS + 1), None);
    }

    proptest! {
        #[test]
        fn every_time_comes_back_from_its_text(ms in 0..=MAX_MS) {
            prop_assert_eq!(at(&Timestamp(ms).to_string()), Some(ms));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9TZ:.+-]{0,40}") {
            let _ = at(&text);
        }
    }
}
