//! Configuration inside scalars: keys of YAML, JSON, INI, properties and nginx text, and options of commands.
//!
//! Lines are read where they stand in the source, so every span is exact without a map.

use std::sync::OnceLock;

use regex::Regex;

use super::{Artifact, Command, PathScope, Placement, Variable};
use crate::finding::Object;
use crate::source::{Source, Span};
use crate::syntax::{self, Node, Parsed, Style, Syntax};

/// Texts longer than this hold data rather than configuration.
const MAX_TEXT: usize = 256 << 10;
const MAX_LINE: usize = 1000;

/// The keys of a configuration text.
pub(super) fn text<'d>(artifact: &mut Artifact<'d>, scalar: Node<'d>, scope: PathScope) {
    let span = scalar.value_span();
    let block = matches!(scalar.style(), Style::Literal | Style::Folded);
    let raw: &'d str = scalar.doc.source.slice(span);
    if raw.len() > MAX_TEXT || scalar.is_alias() {
        return;
    }
    if block || scalar.is_verbatim() || !raw.contains("\\n") {
        let mut blocks = Blocks::new(span.start);
        blocks.conf = scalar.key_text().is_some_and(|key| key.ends_with(".conf") || key.ends_with(".cfg"));
        // The header of a block scalar (`|-`) is no line of its text.
        let mut offset = span.start as usize;
        for (index, line) in raw.split_inclusive('\n').enumerate() {
            if !(index == 0 && block && line.trim_start().starts_with(['|', '>'])) {
                read_line(artifact, line, Some(offset), span, &mut blocks, scalar, scope);
            }
            offset += line.len();
        }
        return;
    }
    // Escaped text: its lines have no place of their own, so the whole scalar is the place.
    let mut blocks = Blocks::new(span.start);
    let decoded: &'d str = scalar.text().unwrap_or_default();
    for line in decoded.lines() {
        read_line(artifact, line, None, span, &mut blocks, scalar, scope);
    }
}

/// Which braces a line stands in.
struct Blocks<'d> {
    open: Vec<u32>,
    next: u32,
    /// The text writes `name value` with nothing between.
    conf: bool,
    /// The key of the YAML list that the line may stand in.
    list: Option<&'d str>,
}

impl Blocks<'_> {
    fn new(start: u32) -> Self {
        Self { open: vec![start], next: start, conf: false, list: None }
    }

    fn current(&self) -> u32 {
        self.open.last().copied().unwrap_or_default()
    }

    fn enter(&mut self) {
        self.next += 1;
        self.open.push(self.next);
    }

    fn leave(&mut self) {
        if self.open.len() > 1 {
            self.open.pop();
        }
    }
}

fn read_line<'d>(
    artifact: &mut Artifact<'d>,
    line: &'d str,
    offset: Option<usize>,
    whole: Span,
    blocks: &mut Blocks<'d>,
    node: Node<'d>,
    scope: PathScope,
) {
    let body = line.trim();
    if body.is_empty() || body.len() > MAX_LINE || body.starts_with(['#', ';']) || body.starts_with("//") {
        return;
    }
    let place = |part: &str| match offset {
        Some(offset) => {
            let start = offset + (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
            Span::new(start, start + part.len())
        }
        None => whole,
    };
    let mut push = |name: String, value: &'d str| {
        let mut variable = Variable::new(name, clean(value), place(value), Placement::Embedded, node, scope);
        variable.block = blocks.current();
        artifact.variables.push(variable);
    };
    if body.starts_with(['{', '[']) {
        json_pairs(body).for_each(|(name, value)| push(name.to_owned(), value));
    } else if let Some((name, value)) =
        directive(body).or_else(|| assignment(body)).or_else(|| pair(body).filter(|_| blocks.conf)).or_else(|| item(body, blocks.list))
    {
        push(name, value);
    }
    if !body.starts_with('-') {
        // The items that follow belong to this key.
        blocks.list = body
            .strip_suffix(':')
            .filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')));
    }
    // JSON and nginx open and close blocks at line ends.
    if body.ends_with('{') {
        blocks.enter();
    } else if body.starts_with('}') {
        blocks.leave();
    }
}

/// Quotes and trailing signs off.
fn clean(value: &str) -> &str {
    let value = value.trim();
    ['"', '\'', '`'].into_iter().find_map(|quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote))).unwrap_or(value)
}

/// `name value;` as nginx writes it; of `add_header` and `proxy_set_header` the header belongs to the name.
fn directive(body: &str) -> Option<(String, &str)> {
    let body = body.split_once(';').filter(|(_, rest)| rest.is_empty() || rest.trim_start().starts_with('#')).map(|(body, _)| body)?;
    let (name, value) = body.split_once([' ', '\t'])?;
    let value = value.trim();
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit()) || value.starts_with(['=', ':']) {
        return None;
    }
    if matches!(name, "add_header" | "proxy_set_header" | "more_set_headers" | "proxy_hide_header") {
        let (header, value) = value.split_once([' ', '\t'])?;
        let value = value.trim();
        let value = value.strip_suffix("always").map_or(value, str::trim_end);
        return Some((format!("{name} {}", clean(header)), value));
    }
    Some((name.to_owned(), value))
}

/// `name: value`, `name = value`, `"name": "value",`, `export NAME=value`.
fn assignment(body: &str) -> Option<(String, &str)> {
    let body = body.strip_prefix("export ").unwrap_or(body);
    let body = body.strip_prefix("- ").unwrap_or(body);
    let body = body.strip_prefix("--").unwrap_or(body);
    let (name, rest) = if let Some(quoted) = body.strip_prefix('"') {
        quoted.split_once('"')?
    } else {
        let end = body.find(['=', ':', ' ', '\t'])?;
        body.split_at_checked(end)?
    };
    let rest = rest.trim_start();
    if rest.starts_with("=>") || rest.starts_with("==") {
        return None;
    }
    let value = rest
        .strip_prefix('=')
        .or_else(|| rest.strip_prefix(": "))
        .or_else(|| rest.strip_prefix(":").filter(|rest| rest.starts_with(['"', '\t'])))?;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/')) {
        return None;
    }
    let mut value = value.trim();
    if let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        if let Some(end) = value.get(1..).and_then(|rest| rest.find(quote)) {
            value = value.get(..end + 2)?;
        }
    } else {
        value = value.split_once(" #").map_or(value, |(value, _)| value).trim_end_matches([',', ';']).trim_end();
    }
    (!value.is_empty() && !matches!(value, "{" | "[" | "|" | ">" | "|-")).then(|| (name.to_owned(), value))
}

/// An item of a YAML list is called by the list's key.
fn item<'t>(body: &'t str, list: Option<&str>) -> Option<(String, &'t str)> {
    body.strip_prefix("- ").and_then(|item| Some((list?.to_owned(), clean(item))))
}

/// Every `"name": "value"` of a line, its quotes escaped or not.
pub(crate) fn json_pairs(line: &str) -> impl Iterator<Item = (&str, &str)> {
    static PAIR: OnceLock<Option<Regex>> = OnceLock::new();
    let pair = PAIR.get_or_init(|| Regex::new(r#"\\?"([A-Za-z0-9_./-]+)\\?"\s*:\s*\\?"([^"\\]+)"#).ok());
    pair.iter().flat_map(move |pair| pair.captures_iter(line)).filter_map(|found| Some((found.get(1)?.as_str(), found.get(2)?.as_str())))
}

/// `name value`, as redis.conf has it.
fn pair(body: &str) -> Option<(String, &str)> {
    let (name, value) = body.split_once([' ', '\t'])?;
    let value = value.trim_start();
    let one = !value.contains([' ', '\t']) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    one.then(|| (name.to_owned(), value))
}

/// Options of a command given as a list: `--name=value`, `--name value`, `NAME=value`, bare flags as `true`.
pub(super) fn arguments<'d>(artifact: &mut Artifact<'d>, items: &[Node<'d>], container: &'d str, scope: PathScope) {
    artifact.commands.push(Command { words: items.to_vec(), container });
    let mut index = 0;
    while let Some(&item) = items.get(index) {
        index += 1;
        let Some(text) = item.text() else { continue };
        if text.contains('\n') || text.contains(' ') {
            script(artifact, item, container, scope);
            continue;
        }
        let option = text.trim_start_matches('-');
        let dashed = option.len() < text.len();
        let mut push = |name: &'d str, value: &'d str, node: Node<'d>, span: Span| {
            let mut variable = Variable::new(name, value, span, Placement::Argument, node, scope);
            variable.container = container;
            artifact.variables.push(variable);
        };
        if let Some((name, value)) = option.split_once('=') {
            let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
            if is_name {
                push(name, value, item, tail_span(item, value));
            }
        } else if dashed && !option.is_empty() {
            match items.get(index).filter(|next| next.text().is_some_and(|next| !next.starts_with('-') && !next.contains(['\n', ' ']))) {
                Some(&next) => push(option, next.text().unwrap_or_default(), next, next.span()),
                None => push(option, "true", item, item.span()),
            }
        }
    }
}

/// The span of the end of a scalar's value, or the whole scalar where the text is escaped.
fn tail_span(node: Node<'_>, tail: &str) -> Span {
    let span = node.value_span();
    if node.is_verbatim() { Span::new((span.end as usize).saturating_sub(tail.len()), span.end as usize) } else { node.span() }
}

/// A command given as one text.
pub(super) fn command<'d>(artifact: &mut Artifact<'d>, scalar: Node<'d>, container: &'d str, scope: PathScope) {
    artifact.commands.push(Command { words: vec![scalar], container });
    script(artifact, scalar, container, scope);
}

/// Options in a command line or script, found word by word where they stand.
fn script<'d>(artifact: &mut Artifact<'d>, scalar: Node<'d>, container: &'d str, scope: PathScope) {
    let whole = scalar.value_span();
    let block = matches!(scalar.style(), Style::Literal | Style::Folded);
    if scalar.is_alias() || !(scalar.is_verbatim() || block) {
        return;
    }
    let raw: &'d str = scalar.doc.source.slice(whole);
    if raw.len() > MAX_TEXT {
        return;
    }
    let at = |part: &str| {
        let start = whole.start as usize + (part.as_ptr() as usize).saturating_sub(raw.as_ptr() as usize);
        Span::new(start, start + part.len())
    };
    for line in raw.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let words: Vec<&'d str> = words(line);
        for (index, word) in words.iter().enumerate() {
            let option = word.trim_start_matches('-');
            let dashed = option.len() < word.len();
            let (name, value, span) = match option.split_once('=') {
                Some((name, value)) => (name, clean(value), at(value)),
                None if dashed && !option.is_empty() => match words.get(index + 1).filter(|next| !next.starts_with('-')) {
                    Some(next) => (option, clean(next), at(next)),
                    None => (option, "true", at(word)),
                },
                None => continue,
            };
            if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')) {
                let mut variable = Variable::new(name, value, span, Placement::Argument, scalar, scope);
                variable.container = container;
                artifact.variables.push(variable);
            }
        }
    }
}

/// Words of a shell line, quotes kept.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    for (index, character) in line.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                start = start.or(Some(index));
            }
            (None, ' ' | '\t' | ';' | '&' | '|' | '\r') => {
                if let Some(begin) = start.take() {
                    words.extend(line.get(begin..index));
                }
            }
            _ => start = start.or(Some(index)),
        }
    }
    if let Some(begin) = start {
        words.extend(line.get(begin..));
    }
    words
}

/// A document inside a scalar, parsed by itself, with a map back to where it stands.
#[derive(Debug)]
pub(crate) struct Inner {
    /// The key that holds it, such as `config.yaml`.
    pub(crate) name: String,
    pub(crate) parsed: Parsed,
    pub(crate) object: Object,
    map: LineMap,
}

impl Inner {
    /// The place in the file of a place in the text.
    pub(crate) fn outer(&self, span: Span) -> Span {
        self.map.outer(span)
    }
}

/// The entries of a `ConfigMap` whose keys say that they are YAML, JSON or TOML.
pub(crate) fn inner_documents(artifact: &Artifact<'_>) -> Vec<Inner> {
    let mut found = Vec::new();
    if artifact.object.kind != "ConfigMap" {
        return found;
    }
    for (key, value) in artifact.root.get("data").into_iter().flat_map(Node::entries) {
        let (Some(name), Some(text)) = (key.text(), value.text()) else { continue };
        let syntax = match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("yaml" | "yml") => Syntax::Yaml,
            // Many readers of `.json` take comments; those who do not are not known here.
            Some("json" | "jsonc") => Syntax::Jsonc,
            Some("toml") => Syntax::Toml,
            _ => continue,
        };
        // A part that is put into a larger text is no document.
        let is_part = syntax == Syntax::Jsonc && !text.trim_start().starts_with(['{', '[', '/']);
        if text.trim().is_empty() || text.len() > MAX_TEXT || is_part {
            continue;
        }
        let path = std::sync::Arc::clone(&value.doc.source.path);
        let source = std::sync::Arc::new(Source { path, text: text.to_owned(), bom: false });
        let mut parsed = syntax::parse(&source, syntax);
        // What is filled in before anyone parses the text is no fault of it.
        if !parsed.errors.is_empty() && ["{{", "{%", "<%", "${", "$(", "<<"].iter().any(|mark| text.contains(mark)) {
            parsed = Parsed::default();
        }
        let raw = value.doc.source.slice(value.value_span());
        let map = LineMap::new(if value.is_alias() { Style::Plain } else { value.style() }, value.value_span(), raw, text);
        found.push(Inner { name: name.to_owned(), parsed, object: artifact.object_at(value, ""), map });
    }
    found
}

/// Where the text of a scalar stands in its file.
#[derive(Debug)]
pub(crate) struct LineMap {
    /// Where each line begins within and outside; empty where the text is written with escapes.
    lines: Vec<(u32, u32)>,
    whole: Span,
}

impl LineMap {
    /// The map of a scalar that stands at `span` as `raw` and means `text`.
    pub(crate) fn new(style: Style, span: Span, raw: &str, text: &str) -> Self {
        let mut lines = Vec::new();
        if style == Style::Literal {
            let mut outer = span.start;
            let mut raw = raw.split_inclusive('\n').peekable();
            // The header of the block is no line of its text.
            if let Some(header) = raw.next_if(|line| line.trim_start().starts_with('|')) {
                outer += header.len() as u32;
            }
            let mut inner = 0;
            for (line, raw) in text.split_inclusive('\n').zip(raw) {
                let body = line.trim_end_matches('\n').len();
                let indent = raw.trim_end_matches(['\n', '\r']).len().saturating_sub(body);
                lines.push((inner, outer + indent as u32));
                inner += line.len() as u32;
                outer += raw.len() as u32;
            }
        } else if let Some(start) = raw.find(text).filter(|start| raw.len() - text.len() - start <= 1) {
            lines.push((0, span.start + start as u32));
        }
        Self { lines, whole: span }
    }

    /// The place in the file of a place in the text.
    pub(crate) fn outer(&self, span: Span) -> Span {
        let at = |offset: u32| {
            let line = self.lines.partition_point(|(inner, _)| *inner <= offset).checked_sub(1).and_then(|index| self.lines.get(index));
            line.map(|(inner, outer)| (outer + (offset - inner)).min(self.whole.end))
        };
        match (at(span.start), at(span.end)) {
            (Some(start), Some(end)) => Span { start, end: end.max(start) },
            _ => self.whole,
        }
    }
}
