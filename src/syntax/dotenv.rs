//! Dotenv: one mapping of names to values, read as the common loaders agree on.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Builder, Parsed, Style, Syntax, SyntaxError};
use crate::source::{Source, Span};

/// What is said of a line without a name, of a name without a sign behind it, and of a quote: rules know them again.
pub(crate) const NO_NAME: &str = "expected NAME=value or a comment; a name begins with a letter or `_`";
pub(crate) const NO_EQUALS: &str = "expected `=` behind the name; a name has letters, digits, `_`, `.` and `-`";
pub(crate) const UNCLOSED: &str = "the quote is never closed";

/// A file of noise must not become a list of errors longer than itself.
const MAX_ERRORS: usize = 100;

pub(super) fn parse(source: &Arc<Source>) -> Parsed {
    let text = source.text.as_str();
    let mut builder = Builder::new(source, Syntax::Dotenv, text.len() / 16);
    let mut reader = Reader { text, bytes: text.as_bytes(), builder: &mut builder, errors: Vec::new(), end: 0 };
    let mut at = 0;
    while at < text.len() {
        let end = reader.line(at);
        at = end + if reader.rest(end).starts_with(b"\r\n") { 2 } else { 1 };
    }
    let Reader { errors, end, .. } = reader;
    if builder.is_empty() {
        builder.open_mapping(Style::Block, Span::default());
    }
    Parsed { documents: vec![builder.finish(end)], errors }
}

struct Reader<'t, 'b> {
    text: &'t str,
    bytes: &'t [u8],
    builder: &'b mut Builder,
    errors: Vec<SyntaxError>,
    /// The end of the last pair.
    end: usize,
}

impl<'t> Reader<'t, '_> {
    fn rest(&self, at: usize) -> &'t [u8] {
        self.bytes.get(at..).unwrap_or_default()
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// Offset of the line break that ends the line of `at`, or the end of the text.
    fn line_end(&self, at: usize) -> usize {
        let rest = self.rest(at);
        at + rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len())
    }

    fn skip_blanks(&self, at: usize) -> usize {
        at + self.rest(at).iter().take_while(|byte| is_blank(**byte)).count()
    }

    /// The end of the name at `at`.
    fn name(&self, at: usize) -> Option<usize> {
        let rest = self.rest(at);
        rest.first().filter(|byte| byte.is_ascii_alphabetic() || **byte == b'_')?;
        let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        Some(at + rest.iter().take_while(is_part).count())
    }

    /// The name of the line whose first visible byte is at `at`, behind an `export`.
    fn head(&self, at: usize) -> Option<(usize, usize)> {
        let end = self.name(at)?;
        let behind = self.skip_blanks(end);
        if self.text.get(at..end) == Some("export") && behind > end {
            // `export = x` assigns to a variable of that name.
            if let Some(end) = self.name(behind) {
                return Some((behind, end));
            }
        }
        Some((at, end))
    }

    /// Reads the line (with a quoted value: lines) at `at` and returns the offset of its line break.
    fn line(&mut self, at: usize) -> usize {
        let end = self.line_end(at);
        let start = self.skip_blanks(at);
        if start == end || self.comment(start, end) {
            return end;
        }
        let Some((name, name_end)) = self.head(start) else {
            self.error(start, end, NO_NAME);
            return end;
        };
        let behind = self.skip_blanks(name_end);
        if behind == end || (behind > name_end && self.byte(behind) == Some(b'#')) {
            // A name alone: an export of what is set elsewhere, or a pass-through.
            self.pair(name, name_end, Style::Plain, Span::new(name_end, name_end), "");
            self.comment(behind, end);
            return end;
        }
        // `NAME: value` is read by the parsers of Compose, node and Ruby, too.
        let is_colon = self.byte(behind) == Some(b':') && matches!(self.byte(behind + 1), None | Some(b' ' | b'\t' | b'\r' | b'\n'));
        if self.byte(behind) != Some(b'=') && !is_colon {
            self.error(behind, end, NO_EQUALS);
            return end;
        }
        let equals = behind + 1;
        let start = self.skip_blanks(equals);
        if let Some(quote @ (b'"' | b'\'' | b'`')) = self.byte(start) {
            return self.quoted(name, name_end, start, quote);
        }
        // A `#` needs a blank before it, or it belongs to the value.
        let value = self.bytes.get(equals..end).unwrap_or_default();
        let comment = value.windows(2).position(|pair| matches!(pair, [b' ' | b'\t', b'#']));
        let comment = comment.map_or(end, |offset| equals + offset + 1);
        let span = match self.trimmed(start, comment) {
            span if span.is_empty() => Span::new(equals, equals),
            span => span,
        };
        self.pair(name, name_end, Style::Plain, span, self.text.get(span.range()).unwrap_or_default());
        self.comment(comment, end);
        end
    }

    fn quoted(&mut self, name: usize, name_end: usize, open: usize, quote: u8) -> usize {
        let first_end = self.line_end(open);
        let Some(close) = self.closing(open, quote).filter(|&close| !self.opens_another(open, close)) else {
            self.error(open, first_end, UNCLOSED);
            let span = self.trimmed(open, first_end);
            self.pair(name, name_end, Style::Plain, span, self.text.get(span.range()).unwrap_or_default());
            return first_end;
        };
        let raw = self.text.get(open + 1..close).unwrap_or_default();
        let (style, value) = if quote == b'"' { (Style::DoubleQuoted, unescape(raw)) } else { (Style::SingleQuoted, Cow::Borrowed(raw)) };
        self.pair(name, name_end, style, Span::new(open, close + 1), &value);
        let end = self.line_end(close);
        let behind = self.skip_blanks(close + 1);
        if behind < end && !self.comment(behind, end) {
            self.error(behind, end, "unexpected text behind the closing quote");
        }
        end
    }

    /// The offset of the quote that closes the one at `open`.
    fn closing(&self, open: usize, quote: u8) -> Option<usize> {
        let mut at = open + 1;
        loop {
            let rest = self.rest(at);
            at += rest.iter().position(|&byte| byte == quote || (byte == b'\\' && quote == b'"'))?;
            if self.byte(at) != Some(quote) {
                at += 2;
            } else if quote != b'"' && self.byte(at - 1) == Some(b'\\') && !self.is_last(at) {
                // Some loaders have `\'` in single quotes; at the end of the line it is a path's backslash.
                at += 1;
            } else {
                return Some(at);
            }
        }
    }

    /// Whether nothing but a comment follows on the line behind `at`.
    fn is_last(&self, at: usize) -> bool {
        matches!(self.byte(self.skip_blanks(at + 1)), None | Some(b'\n' | b'\r' | b'#'))
    }

    /// Whether the quote at `close` belongs to a later assignment, so that the one at `open` is unclosed: it is on
    /// another line, that line is an assignment, and the quote does not end it.
    fn opens_another(&self, open: usize, close: usize) -> bool {
        if self.is_last(close) {
            return false;
        }
        let between = self.bytes.get(open..close).unwrap_or_default();
        let Some(offset) = between.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')) else { return false };
        let head = self.head(self.skip_blanks(open + offset + 1));
        head.is_some_and(|(_, end)| self.byte(self.skip_blanks(end)) == Some(b'='))
    }

    fn pair(&mut self, name: usize, name_end: usize, style: Style, span: Span, value: &str) {
        if self.builder.is_empty() {
            self.builder.open_mapping(Style::Block, Span::new(name, name));
        }
        self.builder.scalar(Style::Plain, Span::new(name, name_end), self.text.get(name..name_end).unwrap_or_default());
        self.builder.scalar(style, span, value);
        self.end = span.end as usize;
    }

    /// Adds the comment at `at`, if one is there.
    fn comment(&mut self, at: usize, end: usize) -> bool {
        let is_comment = at < end && self.byte(at) == Some(b'#');
        if is_comment {
            self.builder.comment(Span::new(at, end));
        }
        is_comment
    }

    /// The span without the blanks at its end.
    fn trimmed(&self, start: usize, end: usize) -> Span {
        let text = self.text.get(start..end).unwrap_or_default();
        Span::new(start, start + text.trim_end_matches([' ', '\t']).len())
    }

    /// Reports the line from `start` on: whoever shows it can mask all of it.
    fn error(&mut self, start: usize, end: usize, message: &str) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(SyntaxError { span: self.trimmed(start, end), message: message.to_owned(), limit: false });
        }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Replaces the escapes that every loader knows; any other backslash stays.
fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut value = String::with_capacity(raw.len());
    let mut letters = raw.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            value.push(letter);
            continue;
        }
        match letters.next() {
            Some('n') => value.push('\n'),
            Some('r') => value.push('\r'),
            Some('t') => value.push('\t'),
            Some(escaped @ ('"' | '\\' | '$')) => value.push(escaped),
            Some(other) => value.extend(['\\', other]),
            None => value.push('\\'),
        }
    }
    Cow::Owned(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every name with what is written as its value and what that means.
    type Pair = (String, String, String);

    fn read(text: &str) -> Parsed {
        parse(&Arc::new(Source { path: ".env".into(), text: text.to_owned(), bom: false }))
    }

    fn pairs(parsed: &Parsed) -> Vec<Pair> {
        let Some(document) = parsed.documents.first() else { return Vec::new() };
        let raw = |span| document.source.slice(span).to_owned();
        document.root().pairs().map(|(key, value)| (raw(key.span()), raw(value.span()), value.text().unwrap_or("?").to_owned())).collect()
    }

    fn strings<const N: usize>(pairs: [(&str, &str, &str); N]) -> Vec<Pair> {
        pairs.into_iter().map(|(key, raw, value)| (key.to_owned(), raw.to_owned(), value.to_owned())).collect()
    }

    /// What is written at every error, and its message's first words.
    fn errors(text: &str, parsed: &Parsed) -> Vec<String> {
        let slice = |error: &SyntaxError| text.get(error.span.range()).unwrap_or("?").to_owned();
        parsed.errors.iter().map(slice).collect()
    }

    #[test]
    fn values_as_loaders_read_them() {
        let text = "\u{20}A=1\nexport B = two words  # c\nC=a#b \t# d\nD='$x \\n' # e\nE=\"\\\"é\\n\\$ \\w\"#f\nF=`a\"b`\nG=\nH= # g\nI=#h\nJ=${X:-y z}\nexport K\nL\nexport=5\nM.n-o_1==\nN='it\\'s'\nO='C:\\'\n";
        for end in ["\n", "\r\n", "\r"] {
            let text = text.replace('\n', end);
            let parsed = read(&text);
            assert!(parsed.errors.is_empty(), "{:?}", errors(&text, &parsed));
            assert_eq!(
                pairs(&parsed),
                strings([
                    ("A", "1", "1"),
                    ("B", "two words", "two words"),
                    ("C", "a#b", "a#b"),
                    ("D", "'$x \\n'", "$x \\n"),
                    ("E", "\"\\\"é\\n\\$ \\w\"", "\"é\n$ \\w"),
                    ("F", "`a\"b`", "a\"b"),
                    ("G", "", ""),
                    ("H", "", ""),
                    ("I", "#h", "#h"),
                    ("J", "${X:-y z}", "${X:-y z}"),
                    ("K", "", ""),
                    ("L", "", ""),
                    ("export", "5", "5"),
                    ("M.n-o_1", "=", "="),
                    ("N", "'it\\'s'", "it\\'s"),
                    ("O", "'C:\\'", "C:\\"),
                ])
            );
            let comments: Vec<_> =
                parsed.documents.iter().flat_map(|document| &document.comments).filter_map(|span| text.get(span.range())).collect();
            assert_eq!(comments, ["# c", "# d", "# e", "#f", "# g"]);
            let root = parsed.documents.first().map(|document| document.root().span());
            assert_eq!(root.and_then(|span| text.get(span.range())), Some(text.trim()));
        }
    }

    #[test]
    fn styles_and_empty_values() {
        let parsed = read("A=\nexport B\nC='c'\nD=\"d\"\nE=`e`\nF=f\n");
        let values: Vec<_> = parsed.documents.iter().flat_map(|document| document.root().pairs()).map(|(_, value)| value).collect();
        let styles: Vec<_> = values.iter().map(|value| value.style()).collect();
        assert_eq!(styles, [Style::Plain, Style::Plain, Style::SingleQuoted, Style::DoubleQuoted, Style::SingleQuoted, Style::Plain]);
        let starts: Vec<_> = values.iter().take(2).map(|value| value.span()).collect();
        assert_eq!(starts, [Span::new(2, 2), Span::new(11, 11)]);
    }

    #[test]
    fn quotes_over_lines() {
        let text = "A=\"x # no\r\n'y'\r\n\" # c\r\nB='é\n\nz'\nC=\"\"\n";
        let parsed = read(text);
        assert!(parsed.errors.is_empty());
        assert_eq!(
            pairs(&parsed),
            strings([("A", "\"x # no\r\n'y'\r\n\"", "x # no\r\n'y'\r\n"), ("B", "'é\n\nz'", "é\n\nz"), ("C", "\"\"", "")])
        );
    }

    #[test]
    fn a_colon_before_a_blank_assigns() {
        let parsed = read("A: b # c\nexport B: 'x'\nC:\n");
        assert!(parsed.errors.is_empty());
        assert_eq!(pairs(&parsed), strings([("A", "b", "b"), ("B", "'x'", "x"), ("C", "", "")]));
    }

    #[test]
    fn a_bad_line_costs_no_other() {
        let text =
            "A:hunter2\nB=1\n1C=hunter2\n D E=hunter2 \nF=\"a\" hunter2\nG='it\nexport H = \"x\"\nI='ok'\nJ=\"\\\"\nK=2\nÄ=hunter2\n";
        let parsed = read(text);
        assert_eq!(errors(text, &parsed), [":hunter2", "1C=hunter2", "E=hunter2", "hunter2", "'it", "\"\\\"", "Ä=hunter2"]);
        assert!(parsed.errors.iter().all(|error| !error.message.contains("hunter2") && !error.limit));
        assert_eq!(
            pairs(&parsed),
            strings([
                ("B", "1", "1"),
                ("F", "\"a\"", "a"),
                ("G", "'it", "'it"),
                ("H", "\"x\"", "x"),
                ("I", "'ok'", "ok"),
                ("J", "\"\\\"", "\"\\\""),
                ("K", "2", "2"),
            ])
        );
    }

    #[test]
    fn duplicates_are_found() {
        let parsed = read("A=1\nB=2\nexport A=3\n");
        assert_eq!(parsed.documents.first().map(|document| document.duplicates.len()), Some(1));
    }

    #[test]
    fn hostile_files() {
        for text in ["", "\n\r\r\n", "# only"] {
            let parsed = read(text);
            assert!(parsed.errors.is_empty() && parsed.documents.iter().all(|document| document.root().is_mapping()), "{text:?}");
        }
        let long = format!("A=\"{}\"\nB=\0\nC=1", "é".repeat(500_000));
        assert_eq!(pairs(&read(&long)).len(), 3);
        // Unclosed quotes of every kind on every line: the time must stay linear.
        for line in ["A=\"\\\"\n", "A='x\nB=\"y\nC=`z\n", "A='\\'x\n", "no name\n", "=\n", "A=\"\\"] {
            let text = line.repeat(100_000);
            let parsed = read(&text);
            assert!(!parsed.errors.is_empty() && parsed.errors.len() <= MAX_ERRORS, "{line:?}");
            assert!(parsed.errors.iter().all(|error| text.get(error.span.range()).is_some()));
        }
    }
}
