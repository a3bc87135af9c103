//! What a scalar means: booleans, numbers and quantities as the artifact's dialect reads them.

use super::{Node, Style, Syntax};

/// The dialect in which a plain scalar is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Kubernetes and Helm: `yes`, `on` and `0777` are no strings.
    Yaml11,
    /// Compose: the YAML 1.2 core schema.
    Yaml12,
}

/// A scalar after reading.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar<'d> {
    Null,
    Bool(bool),
    Number(f64),
    Text(&'d str),
}

impl<'d> Node<'d> {
    /// The scalar as the dialect reads it; nothing for a collection.
    pub(crate) fn scalar(self, reading: Reading) -> Option<Scalar<'d>> {
        let text = self.text()?;
        if self.tag().is_some_and(|tag| tag.ends_with(":str")) || self.style() != Style::Plain {
            return Some(Scalar::Text(text));
        }
        if self.is_null() {
            return Some(Scalar::Null);
        }
        let typed = match self.doc.syntax {
            Syntax::Dotenv => None,
            Syntax::Yaml => boolean(text, reading).map(Scalar::Bool).or_else(|| integer(text, reading).map(Scalar::Number)),
            Syntax::Toml | Syntax::Json | Syntax::Jsonc => match text {
                "true" => Some(Scalar::Bool(true)),
                "false" => Some(Scalar::Bool(false)),
                _ => number(text).map(Scalar::Number),
            },
        };
        Some(typed.unwrap_or(Scalar::Text(text)))
    }

    /// A boolean as Kubernetes reads it.
    pub(crate) fn as_bool(self) -> Option<bool> {
        match self.scalar(Reading::Yaml11)? {
            Scalar::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// A boolean, also where it is written as text (`"true"`), as annotations and options have it.
    pub(crate) fn as_bool_text(self) -> Option<bool> {
        boolean(self.text()?, Reading::Yaml12)
    }

    /// A whole number.
    pub(crate) fn as_int(self) -> Option<i64> {
        match self.scalar(Reading::Yaml11)? {
            Scalar::Number(value) if value.fract() == 0.0 => Some(value as i64),
            _ => None,
        }
    }
}

fn boolean(text: &str, reading: Reading) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => return Some(true),
        "false" | "False" | "FALSE" => return Some(false),
        _ if reading == Reading::Yaml12 => return None,
        _ => {}
    }
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn integer(text: &str, reading: Reading) -> Option<f64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1.0, text.get(1..)?),
        b'+' => (1.0, text.get(1..)?),
        _ => (1.0, text),
    };
    let radix = |digits: &str, radix| i64::from_str_radix(&digits.replace('_', ""), radix).ok().map(|value| sign * value as f64);
    if let Some(hex) = digits.strip_prefix("0x") {
        return radix(hex, 16);
    }
    if let Some(octal) = digits.strip_prefix("0o") {
        return radix(octal, 8);
    }
    if reading == Reading::Yaml11 {
        if let Some(binary) = digits.strip_prefix("0b") {
            return radix(binary, 2);
        }
        if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7' | b'_')) {
            return radix(digits, 8);
        }
        if digits.contains(':') && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') {
            let mut parts = digits.split(':');
            let first: f64 = parts.next()?.parse().ok()?;
            return parts
                .try_fold(first, |sum, part| part.parse::<f64>().ok().filter(|part| *part < 60.0).map(|part| sum * 60.0 + part))
                .map(|value| sign * value);
        }
    }
    number(text)
}

/// A decimal number; words such as `nan` and `inf` are none.
pub(crate) fn number(text: &str) -> Option<f64> {
    let first = text.trim_start_matches(['-', '+']).bytes().next()?;
    if !(first.is_ascii_digit() || first == b'.') || text.bytes().last()?.is_ascii_alphabetic() {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// A Kubernetes or Compose quantity in base units (cores, bytes): `500m`, `1Gi`, `0.5`, `2e3`, and with
/// `compose` also `512mb` and `1g`.
pub(crate) fn parse_quantity(text: &str, compose: bool) -> Option<f64> {
    let text = text.trim();
    let split = text
        .char_indices()
        .find(|&(index, character)| {
            character.is_ascii_alphabetic()
                && !(matches!(character, 'e' | 'E')
                    && text
                        .get(index + 1..)
                        .is_some_and(|rest| rest.trim_start_matches(['-', '+']).bytes().next().is_some_and(|byte| byte.is_ascii_digit())))
        })
        .map_or(text.len(), |(index, _)| index);
    let (digits, unit) = text.split_at_checked(split)?;
    // Compose allows a space before the unit.
    let value = number(if compose { digits.trim_end() } else { digits })?;
    let factor = if compose {
        match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1.0,
            "k" | "kb" | "kib" => 1024.0,
            "m" | "mb" | "mib" => 1024.0_f64.powi(2),
            "g" | "gb" | "gib" => 1024.0_f64.powi(3),
            "t" | "tb" | "tib" => 1024.0_f64.powi(4),
            _ => return None,
        }
    } else {
        match unit {
            "n" => 1e-9,
            "u" => 1e-6,
            "m" => 1e-3,
            "" => 1.0,
            "k" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "T" => 1e12,
            "P" => 1e15,
            "E" => 1e18,
            "Ki" => 1024.0,
            "Mi" => 1024.0_f64.powi(2),
            "Gi" => 1024.0_f64.powi(3),
            "Ti" => 1024.0_f64.powi(4),
            "Pi" => 1024.0_f64.powi(5),
            "Ei" => 1024.0_f64.powi(6),
            _ => return None,
        }
    };
    Some(value * factor)
}

/// A duration in seconds: `30s`, `1m30s`, `500ms`, `1h`.
pub(crate) fn parse_duration(text: &str) -> Option<f64> {
    let mut rest = text.trim();
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let split = rest.find(|character: char| character.is_ascii_alphabetic())?;
        let (digits, tail) = rest.split_at_checked(split)?;
        let end = tail.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(end)?;
        total += number(digits)?
            * match unit {
                "ns" => 1e-9,
                "us" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86400.0,
                _ => return None,
            };
        rest = tail;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::Source;

    fn read(text: &str, reading: Reading) -> String {
        let source = Arc::new(Source { path: "a.yaml".into(), text: format!("a: {text}\n"), bom: false });
        let parsed = super::super::parse(&source, Syntax::Yaml);
        let document = parsed.documents.first();
        format!("{:?}", document.and_then(|document| document.root().get("a")).and_then(|node| node.scalar(reading)))
    }

    #[test]
    fn scalars_follow_the_dialect() {
        for (text, old, new) in [
            ("yes", "Some(Bool(true))", "Some(Text(\"yes\"))"),
            ("off", "Some(Bool(false))", "Some(Text(\"off\"))"),
            ("True", "Some(Bool(true))", "Some(Bool(true))"),
            ("'yes'", "Some(Text(\"yes\"))", "Some(Text(\"yes\"))"),
            ("!!str 1", "Some(Text(\"1\"))", "Some(Text(\"1\"))"),
            ("010", "Some(Number(8.0))", "Some(Number(10.0))"),
            ("0o10", "Some(Number(8.0))", "Some(Number(8.0))"),
            ("0x1F", "Some(Number(31.0))", "Some(Number(31.0))"),
            ("1:30", "Some(Number(90.0))", "Some(Text(\"1:30\"))"),
            ("~", "Some(Null)", "Some(Null)"),
            ("", "Some(Null)", "Some(Null)"),
            ("1_000", "Some(Number(1000.0))", "Some(Number(1000.0))"),
            ("1.5e3", "Some(Number(1500.0))", "Some(Number(1500.0))"),
            ("1.2.3", "Some(Text(\"1.2.3\"))", "Some(Text(\"1.2.3\"))"),
        ] {
            assert_eq!(read(text, Reading::Yaml11), old, "{text} in YAML 1.1");
            assert_eq!(read(text, Reading::Yaml12), new, "{text} in YAML 1.2");
        }
    }

    #[test]
    fn quantities_and_durations() {
        for (text, compose, value) in [
            ("500m", false, Some(0.5)),
            ("1Gi", false, Some(1_073_741_824.0)),
            ("2e3", false, Some(2000.0)),
            ("1E", false, Some(1e18)),
            ("512mb", true, Some(536_870_912.0)),
            ("1g", true, Some(1_073_741_824.0)),
            ("1gb", false, None),
            ("{{ x }}", false, None),
            ("", false, None),
        ] {
            assert_eq!(parse_quantity(text, compose), value, "{text}");
        }
        assert_eq!(parse_duration("1m30s"), Some(90.0));
        assert_eq!(parse_duration("500ms"), Some(0.5));
        assert_eq!(parse_duration("30"), None);
    }
}
