//! `vars`, the older way to put a value of one object into another: `$(NAME)` in the fields that are known for it.

use std::collections::HashMap;
use std::rc::Rc;

use super::fields::Missing;
use super::object::{Type, effective_namespace};
use super::replacements::{find, is_text, steps};
use super::{Build, Gathered, ProblemKind, Spent, stringify};
use crate::environment::{Scalar, Value};
use crate::source::Span;

/// A variable and the field it is read from; its object knows that it is.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    name: Box<str>,
    field: String,
    span: Span,
}

/// Notes an entry of `vars` at the object that it reads.
pub(super) fn declare(entry: &Value, gathered: &mut Gathered) {
    let (Some(name), Some(object)) = (entry.text_of("name"), entry.get("objref").or_else(|| entry.get("objRef"))) else { return };
    let of = Type::read(object);
    let asked = object.text_of("name").unwrap_or_default();
    let api_version = object.text_of("apiVersion").unwrap_or_default();
    let namespace = object.text_of("namespace").map(|namespace| effective_namespace(api_version, &of.kind, namespace));
    for known in &mut gathered.objects {
        let (group, version) = known.group_version();
        let is_type = *group == *of.group && *version == *of.version;
        let mut ids = known.previous.iter().cloned().chain(std::iter::once(known.current()));
        let is = |id: &super::object::Former| {
            *id.name == *asked && id.kind == of.kind && namespace.is_none_or(|namespace| *id.namespace == *namespace)
        };
        if is_type && ids.any(|id| is(&id)) {
            known.variables.push(name.into());
        }
    }
    let field = entry
        .get("fieldref")
        .or_else(|| entry.get("fieldRef"))
        .and_then(|field| field.text_of("fieldPath").or_else(|| field.text_of("fieldpath")))
        .unwrap_or("metadata.name");
    let span = object.get("name").map_or(entry.span(), Value::span);
    gathered.variables.push(Variable { name: name.into(), field: field.to_owned(), span });
}

impl Build<'_> {
    /// Puts the values of variables into the fields that name them.
    pub(super) fn fill_in(&mut self, gathered: &mut Gathered) -> Result<(), Spent> {
        if gathered.variables.is_empty() {
            return Ok(());
        }
        let mut values: HashMap<Box<str>, Scalar> = HashMap::new();
        for variable in &gathered.variables {
            self.purse.pay(gathered.objects.len())?;
            let object = gathered.objects.iter().find(|object| object.variables.contains(&variable.name));
            match object.and_then(|object| find(&object.value, &steps(&variable.field))) {
                Some(Value::Scalar(scalar)) => {
                    values.insert(variable.name.clone(), scalar.clone());
                }
                Some(_) => {}
                None => {
                    let kind = if object.is_some() { ProblemKind::Field } else { ProblemKind::Target };
                    self.problem(kind, variable.span, &variable.name);
                }
            }
        }
        let config = Rc::clone(&gathered.config);
        let purse = &mut self.purse;
        for object in &mut gathered.objects {
            purse.pay(2)?;
            for field in &config.variables {
                let mut result = Ok(());
                field.visit(object, Missing::Skip, &mut |value| {
                    let places: Vec<&mut Value> = match value {
                        Value::Mapping { entries, .. } => entries.iter_mut().map(|(_, value)| value).collect(),
                        Value::Sequence { items, .. } => items.iter_mut().collect(),
                        value @ Value::Scalar(_) => vec![value],
                    };
                    for place in places {
                        if let Value::Scalar(scalar) = place
                            && result.is_ok()
                        {
                            result = expand(scalar, &values, purse);
                        }
                    }
                });
                result?;
            }
        }
        Ok(())
    }
}

/// Replaces each `$(NAME)` of a known name; `$$` stands for one `$`.
fn expand(scalar: &mut Scalar, values: &HashMap<Box<str>, Scalar>, purse: &mut super::Purse) -> Result<(), Spent> {
    if !scalar.text.contains('$') || !is_text(scalar) {
        return Ok(());
    }
    let whole = scalar.text.strip_prefix("$(").and_then(|rest| rest.strip_suffix(')')).and_then(|name| values.get(name));
    if let Some(value) = whole {
        // Alone it keeps its type.
        purse.pay(1 + value.text.len() / 64)?;
        scalar.text = value.text.clone();
        if is_text(value) {
            stringify(scalar);
        } else {
            scalar.style = value.style;
            scalar.tag.clone_from(&value.tag);
        }
        return Ok(());
    }
    let mut result = String::new();
    let mut rest: &str = &scalar.text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        let named = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        if let Some(tail) = after.strip_prefix('$') {
            result.push('$');
            rest = tail;
        } else if let Some((name, tail)) = named {
            match values.get(name) {
                Some(value) => {
                    purse.pay(1 + value.text.len() / 64)?;
                    result.push_str(&value.text);
                }
                None => result.extend(["$(", name, ")"]),
            }
            rest = tail;
        } else {
            result.push('$');
            rest = after;
        }
    }
    result.push_str(rest);
    scalar.text = result.into();
    stringify(scalar);
    Ok(())
}
