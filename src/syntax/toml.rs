//! TOML through `toml`'s spanned tables. They sort their keys and know a table only by its header: the order
//! of the text and the extent of every table are restored from the spans.

use std::borrow::Cow;
use std::sync::Arc;

use ::toml::de::{DeTable, DeValue, Error};

use super::{Builder, DUPLICATE_KEY, Parsed, Style, Syntax, SyntaxError};
use crate::source::{Source, Span};

/// Deeper nesting than any deployment file has; the library's own limits multiply to thousands of levels.
const MAX_NESTING: usize = 200;
/// The brackets and dots at one place beyond which a file is not parsed at all.
const MAX_DOTS: usize = 1000;
/// A file of noise must not become a list of errors longer than itself.
const MAX_ERRORS: usize = 100;
/// The span of what is written nowhere: neutral in `join`.
const NOWHERE: Span = Span { start: u32::MAX, end: 0 };

pub(super) fn parse(source: &Arc<Source>) -> Parsed {
    let text = source.text.as_str();
    // Only brackets multiply what dots do.
    if text.contains('{')
        && let Some(span) = too_deep(text.as_bytes())
    {
        return Parsed { documents: Vec::new(), errors: vec![limit(span)] };
    }
    let (table, found) = DeTable::parse_recoverable(text);
    let mut errors: Vec<SyntaxError> = found.iter().take(MAX_ERRORS).map(|error| syntax_error(error, text)).collect();
    let mut items = collect(table.into_inner(), text, &mut errors);
    restore(&mut items);
    let mut builder = Builder::new(source, Syntax::Toml, items.len() * 2);
    build(&mut builder, &items, text);
    if text.contains('#') {
        scan(text.as_bytes(), |byte, span| {
            if byte == b'#' {
                builder.comment(span);
            }
        });
    }
    errors.sort_by_key(|error| error.span);
    Parsed { documents: vec![builder.finish(text.len())], errors }
}

enum Shape<'t> {
    Scalar(Style, Cow<'t, str>),
    Sequence(Style),
    Mapping(Style),
}

/// A value of the file. Children stand behind their parent, so that one pass backwards sums up extents.
struct Item<'t> {
    key: Option<(Span, Cow<'t, str>)>,
    shape: Shape<'t>,
    span: Span,
    parent: usize,
    children: Vec<usize>,
}

impl Item<'_> {
    /// From the first to the last byte of key and value; a header's table begins before its key.
    fn extent(&self) -> Span {
        join(self.span, self.key.as_ref().map_or(NOWHERE, |(span, _)| *span))
    }
}

fn join(one: Span, other: Span) -> Span {
    Span { start: one.start.min(other.start), end: one.end.max(other.end) }
}

/// A container whose children are still to be collected. Beyond the nesting limit it has no parent: it is
/// only taken apart, because dropping it whole would recurse.
struct Pending<'t> {
    value: DeValue<'t>,
    parent: Option<usize>,
    depth: usize,
}

fn collect<'t>(root: DeTable<'t>, text: &'t str, errors: &mut Vec<SyntaxError>) -> Vec<Item<'t>> {
    let shape = Shape::Mapping(Style::Block);
    let mut items = vec![Item { key: None, shape, span: NOWHERE, parent: 0, children: Vec::new() }];
    let mut pending = vec![Pending { value: DeValue::Table(root), parent: Some(0), depth: 0 }];
    let mut limited = false;
    while let Some(Pending { value, parent, depth }) = pending.pop() {
        let mut add = |key: Option<(Span, Cow<'t, str>)>, range: std::ops::Range<usize>, value: DeValue<'t>| {
            let (shape, span) = describe(key.as_ref().map(|(span, _)| *span), Span::new(range.start, range.end), &value, text);
            let is_container = !matches!(shape, Shape::Scalar(..));
            let mut own = None;
            if let Some(parent) = parent {
                if depth < MAX_NESTING {
                    own = Some(items.len());
                    items.push(Item { key, shape, span, parent, children: Vec::new() });
                } else if !limited {
                    limited = true;
                    errors.push(limit(clamp(text, key.map_or(range, |(span, _)| span.range()))));
                }
            }
            if is_container {
                pending.push(Pending { value, parent: own, depth: depth + 1 });
            }
        };
        match value {
            DeValue::Table(table) => {
                for (key, value) in table {
                    let span = key.span();
                    add(Some((Span::new(span.start, span.end), key.into_inner())), value.span(), value.into_inner());
                }
            }
            DeValue::Array(array) => array.into_iter().for_each(|value| add(None, value.span(), value.into_inner())),
            _ => {}
        }
    }
    items
}

/// The shape of a value and the span it has of itself, without its children.
fn describe<'t>(key: Option<Span>, span: Span, value: &DeValue<'t>, text: &'t str) -> (Shape<'t>, Span) {
    let first = text.as_bytes().get(span.start as usize);
    match value {
        // A table without a header is given the span of the key that implies it.
        DeValue::Table(_) if key == Some(span) => (Shape::Mapping(Style::Block), NOWHERE),
        DeValue::Table(_) => (Shape::Mapping(if first == Some(&b'{') { Style::Flow } else { Style::Block }), span),
        // An array of tables has its first header's span, and so has the first table in it.
        DeValue::Array(array) => {
            let headers = array.first().is_some_and(|first| Span::new(first.span().start, first.span().end) == span);
            (Shape::Sequence(if headers { Style::Block } else { Style::Flow }), span)
        }
        // In a broken file a missing value has no place; it is put behind its key.
        _ if key.is_some_and(|key| span.start < key.end) => {
            let end = key.map_or(0, |key| key.end as usize);
            (Shape::Scalar(Style::Plain, Cow::Borrowed("")), Span::new(end, end))
        }
        _ => {
            let raw = text.get(span.range()).unwrap_or_default();
            let style = style_at(text, span);
            let decoded = match value {
                DeValue::String(value) if style != Style::Plain => value.clone(),
                // Numbers of another base are read as decimal ones from here on.
                DeValue::Integer(value) if value.radix() != 10 => {
                    u64::from_str_radix(value.as_str(), value.radix()).map_or(Cow::Borrowed(raw), |value| Cow::Owned(value.to_string()))
                }
                _ => Cow::Borrowed(raw),
            };
            (Shape::Scalar(style, decoded), span)
        }
    }
}

/// Grows every container over its content and puts children into the order of the text.
fn restore(items: &mut [Item<'_>]) {
    let mut starts = vec![0; items.len()];
    for index in (0..items.len()).rev() {
        let Some(item) = items.get_mut(index) else { continue };
        if item.span == NOWHERE {
            // Without content: an empty file, or a table that was cut off.
            item.span = item.key.as_ref().map_or(Span::default(), |(span, _)| *span);
        }
        item.children.sort_by_key(|&child| starts.get(child).copied().unwrap_or_default());
        let (extent, parent) = (item.extent(), item.parent);
        if let Some(start) = starts.get_mut(index) {
            *start = extent.start;
        }
        if index != 0
            && let Some(parent) = items.get_mut(parent)
        {
            parent.span = join(parent.span, extent);
            parent.children.push(index);
        }
    }
}

fn build(builder: &mut Builder, items: &[Item<'_>], text: &str) {
    enum Step {
        Enter(usize),
        Close(u32),
    }
    // Not recursive: the stack of a worker thread is small.
    let mut steps = vec![Step::Enter(0)];
    while let Some(step) = steps.pop() {
        let item = match step {
            Step::Close(end) => {
                builder.close(end as usize);
                continue;
            }
            Step::Enter(index) => items.get(index),
        };
        let Some(item) = item else { continue };
        if let Some((span, name)) = &item.key {
            builder.scalar(style_at(text, *span), *span, name);
        }
        match &item.shape {
            Shape::Scalar(style, value) => {
                builder.scalar(*style, item.span, value);
                continue;
            }
            Shape::Sequence(style) => builder.open_sequence(*style, item.span),
            Shape::Mapping(style) => builder.open_mapping(*style, item.span),
        };
        steps.push(Step::Close(item.span.end));
        steps.extend(item.children.iter().rev().map(|&child| Step::Enter(child)));
    }
}

fn style_at(text: &str, span: Span) -> Style {
    match text.as_bytes().get(span.start as usize) {
        Some(b'"') if !span.is_empty() => Style::DoubleQuoted,
        Some(b'\'') if !span.is_empty() => Style::SingleQuoted,
        _ => Style::Plain,
    }
}

/// Visits every comment and every other byte outside of strings; outside of comments a quote always begins one.
fn scan(bytes: &[u8], mut visit: impl FnMut(u8, Span)) {
    let mut at = 0;
    while let Some(rest @ [byte, tail @ ..]) = bytes.get(at..) {
        let length = match byte {
            b'#' => 1 + tail.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(tail.len()),
            b'"' | b'\'' => string_length(rest),
            _ => 1,
        };
        if !matches!(byte, b'"' | b'\'') {
            visit(*byte, Span::new(at, at + length));
        }
        at += length;
    }
}

/// Where the file nests too deep for the library, which drops refused values recursively: it limits dotted
/// keys and brackets, but not their product.
fn too_deep(bytes: &[u8]) -> Option<Span> {
    let mut found = None;
    // The dots of the current key in every open bracket, and their sum.
    let mut open = vec![(b'\n', 0_usize)];
    let mut dots = 0;
    scan(bytes, |byte, span| {
        let Some((bracket, own)) = open.last_mut() else { return };
        match byte {
            b'.' => {
                *own += 1;
                dots += 1;
            }
            b',' | b'\n' => dots -= std::mem::take(own),
            b'}' | b']' if *bracket == byte => {
                dots -= *own;
                open.pop();
            }
            b'{' => open.push((b'}', 0)),
            b'[' => open.push((b']', 0)),
            _ => {}
        }
        if dots + open.len() > MAX_DOTS && found.is_none() {
            found = Some(span);
        }
    });
    found
}

/// The length of the string that `bytes` begin with; an unclosed one ends with its line.
fn string_length(bytes: &[u8]) -> usize {
    let quote = bytes.first().copied().unwrap_or_default();
    let multiline = bytes.starts_with(&[quote; 3]);
    let mut at = if multiline { 3 } else { 1 };
    while let Some(&byte) = bytes.get(at) {
        if byte == b'\\' && quote == b'"' {
            at += 2;
        } else if byte == quote && multiline {
            let run = bytes.get(at..).unwrap_or_default().iter().take_while(|&&byte| byte == quote).count();
            // Up to two quotes may stand before the three that close it.
            at += run.min(5);
            if run >= 3 {
                return at;
            }
        } else if byte == quote {
            return at + 1;
        } else if byte == b'\n' && !multiline {
            return at;
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn limit(span: Span) -> SyntaxError {
    SyntaxError { span, message: format!("nested deeper than the limit of {MAX_NESTING} levels"), limit: true }
}

fn syntax_error(error: &Error, text: &str) -> SyntaxError {
    // The library's messages are made of fixed words only.
    let range = error.span().unwrap_or_default();
    let message = match error.message() {
        "duplicate key" => DUPLICATE_KEY,
        message if message.starts_with("string values must be quoted") && range.is_empty() => "expected a value",
        message => message,
    };
    SyntaxError { span: clamp(text, range), message: message.to_owned(), limit: message.contains("recur") }
}

/// A range as a span inside of the text, on whole characters and on one line; an empty one takes the next character.
fn clamp(text: &str, range: std::ops::Range<usize>) -> Span {
    let start = (0..=range.start.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default();
    let end = (range.end.max(start + 1)..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    let line = text.get(start..end).and_then(|text| text.find(['\n', '\r'])).map_or(end, |length| start + length);
    Span::new(start, line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{Document, Node};

    fn read(text: &str) -> Parsed {
        parse(&Arc::new(Source { path: "a.toml".into(), text: text.to_owned(), bom: false }))
    }

    /// One line a node: its path, what is written in its span and, where that differs, its value.
    fn outline(text: &str) -> Vec<String> {
        let parsed = read(text);
        assert!(parsed.errors.is_empty(), "{:?}", parsed.errors);
        parsed.documents.first().map(|document| lines(document.root(), document)).unwrap_or_default()
    }

    fn lines(node: Node<'_>, document: &Document) -> Vec<String> {
        let raw = document.source.slice(node.span());
        let mut found = match node.text() {
            Some(value) if value == raw => vec![format!("{} = {raw}", node.path())],
            Some(value) => vec![format!("{} = {raw} -> {value:?}", node.path())],
            None => vec![format!("{} {:?} {raw:?}", node.path(), node.style())],
        };
        for (key, value) in node.pairs() {
            found.push(format!("key {}", document.source.slice(key.span())));
            found.extend(lines(value, document));
        }
        found.extend(node.items().flat_map(|item| lines(item, document)));
        found
    }

    fn errors(text: &str) -> Vec<(String, String)> {
        let slice = |error: &SyntaxError| (text.get(error.span.range()).unwrap_or("?").to_owned(), error.message.clone());
        read(text).errors.iter().map(slice).collect()
    }

    #[test]
    fn the_order_and_extent_of_the_text_come_back() {
        assert_eq!(
            outline("z = 1\na.'c d'.b = \"x\\ty\"\n\n[m] # c\nk = [1, { y = 'é', x = 0xFF }]\n\n[b]\n"),
            [
                r#" Block "z = 1\na.'c d'.b = \"x\\ty\"\n\n[m] # c\nk = [1, { y = 'é', x = 0xFF }]\n\n[b]""#,
                "key z",
                "z = 1",
                "key a",
                r#"a Block "'c d'.b = \"x\\ty\"""#,
                "key 'c d'",
                r#"a.c d Block "b = \"x\\ty\"""#,
                "key b",
                "a.c d.b = \"x\\ty\" -> \"x\\ty\"",
                "key m",
                r#"m Block "[m] # c\nk = [1, { y = 'é', x = 0xFF }]""#,
                "key k",
                r#"m.k Flow "[1, { y = 'é', x = 0xFF }]""#,
                "m.k[0] = 1",
                r#"m.k[1] Flow "{ y = 'é', x = 0xFF }""#,
                "key y",
                "m.k[1].y = 'é' -> \"é\"",
                "key x",
                "m.k[1].x = 0xFF -> \"255\"",
                "key b",
                r#"b Block "[b]""#,
            ]
        );
    }

    #[test]
    fn tables_that_are_continued_stay_under_their_parent() {
        assert_eq!(
            outline("[x.y]\nk = 1\n[b]\n[x]\nl = 2\n[[t]]\nn = 1\n[[t.u]]\n[[t]]\n"),
            [
                r#" Block "[x.y]\nk = 1\n[b]\n[x]\nl = 2\n[[t]]\nn = 1\n[[t.u]]\n[[t]]""#,
                "key x",
                r#"x Block "[x.y]\nk = 1\n[b]\n[x]\nl = 2""#,
                "key y",
                r#"x.y Block "[x.y]\nk = 1""#,
                "key k",
                "x.y.k = 1",
                "key l",
                "x.l = 2",
                "key b",
                r#"b Block "[b]""#,
                "key t",
                r#"t Block "[[t]]\nn = 1\n[[t.u]]\n[[t]]""#,
                r#"t[0] Block "[[t]]\nn = 1\n[[t.u]]""#,
                "key n",
                "t[0].n = 1",
                "key u",
                r#"t[0].u Block "[[t.u]]""#,
                r#"t[0].u[0] Block "[[t.u]]""#,
                r#"t[1] Block "[[t]]""#,
            ]
        );
    }

    #[test]
    fn strings_keep_their_quotes_in_the_span() {
        for end in ["\n", "\r\n"] {
            let text = "a = \"\"\"\nx # y\\n\"\"\"\"\nb = '''z''' # c\nc = \"\"\nd = \"#\\\"\" # 'e\nf = 1_000".replace('\n', end);
            let parsed = read(&text);
            assert!(parsed.errors.is_empty(), "{:?}", parsed.errors);
            let document = parsed.documents.first();
            let get = |key: &str| document.and_then(|document| document.root().get(key));
            let value = |key: &str| get(key).and_then(Node::text);
            let raw = |key: &str| get(key).map(|node| (node.style(), node.doc.source.slice(node.span()).replace('\r', "")));
            assert_eq!(value("a"), Some("x # y\n\""));
            assert_eq!(raw("a"), Some((Style::DoubleQuoted, "\"\"\"\nx # y\\n\"\"\"\"".to_owned())));
            assert_eq!((value("b"), raw("b")), (Some("z"), Some((Style::SingleQuoted, "'''z'''".to_owned()))));
            assert_eq!((value("c"), value("d"), value("f")), (Some(""), Some("#\""), Some("1_000")));
            let comments = document.map(|document| document.comments.iter().map(|&span| document.source.slice(span)).collect());
            assert_eq!(comments, Some(vec!["# c", "# 'e"]));
        }
    }

    #[test]
    fn errors_are_placed_and_say_nothing_of_the_file() {
        let duplicate = |key: &str| vec![(key.to_owned(), DUPLICATE_KEY.to_owned())];
        assert_eq!(errors("a = 1\nb = 2\n\"a\" = 3\n"), duplicate("\"a\""));
        assert_eq!(errors("[t]\na = 1\n[u]\n[t]\n"), duplicate("t"));
        assert_eq!(errors("a = { 'é' = 1, 'é' = 2 }\n"), duplicate("'é'"));
        assert_eq!(errors("a =\n"), [(String::new(), "expected a value".to_owned())]);
        for text in
            ["hunter2\n", "k = hunter2\n", "k = \"hunter2\n", "k = hunter2 hunter2", "k = 2024-13-77\n", "[hunter2\n", "k = {hunter2"]
        {
            let parsed = read(text);
            assert!(!parsed.errors.is_empty(), "{text}");
            for error in parsed.errors {
                assert!(!error.message.contains("hunter2") && !error.limit, "{}", error.message);
                assert!(text.get(error.span.range()).is_some(), "{text}");
            }
        }
    }

    #[test]
    fn what_parses_is_kept_beside_the_errors() {
        let parsed = read("a = 1\nb =\nc = [1, 2\nd = 3\n");
        assert!(!parsed.errors.is_empty());
        let document = parsed.documents.first();
        let get = |key| document.and_then(|document| document.root().get(key));
        assert_eq!(get("a").and_then(Node::text), Some("1"));
        assert_eq!(get("b").map(|node| (node.text(), node.span())), Some((Some(""), Span::new(9, 9))));
        assert!(read("").errors.is_empty());
        assert_eq!(outline("\n# only\n"), [" Block \"\""]);
    }

    #[test]
    fn hostile_files_end_in_errors() {
        let dotted = vec!["a"; 79].join(".");
        let deep = format!("x = {}1{}\n", format!("{{{dotted}=").repeat(78), "}".repeat(78));
        let wide = format!("x = {}1{}\n", format!("{{{dotted}=").repeat(4), "}".repeat(4));
        for text in [
            deep.repeat(2),
            wide,
            format!("x = {}", "[".repeat(100_000)),
            format!("{}b = 1", "a.".repeat(5000)),
            format!("[{}b]", "a.".repeat(5000)),
        ] {
            assert!(read(&text).errors.iter().any(|error| error.limit));
        }
        assert!(outline(&format!("x = \"{}\"", "é".repeat(500_000))).len() == 3);
        for text in [
            "a = \"\0\"\n".to_owned(),
            "a = 1\rb = 2\r".to_owned(),
            format!("a = '''{}", "é\n".repeat(1000)),
            "= ] [ \" ' {\n".repeat(10_000),
        ] {
            let parsed = read(&text);
            assert!(!parsed.errors.is_empty() && parsed.errors.len() <= MAX_ERRORS);
        }
    }
}
