//! Time as the tables store it: whole microseconds since the Unix epoch, and RFC 3339 for people.
//!
//! No function reads a clock. Times before 1970 and after the year 9999 saturate.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;
/// Microseconds in a second.
pub(crate) const SECOND: i64 = 1_000_000;
/// 9999-12-31T23:59:59.999999Z.
const LAST: i64 = 253_402_300_799 * SECOND + 999_999;

/// Microseconds since the epoch.
pub(crate) fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_micros()).unwrap_or(LAST).min(LAST)
}

#[cfg(any(test, feature = "sqlite", feature = "postgres"))]
pub(crate) fn from_micros(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros.clamp(0, LAST) as u64)
}

/// Returns the start of the minute that contains `at`.
pub(crate) const fn minute_of(at: i64) -> i64 {
    floor(at, MINUTE)
}

/// Returns the last multiple of `unit` that is not after `at`.
pub(crate) const fn floor(at: i64, unit: i64) -> i64 {
    at - at.rem_euclid(unit)
}

/// Formats RFC 3339 in UTC with milliseconds.
pub(crate) fn rfc3339(micros: i64) -> String {
    let micros = micros.clamp(0, LAST);
    let (year, month, day) = civil(micros / DAY);
    let of_day = micros % DAY;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        of_day / HOUR,
        of_day / MINUTE % 60,
        of_day / SECOND % 60,
        of_day % SECOND / 1_000
    )
}

/// Returns the year, month and day of a count of days since 1970-01-01.
///
/// The method is Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>): years begin in March, so the leap day
/// is the last day of a year, and months follow from one linear formula.
pub(crate) const fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates_are_written_as_rfc_3339() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400 * SECOND), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(1_709_251_199 * SECOND + 987_654), "2024-02-29T23:59:59.987Z");
        assert_eq!(rfc3339(1_798_761_600 * SECOND), "2027-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(i64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn consecutive_days_are_consecutive_dates() {
        let mut previous = civil(-1);
        assert_eq!(previous, (1969, 12, 31));
        for day in 0..60_000 {
            let (y, m, d) = civil(day);
            let (py, pm, pd) = previous;
            let next_day = (y, m, d) == (py, pm, pd + 1);
            let next_month = d == 1 && ((y, m) == (py, pm + 1) || (y, m) == (py + 1, 1) && pm == 12);
            assert!(next_day || next_month, "{previous:?} then {:?}", (y, m, d));
            previous = (y, m, d);
        }
    }

    #[test]
    fn micros_round_trip() {
        for at in [0, 1, 1_700_000_000_123_456] {
            assert_eq!(micros(from_micros(at)), at);
        }
        assert_eq!(micros(UNIX_EPOCH - Duration::from_secs(1)), 0);
    }
}
