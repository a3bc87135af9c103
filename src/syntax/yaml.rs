//! YAML through `granit-parser`: every document of a stream, with comments, tags and unexpanded aliases.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, StructureStyle};

use super::{Builder, Parsed, Style, Syntax, SyntaxError};
use crate::source::{Source, Span};

/// Deeper nesting than any deployment file has; beyond it the file is reported, not followed.
const MAX_NESTING: usize = 200;

/// The most lines of quoted text that are mended for one source.
const MAX_MENDED: usize = 50;

pub(super) fn parse(source: &Arc<Source>) -> Parsed {
    let mut text = Cow::Borrowed(source.text.as_str());
    for _ in 0..MAX_MENDED {
        match parse_text(source, &text) {
            Ok(parsed) => return parsed,
            // The parser wants the lines of a quoted text indented; those of kubectl, Helm and Compose do not. A
            // break within quotes stands for a blank, so that the mended text has the same value at the same offsets.
            Err(offset) => match text.get(..offset).and_then(|before| before.rfind('\n')) {
                Some(line_break) => {
                    let start = if text.as_bytes().get(line_break.wrapping_sub(1)) == Some(&b'\r') { line_break - 1 } else { line_break };
                    let blanks = " ".repeat(line_break + 1 - start);
                    text.to_mut().replace_range(start..=line_break, &blanks);
                }
                None => break,
            },
        }
    }
    Parsed {
        errors: vec![SyntaxError {
            span: Span::default(),
            message: "quoted text over too many lines at the margin".to_owned(),
            limit: true,
        }],
        ..Parsed::default()
    }
}

/// Reads a text that stands for the source's; an error is the offset of quoted text that is not indented.
fn parse_text(source: &Arc<Source>, text: &str) -> Result<Parsed, usize> {
    let options = granit_parser::options! {
        emit_anchor_events: false,
        emit_unresolved_aliases: true,
        max_buffered_comment_events: usize::MAX,
        flow_nesting_limit: MAX_NESTING,
        block_nesting_limit: MAX_NESTING,
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut parsed = Parsed::default();
    let mut builder: Option<Builder> = None;
    let mut anchors: HashMap<usize, u32> = HashMap::new();
    let mut loose_comments: Vec<Span> = Vec::new();
    while let Some(event) = parser.next_event() {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) if matches!(error.kind(), ErrorKind::InvalidQuotedScalarIndent) => {
                return Err(error.marker().byte_offset().unwrap_or_default());
            }
            Err(error) => {
                parsed.errors.push(syntax_error(&error, text));
                builder = None;
                anchors.clear();
                match parser.proceed_next_document() {
                    Ok(true) => continue,
                    _ => break,
                }
            }
        };
        let range = span.byte_range().unwrap_or_default();
        let here = Span::new(range.start, range.end);
        match event {
            Event::DocumentStart(..) => {
                let mut new = Builder::new(source, Syntax::Yaml, 64);
                for comment in loose_comments.drain(..) {
                    new.comment(comment);
                }
                builder = Some(new);
                anchors.clear();
            }
            Event::DocumentEnd => {
                if let Some(builder) = builder.take() {
                    parsed.documents.push(builder.finish(range.start));
                }
            }
            Event::Comment(..) => match &mut builder {
                Some(builder) => builder.comment(here),
                None => loose_comments.push(here),
            },
            event => {
                let Some(builder) = &mut builder else { continue };
                add(builder, &mut anchors, event, here);
            }
        }
    }
    // Comments after the last document belong to it.
    if let Some(last) = parsed.documents.last_mut() {
        last.comments.append(&mut loose_comments);
    }
    for document in &parsed.documents {
        for &span in &document.unknown_aliases {
            parsed.errors.push(SyntaxError { span, message: "alias of an anchor that is not defined before it".to_owned(), limit: false });
        }
    }
    parsed.errors.sort_by_key(|error| error.span);
    Ok(parsed)
}

fn add(builder: &mut Builder, anchors: &mut HashMap<usize, u32>, event: Event<'_>, span: Span) {
    let (id, anchor, tag) = match event {
        Event::Scalar(value, style, anchor, tag) => {
            let style = match style {
                ScalarStyle::SingleQuoted => Style::SingleQuoted,
                ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
                ScalarStyle::Literal => Style::Literal,
                ScalarStyle::Folded => Style::Folded,
                ScalarStyle::Plain => Style::Plain,
            };
            // An absent scalar is reported as `~` with an empty span.
            let value = if span.is_empty() { "" } else { &value };
            // A block that the end of the file cuts off has no line break there, whatever the parser adds.
            let source = &builder.doc.source.text;
            let cut = matches!(style, Style::Literal | Style::Folded) && span.end as usize >= source.len() && !source.ends_with('\n');
            let value = if cut { value.strip_suffix('\n').unwrap_or(value) } else { value };
            (builder.scalar(style, span, value), anchor, tag)
        }
        Event::SequenceStart(style, anchor, tag) => (builder.open_sequence(structure(style), span), anchor, tag),
        Event::MappingStart(style, anchor, tag) => (builder.open_mapping(structure(style), span), anchor, tag),
        Event::SequenceEnd | Event::MappingEnd => {
            builder.close(span.end as usize);
            return;
        }
        Event::Alias(target) => {
            match anchors.get(&target) {
                Some(&target) => builder.alias(span, target),
                None => builder.scalar(Style::Plain, span, ""),
            };
            return;
        }
        Event::UnresolvedAlias(_) => {
            builder.scalar(Style::Plain, span, "");
            builder.unknown_alias(span);
            return;
        }
        _ => return,
    };
    if anchor != 0 {
        anchors.insert(anchor, id);
    }
    if let Some(tag) = tag {
        builder.tag(id, &format!("{}{}", tag.handle(), tag.suffix()));
    }
}

fn structure(style: StructureStyle) -> Style {
    match style {
        StructureStyle::Block => Style::Block,
        StructureStyle::Flow => Style::Flow,
    }
}

fn syntax_error(error: &ScanError, text: &str) -> SyntaxError {
    let offset = error.marker().byte_offset().unwrap_or_default().min(text.len());
    let end = text.get(offset..).and_then(|rest| rest.chars().next()).map_or(offset, |c| offset + c.len_utf8());
    let limit = matches!(error.kind(), ErrorKind::TooManyComments) || error.info().contains("limit");
    SyntaxError { span: Span::new(offset, end), message: error.info(), limit }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::syntax::{Document, Kind, Node};

    fn documents(text: &str) -> Parsed {
        parse(&Arc::new(Source { path: "a.yaml".into(), text: text.to_owned(), bom: false }))
    }

    fn one(text: &str) -> Document {
        let mut parsed = documents(text);
        assert!(parsed.errors.is_empty(), "{:?}", parsed.errors);
        assert_eq!(parsed.documents.len(), 1);
        parsed.documents.remove(0)
    }

    fn shown<'d>(document: &'d Document, node: Option<Node<'_>>) -> &'d str {
        node.map_or("-", |node| document.source.slice(node.span()))
    }

    #[test]
    fn spans_are_byte_exact() {
        let document = one("é: 'ü x'\nlist:\n  - {a: \"1\\n2\", b: }\nblock: |\n  eins\n  zwei\nlast: plain text # note\n");
        let root = document.root();
        assert_eq!(shown(&document, root.get("é")), "'ü x'");
        assert_eq!(root.text_of("é"), Some("ü x"));
        let item = root.get("list").and_then(|list| list.items().next());
        assert_eq!(shown(&document, item.and_then(|item| item.get("a"))), "\"1\\n2\"");
        assert_eq!(item.and_then(|item| item.text_of("a")), Some("1\n2"));
        assert_eq!(item.and_then(|item| item.get("b")).map(|b| (b.is_null(), b.span().is_empty())), Some((true, true)));
        assert_eq!(root.text_of("block"), Some("eins\nzwei\n"));
        assert!(shown(&document, root.get("block")).contains("  zwei"));
        assert_eq!(shown(&document, root.get("last")), "plain text");
        assert_eq!(document.comments.len(), 1);
        assert_eq!(root.get("list").and_then(|list| list.items().next()).map(Node::path), Some("list[0]".to_owned()));
    }

    #[test]
    fn documents_errors_and_recovery() {
        let parsed = documents("a: 1\n---\nb: [1\n---\nc: 3\n");
        assert_eq!(parsed.errors.len(), 1);
        let texts: Vec<_> =
            parsed.documents.iter().filter_map(|document| document.root().text_of("a").or(document.root().text_of("c"))).collect();
        assert_eq!(texts, ["1", "3"]);
        assert_eq!(documents("# only a comment\n").documents.len(), 0);
        assert!(documents("a: *nowhere\n").errors.iter().any(|error| !error.limit));
    }

    #[test]
    fn merges_keep_origins_and_duplicates_are_kept() {
        let document = one("base: &base {x: 1, y: 2}\nmore: &more {y: 3, z: 4}\nuse:\n  <<: [*base, *more]\n  x: 9\n  w: 0\n  w: 5\n");
        let node = document.root().get("use");
        let text = |key: &str| node.and_then(|node| node.text_of(key));
        assert_eq!((text("x"), text("y"), text("z"), text("w")), (Some("9"), Some("2"), Some("4"), Some("5")));
        let origin = node.and_then(|node| node.get("z")).map(|z| z.span().start);
        assert_eq!(origin, document.source.text.find("4}").map(|at| at as u32));
        let keys: Vec<_> = node.map(Node::entries).unwrap_or_default().into_iter().filter_map(|(key, _)| key.text()).collect();
        assert_eq!(keys, ["x", "w", "y", "z"]);
        assert_eq!(document.duplicates.len(), 1);
    }

    #[test]
    fn hostile_aliases_end() {
        let document = one("a: &a\n  <<: *a\n  b: [*a, *a]\n");
        assert_eq!(document.root().at_path(&["a", "missing"]).map(Node::span), None);
        assert!(document.root().get("a").map(Node::entries).is_some_and(|entries| entries.len() == 1));
        let mut text = "x0: &x0 {k: v}\n".to_owned();
        for level in 1..40 {
            let _ = write!(text, "x{level}: &x{level}\n  <<: [*x{0}, *x{0}, *x{0}]\n", level - 1);
        }
        let document = one(&text);
        assert_eq!(document.root().at_path(&["x39", "nothing"]).map(Node::span), None);
        let deep = "[".repeat(100_000);
        assert!(documents(&deep).errors.iter().any(|error| error.limit));
        assert!(documents(&"- ".repeat(10_000)).errors.iter().any(|error| error.limit));
    }

    #[test]
    fn line_ends_marks_and_styles() {
        let unix = one("a: b\nc:\n- d\n- &e f\n- *e\n");
        let dos = one("a: b\r\nc:\r\n- d\r\n- &e f\r\n- *e\r\n");
        for document in [&unix, &dos] {
            let items: Vec<_> = document.root().get("c").into_iter().flat_map(Node::items).filter_map(Node::text).collect();
            assert_eq!(items, ["d", "f", "f"]);
            assert_eq!(document.root().text_of("a"), Some("b"));
        }
        assert_eq!(unix.root().kind(), Kind::Mapping);
        assert_eq!(one("a: |\n  x").root().text_of("a"), Some("x"));
        assert_eq!(one("a: |\n  x\n").root().text_of("a"), Some("x\n"));
        let comments = "#\n".repeat(5_000);
        assert_eq!(one(&format!("a:\n{comments}  b: 1\n")).root().at_path(&["a", "b"]).and_then(Node::text), Some("1"));
    }
}
