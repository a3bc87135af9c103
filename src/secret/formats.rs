//! Tokens of a known format: one automaton over keywords, then a pattern near each hit.

use aho_corasick::AhoCorasick;
use aho_corasick::AhoCorasickKind;
use aho_corasick::MatchKind;
use regex::Regex;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::OnceLock;

use super::{Words, compile};

/// One token format of a rule file.
#[derive(Debug, Clone)]
pub(crate) struct Format {
    pub(crate) name: String,
    /// A fixed part that must stand in the text, compared exactly.
    pub(crate) keyword: String,
    pub(crate) pattern: String,
}

/// A token found by its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match {
    /// Index into the formats that the detector was built from.
    pub(crate) format: usize,
    pub(crate) span: Range<usize>,
}

#[derive(Debug)]
pub(super) struct Compiled {
    format: Format,
    regex: OnceLock<Option<Regex>>,
    /// The pattern begins with a word boundary and the keyword, so a hit inside a word is none.
    leading: bool,
    /// How far after the keyword the pattern may look.
    reach: usize,
}

/// Finds token formats in text: one automaton over the keywords, then a pattern near each hit.
#[derive(Debug)]
pub(crate) struct Detector {
    pub(super) formats: Vec<Compiled>,
    pub(super) automaton: Option<AhoCorasick>,
    /// Values that products publish: a default, whatever format they have.
    pub(super) published: HashSet<String>,
    /// The formats of each keyword of the automaton.
    pub(super) by_keyword: Vec<Vec<usize>>,
}

pub(super) const BEFORE: usize = 512;
pub(super) const AFTER: usize = 2048;
pub(super) const BLOCK: usize = 16 * 1024;

impl Detector {
    /// Builds from the formats of all rules; a pattern that does not compile is an error that names it.
    pub(crate) fn new(formats: Vec<Format>) -> Result<Self, String> {
        let mut keywords: Vec<String> = Vec::new();
        let mut by_keyword: Vec<Vec<usize>> = Vec::new();
        let mut compiled = Vec::with_capacity(formats.len());
        for (index, format) in formats.into_iter().enumerate() {
            if format.keyword.len() < 2 {
                return Err(format!("the keyword of the format `{}` is shorter than two characters", format.name));
            }
            if let Some(i) = keywords.iter().position(|k| *k == format.keyword) {
                if let Some(list) = by_keyword.get_mut(i) {
                    list.push(index);
                }
            } else {
                keywords.push(format.keyword.clone());
                by_keyword.push(vec![index]);
            }
            let plain = format.pattern.trim_start_matches('(');
            let leading = plain.starts_with(&format!(r"\b{}", regex::escape(&format.keyword)))
                || plain.starts_with(&format!(r"\b({}", regex::escape(&format.keyword)));
            let reach = if format.pattern.contains("(?s)") || format.keyword.starts_with("-----") { BLOCK } else { AFTER };
            compiled.push(Compiled { format, regex: OnceLock::new(), leading, reach });
        }
        let automaton = if keywords.is_empty() {
            None
        } else {
            Some(
                AhoCorasick::builder()
                    .kind(Some(AhoCorasickKind::DFA))
                    .match_kind(MatchKind::Standard)
                    .build(&keywords)
                    .map_err(|e| e.to_string())?,
            )
        };
        Ok(Self { formats: compiled, automaton, published: HashSet::new(), by_keyword })
    }

    /// Leaves out the values that the words publish: they are defaults, whatever format they have.
    pub(crate) fn except_published(mut self, words: &Words) -> Self {
        self.published = words.defaults.iter().chain(&words.emulator_keys).cloned().collect();
        self
    }

    /// Compiles every pattern, which `scan` does only when a keyword stands in the text; for tests of rule files.
    pub(crate) fn check_patterns(&self) -> Result<(), String> {
        for c in &self.formats {
            Regex::new(&c.format.pattern).map_err(|e| format!("the pattern of the format `{}` does not compile: {e}", c.format.name))?;
        }
        Ok(())
    }

    pub(super) fn is_published(&self, token: &str) -> bool {
        self.published.contains(token) || self.published.contains(&token.to_ascii_lowercase())
    }

    /// Every token in the text, by position. Documented examples are dropped.
    pub(crate) fn scan(&self, text: &str) -> Vec<Match> {
        let mut found: Vec<Match> = Vec::new();
        let Some(automaton) = &self.automaton else {
            return found;
        };
        let bytes = text.as_bytes();
        let mut searched = vec![0_usize; self.formats.len()];
        for hit in automaton.find_overlapping_iter(text) {
            let inside_word =
                hit.start().checked_sub(1).and_then(|i| bytes.get(i)).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
            for &index in self.by_keyword.get(hit.pattern().as_usize()).into_iter().flatten() {
                let Some(compiled) = self.formats.get(index) else {
                    continue;
                };
                let Some(done) = searched.get_mut(index) else {
                    continue;
                };
                if (compiled.leading && inside_word) || hit.start() < *done {
                    continue;
                }
                let (window, complete) = window(text, hit.start(), hit.end(), compiled.reach);
                *done = if complete { window.end } else { window.end.saturating_sub(compiled.reach / 2).max(hit.end()) };
                let Some(regex) = compiled.regex.get_or_init(|| compile(&compiled.format.pattern)) else {
                    continue;
                };
                let Some(part) = text.get(window.clone()) else {
                    continue;
                };
                for captures in regex.captures_iter(part) {
                    let Some(token) = captures.get(1).or_else(|| captures.get(0)) else {
                        continue;
                    };
                    if !is_documented_example(token.as_str()) && !self.is_published(token.as_str()) {
                        found.push(Match { format: index, span: window.start + token.start()..window.start + token.end() });
                    }
                }
            }
        }
        found.sort_by_key(|m| (m.span.start, std::cmp::Reverse(m.span.end), m.format));
        found.dedup();
        found
    }
}

/// The text around a keyword: its line, cut where the line is very long; the block after it for patterns that
/// go over lines. The flag tells whether the end is the line's end.
pub(super) fn window(text: &str, start: usize, end: usize, reach: usize) -> (Range<usize>, bool) {
    let bytes = text.as_bytes();
    let floor = start.saturating_sub(BEFORE);
    let ceiling = end.saturating_add(reach).min(bytes.len());
    let from = bytes.get(floor..start).and_then(|b| b.iter().rposition(|b| *b == b'\n')).map_or(floor, |i| floor + i + 1);
    let newline = if reach == BLOCK { None } else { bytes.get(end..ceiling).and_then(|b| b.iter().position(|b| *b == b'\n')) };
    let (to, complete) = newline.map_or((ceiling, ceiling == bytes.len()), |i| (end + i, true));
    (floor_boundary(text, from)..floor_boundary(text, to), complete)
}

pub(super) fn floor_boundary(text: &str, mut at: usize) -> usize {
    while at > 0 && !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A token that documentation shows: it says so, or its characters are repeated or in sequence.
pub(crate) fn is_documented_example(token: &str) -> bool {
    const SAYS: &[&str] = &[
        "example",
        "xxxx",
        "placeholder",
        "redacted",
        "changeme",
        "your-",
        "your_",
        "yourapi",
        "notreal",
        "dummy",
        "...",
        "****",
        "invalid",
    ];
    let lower = token.to_ascii_lowercase();
    if SAYS.iter().any(|w| lower.contains(w)) {
        return true;
    }
    let (mut equal, mut up, mut before) = (1_u32, 1_u32, None::<u8>);
    for b in lower.bytes() {
        if before == Some(b) && b.is_ascii_alphanumeric() {
            equal += 1;
        } else {
            equal = 1;
        }
        let next = before.is_some_and(|p| b == p.wrapping_add(1) || (p == b'9' && matches!(b, b'0' | b'a')));
        up = if next && b.is_ascii_alphanumeric() { up + 1 } else { 1 };
        if equal >= 7 || up >= 8 {
            return true;
        }
        before = Some(b);
    }
    let body: Vec<u8> = lower.bytes().rev().take(24).collect();
    body.len() == 24 && body.iter().collect::<HashSet<_>>().len() < 6
}
