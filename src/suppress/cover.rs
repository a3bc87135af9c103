//! What a suppression covers: a line, a node, a container or a file.

use crate::artifact::kubernetes::pod_template;
use crate::artifact::{Artifact, TargetKind};
use crate::rule::ArtifactKind;
use crate::source::{Source, Span};
use crate::syntax::{Document, Kind, Node, NodeId, Parsed, Style, Syntax};

/// The findings that a suppression speaks of, by where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cover {
    File,
    /// Findings that touch one of these lines.
    Lines(Span),
    /// Findings that begin in one of these spans.
    Nodes(Vec<Span>),
    /// Findings in a container, and those about it elsewhere in its object.
    Container {
        object: Span,
        container: Span,
        name: String,
    },
}

impl Cover {
    /// Whether a finding at a span, about a container or none, is covered.
    pub(crate) fn covers(&self, at: Span, about: &str) -> bool {
        let begins_in = |span: &Span| span.start <= at.start && (at.start < span.end || at.is_empty() && at.start == span.end);
        match self {
            Self::File => true,
            Self::Lines(lines) => at.start <= lines.end && (at.end > lines.start || at.is_empty() && at.start >= lines.start),
            Self::Nodes(spans) => spans.iter().any(begins_in),
            Self::Container { object, container, name } => begins_in(container) || (begins_in(object) && about == name),
        }
    }
}

/// A comment of a file.
#[derive(Debug)]
pub(super) struct Comment {
    /// Its sign included.
    pub(super) span: Span,
    pub(super) body: Span,
    /// Whether something stands before it on its line.
    pub(super) trailing: bool,
    /// What follows on the next line with content, without blanks at its start.
    below: Option<Span>,
}

/// The comments of a file in the order of its text. A template has no documents; its lines are looked at instead.
pub(super) fn comments(source: &Source, parsed: &Parsed) -> Vec<Comment> {
    let mut spans: Vec<Span> = parsed.documents.iter().flat_map(|document| &document.comments).copied().collect();
    if parsed.documents.is_empty() {
        spans = comment_lines(&source.text);
    }
    spans.sort_unstable();
    let mut comments: Vec<Comment> = spans.into_iter().map(|span| Comment::new(source, span)).collect();
    // Of comments above each other all have the line below the last one; from behind, each line is looked at once.
    for index in (0..comments.len()).rev() {
        let below = comments.get(index).and_then(|comment| below(source, comment, &comments));
        if let Some(comment) = comments.get_mut(index) {
            comment.below = below;
        }
    }
    comments
}

/// What follows a comment, where those that come later know what follows them.
fn below(source: &Source, comment: &Comment, comments: &[Comment]) -> Option<Span> {
    let mut line = line_at(source, comment.span.end);
    while (line.end as usize) < source.text.len() {
        line = line_below(source, line);
        let content = content(source, line);
        if content.is_empty() {
            continue;
        }
        let Ok(next) = comments.binary_search_by_key(&content.start, |comment| comment.span.start) else { return Some(content) };
        let next = comments.get(next)?;
        let rest = self::content(source, Span { start: next.span.end, end: line_at(source, next.span.end).end });
        return if rest.is_empty() { next.below } else { Some(rest) };
    }
    None
}

/// A part of a line without blanks at its start.
fn content(source: &Source, line: Span) -> Span {
    let length = source.slice(line).trim_start().len() as u32;
    Span { start: line.end - length, end: line.end }
}

/// Comments of a text that no parser reads: from a `#` that begins a word to the end of the line, from `{{/*` to its end.
fn comment_lines(text: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end();
        let free = spans.last().map_or(0, |last| last.end as usize);
        let begins =
            |at: usize| start + at >= free && body.get(..at).is_some_and(|before| before.is_empty() || before.ends_with([' ', '\t']));
        let sign =
            ["#", "{{/*", "{{- /*"].iter().flat_map(|sign| body.match_indices(sign)).map(|(at, _)| at).filter(|&at| begins(at)).min();
        if let Some(from) = sign.map(|at| start + at) {
            let rest = text.get(from..).filter(|rest| rest.starts_with("{{"));
            let close = rest.and_then(|rest| rest.find("*/")).and_then(|at| Some(at + rest?.get(at..)?.find("}}")? + 2));
            spans.push(Span::new(from, close.map_or(start + body.len(), |length| from + length)));
        }
        start += line.len();
    }
    spans
}

/// The line of an offset without its break.
pub(super) fn line_at(source: &Source, offset: u32) -> Span {
    let (before, after) = source.text.split_at_checked(offset as usize).unwrap_or((&source.text, ""));
    let start = before.rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let end = offset as usize + after.find(['\n', '\r']).unwrap_or(after.len());
    Span::new(start, end)
}

/// The line below a line, or the line itself where it is the last.
pub(super) fn line_below(source: &Source, line: Span) -> Span {
    let rest = source.text.get(line.end as usize..).unwrap_or_default();
    let length = if rest.starts_with("\r\n") { 2 } else { 1 };
    if rest.is_empty() { line } else { line_at(source, line.end + length) }
}

/// The line above a line, or the line itself where it is the first.
pub(super) fn line_above(source: &Source, line: Span) -> Span {
    let before = source.text.get(..line.start as usize).unwrap_or_default();
    let length = if before.ends_with("\r\n") { 2 } else { 1 };
    if before.is_empty() { line } else { line_at(source, line.start - length) }
}

/// Whether no document has begun before an offset.
pub(super) fn is_before_content(source: &Source, parsed: &Parsed, offset: u32) -> bool {
    if let Some(first) = parsed.documents.first() {
        return offset <= first.root().span().start;
    }
    let before = source.text.get(..offset as usize).unwrap_or_default();
    before.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with(['#', '{']))
}

impl Comment {
    fn new(source: &Source, span: Span) -> Self {
        let text = source.slice(span);
        let body = text.trim_start_matches(['#', '/', '*', '{', '-', ' ', '\t']);
        let inner = body.trim_end().trim_end_matches(['}', '/', '*', '-', ' ']);
        // Only the signs that a comment closes with are cut off.
        let closes = text.starts_with("/*") || text.starts_with("{{");
        let start = span.start as usize + (text.len() - body.len());
        let end = start + if closes { inner.len() } else { body.len() };
        let line = line_at(source, span.start);
        let before = source.slice(Span { start: line.start, end: span.start });
        Self { span, body: Span::new(start, end), trailing: !before.trim().is_empty(), below: None }
    }

    /// What the comment covers: its line where something else stands there, or the node that begins below it.
    pub(super) fn cover(&self, layout: &Layout<'_, '_>) -> Cover {
        let last = line_at(layout.source, self.span.end);
        match () {
            () if self.trailing => Cover::Lines(line_at(layout.source, self.span.start)),
            () if !content(layout.source, Span { start: self.span.end, end: last.end }).is_empty() => Cover::Lines(last),
            () => self.below(layout),
        }
    }

    /// The node that begins on the next line with content, or that line where no node does.
    pub(super) fn below(&self, layout: &Layout<'_, '_>) -> Cover {
        let Some(line) = self.below else { return Cover::Nodes(Vec::new()) };
        let spans = layout.node_on(line);
        if spans.is_empty() { Cover::Lines(line_at(layout.source, line.start)) } else { Cover::Nodes(spans) }
    }
}

/// Where the nodes of a file begin.
pub(super) struct Layout<'a, 'd> {
    source: &'a Source,
    artifacts: &'a [Artifact<'d>],
    documents: &'d [Document],
    /// The start of every entry, by its key where it has one, with its document; sorted, outer ones first.
    starts: Vec<(u32, usize, NodeId)>,
}

impl<'a, 'd> Layout<'a, 'd> {
    pub(super) fn new(source: &'a Source, parsed: &'d Parsed, artifacts: &'a [Artifact<'d>]) -> Self {
        let entries =
            parsed.documents.iter().enumerate().flat_map(|(index, document)| {
                document.entries().map(move |node| (node.key().unwrap_or(node).span().start, index, node.id))
            });
        let mut starts: Vec<(u32, usize, NodeId)> = entries.collect();
        starts.sort_unstable();
        Self { source, artifacts, documents: &parsed.documents, starts }
    }

    /// The entries that begin in a span, in the order of the text.
    fn begin_in(&self, span: Span) -> impl Iterator<Item = Node<'d>> {
        let from = self.starts.partition_point(|(start, ..)| *start < span.start);
        let starts = self.starts.get(from..).unwrap_or_default().iter().take_while(move |(start, ..)| *start <= span.end);
        starts.filter_map(|&(_, index, id)| Some(self.documents.get(index)?.node(id)))
    }

    /// The node that begins with a line, whose blanks at the start are left out.
    fn node_on(&self, line: Span) -> Vec<Span> {
        let text = self.source.slice(line);
        if text.starts_with("---") {
            let next = self.documents.partition_point(|document| document.root().span().start <= line.start);
            return self.documents.get(next).map(|document| document.root().span()).into_iter().collect();
        }
        let Some(first) = self.begin_in(line).next() else { return Vec::new() };
        if first.doc.syntax == Syntax::Toml && text.starts_with('[') {
            return self.table_on(line);
        }
        // `- - a` begins several items: the outermost.
        let dashes = (text.len() - text.trim_start_matches(['-', ' ', '\t']).len()) as u32;
        let is_item = |node: &Node<'_>| node.parent().is_some_and(Node::is_sequence);
        let item = self.begin_in(Span { start: line.start, end: line.start + dashes }).find(is_item);
        let pair = self.begin_in(Span { start: line.start, end: line.start }).find(|node| node.key().is_some());
        let node = match (item, pair) {
            (Some(item), _) if text.starts_with('-') || item.span().start == line.start => item,
            (_, Some(pair)) => pair,
            _ if first.span().start == line.start => first,
            _ => return Vec::new(),
        };
        // The first key of a Kubernetes object stands for the object: nothing else begins before it.
        let root = first.doc.root();
        let is_first = root.pairs().next().is_some_and(|(key, _)| node.key() == Some(key));
        if node.parent() == Some(root) && is_first && self.holds_objects(first.doc) {
            return vec![root.span()];
        }
        vec![extent(node)]
    }

    fn holds_objects(&self, document: &Document) -> bool {
        let start = document.root().span().start;
        let first = self.artifacts.partition_point(|artifact| artifact.root.span().start < start);
        let artifact = self.artifacts.get(first);
        artifact.is_some_and(|artifact| artifact.kind == ArtifactKind::Kubernetes && std::ptr::eq(artifact.root.doc, document))
    }

    /// A TOML table by its header: the header's line, and all that belongs to the table wherever it stands.
    fn table_on(&self, line: Span) -> Vec<Span> {
        let in_line = |span: Span| line.contains(span) && !span.is_empty();
        // Of the tables that a header implies, the last is meant; an item of an array has no key.
        let table = self
            .begin_in(line)
            .filter(|node| node.kind() == Kind::Mapping && node.style() == Style::Block)
            .filter(|node| match node.key() {
                Some(key) => in_line(key.span()),
                None => node.span().start == line.start && node.parent().is_some_and(Node::is_sequence),
            })
            .max_by_key(|node| node.id);
        let below =
            table.into_iter().flat_map(Node::values).map(|node| match (node.is_scalar() || node.style() == Style::Flow, node.key()) {
                (false, Some(key)) => key.span(),
                _ => extent(node),
            });
        let spans = below.filter(|span| span.start >= line.start || table.is_some_and(|table| table.key().is_some()));
        std::iter::once(line).chain(spans).collect()
    }
}

/// From the key of a node, or its own start, to its end.
fn extent(node: Node<'_>) -> Span {
    let span = node.span();
    node.key().map_or(span, |key| Span { start: key.span().start, end: span.end.max(key.span().end) })
}

/// The annotations of an object and of its pod template, with the object.
pub(super) fn annotations<'a, 'd>(artifact: &'a Artifact<'d>) -> Vec<(Node<'d>, &'a Artifact<'d>)> {
    if artifact.kind != ArtifactKind::Kubernetes {
        return Vec::new();
    }
    let template = pod_template(artifact.root).filter(|template| *template != artifact.root);
    let homes = [Some(artifact.root), template].into_iter().flatten();
    homes.filter_map(|node| node.at_path(&["metadata", "annotations"])).map(|annotations| (annotations, artifact)).collect()
}

/// A container of an object by its name.
pub(super) fn container(artifact: &Artifact<'_>, name: &str) -> Option<Cover> {
    let place = artifact.targets(TargetKind::Container).find(|place| place.object.container == name)?;
    Some(Cover::Container { object: artifact.root.span(), container: place.node.span(), name: name.to_owned() })
}

/// The object that an offset stands in, or the one that begins below it.
pub(super) fn object_around(artifacts: &[Artifact<'_>], offset: u32) -> Cover {
    let spans = || artifacts.iter().map(|artifact| artifact.root.span());
    let around = spans().find(|span| span.start <= offset && offset < span.end);
    let below = || spans().filter(|span| span.start > offset).min();
    Cover::Nodes(around.or_else(below).into_iter().collect())
}
