//! JSON and JSONC through `jsonc-parser`, without the liberties it takes by default.

use std::sync::Arc;

use jsonc_parser::ast::{ObjectPropName, StringLit, Value};
use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, ParseStringErrorKind, parse_to_ast};

use super::{Builder, Parsed, Style, Syntax, SyntaxError};
use crate::source::{Source, Span};

/// A file of noise must not become a list of errors longer than itself.
const MAX_ERRORS: usize = 100;

/// Reads one value; comments and trailing commas are allowed in JSONC only.
pub(super) fn parse(source: &Arc<Source>, jsonc: bool) -> Parsed {
    let text = source.text.as_str();
    let comments = if jsonc { CommentCollectionStrategy::Separate } else { CommentCollectionStrategy::Off };
    let options = ParseOptions {
        allow_comments: jsonc,
        allow_trailing_commas: jsonc,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let mut parsed = Parsed::default();
    let result = match parse_to_ast(text, &CollectOptions { comments, tokens: false }, &options) {
        Ok(result) => result,
        Err(error) => {
            parsed.errors.push(syntax_error(&error, text));
            return parsed;
        }
    };
    let Some(value) = result.value else {
        let what = if text.trim().is_empty() { "the file is empty" } else { "the file holds only comments" };
        let message = format!("{what}; a JSON value is expected");
        parsed.errors.push(SyntaxError { span: Span::default(), message, limit: false });
        return parsed;
    };
    let syntax = if jsonc { Syntax::Jsonc } else { Syntax::Json };
    let mut builder = Builder::new(source, syntax, text.len() / 16);
    add(&mut builder, &value, text, &mut parsed.errors);
    // The map holds every group of comments twice: behind one token and before the next.
    let groups = result.comments.iter().flat_map(std::collections::HashMap::values);
    let mut comments: Vec<Span> = groups.flat_map(|group| group.iter()).map(|comment| span(comment.range())).collect();
    comments.sort_unstable();
    comments.dedup();
    for comment in comments {
        builder.comment(comment);
    }
    parsed.documents.push(builder.finish(text.len()));
    parsed
}

fn span(range: Range) -> Span {
    Span::new(range.start, range.end)
}

/// Adds a value. It recurses no deeper than the library's nesting limit.
fn add(builder: &mut Builder, value: &Value<'_>, text: &str, errors: &mut Vec<SyntaxError>) {
    let here = span(value.range());
    match value {
        Value::Object(object) => {
            builder.open_mapping(Style::Flow, here);
            for property in &object.properties {
                match &property.name {
                    ObjectPropName::String(name) => string(builder, name, text, errors),
                    ObjectPropName::Word(name) => {
                        builder.scalar(Style::Plain, span(name.range), name.value);
                    }
                }
                add(builder, &property.value, text, errors);
            }
            builder.close(here.end as usize);
        }
        Value::Array(array) => {
            builder.open_sequence(Style::Flow, here);
            for element in &array.elements {
                add(builder, element, text, errors);
            }
            builder.close(here.end as usize);
        }
        Value::StringLit(literal) => string(builder, literal, text, errors),
        Value::NumberLit(_) | Value::BooleanLit(_) | Value::NullKeyword(_) => {
            builder.scalar(Style::Plain, here, text.get(here.range()).unwrap_or_default());
        }
    }
}

fn string(builder: &mut Builder, literal: &StringLit<'_>, text: &str, errors: &mut Vec<SyntaxError>) {
    let here = span(literal.range);
    builder.scalar(Style::DoubleQuoted, here, &literal.value);
    // The parser lets control characters pass; the readers of these files do not.
    let raw = text.get(here.range()).unwrap_or_default();
    if let Some(offset) = raw.bytes().position(|byte| byte < b' ')
        && errors.len() < MAX_ERRORS
    {
        let start = here.start as usize + offset;
        let message = "control character in a string; it must be escaped".to_owned();
        errors.push(SyntaxError { span: Span::new(start, start + 1), message, limit: false });
    }
}

fn syntax_error(error: &ParseError, text: &str) -> SyntaxError {
    use ParseErrorKind as Kind;
    let Range { start, end } = error.range();
    let line = text.get(start..end).and_then(|text| text.find(['\n', '\r'])).map_or(end, |length| start + length);
    let (message, end) = match error.kind() {
        // The whole rest of the file is unterminated; its beginning tells more.
        Kind::UnterminatedArray => ("`[` is never closed".to_owned(), start + 1),
        Kind::UnterminatedObject => ("`{` is never closed".to_owned(), start + 1),
        Kind::UnterminatedCommentBlock => ("`/*` is never closed".to_owned(), start + 2),
        Kind::CommentsNotAllowed => ("comments are not allowed in JSON".to_owned(), line),
        Kind::TrailingCommasNotAllowed => ("trailing commas are not allowed in JSON".to_owned(), line),
        Kind::ExpectedColonAfterObjectKey => ("expected `:` behind the name".to_owned(), line),
        Kind::ExpectedObjectValue => ("expected a value behind `:`".to_owned(), line),
        Kind::ExpectedStringObjectProperty => ("expected a name in double quotes".to_owned(), line),
        Kind::MultipleRootJsonValues => ("expected one JSON value, but another follows".to_owned(), line),
        // Its own message quotes the file.
        Kind::String(ParseStringErrorKind::InvalidUnicodeEscapeSequence(_)) => {
            ("invalid unicode escape: surrogates stand in pairs".to_owned(), start + "\\u0000".len())
        }
        kind => (lower_first(&kind.to_string()), line),
    };
    let limit = matches!(error.kind(), Kind::NestingDepthExceeded);
    SyntaxError { span: Span::new(start, end.min(text.len())), message, limit }
}

fn lower_first(message: &str) -> String {
    let mut letters = message.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{Document, Node};

    fn read(text: &str, jsonc: bool) -> Parsed {
        parse(&Arc::new(Source { path: "a.json".into(), text: text.to_owned(), bom: false }), jsonc)
    }

    /// What is written at every error, and its message.
    fn errors(text: &str, jsonc: bool) -> Vec<(String, String)> {
        let slice = |error: &SyntaxError| (text.get(error.span.range()).unwrap_or("?").to_owned(), error.message.clone());
        read(text, jsonc).errors.iter().map(slice).collect()
    }

    fn get<'d>(document: Option<&'d Document>, path: &[&str]) -> Option<Node<'d>> {
        document.and_then(|document| document.root().at_path(path))
    }

    #[test]
    fn spans_order_and_values() {
        for end in ["\n", "\r\n", "\r"] {
            let text = "{\n  \"z\\u00e9\": [1.5, \"a\\nb\"],\n  \"a\": {\"b\": null, \"ü\": \"é😀\\ud83d\\ude00\"}\n}\n".replace('\n', end);
            let parsed = read(&text, false);
            assert!(parsed.errors.is_empty());
            let document = parsed.documents.first();
            let raw = |path: &[&str]| get(document, path).map(|node| node.doc.source.slice(node.span()));
            assert_eq!(raw(&[]), Some(text.trim_end()));
            assert_eq!(raw(&["zé"]), Some("[1.5, \"a\\nb\"]"));
            assert_eq!(raw(&["a"]), Some("{\"b\": null, \"ü\": \"é😀\\ud83d\\ude00\"}"));
            assert_eq!(raw(&["a", "ü"]), Some("\"é😀\\ud83d\\ude00\""));
            assert_eq!(get(document, &["a", "ü"]).and_then(Node::text), Some("é😀😀"));
            assert!(get(document, &["a", "b"]).is_some_and(Node::is_null));
            assert_eq!(get(document, &["zé"]).and_then(Node::key).map(|key| key.doc.source.slice(key.span())), Some("\"z\\u00e9\""));
            let items: Vec<_> = get(document, &["zé"]).iter().flat_map(|node| node.items()).filter_map(Node::text).collect();
            assert_eq!(items, ["1.5", "a\nb"]);
        }
    }

    #[test]
    fn jsonc_has_comments_and_trailing_commas() {
        let text = "// 1\n{ /* 2 */ \"a\": \"// no\", // 3\n \"b\": [1,], /*4*/ /*5*/ } // é";
        let parsed = read(text, true);
        assert!(parsed.errors.is_empty());
        let comments: Vec<_> =
            parsed.documents.iter().flat_map(|document| &document.comments).filter_map(|span| text.get(span.range())).collect();
        assert_eq!(comments, ["// 1", "/* 2 */", "// 3", "/*4*/", "/*5*/", "// é"]);
        assert_eq!(errors(text, false), [("// 1".to_owned(), "comments are not allowed in JSON".to_owned())]);
        assert_eq!(errors("[1,]", false), [(",".to_owned(), "trailing commas are not allowed in JSON".to_owned())]);
    }

    #[test]
    fn duplicates_are_kept() {
        let parsed = read("{\"a\": 1, \"b\": 2, \"\\u0061\": 3}", false);
        let found: Vec<_> = parsed.documents.iter().flat_map(|document| &document.duplicates).collect();
        assert!(parsed.errors.is_empty() && found.len() == 1, "{found:?}");
    }

    #[test]
    fn liberties_are_errors_that_say_nothing_of_the_file() {
        for (text, place, message) in [
            ("", "", "the file is empty; a JSON value is expected"),
            (" \n", "", "the file is empty; a JSON value is expected"),
            ("{\"a\": [1, 2\n", "[", "`[` is never closed"),
            ("{\"a\": 1\n", "{", "`{` is never closed"),
            ("{\"a\": \"é\nb}", "\"é", "unterminated string literal"),
            ("{\"a\" 1}", "1", "expected `:` behind the name"),
            ("{a: 1}", "a", "expected a name in double quotes"),
            ("{\"a\": 1} {}", "{", "expected one JSON value, but another follows"),
            ("[1 2]", "", "expected comma"),
            ("['a']", "'", "single-quoted strings are not allowed"),
            ("[\"\\ud83d\"]", "\\ud83d", "invalid unicode escape: surrogates stand in pairs"),
            ("[\"a\tb\"]", "\t", "control character in a string; it must be escaped"),
            ("[\"\0\"]", "\0", "control character in a string; it must be escaped"),
        ] {
            assert_eq!(errors(text, false), [(place.to_owned(), message.to_owned())], "{text:?}");
        }
        for text in [
            "[0x10]",
            "[+1]",
            "[.5]",
            "[1.]",
            "[NaN]",
            "[01]",
            "[\"\\x41\"]",
            "{,}",
            "[,]",
            "[1,,2]",
            "\0",
            "hunter2",
            "{\"a\": hunter2}",
            "/*",
        ] {
            for jsonc in [false, true] {
                let parsed = read(text, jsonc);
                assert!(parsed.documents.is_empty(), "{text}");
                assert!(parsed.errors.iter().all(|error| !error.message.contains("hunter2") && !error.limit), "{text}");
                assert_eq!(parsed.errors.len(), 1, "{text}");
            }
        }
        assert_eq!(errors("/* a */", true), [(String::new(), "the file holds only comments; a JSON value is expected".to_owned())]);
    }

    #[test]
    fn hostile_files_end_in_errors() {
        for text in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
            assert!(read(&text, true).errors.iter().all(|error| error.limit));
            assert!(read(&text, true).documents.is_empty());
        }
        assert!(read(&format!("{}{}", "[".repeat(200), "]".repeat(200)), false).errors.is_empty());
        let long = format!("[\"{}\"]", "é".repeat(500_000));
        assert!(read(&long, false).errors.is_empty());
        let noise = format!("[{}1]", "\"\0\",".repeat(10_000));
        assert_eq!(read(&noise, false).errors.len(), MAX_ERRORS);
    }
}
