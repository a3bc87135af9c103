//! Environments: the ways in which files are deployed. What one is made of is put together into documents whose nodes
//! keep the place that set them.
//!
//! The texts of all files of an environment stand one after the other in one source ([`Joined`]), so a span says both
//! where and in which file, and everything that looks at documents works on composed ones as it does on plain ones.

pub(crate) mod compose;
pub(crate) mod helm;
pub(crate) mod kustomize;
mod value;

use std::sync::Arc;

use crate::finding::Location;
use crate::source::{Source, Span};
use crate::syntax::Document;
use crate::tree::Tree;

pub(crate) use value::{Key, MAX_DEPTH, Scalar, Value};

/// What an environment deploys.
#[derive(Debug)]
pub(crate) struct Composed {
    /// The joined text; its path is the name of the environment.
    pub(crate) source: Arc<Source>,
    pub(crate) origins: Origins,
    /// One document for each object (Kubernetes) or for the whole (Compose).
    pub(crate) documents: Vec<Document>,
    /// Numbers of documents that lack something which could not be read.
    pub(crate) incomplete: Vec<usize>,
    /// What could not be evaluated: where that is said, and what it means for the findings.
    pub(crate) not_evaluated: Vec<(Span, String)>,
    /// Whether objects are deployed that are not in the tree, such as those of a remote base or a chart.
    pub(crate) open: bool,
    /// What names something that is not there.
    pub(crate) problems: Vec<Problem>,
}

/// A part of an environment that names something that is not there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Problem {
    pub(crate) kind: ProblemKind,
    /// The text that names it.
    pub(crate) span: Span,
    /// What is named: a path, an object, an image or a field.
    pub(crate) name: String,
}

/// What is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ProblemKind {
    /// The file or folder.
    Path,
    /// An object that a patch, a replica count, a replacement or a variable is meant for.
    Target,
    /// The field of an object that a patch or replacement names.
    Field,
    /// The image that is to be replaced.
    Image,
}

/// The texts of several files, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    text: String,
    origins: Origins,
}

/// Which part of a joined text is which file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    /// Where each file begins, in ascending order.
    parts: Vec<(u32, Arc<str>)>,
}

impl Joined {
    /// The text of a file and where it begins in the whole; a file is added once. The error says why it cannot be read.
    pub(crate) fn add(&mut self, tree: &Tree, path: &str) -> Result<(Source, u32), String> {
        let bytes = tree.read(path).map_err(|error| format!("cannot be read: {error}"))?;
        let source = Source::decode(path.into(), bytes).map_err(|error| error.to_string())?;
        if let Some((start, _)) = self.origins.parts.iter().find(|(_, known)| **known == *path) {
            return Ok((source, *start));
        }
        let start = u32::try_from(self.text.len()).map_err(|_| "the files of this environment are too large together".to_owned())?;
        self.origins.parts.push((start, Arc::clone(&source.path)));
        self.text.push_str(&source.text);
        // The end of one file and the start of the next are two places.
        self.text.push('\n');
        Ok((source, start))
    }

    /// The text of a span.
    pub(crate) fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// The source that documents are built on, under the name of the environment.
    pub(crate) fn finish(self, name: &str) -> (Arc<Source>, Origins) {
        (Arc::new(Source { path: name.into(), text: self.text, bom: false }), self.origins)
    }
}

impl Origins {
    /// The file and the place in it that a span of the joined text is.
    pub(crate) fn locate(&self, span: Span) -> Option<Location> {
        let index = self.parts.partition_point(|(start, _)| *start <= span.start).checked_sub(1)?;
        let (start, path) = self.parts.get(index)?;
        Some(Location { path: Arc::clone(path), span: Span { start: span.start - start, end: span.end.saturating_sub(*start) } })
    }

    /// The files, and where each begins.
    pub(crate) fn parts(&self) -> &[(u32, Arc<str>)] {
        &self.parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{self, Builder, Syntax};

    #[test]
    fn nodes_of_two_files_stand_in_one_document() -> Result<(), String> {
        let tree = Tree::default().with("a.yaml", "kind: A\nlist: [1, 'two']\n").with("b.yaml", "extra: \"x\\ty\"\n");
        let mut joined = Joined::default();
        let mut roots = Vec::new();
        for path in ["a.yaml", "b.yaml"] {
            let (source, start) = joined.add(&tree, path)?;
            let parsed = syntax::parse(&Arc::new(source), Syntax::Yaml);
            let root = parsed.documents.first().ok_or("no document")?.root();
            roots.push(Value::read(root, start).map_err(|error| error.to_string())?);
        }
        let mut roots = roots.into_iter();
        let (Some(mut first), Some(second)) = (roots.next(), roots.next()) else { return Err("no values".to_owned()) };
        for (key, value) in second.entries() {
            first.set(key.clone(), value.clone());
        }
        let (source, origins) = joined.finish("a/");
        let mut builder = Builder::new(&source, Syntax::Yaml, 8);
        first.write(&mut builder);
        let document = builder.finish(source.text.len());
        let extra = document.root().get("extra").ok_or("no extra")?;
        assert_eq!(extra.text(), Some("x\ty"));
        assert_eq!(origins.locate(extra.span()), Some(Location { path: "b.yaml".into(), span: Span::new(7, 13) }));
        let two = document.root().get("list").and_then(|list| list.items().last()).ok_or("no item")?;
        assert_eq!(two.text(), Some("two"));
        assert!(two.is_verbatim());
        assert_eq!(document.root().get("list").map(syntax::Node::path), Some("list".to_owned()));
        Ok(())
    }
}
