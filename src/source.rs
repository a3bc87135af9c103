//! The text of a file: decoding, spans, and the only place that turns bytes into lines and columns.

use std::sync::Arc;

/// A byte range of a source's text, end exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// The span from `start` to `end`, both byte offsets.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end.max(start) as u32 }
    }

    /// Whether it holds no byte.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The span as a range for slicing.
    #[must_use]
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The same span of a text that begins `offset` bytes later.
    #[must_use]
    pub(crate) fn moved(self, offset: u32) -> Self {
        Self { start: self.start + offset, end: self.end + offset }
    }

    /// Whether all of another span lies in this one.
    #[must_use]
    pub(crate) fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Whether the two share a byte.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// Why a file's bytes are not text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// Not UTF-8; the offset of the first bad byte.
    #[error("the file is not UTF-8 text (first invalid byte at offset {0}); save it as UTF-8")]
    NotUtf8(usize),
    /// A byte order mark of UTF-16, but the rest does not decode.
    #[error("the file begins as UTF-16 but does not decode; save it as UTF-8")]
    BrokenUtf16,
    /// Offsets are 32 bits.
    #[error("the file is larger than the limit of {0} MiB")]
    TooLarge(usize),
}

/// The largest source that is read, in bytes.
pub(crate) const MAX_SOURCE: usize = 256 << 20;

/// A file's text, without a byte order mark.
#[derive(Debug)]
pub(crate) struct Source {
    /// Path from the root, separated by `/`.
    pub(crate) path: Arc<str>,
    /// The text; every span of the file's documents refers to it.
    pub(crate) text: String,
    /// Whether a byte order mark stood before the text.
    pub(crate) bom: bool,
}

impl Source {
    /// Decodes UTF-8 (with or without a byte order mark) or UTF-16 with one.
    pub(crate) fn decode(path: Arc<str>, bytes: Vec<u8>) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_SOURCE {
            return Err(DecodeError::TooLarge(MAX_SOURCE >> 20));
        }
        let utf16 = |big: bool| {
            let units = bytes.get(2..).unwrap_or_default().chunks(2).map(|pair| match pair {
                [a, b] if big => u16::from_be_bytes([*a, *b]),
                [a, b] => u16::from_le_bytes([*a, *b]),
                // An odd last byte: a lone surrogate, so that decoding fails.
                _ => 0xD800,
            });
            char::decode_utf16(units).collect::<Result<String, _>>().map_err(|_| DecodeError::BrokenUtf16)
        };
        match bytes.as_slice() {
            [0xFF, 0xFE, ..] => Ok(Self { path, text: utf16(false)?, bom: true }),
            [0xFE, 0xFF, ..] => Ok(Self { path, text: utf16(true)?, bom: true }),
            _ => {
                let mut text = String::from_utf8(bytes).map_err(|error| DecodeError::NotUtf8(error.utf8_error().valid_up_to()))?;
                let bom = text.starts_with('\u{feff}');
                if bom {
                    text.drain(..'\u{feff}'.len_utf8());
                }
                Ok(Self { path, text, bom })
            }
        }
    }

    /// The text of a span; empty where the span does not fit the text.
    pub(crate) fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }
}

/// A position for people: 1-based line and column, columns in Unicode code points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// 1-based line.
    pub line: u32,
    /// 1-based column in Unicode code points.
    pub column: u32,
}

/// The text of a reported source with every secret masked, and its line starts.
///
/// Masking keeps the length in bytes, so the spans of findings fit.
#[derive(Clone, Debug)]
pub struct MaskedText {
    text: String,
    lines: Vec<u32>,
}

impl MaskedText {
    /// Masks `secrets` (any order, overlaps allowed) in `text`.
    pub(crate) fn new(text: &str, secrets: &[Span]) -> Self {
        let mut masked = String::with_capacity(text.len());
        let mut spans: Vec<Span> = secrets.to_vec();
        spans.sort_unstable();
        let mut spans = spans.into_iter().peekable();
        let mut lines = vec![0];
        for (offset, character) in text.char_indices() {
            while spans.next_if(|span| span.end as usize <= offset).is_some() {}
            let secret = spans.peek().is_some_and(|span| span.start as usize <= offset);
            masked.push(if secret { mask(character) } else { character });
            let next = text.as_bytes().get(offset + 1);
            if character == '\n' || (character == '\r' && next != Some(&b'\n')) {
                lines.push(offset as u32 + 1);
            }
        }
        Self { text: masked, lines }
    }

    /// The whole masked text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The number of lines; a final line break does not begin another.
    pub fn line_count(&self) -> usize {
        let last_is_empty = self.lines.last().is_some_and(|&start| start as usize == self.text.len());
        self.lines.len() - usize::from(last_is_empty && self.lines.len() > 1)
    }

    /// The byte span of a 1-based line, without its line break.
    pub fn line_span(&self, line: u32) -> Span {
        let index = line.saturating_sub(1) as usize;
        let start = self.lines.get(index).copied().unwrap_or(self.text.len() as u32) as usize;
        let end = self.lines.get(index + 1).map_or(self.text.len(), |&next| next as usize);
        let body = self.text.get(start..end).unwrap_or_default();
        Span::new(start, start + body.trim_end_matches(['\r', '\n']).len())
    }

    /// Line and column of a byte offset.
    pub fn position(&self, offset: u32) -> Position {
        let index = self.lines.partition_point(|&start| start <= offset).saturating_sub(1);
        let start = self.lines.get(index).copied().unwrap_or_default();
        let before = self.text.get(start as usize..(offset as usize).min(self.text.len())).unwrap_or_default();
        Position { line: index as u32 + 1, column: before.chars().count() as u32 + 1 }
    }
}

/// A character of the same length in UTF-8 (and so in UTF-16) that says nothing; line structure stays.
fn mask(character: char) -> char {
    match character {
        '\n' | '\r' | '\t' | ' ' => character,
        _ => match character.len_utf8() {
            1 => '*',
            2 => '\u{d7}',
            3 => '\u{2022}',
            _ => '\u{1f512}',
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_keep_bytes_lines_and_neighbours() {
        let text = "a: sécret😀€\nb: 1\r\nc\rd";
        let start = text.find("sé").unwrap_or_default();
        let end = text.find("\nb").unwrap_or_default();
        let masked = MaskedText::new(text, &[Span::new(start, end), Span::new(start + 1, start + 3)]);
        assert_eq!(masked.text().len(), text.len());
        assert_eq!(masked.text(), "a: *×****🔒•\nb: 1\r\nc\rd");
        assert_eq!(masked.position(masked.text().find("b:").unwrap_or_default() as u32), Position { line: 2, column: 1 });
        assert_eq!(masked.position(text.len() as u32), Position { line: 4, column: 2 });
        assert_eq!(masked.line_span(2), Span::new(end + 1, end + 5));
        assert_eq!(masked.line_count(), 4);
    }

    #[test]
    fn decodes_marks_and_utf16() {
        let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain("a: é".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let source = Source::decode("x".into(), utf16);
        assert_eq!(source.map(|source| source.text), Ok("a: é".to_owned()));
        let source = Source::decode("x".into(), b"\xEF\xBB\xBFa".to_vec());
        assert_eq!(source.map(|source| (source.text, source.bom)), Ok(("a".to_owned(), true)));
        assert_eq!(Source::decode("x".into(), vec![b'a', 0xC3]).err(), Some(DecodeError::NotUtf8(1)));
        assert_eq!(Source::decode("x".into(), vec![0xFF, 0xFE, 0x41]).err(), Some(DecodeError::BrokenUtf16));
    }
}
