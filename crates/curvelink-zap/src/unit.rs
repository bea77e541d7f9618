//! Sizes, durations and moments, as the file writes them and as messages show them.

use std::time::{Duration, SystemTime};

use toml::value::{Datetime, Offset};

use crate::error::Problem;
use crate::source::number;

const SIZES: [(&str, usize); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];
const DURATIONS: [(&str, u64); 4] = [("d", DAY), ("h", 3600), ("m", 60), ("s", 1)];
const DAY: u64 = 24 * 3600;

/// The longest duration: 10 years of 365 days.
const MAX_SECONDS: u64 = 3650 * DAY;

/// Reads `4 MiB`: a whole number, at most one space, B, KiB, MiB or GiB. Not 0.
pub(crate) fn size(text: &str) -> Option<usize> {
    let (count, octets) = counted(text, &SIZES)?;
    usize::try_from(count).ok()?.checked_mul(octets)
}

/// Reads `12h`: a whole number, at most one space, s, m, h or d. Not 0, up to 10 years.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (count, seconds) = counted(text, &DURATIONS)?;
    let seconds = u64::from(count) * seconds;
    (seconds <= MAX_SECONDS).then(|| Duration::from_secs(seconds))
}

fn counted<T: Copy>(text: &str, units: &[(&str, T)]) -> Option<(u32, T)> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at_checked(end)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, value) = units.iter().find(|(name, _)| *name == unit)?;
    let count = number(count).filter(|count| *count != 0)?;
    Some((count, *value))
}

/// Writes what [`size`] reads.
pub(crate) fn size_text(octets: usize) -> String {
    let fits = |(_, unit): &&(&str, usize)| octets.is_multiple_of(*unit);
    SIZES.iter().find(fits).map_or_else(
        || format!("{octets} B"),
        |(name, unit)| format!("{} {name}", octets / unit),
    )
}

/// Writes what [`duration`] reads.
pub(crate) fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let fits = |(_, unit): &&(&str, u64)| seconds.is_multiple_of(*unit);
    DURATIONS.iter().find(fits).map_or_else(
        || format!("{seconds}s"),
        |(name, unit)| format!("{}{name}", seconds / unit),
    )
}

/// Reads a moment as a policy file writes one: `2026-11-01T00:00:00Z`, or with another offset;
/// `None` for anything else.
#[must_use]
pub fn parse_time(text: &str) -> Option<SystemTime> {
    moment(&text.parse().ok()?).ok()
}

/// The moment of a date, a time and an offset; without the offset it would depend on where the
/// reader is.
pub(crate) fn moment(written: &Datetime) -> Result<SystemTime, Problem> {
    let (Some(date), Some(time), Some(offset)) = (written.date, written.time, written.offset)
    else {
        return Err(Problem::LocalTime);
    };
    let ahead = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes) * 60,
    };
    // A leap second is the one before it: clocks do not count it.
    let second = time.second.unwrap_or_default().min(59);
    let of_day = i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(second);
    let days = days_since_1970(date.year.into(), date.month.into(), date.day.into());
    let seconds = days * 86_400 + of_day - ahead;
    let nanos = Duration::from_nanos(time.nanosecond.unwrap_or_default().into());
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let whole = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    whole
        .and_then(|whole| whole.checked_add(nanos))
        .ok_or(Problem::LocalTime)
}

/// Writes a moment in UTC, to the second.
pub(crate) fn moment_text(moment: SystemTime) -> String {
    let seconds = match moment.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        // Down to the whole second, as above 1970.
        Err(before) => {
            let before = before.duration();
            let up = before.as_secs() + u64::from(before.subsec_nanos() > 0);
            i64::try_from(up).map_or(i64::MIN, |up| -up)
        }
    };
    let (year, month, day) = date_of(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that
/// the odd day of a leap year is their last.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + day_of_year - 719_468
}

/// The date that is so many days from 1970-01-01. The calendar repeats every 400 years.
const fn date_of(days: i64) -> (i64, i64, i64) {
    const CYCLE: i64 = 146_097;
    let days = days + 719_468;
    let day_of_cycle = days.rem_euclid(CYCLE);
    // Less the leap days before it, every year has 365.
    let leap_days = day_of_cycle / 1460 - day_of_cycle / 36_524 + day_of_cycle / 146_096;
    let year_of_cycle = (day_of_cycle - leap_days) / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_cycle + days.div_euclid(CYCLE) * 400;
    (if month > 2 { year } else { year + 1 }, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact() {
        for (text, octets, shown) in [
            ("1 B", 1, "1 B"),
            ("1023B", 1023, "1023 B"),
            ("1 KiB", 1024, "1 KiB"),
            ("4 MiB", 4 << 20, "4 MiB"),
            ("1536 KiB", 1536 << 10, "1536 KiB"),
            ("2GiB", 2 << 30, "2 GiB"),
        ] {
            assert_eq!(size(text), Some(octets), "{text}");
            assert_eq!(size_text(octets), shown);
            assert_eq!(size(shown), Some(octets));
        }
        for text in [
            "",
            "0",
            "0 B",
            "4",
            "MiB",
            "4 MB",
            "4 mib",
            "4  MiB",
            " 4 MiB",
            "4 MiB ",
            "-1 B",
            "+1 B",
            "04 MiB",
            "1.5 MiB",
            "4 MiB/s",
            "99999999999999999999 B",
            "4294967296 B",
            "4é",
        ] {
            assert_eq!(size(text), None, "{text}");
        }
        assert_eq!(size("4294967295 GiB").is_some(), usize::BITS == 64);
    }

    #[test]
    fn durations_are_exact_and_bounded() {
        for (text, seconds, shown) in [
            ("1s", 1, "1s"),
            ("90 s", 90, "90s"),
            ("60s", 60, "1m"),
            ("12h", 43_200, "12h"),
            ("36h", 129_600, "36h"),
            ("3650d", MAX_SECONDS, "3650d"),
        ] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
            assert_eq!(duration_text(Duration::from_secs(seconds)), shown);
        }
        for text in [
            "",
            "0s",
            "0",
            "12",
            "h",
            "12H",
            "12 hours",
            "1w",
            "1h30m",
            "-1h",
            "012h",
            "3651d",
            "12  h",
            "4294967295d",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    fn read(text: &str) -> Result<SystemTime, Problem> {
        moment(&text.parse::<Datetime>().unwrap())
    }

    #[test]
    fn a_moment_is_the_same_wherever_it_is_written() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-01T00:00:00Z", 1_793_491_200),
            ("2026-11-01T02:30:00+02:30", 1_793_491_200),
            ("2026-10-31T18:00:00-06:00", 1_793_491_200),
            ("2000-02-29T12:00:01Z", 951_825_601),
            ("1969-12-31T23:59:59Z", -1),
            ("2016-12-31T23:59:60Z", 1_483_228_799),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            let distance = Duration::from_secs(i64::unsigned_abs(seconds));
            let expected = if seconds < 0 {
                SystemTime::UNIX_EPOCH - distance
            } else {
                SystemTime::UNIX_EPOCH + distance
            };
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        let nanos = read("2026-11-01T00:00:00.25Z").unwrap();
        let whole = read("2026-11-01T00:00:00Z").unwrap();
        assert_eq!(nanos.duration_since(whole).unwrap().as_millis(), 250);
        assert_eq!(moment_text(nanos), "2026-11-01T00:00:00Z");
        let before = SystemTime::UNIX_EPOCH - Duration::from_millis(1);
        assert_eq!(moment_text(before), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn a_moment_without_its_offset_is_refused() {
        for text in ["2026-11-01T00:00:00", "2026-11-01", "00:00:00"] {
            assert!(matches!(read(text), Err(Problem::LocalTime)), "{text}");
        }
    }

    #[test]
    fn every_day_of_the_calendar_is_read_and_written_back() {
        let mut expected = days_since_1970(0, 1, 1);
        for year in 0..=9999 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let february = if leap { 29 } else { 28 };
            let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            for (month, days) in (1..).zip(months) {
                for day in 1..=days {
                    assert_eq!(days_since_1970(year, month, day), expected);
                    assert_eq!(date_of(expected), (year, month, day));
                    expected += 1;
                }
            }
        }
        assert_eq!(moment_text(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00Z");
    }
}
