//! Objects while they are composed, and by which names they are found.

use super::schema;
use crate::environment::{Scalar, Value};
use crate::source::Span;

/// What stands for the namespace of objects that have none.
const NO_NAMESPACE: &str = "_non_namespaceable_";
const DEFAULT_NAMESPACE: &str = "default";

/// An object, and what it was called before.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) value: Value,
    /// Every identity it had before its current one, oldest first.
    pub(super) previous: Vec<Former>,
    pub(super) prefixes: Vec<Box<str>>,
    pub(super) suffixes: Vec<Box<str>>,
    /// Whether its name gets a digest of its content.
    pub(super) hashed: bool,
    /// Whether something of it could not be read.
    pub(super) partial: bool,
    /// The variables that are read from it.
    pub(super) variables: Vec<Box<str>>,
}

/// An identity that an object had; group and version are those it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Former {
    pub(super) kind: Box<str>,
    pub(super) name: Box<str>,
    /// Never empty, see [`Object::namespace`].
    pub(super) namespace: Box<str>,
}

/// What an object is: an empty field of a pattern stands for any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) group: Box<str>,
    pub(super) version: Box<str>,
    pub(super) kind: Box<str>,
}

impl Type {
    pub(super) fn read(value: &Value) -> Self {
        let text = |key: &str| value.text_of(key).unwrap_or_default();
        let (group, version) = match value.text_of("apiVersion") {
            Some(version) => split_version(version),
            None => (text("group"), text("version")),
        };
        Self { group: group.into(), version: version.into(), kind: text("kind").into() }
    }

    /// Whether something of this group, version and kind is meant.
    pub(super) fn selects(&self, group: &str, version: &str, kind: &str) -> bool {
        (self.group.is_empty() || *self.group == *group)
            && (self.version.is_empty() || *self.version == *version)
            && (self.kind.is_empty() || *self.kind == *kind)
    }
}

/// Group and version of an `apiVersion`.
pub(super) fn split_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

impl Object {
    pub(super) fn new(value: Value) -> Self {
        Self {
            value,
            previous: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            hashed: false,
            partial: false,
            variables: Vec::new(),
        }
    }

    /// Whether the value has what every object needs.
    pub(super) fn is_object(value: &Value) -> bool {
        value.text_of("kind").is_some_and(|kind| !kind.is_empty())
            && value.get("metadata").and_then(|metadata| metadata.text_of("name")).is_some_and(|name| !name.is_empty())
    }

    pub(super) fn kind(&self) -> &str {
        self.value.text_of("kind").unwrap_or_default()
    }

    pub(super) fn group_version(&self) -> (&str, &str) {
        split_version(self.value.text_of("apiVersion").unwrap_or_default())
    }

    pub(super) fn is(&self, pattern: &Type) -> bool {
        let (group, version) = self.group_version();
        pattern.selects(group, version, self.kind())
    }

    fn metadata(&self, key: &str) -> &str {
        self.value.get("metadata").and_then(|metadata| metadata.text_of(key)).unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        self.metadata("name")
    }

    /// The namespace as written; may be empty.
    pub(super) fn written_namespace(&self) -> &str {
        self.metadata("namespace")
    }

    pub(super) fn is_cluster_scoped(&self) -> bool {
        schema::is_cluster_scoped(self.value.text_of("apiVersion").unwrap_or_default(), self.kind())
    }

    /// The namespace for comparing, where absence means `default`.
    pub(super) fn namespace(&self) -> &str {
        effective_namespace(self.value.text_of("apiVersion").unwrap_or_default(), self.kind(), self.written_namespace())
    }

    /// The identity it has now.
    pub(super) fn current(&self) -> Former {
        Former { kind: self.kind().into(), name: self.name().into(), namespace: self.namespace().into() }
    }

    /// The identity it had at first.
    pub(super) fn original(&self) -> Former {
        self.previous.first().cloned().unwrap_or_else(|| self.current())
    }

    /// Keeps the current identity, which is about to change.
    pub(super) fn remember(&mut self) {
        let current = self.current();
        self.previous.push(current);
    }

    /// Whether it is, or was, what another object is.
    pub(super) fn was(&self, group_version: (&str, &str), id: &Former) -> bool {
        self.group_version() == group_version && (self.current() == *id || self.previous.contains(id))
    }

    /// A mapping of metadata, such as labels.
    pub(super) fn metadata_map(&self, key: &str) -> Option<&Value> {
        self.value.get("metadata").and_then(|metadata| metadata.get(key))
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata_map("annotations").and_then(|annotations| annotations.get(key)).and_then(Value::text)
    }

    /// Gives it another name, which keeps its place.
    pub(super) fn rename(&mut self, name: String) {
        if let Some(Value::Scalar(scalar)) = self.value.get_mut("metadata").and_then(|metadata| metadata.get_mut("name")) {
            scalar.text = name.into();
        }
    }
}

/// The namespace of an object for comparing.
pub(super) fn effective_namespace<'a>(api_version: &str, kind: &str, written: &'a str) -> &'a str {
    if schema::is_cluster_scoped(api_version, kind) {
        NO_NAMESPACE
    } else if written.is_empty() {
        DEFAULT_NAMESPACE
    } else {
        written
    }
}

/// A key that nobody wrote: it stands for the text that made it necessary.
pub(super) fn made_key(key: &str, span: Span) -> Scalar {
    Scalar::plain(key, span)
}
