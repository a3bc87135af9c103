//! Patches: `patches`, `patchesStrategicMerge` and `patchesJson6902`, inline and in files.

use std::rc::Rc;

use super::object::{Former, Object, effective_namespace, made_key, split_version};
use super::select::Selector;
use super::{Build, Documents, Gathered, Loss, ProblemKind, Spent, json_patch, merge, schema};
use crate::environment::Value;
use crate::source::Span;

/// What a patch may change of what an object is.
#[derive(Clone, Copy, Debug, Default)]
struct Allowed {
    name: bool,
    kind: bool,
}

impl Build<'_> {
    /// An entry of `patches` or `patchesJson6902`.
    pub(super) fn patch(&mut self, folder: &str, entry: &Value, gathered: &mut Gathered) -> Result<(), Spent> {
        let inline = ["patch", "jsonOp"]
            .iter()
            .find_map(|key| entry.get(key))
            .filter(|patch| patch.text().is_some_and(|text| !text.trim().is_empty()));
        let documents = match (inline, entry.get("path")) {
            (Some(Value::Scalar(inline)), _) => self.inline_documents(inline)?,
            (_, Some(path)) => self.named_documents(folder, path)?,
            _ => None,
        };
        let Some(documents) = documents else { return Ok(()) };
        let options = entry.get("options");
        let allow = |key: &str| options.is_some_and(|options| options.flag(key));
        let allowed = Allowed { name: allow("allowNameChange"), kind: allow("allowKindChange") };
        let Some(target) = entry.get("target").filter(|target| !target.is_null()) else {
            return self.merge_all(&documents, allowed, gathered);
        };
        let Some(selector) = Selector::read(target) else {
            self.lose(Loss::Changes, target.span(), "the target of this patch cannot be read".to_owned());
            return Ok(());
        };
        let chosen: Vec<usize> =
            gathered.objects.iter().enumerate().filter(|(_, object)| selector.selects(object)).map(|(at, _)| at).collect();
        self.purse.pay(gathered.objects.len())?;
        if chosen.is_empty() {
            self.problem(ProblemKind::Target, target_span(target), &described(target));
        }
        for patch in documents.values.iter().filter(|patch| !patch.is_null()) {
            for &at in &chosen {
                let Some(object) = gathered.objects.get_mut(at) else { continue };
                if json_patch::is_operations(patch) {
                    self.operate(object, patch)?;
                } else {
                    self.merge_one(object, patch, allowed)?;
                }
            }
        }
        drop_empty(gathered);
        Ok(())
    }

    /// An entry of `patchesStrategicMerge`: a file, or the patch itself.
    pub(super) fn strategic_patch(&mut self, folder: &str, entry: &Value, gathered: &mut Gathered) -> Result<(), Spent> {
        let documents = match entry {
            Value::Scalar(scalar) if scalar.text.contains('\n') => self.inline_documents(scalar)?,
            _ => self.named_documents(folder, entry)?,
        };
        match documents {
            Some(documents) => self.merge_all(&documents, Allowed::default(), gathered),
            None => Ok(()),
        }
    }

    /// Merges each document into the object that it names.
    fn merge_all(&mut self, documents: &Documents, allowed: Allowed, gathered: &mut Gathered) -> Result<(), Spent> {
        for patch in documents.values.iter().filter(|patch| !patch.is_null()) {
            self.purse.pay(gathered.objects.len())?;
            let metadata = |key: &str| patch.get("metadata").and_then(|metadata| metadata.text_of(key)).unwrap_or_default();
            let (api_version, kind) = (patch.text_of("apiVersion").unwrap_or_default(), patch.text_of("kind").unwrap_or_default());
            let namespace = effective_namespace(api_version, kind, metadata("namespace"));
            let id = Former { kind: kind.into(), name: metadata("name").into(), namespace: namespace.into() };
            let mut found = false;
            for object in gathered.objects.iter_mut().filter(|object| object.was(split_version(api_version), &id)) {
                found = true;
                self.merge_one(object, patch, allowed)?;
            }
            if !found {
                let span = patch.get("metadata").and_then(|metadata| metadata.get("name")).map_or(patch.span(), Value::span);
                self.problem(ProblemKind::Target, span, &described_id(&id));
            }
            drop_empty(gathered);
        }
        Ok(())
    }

    /// Merges a patch into an object, which keeps its kind, name and namespace unless they may change.
    fn merge_one(&mut self, object: &mut Object, patch: &Value, allowed: Allowed) -> Result<(), Spent> {
        if object.value.is_null() {
            return Ok(());
        }
        if allowed.name || allowed.kind {
            object.remember();
        }
        let own = |object: &Object, key: &str| object.value.get("metadata").and_then(|metadata| metadata.get(key)).cloned();
        let (api_version, kind) = (object.value.get("apiVersion").cloned(), object.value.get("kind").cloned());
        let (name, namespace) = (own(object, "name"), own(object, "namespace"));
        let definitions = self.definitions.as_ref().map(Rc::clone);
        let shape = schema::shape(
            object.value.text_of("apiVersion").unwrap_or_default(),
            object.value.text_of("kind").unwrap_or_default(),
            definitions.as_deref(),
        );
        let empty = Value::mapping(object.value.span());
        let value = std::mem::replace(&mut object.value, empty);
        let Some(mut merged) = merge::merge(Some(value), Some(patch), shape, &mut self.purse)? else {
            // An object without anything is dropped.
            return Ok(());
        };
        let restore = |value: &mut Value, key: &str, was: Option<Value>| match was {
            Some(was) => {
                let span = was.span();
                match value.get_mut(key) {
                    Some(place) => *place = was,
                    None => value.set(made_key(key, span), was),
                }
            }
            None => {
                value.remove(key);
            }
        };
        restore(&mut merged, "apiVersion", api_version);
        if !allowed.kind {
            restore(&mut merged, "kind", kind);
        }
        if let Some(metadata) = merged.get_mut("metadata") {
            if !allowed.name {
                restore(metadata, "name", name);
            }
            restore(metadata, "namespace", namespace);
        }
        object.value = merged;
        Ok(())
    }

    fn operate(&mut self, object: &mut Object, patch: &Value) -> Result<(), Spent> {
        object.remember();
        for (span, path) in json_patch::apply(&mut object.value, patch, &mut self.purse)? {
            self.problem(ProblemKind::Field, span, &path);
        }
        Ok(())
    }
}

fn drop_empty(gathered: &mut Gathered) {
    gathered.objects.retain(|object| !object.value.entries().is_empty());
}

/// The text of a target that says most of what it is.
fn target_span(target: &Value) -> Span {
    ["name", "labelSelector", "annotationSelector", "kind"].iter().find_map(|key| target.get(key)).map_or(target.span(), Value::span)
}

fn described(target: &Value) -> String {
    let parts: Vec<&str> =
        ["kind", "namespace", "name", "labelSelector", "annotationSelector"].iter().filter_map(|key| target.text_of(key)).collect();
    parts.join(" ")
}

fn described_id(id: &Former) -> String {
    format!("{} {}", id.kind, id.name)
}
