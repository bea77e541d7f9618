//! Points in time as a record carries them: UTC, microseconds, RFC 3339 text.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PER_SECOND: u64 = 1_000_000;
const PER_DAY: u64 = 86_400 * PER_SECOND;
/// The last microsecond of the year 9999, the last year that RFC 3339 can write.
const MAX: u64 = 253_402_300_800 * PER_SECOND - 1;

/// A point in time between 1970 and the end of 9999, to the microsecond.
///
/// Displays as RFC 3339 in UTC with six digits after the point, and parses nothing else:
///
/// ```
/// # use curvelink_audit::Time;
/// let time: Time = "2026-11-22T00:00:00.000123Z".parse().unwrap();
/// assert_eq!(time.unix_us(), 1_795_305_600_000_123);
/// assert!("2026-11-22T00:00:00Z".parse::<Time>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// So many microseconds after 1970-01-01T00:00:00Z; what is after 9999 becomes its end.
    #[must_use]
    pub fn from_unix_us(us: u64) -> Self {
        Self(us.min(MAX))
    }

    /// Microseconds since 1970-01-01T00:00:00Z: less than 2^58.
    #[must_use]
    pub const fn unix_us(self) -> u64 {
        self.0
    }
}

/// What is before 1970 becomes its beginning, what is after 9999 its end.
impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_unix_us(u64::try_from(since.as_micros()).unwrap_or(MAX))
    }
}

impl From<Time> for SystemTime {
    fn from(time: Time) -> Self {
        UNIX_EPOCH + Duration::from_micros(time.0)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date_of(self.0 / PER_DAY);
        let seconds = self.0 / PER_SECOND;
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T")?;
        write!(f, "{hour:02}:{minute:02}:{second:02}")?;
        write!(f, ".{:06}Z", self.0 % PER_SECOND)
    }
}

/// The text is no time that a record may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time of a record: write it as 2026-11-22T00:00:00.000123Z")]
#[non_exhaustive]
pub struct InvalidTime;

impl FromStr for Time {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let time = parse(text).ok_or(InvalidTime)?;
        // The one check of every separator, width and range: there is one way to write it.
        let is_same = time.to_string() == text;
        if is_same { Ok(time) } else { Err(InvalidTime) }
    }
}

fn parse(text: &str) -> Option<Time> {
    let number = |range: Range<usize>| text.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 {
        return None;
    }
    let seconds = (days_to(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
    Some(Time::from_unix_us(seconds * PER_SECOND + number(20..26)?))
}

/// Days from 1970-01-01 to a date; years are counted from March, so that the leap day is the last.
const fn days_to(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - EPOCH
}

/// Days from the first of March of the year 0 to 1970-01-01.
const EPOCH: u64 = 719_468;

fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + EPOCH;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (year_of_era * 365 + year_of_era / 4 - year_of_era / 100);
    let from_march = (day_of_year * 5 + 2) / 153;
    let day = day_of_year - (from_march * 153 + 2) / 5 + 1;
    let (month, next) = if from_march < 10 {
        (from_march + 3, 0)
    } else {
        (from_march - 9, 1)
    };
    (era * 400 + year_of_era + next, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_moments_are_written_as_they_are() {
        for (us, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_001, "2000-02-29T00:00:00.000001Z"),
            (4_107_542_399_999_999, "2100-02-28T23:59:59.999999Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
            (1_795_305_600_000_123, "2026-11-22T00:00:00.000123Z"),
            (u64::MAX, "9999-12-31T23:59:59.999999Z"),
        ] {
            let time = Time::from_unix_us(us);
            assert_eq!(time.to_string(), text);
            assert_eq!(text.parse(), Ok(time));
        }
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Time::from(before), Time(0));
    }

    #[test]
    fn there_is_one_way_to_write_a_moment() {
        for text in [
            "",
            "2026-11-22T00:00:00Z",
            "2026-11-22T00:00:00.123Z",
            "2026-11-22T00:00:00.000123+00:00",
            "2026-11-22t00:00:00.000123z",
            "2026-11-22 00:00:00.000123Z",
            "2026-11-22T00:00:00.0001234Z",
            "2026-11-22T00:00:60.000000Z",
            "2026-11-22T24:00:00.000000Z",
            "2026-02-29T00:00:00.000000Z",
            "2026-00-01T00:00:00.000000Z",
            "2026-01-00T00:00:00.000000Z",
            "1969-12-31T23:59:59.999999Z",
            "+026-11-22T00:00:00.000123Z",
            "2026-11-22T00:00:00.+00123Z",
            "2026-11-2\u{e9}T00:00:00.00012Z",
        ] {
            assert_eq!(text.parse::<Time>(), Err(InvalidTime), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_it_was(us in 0..=MAX) {
            let time = Time::from_unix_us(us);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
            prop_assert_eq!(Time::from(SystemTime::from(time)), time);
        }

        #[test]
        fn no_text_is_a_panic(text: String) {
            let _ = text.parse::<Time>();
        }
    }
}
