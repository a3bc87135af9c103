//! Variables in values, as Compose reads them: `$NAME`, `${NAME}`, `${NAME:-default}` and their kin.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use crate::source::Span;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part<'t> {
    /// What stands for itself.
    Text(&'t str),
    /// `$$`, which is a dollar.
    Dollar,
    Variable(Reference<'t>),
    /// A dollar that begins nothing, with which Compose refuses the file.
    Refused(Range<usize>),
}

/// A variable that a text names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference<'t> {
    pub(crate) name: &'t str,
    pub(crate) form: Form<'t>,
    /// All of it in the text.
    pub(crate) range: Range<usize>,
}

/// What happens to a variable that is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form<'t> {
    /// It is empty.
    Plain,
    /// It becomes this text.
    Default(&'t str),
    /// The project does not start.
    Required,
    /// It is empty; one that is set becomes this text.
    Alternative(&'t str),
}

/// The most defaults inside each other that are followed.
const MAX_DEPTH: usize = 16;

/// The parts of a text in their order; those inside a default are parts of the default.
pub(crate) fn parts(text: &str) -> Vec<Part<'_>> {
    let closes = closes(text);
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let dollar = rest.find('$').unwrap_or(rest.len());
        let (before, after) = rest.split_at_checked(dollar).unwrap_or((rest, ""));
        if !before.is_empty() {
            found.push(Part::Text(before));
        }
        let Some(tail) = after.strip_prefix('$') else { return found };
        let start = at + dollar;
        let inside = closes.get(&(start + 1)).and_then(|&close| text.get(start + 2..close));
        // What a brace holds belongs to the dollar before it, whatever it is.
        let range = start..start + inside.map_or(1, |inside| inside.len() + 3);
        let part = if tail.starts_with('$') {
            Part::Dollar
        } else if let Some((name, form)) = inside.and_then(variable) {
            Part::Variable(Reference { name, form, range })
        } else if let Some(name) = name_at(tail) {
            Part::Variable(Reference { name, form: Form::Plain, range: start..start + 1 + name.len() })
        } else {
            Part::Refused(range)
        };
        at = match &part {
            Part::Variable(Reference { range, .. }) | Part::Refused(range) => range.end,
            Part::Text(_) | Part::Dollar => start + 2,
        };
        found.push(part);
    }
    found
}

/// Where each brace of a text closes.
fn closes(text: &str) -> HashMap<usize, usize> {
    let (mut open, mut closes) = (Vec::new(), HashMap::new());
    if text.contains("${") {
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'{' => open.push(at),
                b'}' => closes.extend(open.pop().map(|start| (start, at))),
                _ => {}
            }
        }
    }
    closes
}

/// The variable that stands inside braces.
fn variable(inside: &str) -> Option<(&str, Form<'_>)> {
    let name = name_at(inside)?;
    let rest = inside.get(name.len()..)?;
    let sign = rest.strip_prefix(':').unwrap_or(rest);
    let form = match (sign.chars().next(), sign.get(1..)) {
        _ if rest.is_empty() => Form::Plain,
        (Some('-'), Some(default)) => Form::Default(default),
        (Some('+'), Some(text)) => Form::Alternative(text),
        (Some('?'), _) => Form::Required,
        _ => return None,
    };
    Some((name, form))
}

/// The name of a variable that a text begins with.
pub(crate) fn name_at(text: &str) -> Option<&str> {
    let length = text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    text.get(..length).filter(|name| name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_'))
}

/// A text with the defaults of its variables put in; where it is one such variable, the default's own span.
pub(crate) fn interpolated(text: &str, span: Span) -> (Cow<'_, str>, Span) {
    interpolated_within(text, span, MAX_DEPTH)
}

fn interpolated_within(text: &str, span: Span, depth: usize) -> (Cow<'_, str>, Span) {
    if depth == 0 || !text.contains("${") {
        return (Cow::Borrowed(text), span);
    }
    let parts = parts(text);
    if let [Part::Variable(Reference { form: Form::Default(default), .. })] = parts.as_slice()
        && !default.is_empty()
    {
        let start = text.len() - 1 - default.len();
        let fits = span.end - span.start == text.len() as u32;
        let at = if fits { Span::new(span.start as usize + start, span.start as usize + start + default.len()) } else { span };
        return interpolated_within(default, at, depth - 1);
    }
    let mut out = String::with_capacity(text.len());
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Dollar => out.push_str("$$"),
            Part::Variable(Reference { form: Form::Default(default), .. }) if !default.is_empty() => {
                out.push_str(&interpolated_within(default, span, depth - 1).0);
            }
            Part::Variable(Reference { range, .. }) | Part::Refused(range) => out.push_str(text.get(range).unwrap_or_default()),
        }
    }
    (Cow::Owned(out), span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_effective_values() {
        fn at(text: &str) -> (Cow<'_, str>, Span) {
            interpolated(text, Span::new(10, 10 + text.len()))
        }
        assert_eq!(at("${A:-secret}"), ("secret".into(), Span::new(15, 21)));
        assert_eq!(at("${A-secret}"), ("secret".into(), Span::new(14, 20)));
        assert_eq!(at("${A:-${B:-secret}}"), ("secret".into(), Span::new(20, 26)));
        assert_eq!(at("${A}").0, "${A}");
        assert_eq!(at("${A:?required}").0, "${A:?required}");
        assert_eq!(at("a:${A:-b}@${H:-h}").0, "a:b@h");
        assert_eq!(at("a ${A:-b ${C-d}} $e ${F%g}").0, "a b d $e ${F%g}");
        assert_eq!(at("$${A:-b}").0, "$${A:-b}");
        assert_eq!(at("${A:-b").0, "${A:-b");
        assert_eq!(at("${A:-}").0, "${A:-}");
        let deep = format!("{}{}", "${A:-".repeat(50_000), "}".repeat(50_000));
        assert!(at(&deep).0.starts_with("${A:-"));
        assert_eq!(at("${A:-{\"b\": 1}}").0, "{\"b\": 1}");
    }

    #[test]
    fn every_form_is_told_from_the_others() {
        let variable = |name, form, range| Part::Variable(Reference { name, form, range });
        for (text, expected) in [
            ("$A", variable("A", Form::Plain, 0..2)),
            ("${A}", variable("A", Form::Plain, 0..4)),
            ("${A:-b}", variable("A", Form::Default("b"), 0..7)),
            ("${A-${B}}", variable("A", Form::Default("${B}"), 0..9)),
            ("${A:?c}", variable("A", Form::Required, 0..7)),
            ("${A+d}", variable("A", Form::Alternative("d"), 0..6)),
            ("$$", Part::Dollar),
            ("${A%b}", Part::Refused(0..6)),
            ("$", Part::Refused(0..1)),
        ] {
            assert_eq!(parts(text), [expected], "{text}");
        }
        assert_eq!(parts("${A"), [Part::Refused(0..1), Part::Text("{A")]);
    }
}
