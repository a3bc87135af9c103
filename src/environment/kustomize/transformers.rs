//! What a kustomization does to all objects it has: namespace, prefix and suffix, labels, annotations, replicas, images.

use std::rc::Rc;

use regex::Regex;

use super::fields::{Config, FieldSpec, Missing, add, visit};
use super::object::{Object, made_key};
use super::{Build, Gathered, Loss, ProblemKind, Spent, stringify};
use crate::environment::{Key, Scalar, Value};
use crate::source::Span;

/// Kinds whose names are given by others, so that they get no prefix and suffix.
const FIXED_NAMES: &[(&str, &str)] = &[("", "CustomResourceDefinition"), ("apiregistration.k8s.io", "APIService"), ("", "Namespace")];

/// Which end of a name is extended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Prefix,
    Suffix,
}

impl Build<'_> {
    /// Runs the transformers of a kustomization, in the order that kustomize has.
    pub(super) fn transform(&mut self, folder: &str, kustomization: &Value, gathered: &mut Gathered) -> Result<(), Spent> {
        let config = Rc::clone(&gathered.config);
        for patch in kustomization.items_of("patchesStrategicMerge") {
            self.strategic_patch(folder, patch, gathered)?;
        }
        for patch in kustomization.items_of("patches") {
            self.patch(folder, patch, gathered)?;
        }
        if let Some(Value::Scalar(namespace)) = kustomization.get("namespace") {
            self.set_namespace(namespace, &config.namespace, "defaultOnly", false, gathered)?;
        }
        for (end, key, fields) in [(End::Prefix, "namePrefix", &config.prefix), (End::Suffix, "nameSuffix", &config.suffix)] {
            if let Some(Value::Scalar(part)) = kustomization.get(key) {
                self.extend_names(end, part, fields, gathered)?;
            }
        }
        for label in kustomization.items_of("labels") {
            let fields = label_fields(label, &config);
            self.set_pairs(label.get("pairs"), &fields, gathered)?;
        }
        self.set_pairs(kustomization.get("commonLabels"), &config.common_labels, gathered)?;
        self.set_pairs(kustomization.get("commonAnnotations"), &config.annotations, gathered)?;
        for patch in kustomization.items_of("patchesJson6902") {
            self.patch(folder, patch, gathered)?;
        }
        for replica in kustomization.items_of("replicas") {
            self.set_replicas(replica, &config.replicas, gathered)?;
        }
        for image in ["images", "imageTags"].iter().flat_map(|key| kustomization.items_of(key)) {
            self.set_image(image, &config.images, gathered)?;
        }
        for replacement in kustomization.items_of("replacements") {
            self.replacement(folder, replacement, gathered)?;
        }
        for entry in kustomization.items_of("transformers") {
            self.plugins(folder, entry, gathered, Loss::Changes, Self::run_transformer)?;
        }
        Ok(())
    }

    /// Reads the configurations of plugins, inline or from a file or folder, and runs each.
    pub(super) fn plugins(
        &mut self,
        folder: &str,
        entry: &Value,
        gathered: &mut Gathered,
        loss: Loss,
        run: fn(&mut Self, &str, &Object, &mut Gathered) -> Result<bool, Spent>,
    ) -> Result<(), Spent> {
        let plugins = match entry {
            Value::Scalar(scalar) if scalar.text.contains('\n') => match self.inline_documents(scalar)? {
                Some(documents) => self.objects(&documents, scalar.span),
                None => return Ok(()),
            },
            _ => {
                let mut read = Gathered::default();
                self.resource(folder, entry, &mut read)?;
                read.objects
            }
        };
        for plugin in plugins {
            let ran = plugin.value.text_of("apiVersion") == Some("builtin") && run(self, folder, &plugin, gathered)?;
            if !ran {
                self.lose(loss, entry.span(), format!("the plugin `{}` is not run", plugin.kind()));
            }
        }
        Ok(())
    }

    fn run_transformer(&mut self, folder: &str, plugin: &Object, gathered: &mut Gathered) -> Result<bool, Spent> {
        let value = &plugin.value;
        let specs: Vec<FieldSpec> = value.items_of("fieldSpecs").iter().filter_map(FieldSpec::read).collect();
        match plugin.kind() {
            "PatchTransformer" | "PatchJson6902Transformer" => self.patch(folder, value, gathered)?,
            "PatchStrategicMergeTransformer" => {
                let inline = value.get("patches").filter(|patches| patches.text().is_some());
                for patch in value.items_of("paths").iter().chain(inline) {
                    self.strategic_patch(folder, patch, gathered)?;
                }
            }
            "NamespaceTransformer" => {
                let subjects = value.text_of("setRoleBindingSubjects").unwrap_or("defaultOnly").to_owned();
                if let Some(Value::Scalar(namespace)) = value.get("metadata").and_then(|metadata| metadata.get("namespace")) {
                    self.set_namespace(namespace, &specs, &subjects, value.flag("unsetOnly"), gathered)?;
                }
            }
            "PrefixTransformer" | "SuffixTransformer" | "PrefixSuffixTransformer" => {
                for (end, key) in [(End::Prefix, "prefix"), (End::Suffix, "suffix")] {
                    if let Some(Value::Scalar(part)) = value.get(key) {
                        self.extend_names(end, part, &specs, gathered)?;
                    }
                }
            }
            "LabelTransformer" => self.set_pairs(value.get("labels"), &specs, gathered)?,
            "AnnotationsTransformer" => self.set_pairs(value.get("annotations"), &specs, gathered)?,
            "ReplicaCountTransformer" => {
                if let Some(replica) = value.get("replica") {
                    self.set_replicas(replica, &specs, gathered)?;
                }
            }
            "ImageTagTransformer" => {
                if let Some(image) = value.get("imageTag") {
                    self.set_image(image, &specs, gathered)?;
                }
            }
            "ReplacementTransformer" => {
                for replacement in value.items_of("replacements") {
                    self.replacement(folder, replacement, gathered)?;
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn set_namespace(
        &mut self,
        namespace: &Scalar,
        fields: &[FieldSpec],
        subjects: &str,
        unset_only: bool,
        gathered: &mut Gathered,
    ) -> Result<(), Spent> {
        if namespace.text.is_empty() || Value::Scalar(namespace.clone()).is_null() {
            return Ok(());
        }
        let missing = Missing::Scalar(namespace.span);
        let mut set = |value: &mut Value| {
            if matches!(value, Value::Scalar(old) if !unset_only || old.text.is_empty()) {
                *value = text_value(namespace);
            }
        };
        let own: Vec<Box<str>> = ["metadata", "namespace"].map(Into::into).into();
        for object in &mut gathered.objects {
            self.purse.pay(4 + namespace.text.len() / 16)?;
            if object.annotation("kustomize.config.k8s.io/helm-generated") == Some("true") {
                continue;
            }
            object.remember();
            if !object.is_cluster_scoped() {
                visit(&mut object.value, &own, missing, &mut set);
            }
            let binding = matches!(object.kind(), "RoleBinding" | "ClusterRoleBinding");
            if let Some(Value::Sequence { items, .. }) = object.value.get_mut("subjects").filter(|_| binding) {
                let key: Vec<Box<str>> = vec!["namespace".into()];
                for subject in items {
                    let meant = match subjects {
                        "defaultOnly" => subject.text_of("name") == Some("default"),
                        "allServiceAccounts" => subject.text_of("kind") == Some("ServiceAccount"),
                        _ => false,
                    };
                    if meant {
                        visit(subject, &key, missing, &mut set);
                    }
                }
            }
            let plain = object.value.text_of("apiVersion") == Some("v1");
            for field in fields {
                let path: Vec<&str> = field.path.iter().map(|key| &**key).collect();
                let skipped = match path.as_slice() {
                    ["metadata", "namespace"] => true,
                    ["metadata", "name"] => !plain,
                    ["subjects", "namespace"] => binding,
                    _ => false,
                };
                if !skipped {
                    field.visit(object, missing, &mut set);
                }
            }
        }
        Ok(())
    }

    fn extend_names(&mut self, end: End, part: &Scalar, fields: &[FieldSpec], gathered: &mut Gathered) -> Result<(), Spent> {
        if part.text.is_empty() || Value::Scalar(part.clone()).is_null() {
            return Ok(());
        }
        for object in &mut gathered.objects {
            self.purse.pay(2 + (part.text.len() + object.name().len()) / 16)?;
            let original = object.original();
            let (group, version) = object.group_version();
            if FIXED_NAMES.iter().any(|(fixed, kind)| *kind == &*original.kind && (fixed.is_empty() || *fixed == group)) {
                continue;
            }
            let selected: Vec<&FieldSpec> = fields.iter().filter(|field| field.of.selects(group, version, &original.kind)).collect();
            for field in selected {
                if field.path.iter().map(|key| &**key).eq(["metadata", "name"]) {
                    object.remember();
                    match end {
                        End::Prefix => object.prefixes.push(part.text.clone()),
                        End::Suffix => object.suffixes.push(part.text.clone()),
                    }
                }
                field.visit(object, Missing::Scalar(part.span), &mut |value| {
                    if let Value::Scalar(name) = value {
                        name.text = match end {
                            End::Prefix => format!("{}{}", part.text, name.text),
                            End::Suffix => format!("{}{}", name.text, part.text),
                        }
                        .into();
                    }
                });
            }
        }
        Ok(())
    }

    /// Sets labels or annotations.
    pub(super) fn set_pairs(&mut self, pairs: Option<&Value>, fields: &[FieldSpec], gathered: &mut Gathered) -> Result<(), Spent> {
        for (key, value) in pairs.map(Value::entries).unwrap_or_default() {
            let Value::Scalar(scalar) = value else { continue };
            let value = text_value(scalar);
            for object in &mut gathered.objects {
                let mut cost = 4;
                for field in fields {
                    field.visit(object, Missing::Mapping(key.span), &mut |place| {
                        cost += 1 + (key.text.len() + scalar.text.len() + place.entries().len()) / 64;
                        place.set(key.clone(), value.clone());
                    });
                }
                self.purse.pay(cost)?;
            }
        }
        Ok(())
    }

    fn set_replicas(&mut self, replica: &Value, fields: &[FieldSpec], gathered: &mut Gathered) -> Result<(), Spent> {
        let (Some(name), Some(Value::Scalar(count))) = (replica.text_of("name"), replica.get("count")) else { return Ok(()) };
        let mut found = false;
        for object in &mut gathered.objects {
            self.purse.pay(1)?;
            let kinds: Vec<Box<str>> = std::iter::once(object.current())
                .chain(object.previous.iter().cloned())
                .filter(|id| &*id.name == name)
                .map(|id| id.kind)
                .collect();
            for field in fields {
                let (group, version) = object.group_version();
                if kinds.iter().any(|kind| field.of.selects(group, version, kind)) {
                    found = true;
                    field.visit(object, Missing::Scalar(count.span), &mut |value| *value = Value::Scalar(count.clone()));
                }
            }
        }
        if !found {
            self.problem(ProblemKind::Target, replica.get("name").map_or(replica.span(), Value::span), name);
        }
        Ok(())
    }

    fn set_image(&mut self, image: &Value, fields: &[FieldSpec], gathered: &mut Gathered) -> Result<(), Spent> {
        let Some(name) = image.text_of("name") else { return Ok(()) };
        let named = image.get("name").map_or(image.span(), Value::span);
        let Ok(pattern) = Regex::new(&format!("^{name}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$")) else {
            self.lose(Loss::Changes, named, "the name of this image is no pattern".to_owned());
            return Ok(());
        };
        let mut found = false;
        let mut set = |value: &mut Value| {
            if let Value::Scalar(scalar) = value
                && pattern.is_match(&scalar.text)
            {
                found = true;
                replace_image(scalar, image);
            }
        };
        for object in gathered.objects.iter_mut().filter(|object| object.kind() != "CustomResourceDefinition") {
            self.purse.pay(1 + in_containers(&mut object.value, &mut set) / 16)?;
            for field in fields {
                field.visit(object, Missing::Skip, &mut set);
            }
        }
        // A component is made for objects that not every user of it has.
        if !found && !self.in_component {
            self.problem(ProblemKind::Image, named, name);
        }
        Ok(())
    }
}

/// A value that is a text, at the place where it is written.
pub(super) fn text_value(scalar: &Scalar) -> Value {
    let mut scalar = scalar.clone();
    stringify(&mut scalar);
    Value::Scalar(scalar)
}

/// Where an entry of `labels` sets its pairs.
fn label_fields(label: &Value, config: &Config) -> Vec<FieldSpec> {
    let mut fields: Vec<FieldSpec> = label.items_of("fields").iter().filter_map(FieldSpec::read).collect();
    add(&mut fields, &config.labels);
    if label.flag("includeSelectors") {
        add(&mut fields, &config.common_labels);
        return fields;
    }
    if label.flag("includeTemplates") {
        add(&mut fields, &config.template_labels);
    }
    add(&mut fields, &[FieldSpec::of_all("metadata/labels")]);
    fields
}

/// Calls `set` for the image of every item of `containers` and `initContainers`, wherever they are, and counts the
/// values that were looked at.
fn in_containers(value: &mut Value, set: &mut dyn FnMut(&mut Value)) -> usize {
    match value {
        Value::Sequence { items, .. } => 1 + items.iter_mut().map(|item| in_containers(item, set)).sum::<usize>(),
        Value::Mapping { entries, .. } => {
            let mut count = 1;
            for (key, value) in entries {
                count += in_containers(value, set);
                if let ("containers" | "initContainers", Value::Sequence { items, .. }) = (&*key.text, value) {
                    for image in items.iter_mut().filter_map(|item| item.get_mut("image")) {
                        set(image);
                    }
                }
            }
            count
        }
        Value::Scalar(_) => 1,
    }
}

/// Name, tag and digest of an image.
fn parts(image: &str) -> (&str, &str, &str) {
    // A port of the registry is no tag.
    let from = image.find('/').unwrap_or_default();
    let tail = image.get(from..).unwrap_or_default();
    let (named, digest) = match tail.split_once('@') {
        Some((named, digest)) => (named, digest),
        None => (tail, ""),
    };
    let (name, tag) = named.split_once(':').unwrap_or((named, ""));
    (image.get(..from + name.len()).unwrap_or_default(), tag, digest)
}

/// Puts what an entry of `images` says in the place of an image; its place is the part that says most.
fn replace_image(scalar: &mut Scalar, image: &Value) {
    let said = |key: &str| match image.get(key) {
        Some(Value::Scalar(said)) if !said.text.is_empty() && image.text_of(key).is_some() => Some(said),
        _ => None,
    };
    let (old_name, old_tag, old_digest) = parts(&scalar.text);
    let (new_name, new_tag, new_digest, tag_suffix) = (said("newName"), said("newTag"), said("digest"), said("tagSuffix"));
    let text = |said: &Key| said.text.to_string();
    let name = new_name.map_or_else(|| old_name.to_owned(), text);
    let (tag, digest) = match (new_tag, new_digest, tag_suffix) {
        (Some(tag), Some(digest), _) => (text(tag), text(digest)),
        (Some(tag), None, _) => (text(tag), String::new()),
        (None, Some(digest), _) => (String::new(), text(digest)),
        (None, None, Some(suffix)) => (format!("{old_tag}{}", suffix.text), String::new()),
        (None, None, None) => (old_tag.to_owned(), old_digest.to_owned()),
    };
    let mut new = name;
    if !tag.is_empty() {
        new = format!("{new}:{tag}");
    }
    if !digest.is_empty() {
        new = format!("{new}@{digest}");
    }
    scalar.text = new.into();
    let place: Option<Span> = [new_tag, new_digest, tag_suffix, new_name].into_iter().flatten().next().map(|said| said.span);
    scalar.span = place.unwrap_or(scalar.span);
}

/// Adds an entry to the mapping of a key, which is made where it is missing.
pub(super) fn put(value: &mut Value, map: &str, key: Key, entry: Value) {
    let span = key.span;
    if value.get(map).is_none_or(|map| !matches!(map, Value::Mapping { .. })) {
        value.set(made_key(map, span), Value::mapping(span));
    }
    if let Some(map) = value.get_mut(map) {
        map.set(key, entry);
    }
}
