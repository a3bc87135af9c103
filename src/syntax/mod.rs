//! One tree for YAML, TOML, JSON, JSONC and dotenv: an arena of nodes with exact spans.

mod compiled;
mod dotenv;
mod json;
mod scalar;
mod toml;
mod yaml;

use std::collections::HashSet;
use std::sync::Arc;

use crate::source::{Source, Span};

pub(crate) use dotenv::{NO_EQUALS as DOTENV_NO_EQUALS, NO_NAME as DOTENV_NO_NAME, UNCLOSED as DOTENV_UNCLOSED};
pub(crate) use scalar::{Reading, Scalar, number, parse_duration, parse_quantity};

/// The grammar a source is read with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    Yaml,
    Toml,
    Json,
    Jsonc,
    Dotenv,
}

/// The message of a key that its table holds already, where the parser itself refuses that (TOML).
pub(crate) const DUPLICATE_KEY: &str = "duplicate key";

/// What a parser could not read, and where.
#[derive(Clone, Debug)]
pub(crate) struct SyntaxError {
    pub(crate) span: Span,
    /// A statement without the file's own words, so that no secret is in it.
    pub(crate) message: String,
    /// A limit of ours rather than a fault of the file.
    pub(crate) limit: bool,
}

/// All documents of a source, and what could not be read of it.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) documents: Vec<Document>,
    pub(crate) errors: Vec<SyntaxError>,
}

/// Reads a whole source; documents that parse are kept beside the errors.
pub(crate) fn parse(source: &Arc<Source>, syntax: Syntax) -> Parsed {
    match syntax {
        Syntax::Yaml => yaml::parse(source),
        Syntax::Toml => toml::parse(source),
        Syntax::Json => json::parse(source, false),
        Syntax::Jsonc => json::parse(source, true),
        Syntax::Dotenv => dotenv::parse(source),
    }
}

/// The document of a source whose nodes were parsed when this program was built.
pub(crate) fn compiled(source: &Arc<Source>, nodes: &[u8]) -> Document {
    compiled::read(source, nodes)
}

/// The shape of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Scalar,
    Sequence,
    Mapping,
    /// Stands for the node that `Node::resolved` gives.
    Alias,
}

/// How a scalar or collection is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// An unquoted scalar.
    Plain,
    SingleQuoted,
    DoubleQuoted,
    /// A block scalar `|`.
    Literal,
    /// A block scalar `>`.
    Folded,
    /// A block collection, a TOML table, a dotenv file.
    Block,
    /// `[…]` or `{…}`.
    Flow,
}

pub(crate) type NodeId = u32;
const NONE: u32 = u32::MAX;
/// The most mappings that one effective mapping may gather through merge keys.
const MAX_MERGED: usize = 1_000;

#[derive(Clone, Debug)]
struct Slot {
    kind: Kind,
    style: Style,
    span: Span,
    parent: u32,
    /// The key node, where the node is a value of a mapping.
    key: u32,
    /// First child; the target of an alias.
    first: u32,
    next: u32,
    /// Index into `owned`, where the value is not a slice of the source.
    owned: u32,
    /// Bytes cut off both ends of the span to get the value (quotes).
    trim: u8,
    /// Index + 1 into `tags`.
    tag: u16,
}

/// One parsed tree of a source.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) source: Arc<Source>,
    pub(crate) syntax: Syntax,
    slots: Vec<Slot>,
    owned: Vec<Box<str>>,
    tags: Vec<Box<str>>,
    /// Every comment, its sign included, in the order of the text.
    pub(crate) comments: Vec<Span>,
    /// Keys that stand in their mapping already: the later key and the earlier one.
    pub(crate) duplicates: Vec<(NodeId, NodeId)>,
    /// Aliases whose anchor is not defined before them.
    pub(crate) unknown_aliases: Vec<Span>,
}

/// A node of a document. Aliases are followed by every accessor but `span`, `key` and `parent`.
#[derive(Clone, Copy)]
pub(crate) struct Node<'d> {
    pub(crate) doc: &'d Document,
    pub(crate) id: NodeId,
}

impl std::fmt::Debug for Node<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Node({:?} at {:?})", self.kind(), self.span())
    }
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.doc, other.doc) && self.id == other.id
    }
}

impl Document {
    pub(crate) fn root(&self) -> Node<'_> {
        Node { doc: self, id: 0 }
    }

    pub(crate) fn node(&self, id: NodeId) -> Node<'_> {
        Node { doc: self, id }
    }

    /// The root, every item and every value as written, aliases too, outer ones before inner ones.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Node<'_>> {
        let ids = 0..self.slots.len() as u32;
        ids.map(|id| self.node(id)).filter(|node| node.id == 0 || node.key().is_some() || node.parent().is_some_and(Node::is_sequence))
    }
}

impl<'d> Node<'d> {
    fn slot(self) -> Option<&'d Slot> {
        self.doc.slots.get(self.id as usize)
    }

    fn at(self, id: u32) -> Option<Node<'d>> {
        (id != NONE).then_some(Node { doc: self.doc, id })
    }

    /// The node an alias stands for; any other node itself.
    pub(crate) fn resolved(self) -> Node<'d> {
        match self.slot() {
            Some(slot) if slot.kind == Kind::Alias && slot.first != NONE => Node { doc: self.doc, id: slot.first },
            _ => self,
        }
    }

    pub(crate) fn is_alias(self) -> bool {
        self.slot().is_some_and(|slot| slot.kind == Kind::Alias)
    }

    pub(crate) fn kind(self) -> Kind {
        self.resolved().slot().map_or(Kind::Alias, |slot| slot.kind)
    }

    pub(crate) fn is_mapping(self) -> bool {
        self.kind() == Kind::Mapping
    }

    pub(crate) fn is_sequence(self) -> bool {
        self.kind() == Kind::Sequence
    }

    pub(crate) fn is_scalar(self) -> bool {
        self.kind() == Kind::Scalar
    }

    pub(crate) fn style(self) -> Style {
        self.resolved().slot().map_or(Style::Plain, |slot| slot.style)
    }

    /// Where the node itself is written (an alias: the `*name`).
    pub(crate) fn span(self) -> Span {
        self.slot().map_or(Span::default(), |slot| slot.span)
    }

    /// The place to show for this node: a scalar's text; a collection's key, or what names or begins it;
    /// the key where the value is absent.
    pub(crate) fn place(self) -> Span {
        let span = self.span();
        if self.is_alias() || (self.slot().is_some_and(|slot| slot.kind == Kind::Scalar) && !span.is_empty()) {
            return span;
        }
        if let Some(key) = self.key() {
            return key.span();
        }
        if self.is_mapping() {
            let name = self.get("name").filter(|name| name.is_scalar() && !name.span().is_empty());
            let first = self.children().next();
            return name.or(first).map_or(span, Node::span);
        }
        if self.is_sequence() && self.slot().is_some_and(|slot| slot.style == Style::Block) {
            return self.items().next().map_or(span, Node::place);
        }
        Span::new(span.start as usize, (span.start as usize + 1).min(span.end as usize))
    }

    /// The key, where the node is a value of a mapping.
    pub(crate) fn key(self) -> Option<Node<'d>> {
        self.slot().and_then(|slot| self.at(slot.key))
    }

    /// The key's text.
    pub(crate) fn key_text(self) -> Option<&'d str> {
        self.key().and_then(Node::text)
    }

    pub(crate) fn parent(self) -> Option<Node<'d>> {
        self.slot().and_then(|slot| self.at(slot.parent))
    }

    /// An explicit tag as resolved, such as `tag:yaml.org,2002:str` or `!reset`.
    pub(crate) fn tag(self) -> Option<&'d str> {
        let index = self.resolved().slot()?.tag.checked_sub(1)?;
        self.doc.tags.get(usize::from(index)).map(|tag| &**tag)
    }

    /// A scalar's value after escapes and folding; nothing for a collection.
    pub(crate) fn text(self) -> Option<&'d str> {
        let slot = self.resolved().slot().filter(|slot| slot.kind == Kind::Scalar)?;
        if slot.owned != NONE {
            return self.doc.owned.get(slot.owned as usize).map(|text| &**text);
        }
        let trim = u32::from(slot.trim);
        let inner = Span { start: slot.span.start + trim, end: slot.span.end.saturating_sub(trim).max(slot.span.start + trim) };
        Some(self.doc.source.slice(inner))
    }

    /// The span of a scalar's value without quotes, where the value is written as it is; else the whole span.
    pub(crate) fn value_span(self) -> Span {
        let node = self.resolved();
        match node.slot() {
            Some(slot) if slot.kind == Kind::Scalar => {
                let trim = match slot.style {
                    Style::SingleQuoted | Style::DoubleQuoted => 1.max(u32::from(slot.trim)),
                    _ => u32::from(slot.trim),
                };
                let end = slot.span.end.saturating_sub(trim).max(slot.span.start);
                Span { start: (slot.span.start + trim).min(end), end }
            }
            _ => self.span(),
        }
    }

    /// Whether the value is a slice of the source, so that offsets in `text` are offsets in `value_span`.
    pub(crate) fn is_verbatim(self) -> bool {
        self.resolved().slot().is_some_and(|slot| slot.kind == Kind::Scalar && slot.owned == NONE)
    }

    fn children(self) -> Children<'d> {
        let node = self.resolved();
        let first = node.slot().filter(|slot| matches!(slot.kind, Kind::Sequence | Kind::Mapping)).map_or(NONE, |slot| slot.first);
        Children { doc: self.doc, next: first }
    }

    /// The items of a sequence; nothing for other nodes.
    pub(crate) fn items(self) -> impl Iterator<Item = Node<'d>> {
        let sequence = self.is_sequence();
        self.children().filter(move |_| sequence)
    }

    /// The pairs of key and value as written, merge keys as any other key.
    pub(crate) fn pairs(self) -> Pairs<'d> {
        let mapping = self.is_mapping();
        Pairs { children: if mapping { self.children() } else { Children { doc: self.doc, next: NONE } } }
    }

    fn is_merge_key(self) -> bool {
        self.doc.syntax == Syntax::Yaml && self.style() == Style::Plain && self.text() == Some("<<")
    }

    /// The mappings that the merge keys of this mapping name, first wins.
    fn merged(self) -> impl Iterator<Item = Node<'d>> {
        self.pairs().filter(|(key, _)| key.is_merge_key()).flat_map(|(_, value)| {
            let (one, many) = if value.is_sequence() { (None, Some(value.items())) } else { (Some(value), None) };
            one.into_iter().chain(many.into_iter().flatten())
        })
    }

    /// The effective pairs: the written ones (of duplicates the last), then those of merge keys that no nearer one hides.
    pub(crate) fn entries(self) -> Vec<(Node<'d>, Node<'d>)> {
        let mut found = Vec::new();
        let has_merge = self.pairs().any(|(key, _)| key.is_merge_key());
        if !has_merge && self.doc.duplicates.is_empty() {
            found.extend(self.pairs());
            return found;
        }
        self.gather(&mut found, &mut HashSet::new(), &mut HashSet::new());
        found
    }

    fn gather(self, found: &mut Vec<(Node<'d>, Node<'d>)>, seen: &mut HashSet<&'d str>, asked: &mut HashSet<NodeId>) {
        if asked.len() > MAX_MERGED || !asked.insert(self.resolved().id) {
            return;
        }
        let from = found.len();
        let own: Vec<_> = self.pairs().filter(|(key, _)| !key.is_merge_key()).collect();
        for (key, value) in own.into_iter().rev() {
            if seen.insert(key.text().unwrap_or_default()) {
                found.push((key, value));
            }
        }
        if let Some(new) = found.get_mut(from..) {
            new.reverse();
        }
        for mapping in self.merged() {
            mapping.gather(found, seen, asked);
        }
    }

    /// The effective value of a key: the last one written, else the first one merged.
    pub(crate) fn get(self, key: &str) -> Option<Node<'d>> {
        let (found, has_merge) = self.own(key);
        if found.is_some() || !has_merge { found } else { self.get_merged(key, &mut HashSet::new()) }
    }

    /// The last written value of a key, and whether there is a merge key.
    fn own(self, key: &str) -> (Option<Node<'d>>, bool) {
        let mut found = None;
        let mut has_merge = false;
        for (name, value) in self.pairs() {
            let text = name.text();
            if text == Some(key) {
                found = Some(value);
            }
            has_merge |= text == Some("<<");
        }
        (found, has_merge)
    }

    /// A mapping that was asked once has nothing more to say, so each is asked once.
    fn get_merged(self, key: &str, asked: &mut HashSet<NodeId>) -> Option<Node<'d>> {
        if asked.len() > MAX_MERGED || !asked.insert(self.resolved().id) {
            return None;
        }
        self.merged().find_map(|mapping| mapping.own(key).0.or_else(|| mapping.get_merged(key, asked)))
    }

    /// The value at the end of nested keys.
    pub(crate) fn at_path(self, path: &[&str]) -> Option<Node<'d>> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The text of the value of a key.
    pub(crate) fn text_of(self, key: &str) -> Option<&'d str> {
        self.get(key).and_then(Node::text)
    }

    /// Whether the value is null as its syntax and reading have it.
    pub(crate) fn is_null(self) -> bool {
        if !self.is_scalar() || self.style() != Style::Plain {
            return false;
        }
        match self.doc.syntax {
            Syntax::Yaml => self.span().is_empty() || matches!(self.text(), Some("" | "~" | "null" | "Null" | "NULL")),
            Syntax::Json | Syntax::Jsonc => self.text() == Some("null"),
            Syntax::Toml | Syntax::Dotenv => false,
        }
    }

    /// The keys that lead here from the root.
    pub(crate) fn keys(self) -> Vec<&'d str> {
        let mut keys: Vec<&str> = std::iter::successors(Some(self), |node| node.parent()).filter_map(Node::key_text).collect();
        keys.reverse();
        keys
    }

    /// The path from the root, such as `spec.containers[0].image`.
    pub(crate) fn path(self) -> String {
        let mut steps = Vec::new();
        let mut node = self;
        while let Some(parent) = node.parent() {
            match node.key() {
                Some(key) => steps.push(key.text().unwrap_or("?").to_owned()),
                None if parent.is_sequence() => {
                    let index = parent.items().position(|item| item.id == node.id).unwrap_or_default();
                    steps.push(format!("[{index}]"));
                }
                None => {}
            }
            node = parent;
        }
        let mut path = String::new();
        for step in steps.into_iter().rev() {
            if !path.is_empty() && !step.starts_with('[') {
                path.push('.');
            }
            path.push_str(&step);
        }
        path
    }

    /// This node and every value below it as written, in the order of the text; keys and aliases are left out.
    pub(crate) fn values(self) -> Vec<Node<'d>> {
        let mut found = Vec::new();
        let mut stack = vec![self];
        while let Some(node) = stack.pop() {
            match node.slot().map(|slot| slot.kind) {
                Some(Kind::Sequence) => stack.extend(node.children()),
                Some(Kind::Mapping) => stack.extend(node.pairs().map(|(_, value)| value)),
                Some(Kind::Scalar) => {}
                _ => continue,
            }
            found.push(node);
        }
        found.sort_by_key(|node| node.span().start);
        found
    }
}

/// The children of a collection in the order of the text.
#[derive(Clone)]
struct Children<'d> {
    doc: &'d Document,
    next: u32,
}

impl<'d> Iterator for Children<'d> {
    type Item = Node<'d>;

    fn next(&mut self) -> Option<Node<'d>> {
        let slot = self.doc.slots.get(self.next as usize)?;
        let node = Node { doc: self.doc, id: self.next };
        self.next = slot.next;
        Some(node)
    }
}

/// The pairs of a mapping in the order of the text.
#[derive(Clone)]
pub(crate) struct Pairs<'d> {
    children: Children<'d>,
}

impl<'d> Iterator for Pairs<'d> {
    type Item = (Node<'d>, Node<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.children.next()?, self.children.next()?))
    }
}

/// Builds a document in the order of the text.
pub(crate) struct Builder {
    doc: Document,
    /// Open collections: the node, its last child, and for a mapping the key that waits for a value.
    open: Vec<Open>,
}

struct Open {
    id: NodeId,
    last: u32,
    mapping: bool,
    key: u32,
}

impl Builder {
    pub(crate) fn new(source: &Arc<Source>, syntax: Syntax, capacity: usize) -> Self {
        let doc = Document {
            source: Arc::clone(source),
            syntax,
            slots: Vec::with_capacity(capacity),
            owned: Vec::new(),
            tags: Vec::new(),
            comments: Vec::new(),
            duplicates: Vec::new(),
            unknown_aliases: Vec::new(),
        };
        Self { doc, open: Vec::new() }
    }

    fn push(&mut self, kind: Kind, style: Style, span: Span) -> NodeId {
        let id = self.doc.slots.len() as u32;
        let mut slot = Slot { kind, style, span, parent: NONE, key: NONE, first: NONE, next: NONE, owned: NONE, trim: 0, tag: 0 };
        if let Some(open) = self.open.last_mut() {
            slot.parent = open.id;
            let previous = std::mem::replace(&mut open.last, id);
            if open.mapping {
                if open.key == NONE {
                    open.key = id;
                } else {
                    slot.key = std::mem::replace(&mut open.key, NONE);
                }
            }
            let link = if previous == NONE {
                self.doc.slots.get_mut(open.id as usize).map(|slot| &mut slot.first)
            } else {
                self.doc.slots.get_mut(previous as usize).map(|slot| &mut slot.next)
            };
            if let Some(link) = link {
                *link = id;
            }
        }
        self.doc.slots.push(slot);
        id
    }

    /// Adds a scalar. `value` is its decoded text; it is stored only where the source does not hold it.
    pub(crate) fn scalar(&mut self, style: Style, span: Span, value: &str) -> NodeId {
        let id = self.push(Kind::Scalar, style, span);
        let raw = self.doc.source.slice(span);
        let trim = if raw == value {
            Some(0)
        } else {
            [1_u8, 3].into_iter().find(|&trim| raw.get(usize::from(trim)..raw.len().saturating_sub(usize::from(trim))) == Some(value))
        };
        if let Some(slot) = self.doc.slots.get_mut(id as usize) {
            if let Some(trim) = trim {
                slot.trim = trim;
            } else {
                slot.owned = self.doc.owned.len() as u32;
                self.doc.owned.push(value.into());
            }
        }
        id
    }

    /// Adds an alias of an earlier node.
    pub(crate) fn alias(&mut self, span: Span, target: NodeId) -> NodeId {
        let id = self.push(Kind::Alias, Style::Plain, span);
        if let Some(slot) = self.doc.slots.get_mut(id as usize) {
            slot.first = target;
        }
        id
    }

    /// Opens a sequence.
    pub(crate) fn open_sequence(&mut self, style: Style, span: Span) -> NodeId {
        let id = self.push(Kind::Sequence, style, span);
        self.open.push(Open { id, last: NONE, mapping: false, key: NONE });
        id
    }

    /// Opens a mapping; its children are keys and values in turn.
    pub(crate) fn open_mapping(&mut self, style: Style, span: Span) -> NodeId {
        let id = self.push(Kind::Mapping, style, span);
        self.open.push(Open { id, last: NONE, mapping: true, key: NONE });
        id
    }

    /// Closes the innermost collection, whose text ends at `end`.
    pub(crate) fn close(&mut self, end: usize) {
        let Some(open) = self.open.pop() else { return };
        if let Some(slot) = self.doc.slots.get_mut(open.id as usize) {
            slot.span.end = slot.span.end.max(end as u32);
        }
        if open.mapping {
            self.find_duplicates(open.id);
        }
    }

    pub(crate) fn tag(&mut self, id: NodeId, tag: &str) {
        if self.doc.tags.len() < usize::from(u16::MAX) - 1 {
            self.doc.tags.push(tag.into());
            if let Some(slot) = self.doc.slots.get_mut(id as usize) {
                slot.tag = self.doc.tags.len() as u16;
            }
        }
    }

    pub(crate) fn comment(&mut self, span: Span) {
        self.doc.comments.push(span);
    }

    pub(crate) fn unknown_alias(&mut self, span: Span) {
        self.doc.unknown_aliases.push(span);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.doc.slots.is_empty()
    }

    fn find_duplicates(&mut self, mapping: NodeId) {
        let mut found = Vec::new();
        {
            let node = self.doc.node(mapping);
            let keys = || node.pairs().map(|(key, _)| key).filter(|key| key.is_scalar() && !key.is_merge_key());
            let count = keys().count();
            if count < 2 {
                return;
            }
            if count <= 12 {
                for (index, key) in keys().enumerate() {
                    let text = key.text();
                    if let Some(first) = keys().take(index).find(|earlier| earlier.text() == text) {
                        found.push((key.id, first.id));
                    }
                }
            } else {
                let mut seen = std::collections::HashMap::with_capacity(count);
                for key in keys() {
                    if let Some(first) = seen.get(key.text().unwrap_or_default()) {
                        found.push((key.id, *first));
                    } else {
                        seen.insert(key.text().unwrap_or_default(), key.id);
                    }
                }
            }
        }
        self.doc.duplicates.extend(found);
    }

    /// The finished document; collections still open end at `end`.
    pub(crate) fn finish(mut self, end: usize) -> Document {
        while !self.open.is_empty() {
            self.close(end);
        }
        if self.doc.slots.is_empty() {
            self.push(Kind::Scalar, Style::Plain, Span::new(end, end));
        }
        self.doc
    }
}
