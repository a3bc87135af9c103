//! The grammar of our own suppressions: `preflint: ignore[rule, pack/*] -- reason; until=2026-12-31; value=0123456789abcdef`.

use super::Date;
use crate::digest::Binding;
use crate::rule::did_you_mean;
use crate::source::Span;

/// What a suppression says; spans are offsets in its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words<'t> {
    /// It is about the whole file.
    pub(crate) whole_file: bool,
    /// The names of rules and packs, and where they stand.
    pub(crate) names: Vec<(Span, &'t str)>,
    /// The reason; empty where there is none.
    pub(crate) reason: Span,
    /// Whether a reason is given, even where its place is not known.
    pub(crate) has_reason: bool,
    pub(crate) until: Option<Date>,
    pub(crate) binding: Option<Binding>,
}

/// What is wrong with a suppression, without its own words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) span: Span,
    pub(crate) message: String,
}

const SHAPE: &str = "write `preflint: ignore[pack/rule] -- reason`";
/// What other tools call it.
const VERBS: &[&str] =
    &["disable", "disable-file", "disable-line", "disable-next-line", "skip", "allow", "off", "suppress", "noqa", "nolint"];
const OPTIONS: &[&str] = &["until", "value"];

impl Words<'_> {
    /// Whether two ways of writing silence the same, whatever their reasons.
    pub(crate) fn says(&self, other: &Self) -> bool {
        let names = |words: &Self| words.names.iter().map(|(_, name)| (*name).to_owned()).collect::<Vec<_>>();
        names(self) == names(other) && (self.has_reason, self.until, self.binding) == (other.has_reason, other.until, other.binding)
    }

    /// The same where offsets in the text say nothing.
    pub(crate) fn without_places(mut self) -> Self {
        self.reason = Span::default();
        for (span, _) in &mut self.names {
            *span = Span::default();
        }
        self
    }
}

/// Reads the body of a comment: where the suppression begins in it, and what it says. None where the comment is about something else.
pub(crate) fn comment(body: &str) -> Option<(usize, Result<Words<'_>, Fault>)> {
    let start = body.match_indices("preflint").map(|(at, _)| at).find(|&at| {
        let before = body.get(..at).unwrap_or_default().trim_end();
        let after = body.get(at + "preflint".len()..).unwrap_or_default();
        // At the start of the comment, or of another comment inside of it.
        (before.is_empty() || before.ends_with(['#', '/', '*'])) && is_meant(after)
    })?;
    let fault = |from: usize, to: usize, message: &str| Fault { span: Span::new(from, to), message: message.to_owned() };
    let end = body.trim_end().len();
    let read = || {
        let mut at = start + "preflint".len();
        let rest = |at: usize| body.get(at..end).unwrap_or_default();
        let skip = |at: usize| at + (rest(at).len() - rest(at).trim_start().len());
        if !rest(at).starts_with(':') {
            return Err(fault(start, end, &format!("a colon is missing: {SHAPE}")));
        }
        at = skip(at + 1);
        let word = rest(at).split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).next().unwrap_or_default();
        let whole_file = match word {
            "ignore" => false,
            "ignore-file" => true,
            _ => {
                let close = did_you_mean(word, ["ignore", "ignore-file"]).unwrap_or("ignore");
                return Err(fault(at, at + word.len().max(1), &format!("`{close}` is expected here: {SHAPE}")));
            }
        };
        at = skip(at + word.len());
        if !rest(at).starts_with('[') {
            return Err(fault(at, end.max(at), &format!("the rules are missing: {SHAPE}")));
        }
        let Some(close) = rest(at).find(']').map(|length| at + length) else {
            return Err(fault(at, end, &format!("the bracket is not closed: {SHAPE}")));
        };
        let mut words = Words { whole_file, names: names(body, at + 1, close)?, ..Words::default() };
        tail(body, close + 1, end, &mut words)?;
        Ok(words)
    };
    Some((start, read()))
}

/// Whether what follows our name is meant as a suppression, right or wrong, and is no sentence that begins with the name.
fn is_meant(after: &str) -> bool {
    let (colon, rest) = after.strip_prefix(':').map_or((false, after), |rest| (true, rest));
    let rest = rest.trim_start_matches([' ', '\t', '-', ',', '.']);
    let (word, rest) = rest.split_at(rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(rest.len()));
    let rest = rest.trim_start();
    match word {
        "ignore" | "ignore-file" => {
            colon || rest.is_empty() || rest.starts_with('[') || rest.split_whitespace().next().is_some_and(|word| word.contains('/'))
        }
        _ => colon && (rest.starts_with('[') || VERBS.contains(&word) || did_you_mean(word, ["ignore", "ignore-file"]).is_some()),
    }
}

/// Reads the value of an annotation: `rule, pack/* -- reason; until=…`.
pub(crate) fn list(text: &str) -> Result<Words<'_>, Fault> {
    let end = text.trim_end().len();
    let close = text.find("--").or_else(|| text.find(';')).unwrap_or(end).min(end);
    let mut words = Words { names: names(text, 0, close)?, ..Words::default() };
    tail(text, close, end, &mut words)?;
    Ok(words)
}

fn names(text: &str, start: usize, end: usize) -> Result<Vec<(Span, &str)>, Fault> {
    let mut names = Vec::new();
    let mut at = start;
    for name in text.get(start..end).unwrap_or_default().split(',') {
        let trimmed = name.trim();
        let from = at + (name.len() - name.trim_start().len());
        let span = Span::new(from, from + trimmed.len());
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '*' | ':' | '.');
        if trimmed.is_empty() || !trimmed.chars().all(is_name) {
            let span = if trimmed.is_empty() { Span::new(start, end) } else { span };
            let message = "ids of rules are expected here, with commas between them, such as `limits/memory-limit-missing` or `limits/*`";
            return Err(Fault { span, message: message.to_owned() });
        }
        names.push((span, trimmed));
        at += name.len() + 1;
    }
    Ok(names)
}

/// Reads ` -- reason; until=…; value=…`.
fn tail(text: &str, start: usize, end: usize, words: &mut Words<'_>) -> Result<(), Fault> {
    let body = text.get(start..end).unwrap_or_default();
    let at = start + (body.len() - body.trim_start().len());
    let body = body.trim_start();
    let fault = |from: usize, to: usize, message: String| Fault { span: Span::new(from, to), message };
    if body.is_empty() {
        return Ok(());
    }
    let mut from = match body.strip_prefix("--") {
        Some(_) => at + 2,
        None if body.starts_with(';') => at,
        None => return Err(fault(at, end, "` -- ` is missing before the reason".to_owned())),
    };
    let mut to = end;
    // Options stand at the end; a reason may hold semicolons of its own.
    loop {
        to = from + text.get(from..to).unwrap_or_default().trim_end_matches([';', ' ', '\t']).len();
        let part = text.get(from..to).unwrap_or_default();
        let (before, option, option_at) = match part.rfind(';') {
            Some(semicolon) => (from + semicolon, part.get(semicolon + 1..).unwrap_or_default(), from + semicolon + 1),
            None => (from, part, from),
        };
        let trimmed = option.trim();
        let option_at = option_at + (option.len() - option.trim_start().len());
        let span = (option_at, option_at + trimmed.len());
        let Some((key, value)) = trimmed.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else { break };
        if key.is_empty() || key.contains(char::is_whitespace) || value.contains(char::is_whitespace) {
            break;
        }
        match key {
            "until" if words.until.is_none() => {
                words.until = Some(value.parse().map_err(|error| fault(span.0, span.1, format!("`until` names the last day: {error}")))?);
            }
            "value" if words.binding.is_none() => {
                let binding = Binding::parse(value);
                let message = "`value` holds the sixteen hex digits that `preflint suppress` writes";
                words.binding = Some(binding.ok_or_else(|| fault(span.0, span.1, message.to_owned()))?);
            }
            _ => match did_you_mean(key, OPTIONS.iter().copied()) {
                Some(close) if words.until.is_none() || close != "until" => {
                    return Err(fault(span.0, span.1, format!("an unknown option; did you mean `{close}`?")));
                }
                _ if OPTIONS.contains(&key) => return Err(fault(span.0, span.1, "this option stands here twice".to_owned())),
                // Part of the reason.
                _ => break,
            },
        }
        if before == from {
            to = from;
            break;
        }
        to = before;
    }
    let reason = text.get(from..to).unwrap_or_default();
    let visible = reason.trim();
    if let Some(at) = lost_end(reason) {
        let message = "`until=YYYY-MM-DD` stands at the end, behind a semicolon".to_owned();
        return Err(fault(from + at, from + at + "until".len(), message));
    }
    from += reason.len() - reason.trim_start().len();
    words.has_reason = !visible.is_empty();
    words.reason = if visible.is_empty() { Span::default() } else { Span::new(from, from + visible.len()) };
    Ok(())
}

/// Where a reason holds an `until=2026…` that is meant as an option and written in another way.
fn lost_end(reason: &str) -> Option<usize> {
    let begins = |at: usize| reason.get(..at).is_some_and(|before| before.is_empty() || before.ends_with([' ', '\t', ';', ',', '(']));
    let is_option = |rest: &str| {
        let value = rest.trim_start().strip_prefix(['=', ':']).map(str::trim_start);
        value.is_some_and(|value| value.starts_with(|c: char| c.is_ascii_digit()))
    };
    let mut found = reason.match_indices("until").filter(|(at, word)| begins(*at) && reason.get(at + word.len()..).is_some_and(is_option));
    found.next().map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names, reason and end of a well-formed comment.
    fn shown(text: &str) -> Option<(bool, Vec<&str>, &str, Option<String>)> {
        let (_, read) = comment(text)?;
        let words = read.ok()?;
        let names = words.names.iter().map(|(span, name)| (*name == &text[span.range()]).then_some(*name)).collect::<Option<_>>()?;
        Some((words.whole_file, names, &text[words.reason.range()], words.until.map(|until| until.to_string())))
    }

    fn fault(text: &str) -> Option<(&str, String)> {
        let (_, read) = comment(text)?;
        read.err().map(|fault| (text.get(fault.span.range()).unwrap_or("?"), fault.message))
    }

    #[test]
    fn reads_what_is_well_formed() {
        let day = Some("2026-12-31".to_owned());
        for (text, expected) in [
            (" preflint: ignore[a/b] -- why", (false, vec!["a/b"], "why", None)),
            ("preflint:ignore[ a/b ,c/* ]--  why not  ", (false, vec!["a/b", "c/*"], "why not", None)),
            (" preflint: ignore-file[a/*] -- x; until=2026-12-31", (true, vec!["a/*"], "x", day.clone())),
            (" preflint: ignore[a/b] -- one; two = 2; x; until=2026-12-31", (false, vec!["a/b"], "one; two = 2; x", day.clone())),
            (" preflint: ignore[a/b] -- until=2026-12-31", (false, vec!["a/b"], "", day.clone())),
            (" preflint: ignore[a/b]; until=2026-12-31", (false, vec!["a/b"], "", day)),
            (" preflint: ignore[a/b]", (false, vec!["a/b"], "", None)),
            (" pinned by ops # preflint: ignore[a/b] -- ä -- ö", (false, vec!["a/b"], "ä -- ö", None)),
            (" preflint: ignore[a/b] -- sets x=1", (false, vec!["a/b"], "sets x=1", None)),
            (" preflint: ignore[a/b] -- x; until=2026-12-31; ", (false, vec!["a/b"], "x", Some("2026-12-31".to_owned()))),
            (" preflint: ignore[a/b] -- fine; until the vendor ships 2.0", (false, vec!["a/b"], "fine; until the vendor ships 2.0", None)),
        ] {
            assert_eq!(shown(text), Some(expected), "{text}");
        }
        let bound = comment("preflint: ignore[a/b] -- x; value=0102030405060708; until=2026-12-31");
        let words = bound.and_then(|(_, read)| read.ok()).unwrap_or_default();
        assert!(words.binding.is_some() && words.until.is_some() && words.has_reason);
    }

    #[test]
    fn names_what_is_wrong() {
        for (text, at, message) in [
            (" preflint ignore[a/b] -- x", "preflint ignore[a/b] -- x", "a colon is missing"),
            (" preflint-ignore[a/b] -- x", "preflint-ignore[a/b] -- x", "a colon is missing"),
            (" preflint: disable[a/b]", "disable", "`ignore` is expected"),
            (" preflint: ignorefile[a/b]", "ignorefile", "`ignore-file` is expected"),
            (" preflint: ignore a/b -- x", "a/b -- x", "the rules are missing"),
            (" preflint: ignore", "", "the rules are missing"),
            (" preflint: ignore[a/b -- x", "[a/b -- x", "the bracket is not closed"),
            (" preflint: ignore[] -- x", "", "ids of rules"),
            (" preflint: ignore[a/b c/d] -- x", "a/b c/d", "ids of rules"),
            (" preflint: ignore[a/b] because", "because", "` -- ` is missing"),
            (" preflint: ignore[a/b] -- x; until=soon", "until=soon", "YYYY-MM-DD"),
            (" preflint: ignore[a/b] -- x; untl=2026-12-31", "untl=2026-12-31", "did you mean `until`"),
            (" preflint: ignore[a/b] -- x; value=12", "value=12", "sixteen hex digits"),
            (" preflint: ignore[a/b] -- x; until=2026-12-31; until=2027-12-31", "until=2026-12-31", "twice"),
            (" preflint: ignore[a/b] -- x until=2026-12-31", "until", "behind a semicolon"),
            (" preflint: ignore[a/b] -- x; until: 2026-12-31", "until", "behind a semicolon"),
            (" preflint: ignore[a/b] -- x; until=2026-12-31 (see #1)", "until", "behind a semicolon"),
        ] {
            let (span, found) = fault(text).unwrap_or_default();
            assert!(span == at && found.contains(message), "{text}: {span:?} {found}");
        }
    }

    #[test]
    fn leaves_other_comments_alone() {
        for text in [
            " see preflint: it checks",
            " run preflint",
            " preflint.toml lists it",
            "",
            " not preflint ignore",
            " the preflint-bot",
            " preflint: it checks",
            " preflint ignores it",
            " preflint:",
            " preflint: see https://x/y",
            " preflint, ignore this",
        ] {
            assert!(comment(text).is_none(), "{text}");
        }
        assert!(list("a/b, c/* -- why; until=2026-12-31").is_ok_and(|words| words.names.len() == 2 && words.until.is_some()));
        assert!(list("a/b").is_ok_and(|words| !words.has_reason));
        assert!(list("").is_err() && list("a/b because").is_err());
    }
}
