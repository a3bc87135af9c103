//! What to mask in a text of any kind, whether it parses or not.

use std::ops::Range;

use super::arguments::inner_span;
use super::judge::{Judge, is_identifier, is_number_like, is_path, substitution_default, unquoted};
use super::keys::{json_web_tokens, private_keys};
use super::urls::url_credentials;
use super::{Kind, Lazy};

pub(super) struct Line<'a> {
    start: usize,
    text: &'a str,
    indent: usize,
}

pub(super) fn lines(text: &str) -> Vec<Line<'_>> {
    let mut start = 0;
    text.split_inclusive('\n')
        .map(|raw| {
            let line = Line { start, text: raw.trim_end_matches(['\n', '\r']), indent: raw.len() - raw.trim_start_matches(' ').len() };
            start += raw.len();
            line
        })
        .collect()
}

impl Judge {
    /// The ranges to mask in a text of any kind, whether it parses or not: the values of credential-named keys
    /// (`KEY=value`, `key: value`, `"key": "value"`, name/value pairs, block scalars, comments too), the data of
    /// Secrets, passwords in URLs and commands, private keys and JSON Web Tokens. Sorted, without overlaps.
    pub(crate) fn redact_lines(&self, text: &str) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        found.extend(url_credentials(text).into_iter().map(|u| u.password));
        found.extend(json_web_tokens(text).into_iter().map(|t| t.span));
        for block in private_keys(text) {
            let body = text.get(block.clone()).unwrap_or_default();
            for line in lines(body) {
                let trimmed = line.text.trim_start();
                if !trimmed.is_empty() {
                    let start = block.start + line.start + (line.text.len() - trimmed.len());
                    found.push(start..start + trimmed.len());
                }
            }
        }
        let lines = lines(text);
        let mut index = 0;
        while let Some(line) = lines.get(index) {
            self.redact_line(&mut found, &lines, index, line);
            index += 1;
        }
        self.redact_secrets(&mut found, &lines);
        found.retain(|r| !r.is_empty());
        found.sort_by_key(|r| (r.start, r.end));
        found.dedup_by(|b, a| {
            let overlap = b.start <= a.end;
            if overlap {
                a.end = a.end.max(b.end);
            }
            overlap
        });
        found
    }

    pub(super) fn redact_line(&self, found: &mut Vec<Range<usize>>, lines: &[Line], index: usize, line: &Line) {
        static PAIR: Lazy =
            Lazy::new(r#"["']?([A-Za-z_][A-Za-z0-9_.\-]*)["']?\s*(?::|=>|=)\s*("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;}\]#"'][^\s,;}\]"']*)"#);
        static NAME: Lazy = Lazy::new(r#"\b(?:name|key|Name|Key)["']?\s*[:=]\s*["']?([A-Za-z_][A-Za-z0-9_.\-]*)"#);
        static VALUE: Lazy = Lazy::new(r#"\b[vV]alue["']?\s*[:=]\s*("(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,}\]][^,}\]]*)"#);
        if !line.text.bytes().any(|b| matches!(b, b':' | b'=' | b' ')) {
            return;
        }
        if let Some((key, value)) = leading_pair(line.text)
            && let Some(kind) = line.text.get(key).and_then(|k| self.credential_name(k))
        {
            self.redact_value(found, lines, index, line, value, kind);
        }
        let credential_word = has_credential_word(line.text);
        if credential_word && let Some(pair) = PAIR.get() {
            for captures in pair.captures_iter(line.text) {
                let (Some(key), Some(value)) = (captures.get(1), captures.get(2)) else {
                    continue;
                };
                if let Some(kind) = self.credential_name(key.as_str())
                    && self.maskable(kind, value.as_str())
                {
                    let inner = inner_span(line.text.get(..value.end()).unwrap_or_default(), value.start());
                    found.push(line.start + inner.start..line.start + inner.end);
                }
            }
        }
        if credential_word
            && let Some(name) = NAME.get().and_then(|r| r.captures(line.text)).and_then(|c| c.get(1))
            && self.credential_name(name.as_str()).is_some()
        {
            let near = [index.checked_sub(1), Some(index), Some(index + 1), Some(index + 2)];
            for at in near.into_iter().flatten() {
                let Some(other) = lines.get(at) else { continue };
                let begins_item = at > index && other.text.trim_start().starts_with("- ");
                if begins_item {
                    break;
                }
                if let Some(value) = VALUE.get().and_then(|r| r.captures(other.text)).and_then(|c| c.get(1))
                    && (self.maskable(Kind::Password, value.as_str()) || is_block_header(value.as_str()))
                {
                    self.redact_value(found, lines, at, other, value.start(), Kind::Password);
                }
            }
        }
        if [" -", "\"-", "'-", "=", "uthorization", "-Key:", "-key:", "oken:"].iter().any(|w| line.text.contains(w)) {
            let trimmed = line.text.trim_start_matches([' ', '-', '#']);
            let offset = line.text.len() - trimmed.len();
            // A list in flow form is a command whose words are quoted.
            let plain: String = trimmed.chars().map(|c| if matches!(c, '[' | ']' | ',') { ' ' } else { c }).collect();
            let spans = if plain.len() == trimmed.len() { self.in_command(&plain) } else { self.in_command(trimmed) };
            found.extend(spans.into_iter().map(|a| line.start + offset + a.span.start..line.start + offset + a.span.end));
        }
        // The value of an option may stand on the next line of a list.
        let item = line.text.trim_start().trim_start_matches(['#', ' ']);
        if let Some(option) = item.strip_prefix("- ").map(|o| unquoted(o.trim())).filter(|o| o.starts_with('-') && !o.contains(['=', ' ']))
            && (self.credential_name(option.trim_start_matches('-')).is_some()
                || matches!(option, "-a" | "-p" | "-u" | "-w" | "-P" | "--user"))
            && let Some(next) = lines.get(index + 1)
            && let Some(dash) = next.text.find("- ")
            && next.text.get(..dash).is_some_and(|lead| lead.trim().is_empty())
        {
            let value = next.text.get(dash + 2..).unwrap_or_default().trim();
            if !value.starts_with('-') && self.maskable(Kind::Password, value) {
                let start = next.start + next.text.len() - next.text.get(dash + 2..).unwrap_or_default().trim_start().len();
                found.push(start..next.start + next.text.trim_end().len());
            }
        }
    }

    /// Masks the value that begins at `at` in a line, with the lines that go on with it.
    pub(super) fn redact_value(&self, found: &mut Vec<Range<usize>>, lines: &[Line], index: usize, line: &Line, at: usize, kind: Kind) {
        let value = line.text.get(at..).unwrap_or_default();
        let trimmed = value.trim_end();
        if trimmed.is_empty() || is_block_header(trimmed) {
            // A block scalar, or a list of credentials.
            let block = !trimmed.is_empty();
            let base = line.indent + usize::from(line.text.trim_start().starts_with("- "));
            for next in lines.get(index + 1..).unwrap_or_default() {
                let content = next.text.trim();
                if content.is_empty() {
                    continue;
                }
                let item = content.strip_prefix("- ");
                if next.indent < base || (next.indent == base && (block || item.is_none())) || (block && next.indent <= line.indent) {
                    break;
                }
                let masked = if block { content } else { item.unwrap_or_default() };
                if masked.is_empty() || (!block && (masked.contains(": ") || !self.maskable(kind, masked))) {
                    if block {
                        continue;
                    }
                    break;
                }
                let start = next.start + next.text.len() - next.text.trim_start().len() + content.len() - masked.len();
                found.push(start..start + masked.len());
            }
            return;
        }
        let quote = trimmed.chars().next().filter(|c| matches!(c, '"' | '\''));
        if let Some(q) = quote
            && !trimmed.get(1..).is_some_and(|t| t.contains(q))
        {
            // A quoted value that goes on: up to the line that closes it.
            found.push(line.start + at..line.start + at + trimmed.len());
            for next in lines.get(index + 1..).unwrap_or_default().iter().take(60) {
                let lead = next.text.len() - next.text.trim_start().len();
                found.push(next.start + lead..next.start + next.text.trim_end().len());
                if next.text.contains(q) {
                    break;
                }
            }
            return;
        }
        // A YAML comment after the value is no part of it, but masking it does no harm where the value has quotes.
        let text = if let Some(q) = quote {
            trimmed.get(1..).and_then(|t| t.find(q)).and_then(|end| trimmed.get(..end + 2)).unwrap_or(trimmed)
        } else {
            let text = trimmed.split(" #").next().unwrap_or(trimmed).trim_end().trim_end_matches(',');
            let flow = line.text.get(..at).is_some_and(|before| before.contains('{'));
            if flow { text.split(['}', ',']).next().unwrap_or(text).trim_end() } else { text }
        };
        if self.maskable(kind, text) {
            let inner = inner_span(line.text.get(..at + text.len()).unwrap_or_default(), at);
            found.push(line.start + inner.start..line.start + inner.end);
        }
    }

    /// The values below `data` and `stringData` of a Secret, whatever their keys are.
    pub(super) fn redact_secrets(&self, found: &mut Vec<Range<usize>>, lines: &[Line]) {
        static FLAT: Lazy = Lazy::new(r#""([A-Za-z0-9_.-]+)"\s*:\s*"([^"\\]{4,})""#);
        let mut from = 0;
        while from < lines.len() {
            let document = lines.get(from..).unwrap_or_default();
            let length = document.iter().skip(1).position(|l| l.text.starts_with("---")).map_or(document.len(), |i| i + 1);
            let document = document.get(..length).unwrap_or_default();
            from += length.max(1);
            let is_secret = document.iter().any(|l| {
                let t = l.text.trim_start_matches([' ', '-', '"', ',', '{']);
                t.strip_prefix("kind").is_some_and(|r| r.trim_start_matches(['"', ':', ' ']).trim_end_matches(['"', ',', ' ']) == "Secret")
                    || (l.text.contains("\"kind\"") && l.text.contains("\"Secret\""))
            });
            if !is_secret {
                continue;
            }
            for line in document.iter().filter(|l| l.text.contains("\"kind\"") && l.text.contains("\"Secret\"")) {
                // A Secret in one line of JSON: everything but its identity.
                for captures in FLAT.get().into_iter().flat_map(|r| r.captures_iter(line.text)) {
                    let identity =
                        captures.get(1).is_some_and(|k| matches!(k.as_str(), "kind" | "apiVersion" | "name" | "namespace" | "type"));
                    if let Some(value) = captures.get(2).filter(|_| !identity) {
                        found.push(line.start + value.start()..line.start + value.end());
                    }
                }
            }
            let mut data: Option<usize> = None;
            for (index, line) in document.iter().enumerate() {
                let content = line.text.trim();
                if content.is_empty() {
                    continue;
                }
                if data.is_some_and(|indent| line.indent <= indent) {
                    data = None;
                }
                if data.is_some()
                    && let Some((_, value)) = leading_pair(line.text)
                {
                    self.redact_value(found, document, index, line, value, Kind::Password);
                }
                if matches!(content, "data:" | "stringData:" | "\"data\": {" | "\"stringData\": {") {
                    data = Some(line.indent);
                }
            }
        }
    }

    /// Whether a value is worth masking: not a reference, a boolean, a path or a name.
    pub(super) fn maskable(&self, kind: Kind, value: &str) -> bool {
        let value = unquoted(value.trim());
        if value.len() < 2 || is_block_header(value) {
            return false;
        }
        if let Some(default) = substitution_default(value) {
            return value.get(default).is_some_and(|d| self.maskable(kind, d));
        }
        let lower = value.to_ascii_lowercase();
        if self.words.not_values.contains(&lower) || matches!(value, "{}" | "[]") || value.starts_with(['{', '[', '&']) {
            return false;
        }
        if value.bytes().all(|b| b.is_ascii_digit()) {
            return kind == Kind::Password || value.len() >= 6;
        }
        !(self.is_reference(value, &lower) && !value.contains("-----BEGIN")
            || is_number_like(value)
            || is_path(value)
            || (kind == Kind::Loose && is_identifier(value) && !self.is_default(&lower)))
    }
}

pub(super) fn is_block_header(value: &str) -> bool {
    matches!(value.bytes().next(), Some(b'|' | b'>')) && value.len() <= 4
        || value.starts_with('|') && value.trim_start_matches(['|', '-', '+', ' ']).starts_with('#')
}

pub(super) fn has_credential_word(text: &str) -> bool {
    static WORD: Lazy = Lazy::new(r"(?i)pass|pwd|secret|token|key|cred|auth|_pat\b|connection|mnemonic");
    WORD.is_match(text)
}

/// The key and the start of the value of a line that is one pair: `KEY=value`, `key: value`, `"key": value`,
/// with list dashes, comment signs and `export` before it.
pub(super) fn leading_pair(line: &str) -> Option<(Range<usize>, usize)> {
    let bytes = line.as_bytes();
    let mut at = bytes.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'#' | b'/' | b'-' | b'{' | b',' | b'+' | b'|' | b';')).count();
    for word in ["export ", "ENV ", "ARG ", "set ", "Environment="] {
        if line.get(at..).is_some_and(|l| l.starts_with(word)) {
            at += word.len();
        }
    }
    let quote = bytes.get(at).copied().filter(|b| matches!(b, b'"' | b'\''));
    let start = at + usize::from(quote.is_some());
    let length = bytes.get(start..)?.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'/')).count();
    if length == 0 {
        return None;
    }
    let key = start..start + length;
    let mut end = key.end;
    // `"KEY=value"` closes its quote after the value.
    if quote.is_some() && bytes.get(end) == quote.as_ref() {
        end += 1;
    }
    let blank = |from: usize| bytes.get(from..).unwrap_or_default().iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    end += blank(end);
    match bytes.get(end) {
        Some(b'=') => end += 1,
        Some(b':') if bytes.get(end + 1).is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'')) => {
            end += 1;
        }
        _ => return None,
    }
    end += blank(end);
    Some((key, end))
}
