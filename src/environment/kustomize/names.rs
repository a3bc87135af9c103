//! References by name, which follow the names that prefixes, suffixes and digests have changed.

use std::collections::HashMap;

use super::fields::{Missing, Reference, visit};
use super::object::{Object, Type, made_key};
use super::{Gathered, Purse, Spent};
use crate::environment::{Scalar, Value};

/// What an object is called, and was: what is needed to find it while others are changed.
struct Known {
    api_version: (Box<str>, Box<str>),
    kind: Box<str>,
    name: Box<str>,
    /// The namespace as written.
    written: Box<str>,
    namespace: Box<str>,
    original_namespace: Box<str>,
    cluster_scoped: bool,
    previous: Vec<(Box<str>, Box<str>)>,
    prefixes: Vec<Box<str>>,
    suffixes: Vec<Box<str>>,
}

/// The objects by the names they had.
struct Names {
    known: Vec<Known>,
    by_name: HashMap<Box<str>, Vec<usize>>,
}

/// The object whose fields are looked at.
struct Referrer {
    at: usize,
    /// Of a binding: the type of the role that it names.
    role: Option<Type>,
    /// The namespaces of the subjects of a role binding.
    subjects: Vec<Box<str>>,
}

/// Puts current names into every known field that refers to an object.
pub(super) fn fix(gathered: &mut Gathered, purse: &mut Purse) -> Result<(), Spent> {
    let names = Names::new(&gathered.objects);
    if names.by_name.is_empty() {
        return Ok(());
    }
    let config = std::rc::Rc::clone(&gathered.config);
    for (at, object) in gathered.objects.iter_mut().enumerate() {
        let referrer = Referrer::new(at, object);
        let original = object.original();
        let (group, version) = object.group_version();
        let (group, version) = (group.to_owned(), version.to_owned());
        purse.pay(config.references.len() / 4)?;
        for reference in &config.references {
            for field in reference.fields.iter().filter(|field| field.of.selects(&group, &version, &original.kind)) {
                let to_role = field.path.ends_with(&["roleRef".into(), "name".into()]);
                let search = Search { names: &names, referrer: &referrer, reference, to_role };
                let mut result = Ok(());
                visit(&mut object.value, &field.path, Missing::Skip, &mut |value| {
                    if result.is_ok() {
                        result = search.set(value, purse);
                    }
                });
                result?;
            }
        }
    }
    Ok(())
}

impl Names {
    fn new(objects: &[Object]) -> Self {
        let mut names = Self { known: Vec::with_capacity(objects.len()), by_name: HashMap::new() };
        for (at, object) in objects.iter().enumerate() {
            let (group, version) = object.group_version();
            for id in &object.previous {
                let places = names.by_name.entry(id.name.clone()).or_default();
                if places.last() != Some(&at) {
                    places.push(at);
                }
            }
            names.known.push(Known {
                api_version: (group.into(), version.into()),
                kind: object.kind().into(),
                name: object.name().into(),
                written: object.written_namespace().into(),
                namespace: object.namespace().into(),
                original_namespace: object.original().namespace,
                cluster_scoped: object.is_cluster_scoped(),
                previous: object.previous.iter().map(|id| (id.kind.clone(), id.name.clone())).collect(),
                prefixes: object.prefixes.clone(),
                suffixes: object.suffixes.clone(),
            });
        }
        names
    }
}

impl Referrer {
    fn new(at: usize, object: &Object) -> Self {
        let role = object.value.get("roleRef").and_then(|role| {
            Some(Type { group: role.text_of("apiGroup")?.into(), version: "".into(), kind: role.text_of("kind")?.into() })
        });
        let mut subjects = Vec::new();
        if object.kind() == "RoleBinding" {
            let accounts = object.value.items_of("subjects").iter().filter(|subject| subject.text_of("kind") == Some("ServiceAccount"));
            subjects.extend(accounts.filter_map(|subject| subject.text_of("namespace")).map(Into::into));
        }
        Self { at, role, subjects }
    }
}

/// In which namespace a name is meant.
#[derive(Clone, Copy)]
enum Within<'n> {
    /// The field has no place for it.
    Unsaid,
    /// It could be said and is not.
    Any,
    Namespace(&'n str),
}

/// The search for what a field of an object refers to.
struct Search<'s> {
    names: &'s Names,
    referrer: &'s Referrer,
    reference: &'s Reference,
    to_role: bool,
}

impl Search<'_> {
    /// Updates a field: a name, a mapping with a name and perhaps a namespace, or a list of these.
    fn set(&self, value: &mut Value, purse: &mut Purse) -> Result<(), Spent> {
        match value {
            Value::Sequence { items, .. } => items.iter_mut().try_for_each(|item| match item {
                Value::Sequence { .. } => Ok(()),
                item => self.set(item, purse),
            }),
            Value::Scalar(scalar) => {
                if let Some(found) = self.find(&scalar.text, Within::Unsaid, purse)?
                    && found.name != scalar.text
                {
                    purse.pay(1 + found.name.len() / 64)?;
                    scalar.text = found.name.clone();
                }
                Ok(())
            }
            Value::Mapping { .. } => {
                let Some(name) = value.text_of("name").map(str::to_owned) else { return Ok(()) };
                let namespace = value.get("namespace").and_then(Value::text).map(str::to_owned);
                let Some(found) = self.find(&name, namespace.as_deref().map_or(Within::Any, Within::Namespace), purse)? else {
                    return Ok(());
                };
                purse.pay(1 + (found.name.len() + found.written.len()) / 64)?;
                if let Some(Value::Scalar(place)) = value.get_mut("name") {
                    place.text = found.name.clone();
                }
                if !found.written.is_empty() {
                    if let Some(Value::Scalar(place)) = value.get_mut("namespace") {
                        place.text = found.written.clone();
                    } else {
                        let span = value.get("name").map_or(value.span(), Value::span);
                        value.set(made_key("namespace", span), Value::Scalar(Scalar::plain(found.written.clone(), span)));
                    }
                }
                Ok(())
            }
        }
    }

    /// The one object that a name means.
    fn find(&self, name: &str, within: Within<'_>, purse: &mut Purse) -> Result<Option<&Known>, Spent> {
        let Some(places) = self.names.by_name.get(name) else { return Ok(None) };
        purse.pay(places.len())?;
        let Some(own) = self.names.known.get(self.referrer.at) else { return Ok(None) };
        let mut found: Vec<&Known> = places
            .iter()
            .filter_map(|&at| self.names.known.get(at))
            .filter(|known| self.is_reachable(own, known))
            .filter(|known| known.was(name, &self.reference.target))
            .filter(|known| !self.to_role || self.referrer.role.as_ref().is_none_or(|role| known.is(role)))
            .collect();
        if let Within::Namespace(namespace) = within {
            let first: Vec<&Known> = found.iter().copied().filter(|known| *known.original_namespace == *namespace).collect();
            let any_original =
                self.names.known.iter().any(|known| *known.original_namespace == *namespace && self.is_reachable(own, known));
            purse.pay(self.names.known.len() / 8)?;
            found = if any_original { first } else { found.into_iter().filter(|known| *known.namespace == *namespace).collect() };
        }
        found.retain(|known| {
            own.cluster_scoped || known.cluster_scoped || &*known.kind == "ServiceAccount" || known.namespace == own.namespace
        });
        if let [only] = found.as_slice() {
            return Ok(Some(only));
        }
        found.retain(|known| known.is_extended_like(own, true));
        if found.len() > 1 {
            found.retain(|known| known.is_extended_like(own, false));
        }
        let Some((first, rest)) = found.split_first() else { return Ok(None) };
        // Several that are called the same are as good as one.
        let same =
            rest.iter().all(|known| known.name == first.name && (matches!(within, Within::Unsaid) || known.written == first.written));
        Ok(same.then_some(*first))
    }

    /// Whether an object can be referred to from the namespace of another one.
    fn is_reachable(&self, own: &Known, known: &Known) -> bool {
        own.cluster_scoped || known.cluster_scoped || known.namespace == own.namespace || self.referrer.subjects.contains(&known.written)
    }
}

impl Known {
    /// Whether it was called so, and was of a type.
    fn was(&self, name: &str, target: &Type) -> bool {
        let (group, version) = (&*self.api_version.0, &*self.api_version.1);
        self.previous.iter().any(|(_, old)| **old == *name) && self.previous.iter().any(|(kind, _)| target.selects(group, version, kind))
    }

    fn is(&self, target: &Type) -> bool {
        let (group, version) = (&*self.api_version.0, &*self.api_version.1);
        self.previous.iter().any(|(kind, _)| target.selects(group, version, kind))
    }

    /// Whether its name was extended by the same kustomizations as that of another object.
    fn is_extended_like(&self, other: &Known, absent_fits: bool) -> bool {
        let fits = |a: &[Box<str>], b: &[Box<str>]| {
            (absent_fits && (a.is_empty() || b.is_empty()))
                || a.iter().rev().zip(b.iter().rev()).all(|(a, b)| a == b) && (a.is_empty() == b.is_empty())
        };
        fits(&self.prefixes, &other.prefixes) && fits(&self.suffixes, &other.suffixes)
    }
}
