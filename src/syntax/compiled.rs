//! Nodes that `build.rs` has parsed: the files of `rules/`.

use std::sync::Arc;

use super::{Builder, Document, Style, Syntax};
use crate::source::{Source, Span};

/// Reads the nodes of a source; those that end too early leave a document that ends there.
pub(super) fn read(source: &Arc<Source>, nodes: &[u8]) -> Document {
    let mut builder = Builder::new(source, Syntax::Yaml, nodes.len() / 10);
    let mut rest = Rest(nodes);
    while read_node(&mut builder, source, &mut rest).is_some() {}
    builder.finish(source.text.len())
}

fn read_node(builder: &mut Builder, source: &Source, rest: &mut Rest<'_>) -> Option<()> {
    let tag = rest.byte()?;
    if tag == b'<' {
        builder.close(rest.number()?);
        return Some(());
    }
    let span = Span::new(rest.number()?, rest.number()?);
    let style = match tag {
        b'-' => {
            builder.open_sequence(Style::Block, span);
            return Some(());
        }
        b'[' => {
            builder.open_sequence(Style::Flow, span);
            return Some(());
        }
        b':' => {
            builder.open_mapping(Style::Block, span);
            return Some(());
        }
        b'{' => {
            builder.open_mapping(Style::Flow, span);
            return Some(());
        }
        b's' => Style::SingleQuoted,
        b'd' => Style::DoubleQuoted,
        b'l' => Style::Literal,
        b'f' => Style::Folded,
        _ => Style::Plain,
    };
    let value = match rest.byte()? {
        u8::MAX => {
            let length = rest.number()?;
            std::str::from_utf8(rest.take(length)?).ok()?
        }
        trim => source.text.get(span.start as usize + usize::from(trim)..(span.end as usize).checked_sub(usize::from(trim))?)?,
    };
    builder.scalar(style, span, value);
    Some(())
}

/// The bytes that are still to be read.
struct Rest<'n>(&'n [u8]);

impl<'n> Rest<'n> {
    fn take(&mut self, length: usize) -> Option<&'n [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<usize> {
        let bytes: [u8; 4] = self.take(4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    }
}
