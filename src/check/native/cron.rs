//! Cron expressions as their readers take them.

use crate::syntax::parse_duration;

/// Who reads the expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Kubernetes and what shares its parser: five fields, macros, Sunday is 0 only.
    Kubernetes,
    /// The same with seconds before the minutes.
    Seconds,
    /// Cloudflare's triggers: five fields with `L`, `W` and `#`, no macros.
    Cloudflare,
    /// Not known: what no common reader takes is wrong.
    Unknown,
}

const MONTHS: &[&str] = &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const MACROS: &[&str] = &["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// A field's name, bounds and names of values; names count from the lower bound.
struct Unit {
    name: &'static str,
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const SECOND: Unit = Unit { name: "second", min: 0, max: 59, names: &[] };
const MINUTE: Unit = Unit { name: "minute", min: 0, max: 59, names: &[] };
const HOUR: Unit = Unit { name: "hour", min: 0, max: 23, names: &[] };
const DAY: Unit = Unit { name: "day of month", min: 1, max: 31, names: &[] };
const MONTH: Unit = Unit { name: "month", min: 1, max: 12, names: MONTHS };
const WEEKDAY: Unit = Unit { name: "day of week", min: 0, max: 6, names: WEEKDAYS };
/// Sunday is 0, 1 or 7, as one counts.
const ANY_WEEKDAY: Unit = Unit { name: "day of week", min: 0, max: 7, names: WEEKDAYS };
const YEAR: Unit = Unit { name: "year", min: 1970, max: 2199, names: &[] };

/// The values that a field names.
struct Field {
    bits: u64,
    /// Every value, so that the field does not restrict.
    any: bool,
}

/// Whether a template or shell fills the text in later.
pub(super) fn is_filled_later(text: &str) -> bool {
    text.is_empty() || text.contains(['{', '$', '<', '%'])
}

/// Whether a text is meant as a cron expression, where only a name such as `schedule` says so.
pub(super) fn looks_like_cron(text: &str) -> bool {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let is_field = |field: &&str| {
        field.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty()).all(|word| {
            let upper = word.to_ascii_uppercase();
            MONTHS.contains(&upper.as_str()) || WEEKDAYS.contains(&upper.as_str()) || matches!(word, "L" | "W" | "LW" | "H")
        }) && field.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"*/,-?#".contains(&byte))
    };
    (4..=7).contains(&fields.len())
        && fields.iter().all(is_field)
        && fields.iter().any(|field| field.contains(['*', '?']) || fields.len() >= 5)
}

/// What is wrong with an expression, as the rest of a sentence; nothing where its reader takes it and it can fire.
pub(super) fn fault(text: &str, dialect: Dialect) -> Option<String> {
    let text = text.trim();
    let fields: Vec<&str> = text.split_whitespace().collect();
    if let (Some(first), Dialect::Kubernetes | Dialect::Seconds) = (fields.first().filter(|first| first.starts_with('@')), dialect) {
        let known = match (*first, fields.as_slice()) {
            ("@every", [_, duration]) => parse_duration(duration).is_some() && !duration.contains('d'),
            (name, [_]) => MACROS.contains(&name),
            _ => false,
        };
        return (!known).then(|| "is no macro that its reader knows".to_owned());
    }
    match dialect {
        Dialect::Kubernetes | Dialect::Cloudflare => five(&fields, dialect),
        Dialect::Seconds => match fields.as_slice() {
            [second, rest @ ..] if rest.len() == 5 => field(second, &SECOND, dialect).err().or_else(|| five(rest, dialect)),
            _ => Some(format!("has {} fields instead of 6", fields.len())),
        },
        Dialect::Unknown => match fields.as_slice() {
            [second, rest @ ..] if rest.len() == 5 => {
                let with_seconds = field(second, &SECOND, dialect).err().or_else(|| five(rest, dialect));
                let (early, year) = fields.split_at_checked(5)?;
                let with_year = five(early, dialect).or_else(|| field(year.first()?, &YEAR, dialect).err());
                with_seconds.filter(|_| with_year.is_some())
            }
            // Quartz: seconds first, years last, one of the two days a question mark.
            [second, rest @ .., year] if rest.len() == 5 && rest.contains(&"?") => {
                field(second, &SECOND, dialect).err().or_else(|| five(rest, dialect)).or_else(|| field(year, &YEAR, dialect).err())
            }
            _ => five(&fields, dialect),
        },
    }
}

fn five(fields: &[&str], dialect: Dialect) -> Option<String> {
    let [minute, hour, day, month, weekday] = fields else {
        return Some(format!("has {} field{} instead of 5", fields.len(), if fields.len() == 1 { "" } else { "s" }));
    };
    let weekdays = if dialect == Dialect::Kubernetes || dialect == Dialect::Seconds { &WEEKDAY } else { &ANY_WEEKDAY };
    let read = || -> Result<(Field, Field, Field), String> {
        field(minute, &MINUTE, dialect)?;
        field(hour, &HOUR, dialect)?;
        Ok((field(day, &DAY, dialect)?, field(month, &MONTH, dialect)?, field(weekday, weekdays, dialect)?))
    };
    match read() {
        Err(fault) => Some(fault),
        // A restricted day of week fires besides the day of month.
        Ok((day, month, weekday)) if weekday.any && !day.any => {
            let last = |month: u32| match month {
                2 => 29,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let comes = (1..=12)
                .filter(|&number| month.bits & (1 << number) != 0)
                .any(|number| (1..=last(number)).any(|date| day.bits & (1_u64 << date) != 0));
            (!comes).then(|| "names a day that none of its months has, so it never fires".to_owned())
        }
        Ok(_) => None,
    }
}

fn field(text: &str, unit: &Unit, dialect: Dialect) -> Result<Field, String> {
    let mut all = Field { bits: 0, any: false };
    for item in text.split(',') {
        let one = self::item(item, unit, dialect).ok_or_else(|| {
            let shown: String = text.chars().take(20).collect();
            format!("has the {} `{shown}`, which is not within {}-{}", unit.name, unit.min, unit.max)
        })?;
        all.bits |= one.bits;
        all.any |= one.any;
    }
    Ok(all)
}

fn item(text: &str, unit: &Unit, dialect: Dialect) -> Option<Field> {
    let everything = Field { bits: u64::MAX, any: true };
    let strict = matches!(dialect, Dialect::Kubernetes | Dialect::Seconds);
    let (base, step) = match text.split_once('/') {
        Some((base, step)) => (base, Some(step.parse::<u32>().ok().filter(|step| *step > 0)?)),
        None => (text, None),
    };
    if !strict && step.is_none() && is_special(base, unit) {
        return Some(Field { any: false, ..everything });
    }
    let (first, last) = match base {
        "*" | "?" => (unit.min, unit.max),
        "H" if dialect == Dialect::Unknown => (unit.min, unit.max),
        _ => {
            if let Some((first, last)) = base.split_once('-') {
                (value(first, unit)?, value(last, unit)?)
            } else {
                let value = value(base, unit)?;
                (value, if step.is_some() { unit.max } else { value })
            }
        }
    };
    if first > last {
        // Some readers let a range run over the end.
        return (!strict).then_some(Field { any: false, ..everything });
    }
    let bits = (first..=last).step_by(step.unwrap_or(1) as usize).filter(|value| *value < 64).fold(0, |bits, value| bits | 1_u64 << value);
    Some(Field { bits, any: matches!(base, "*" | "?" | "H") && step.unwrap_or(1) == 1 })
}

/// The last day, the nearest working day, the nth weekday of a month.
fn is_special(text: &str, unit: &Unit) -> bool {
    let number = |text: &str| value(text, unit).is_some();
    match unit.name {
        "day of month" => {
            matches!(text, "L" | "LW" | "W") || text.strip_suffix('W').is_some_and(number) || text.strip_prefix("L-").is_some_and(number)
        }
        "day of week" => {
            text == "L"
                || text.strip_suffix('L').is_some_and(number)
                || text.split_once('#').is_some_and(|(day, nth)| number(day) && matches!(nth, "1" | "2" | "3" | "4" | "5"))
        }
        _ => false,
    }
}

fn value(text: &str, unit: &Unit) -> Option<u32> {
    if let Some(index) = unit.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
        // Weekdays count from Sunday, 0; months from 1.
        return Some(index as u32 + unit.min);
    }
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|value| digits && (unit.min..=unit.max).contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_differ() {
        for (text, kubernetes, cloudflare) in [
            ("*/15 * * * *", true, true),
            ("0 3 L * *", false, true),
            ("0 9 * * MON#1", false, true),
            ("0 3 * * 7", false, true),
            ("0 17-9 * * *", false, true),
            ("@daily", true, false),
            ("@every 1h30m", true, false),
            ("@every 1d", false, false),
            ("0 3 30 2 *", false, false),
            ("0 3 29 2 *", true, true),
            ("0 3 31 2 1", true, true),
            ("0 3 31 2 */2", true, true),
            ("0 3 ? * *", true, true),
            ("5/15 * * * *", true, true),
            ("1, * * * *", false, false),
            ("+5 * * * *", false, false),
            ("", false, false),
        ] {
            assert_eq!(fault(text, Dialect::Kubernetes).is_none(), kubernetes, "{text} in Kubernetes");
            assert_eq!(fault(text, Dialect::Cloudflare).is_none(), cloudflare, "{text} at Cloudflare");
        }
    }

    #[test]
    fn unknown_readers_are_given_the_benefit() {
        for text in ["0 0 3 * * *", "0 3 * * ? 2030", "0 0 3 ? * MON 2030", "H H * * *", "0 0 * * 7", "0 3 L * ?"] {
            assert_eq!(fault(text, Dialect::Unknown), None, "{text}");
        }
        for text in ["0 25 * * *", "0 61 * * * *", "0 3 * * * * *", "0 3 * *"] {
            assert!(looks_like_cron(text) && fault(text, Dialect::Unknown).is_some(), "{text}");
        }
        for text in ["business-hours", "every day at 3", "Mon 9-17", "2024-01-01"] {
            assert!(!looks_like_cron(text), "{text}");
        }
    }
}
