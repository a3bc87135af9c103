//! Patches as lists of operations (RFC 6902).

use super::object::made_key;
use super::{Purse, Spent};
use crate::environment::{Key, MAX_DEPTH, Value};
use crate::source::Span;

/// Whether a document is a list of operations rather than an object.
pub(super) fn is_operations(value: &Value) -> bool {
    matches!(value, Value::Sequence { items, .. } if items.iter().all(|item| item.get("op").is_some()))
}

/// Applies the operations of a patch. The operations that have nothing to work on are given back: the place of the
/// path, and the path.
pub(super) fn apply(object: &mut Value, operations: &Value, purse: &mut Purse) -> Result<Vec<(Span, String)>, Spent> {
    let mut failed = Vec::new();
    for operation in operations.items() {
        purse.pay(operation.weight())?;
        let Some(path) = operation.get("path").and_then(Value::text) else { continue };
        if perform(object, operation, path, purse)?.is_none() {
            let span = operation.get("path").map_or(operation.span(), Value::span);
            failed.push((span, path.to_owned()));
        }
    }
    Ok(failed)
}

fn perform(object: &mut Value, operation: &Value, path: &str, purse: &mut Purse) -> Result<Option<()>, Spent> {
    let steps = steps(path);
    let span = operation.get("path").map_or(operation.span(), Value::span);
    let from = operation.get("from").and_then(Value::text).map(self::steps);
    let value = operation.get("value").cloned();
    let added = |value: Option<Value>, object: &mut Value, purse: &mut Purse| match value {
        Some(value) if steps.len() + value.depth() > MAX_DEPTH => Err(Spent),
        Some(value) => add(object, &steps, value, span, purse),
        None => Ok(None),
    };
    match operation.text_of("op") {
        Some("add") => added(value, object, purse),
        Some("replace") => Ok(value.and_then(|value| replace(object, &steps, value, span))),
        Some("remove") => Ok(remove(object, &steps, purse)?.map(|_| ())),
        Some("copy") => {
            let value = from.and_then(|from| find(object, &from)).cloned();
            purse.pay(value.as_ref().map_or(0, Value::weight))?;
            added(value, object, purse)
        }
        Some("move") => {
            let value = match from {
                Some(from) => remove(object, &from, purse)?,
                None => None,
            };
            added(value, object, purse)
        }
        Some("test") => Ok(find(object, &steps).map(|_| ())),
        _ => Ok(None),
    }
}

/// The keys of a path such as `/metadata/annotations/example.com~1key`.
fn steps(path: &str) -> Vec<String> {
    path.strip_prefix('/').map_or_else(Vec::new, |path| path.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect())
}

/// The index that a step means in a list; negative ones count from the end.
fn index(step: &str, count: usize) -> Option<usize> {
    match step.strip_prefix('-') {
        Some(back) => count.checked_sub(back.parse().ok()?),
        None => step.parse().ok(),
    }
}

fn find<'v>(value: &'v Value, steps: &[String]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| match value {
        Value::Mapping { .. } => value.get(step),
        Value::Sequence { items, .. } => items.get(index(step, items.len())?),
        Value::Scalar(_) => None,
    })
}

fn find_mut<'v>(value: &'v mut Value, steps: &[String]) -> Option<&'v mut Value> {
    steps.iter().try_fold(value, |value, step| match value {
        Value::Mapping { .. } => value.get_mut(step),
        Value::Sequence { items, .. } => {
            let at = index(step, items.len())?;
            items.get_mut(at)
        }
        Value::Scalar(_) => None,
    })
}

fn add(object: &mut Value, steps: &[String], value: Value, span: Span, purse: &mut Purse) -> Result<Option<()>, Spent> {
    let Some((last, parents)) = steps.split_last() else {
        *object = value;
        return Ok(Some(()));
    };
    Ok(match find_mut(object, parents) {
        Some(parent @ Value::Mapping { .. }) => {
            parent.set(made_key(last, span), value);
            Some(())
        }
        Some(Value::Sequence { items, .. }) => {
            let at = if last == "-" { Some(items.len()) } else { index(last, items.len() + 1) };
            let at = at.filter(|at| *at <= items.len());
            // What stands behind it is moved.
            purse.pay(at.map_or(0, |at| (items.len() - at) / 64))?;
            at.map(|at| items.insert(at, value))
        }
        Some(Value::Scalar(_)) | None => None,
    })
}

fn replace(object: &mut Value, steps: &[String], value: Value, span: Span) -> Option<()> {
    let Some((last, parents)) = steps.split_last() else {
        *object = value;
        return Some(());
    };
    match find_mut(object, parents)? {
        Value::Mapping { entries, .. } => {
            let entry = entries.iter_mut().find(|(key, _)| *key.text == **last)?;
            *entry = (Key { span, ..entry.0.clone() }, value);
            Some(())
        }
        parent => {
            *find_mut(parent, std::slice::from_ref(last))? = value;
            Some(())
        }
    }
}

fn remove(object: &mut Value, steps: &[String], purse: &mut Purse) -> Result<Option<Value>, Spent> {
    let Some((last, parents)) = steps.split_last() else { return Ok(None) };
    Ok(match find_mut(object, parents) {
        Some(parent @ Value::Mapping { .. }) => parent.remove(last).map(|(_, value)| value),
        Some(Value::Sequence { items, .. }) => {
            let at = index(last, items.len()).filter(|at| *at < items.len());
            purse.pay(at.map_or(0, |at| (items.len() - at) / 64))?;
            at.map(|at| items.remove(at))
        }
        Some(Value::Scalar(_)) | None => None,
    })
}
