//! Days, as suppressions name their end.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The day that it is in UTC.
    pub fn today() -> Self {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self::from_days(seconds / 86_400)
    }

    /// Whole months from an earlier day to this one.
    pub(crate) fn months_since(self, earlier: Self) -> i64 {
        let months = |date: Self| i64::from(date.year) * 12 + i64::from(date.month);
        months(self) - months(earlier) - i64::from(self.day < earlier.day)
    }

    /// A day by its distance from 1970-01-01.
    fn from_days(mut days: u64) -> Self {
        let mut year = 1970;
        while days >= length_of_year(year) {
            days -= length_of_year(year);
            year += 1;
        }
        let mut month = 1;
        while days >= u64::from(length_of_month(year, month)) {
            days -= u64::from(length_of_month(year, month));
            month += 1;
        }
        Self { year, month, day: days as u8 + 1 }
    }
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn length_of_year(year: u16) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn length_of_month(year: u16, month: u8) -> u8 {
    match month {
        2 => 28 + u8::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = || {
            let mut parts = text.split('-');
            let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
            let digits = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
            if parts.next().is_some() || !(digits(year, 4) && digits(month, 2) && digits(day, 2)) {
                return None;
            }
            let date = Self { year: year.parse().ok()?, month: month.parse().ok()?, day: day.parse().ok()? };
            let exists = (1..=12).contains(&date.month) && (1..=length_of_month(date.year, date.month)).contains(&date.day);
            exists.then_some(date)
        };
        parsed().ok_or_else(|| "write a day as YYYY-MM-DD".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_days_that_exist() {
        for text in ["2026-12-31", "2024-02-29", "2000-02-29"] {
            assert_eq!(text.parse::<Date>().map(|date| date.to_string()), Ok(text.to_owned()));
        }
        for text in ["2026-13-01", "2026-02-29", "1900-02-29", "2026-1-1", "2026-01-00", "26-01-01", "2026-01-01-01", "soon", "+026-01-01"]
        {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
    }

    #[test]
    fn counts_days() {
        for (days, text) in [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29"), (20_778, "2026-11-21")] {
            assert_eq!(Date::from_days(days).to_string(), text);
        }
        assert!(Date::from_days(20_000) < Date::today());
    }
}
