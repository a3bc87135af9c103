//! A tree that can be changed, for composing; each part keeps the place that set it.

use crate::source::Span;
use crate::syntax::{Builder, Node, Style};

/// The most nodes that one value may hold after aliases are expanded.
const MAX_NODES: usize = 1_000_000;

/// The deepest nesting of a value; aliases can nest deeper than any file.
pub(crate) const MAX_DEPTH: usize = 200;

/// A value with more nodes, or nested deeper, than is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooLarge {
    #[error("holds more than {MAX_NODES} values once its aliases are expanded")]
    Nodes,
    #[error("is nested more than {MAX_DEPTH} levels deep once its aliases are expanded")]
    Depth,
}

/// A scalar, sequence or mapping.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    Sequence { items: Vec<Value>, style: Style, span: Span },
    Mapping { entries: Vec<(Key, Value)>, style: Style, span: Span },
}

/// A scalar: its value, and the text to edit.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: Box<str>,
    pub(crate) style: Style,
    pub(crate) span: Span,
    /// See `Node::tag`.
    pub(crate) tag: Option<Box<str>>,
}

/// A key and where it is written.
pub(crate) type Key = Scalar;

impl Scalar {
    /// A plain text that a place stands for.
    pub(crate) fn plain(text: impl Into<Box<str>>, span: Span) -> Self {
        Self { text: text.into(), style: Style::Plain, span, tag: None }
    }

    fn read(node: Node<'_>, offset: u32) -> Self {
        Self {
            text: node.text().unwrap_or_default().into(),
            style: node.style(),
            span: node.resolved().span().moved(offset),
            tag: node.tag().map(Into::into),
        }
    }

    fn write(&self, builder: &mut Builder) {
        let id = builder.scalar(self.style, self.span, &self.text);
        if let Some(tag) = &self.tag {
            builder.tag(id, tag);
        }
    }
}

impl Value {
    /// A copy of a node, aliases and merge keys resolved; its source begins at `offset` of the joined text.
    pub(crate) fn read(node: Node<'_>, offset: u32) -> Result<Self, TooLarge> {
        Self::read_counted(node, offset, &mut 0)
    }

    /// As `read`; `count` grows by the nodes that are read, and more than the limit are refused.
    pub(crate) fn read_counted(node: Node<'_>, offset: u32, count: &mut usize) -> Result<Self, TooLarge> {
        Self::read_part(node, offset, count, 0)
    }

    fn read_part(node: Node<'_>, offset: u32, count: &mut usize, depth: usize) -> Result<Self, TooLarge> {
        *count += 1;
        if *count > MAX_NODES {
            return Err(TooLarge::Nodes);
        }
        if depth > MAX_DEPTH {
            return Err(TooLarge::Depth);
        }
        let (style, span) = (node.style(), node.resolved().span().moved(offset));
        if node.is_mapping() {
            let mut entries = Vec::new();
            for (key, value) in node.entries() {
                entries.push((Scalar::read(key, offset), Self::read_part(value, offset, count, depth + 1)?));
            }
            return Ok(Self::Mapping { entries, style, span });
        }
        if node.is_sequence() {
            let items = node.items().map(|item| Self::read_part(item, offset, count, depth + 1)).collect::<Result<_, _>>()?;
            return Ok(Self::Sequence { items, style, span });
        }
        Ok(Self::Scalar(Scalar::read(node, offset)))
    }

    /// Adds the value to a document.
    pub(crate) fn write(&self, builder: &mut Builder) {
        match self {
            Self::Scalar(scalar) => scalar.write(builder),
            Self::Sequence { items, style, span } => {
                builder.open_sequence(*style, *span);
                for item in items {
                    item.write(builder);
                }
                builder.close(span.end as usize);
            }
            Self::Mapping { entries, style, span } => {
                builder.open_mapping(*style, *span);
                for (key, value) in entries {
                    key.write(builder);
                    value.write(builder);
                }
                builder.close(span.end as usize);
            }
        }
    }

    /// Whether it has keys.
    pub(crate) fn is_mapping(&self) -> bool {
        matches!(self, Self::Mapping { .. })
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// Where it is written.
    pub(crate) fn span(&self) -> Span {
        match self {
            Self::Scalar(scalar) => scalar.span,
            Self::Sequence { span, .. } | Self::Mapping { span, .. } => *span,
        }
    }

    /// The entries of a mapping; nothing for other values.
    pub(crate) fn entries(&self) -> &[(Key, Value)] {
        match self {
            Self::Mapping { entries, .. } => entries,
            _ => &[],
        }
    }

    /// The items of a sequence; nothing for other values.
    pub(crate) fn items(&self) -> &[Value] {
        match self {
            Self::Sequence { items, .. } => items,
            _ => &[],
        }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.entries().iter().find(|(known, _)| &*known.text == key).map(|(_, value)| value)
    }

    /// The value of a key, for changes.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        match self {
            Self::Mapping { entries, .. } => entries.iter_mut().find(|(known, _)| &*known.text == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Sets the value of a key of a mapping; a key that is there keeps its position and gets the new place.
    pub(crate) fn set(&mut self, key: Key, value: Value) {
        if let Self::Mapping { entries, .. } = self {
            match entries.iter_mut().find(|(known, _)| known.text == key.text) {
                Some(entry) => *entry = (key, value),
                None => entries.push((key, value)),
            }
        }
    }

    /// A mapping without entries.
    pub(crate) fn mapping(span: Span) -> Self {
        Self::Mapping { entries: Vec::new(), style: Style::Block, span }
    }

    /// Whether it is the null of YAML.
    pub(crate) fn is_null(&self) -> bool {
        match self {
            Self::Scalar(scalar) => {
                scalar.style == Style::Plain
                    && scalar.tag.as_deref().is_none_or(|tag| tag.ends_with(":null"))
                    && matches!(&*scalar.text, "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// The text of the value of a key, where it is a scalar other than null.
    pub(crate) fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.is_null()).and_then(Self::text)
    }

    /// The items of the value of a key.
    pub(crate) fn items_of(&self, key: &str) -> &[Value] {
        self.get(key).map_or(&[], Self::items)
    }

    /// Whether the value of a key is true.
    pub(crate) fn flag(&self, key: &str) -> bool {
        matches!(self.text_of(key), Some("true" | "True" | "TRUE"))
    }

    /// Takes a key and its value out of a mapping.
    pub(crate) fn remove(&mut self, key: &str) -> Option<(Key, Value)> {
        match self {
            Self::Mapping { entries, .. } => {
                let index = entries.iter().position(|(known, _)| &*known.text == key)?;
                Some(entries.remove(index))
            }
            _ => None,
        }
    }

    /// What the value costs to copy: its nodes, and its longer texts.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Scalar(scalar) => 1 + scalar.text.len() / 64,
            Self::Sequence { items, .. } => 1 + items.iter().map(Self::weight).sum::<usize>(),
            Self::Mapping { entries, .. } => 1 + entries.iter().map(|(_, value)| 1 + value.weight()).sum::<usize>(),
        }
    }

    /// How many levels it has below itself.
    pub(crate) fn depth(&self) -> usize {
        let below = match self {
            Self::Scalar(_) => return 0,
            Self::Sequence { items, .. } => items.iter().map(Self::depth).max(),
            Self::Mapping { entries, .. } => entries.iter().map(|(_, value)| value.depth()).max(),
        };
        1 + below.unwrap_or_default()
    }

    /// Moves every span, those of keys, too.
    pub(crate) fn relocate(&mut self, place: &impl Fn(Span) -> Span) {
        match self {
            Self::Scalar(scalar) => scalar.span = place(scalar.span),
            Self::Sequence { items, span, .. } => {
                *span = place(*span);
                for item in items {
                    item.relocate(place);
                }
            }
            Self::Mapping { entries, span, .. } => {
                *span = place(*span);
                for (key, value) in entries {
                    key.span = place(key.span);
                    value.relocate(place);
                }
            }
        }
    }
}
