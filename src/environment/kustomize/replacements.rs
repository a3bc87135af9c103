//! `replacements`: values of one object in fields of others.

use std::sync::Arc;

use regex::Regex;

use super::fields::split;
use super::object::{Object, Type, made_key};
use super::select::Selector;
use super::{Build, Gathered, Loss, ProblemKind, Purse, Spent, stringify};
use crate::environment::{MAX_DEPTH, Scalar, Value};
use crate::source::{Source, Span};
use crate::syntax::{self, Style, Syntax};

const NAME: &str = "metadata.name";

impl Build<'_> {
    /// An entry of `replacements`: the replacement, or the file that holds one or several.
    pub(super) fn replacement(&mut self, folder: &str, entry: &Value, gathered: &mut Gathered) -> Result<(), Spent> {
        let Some(path) = entry.get("path") else { return self.replace(entry, gathered) };
        let Some(documents) = self.named_documents(folder, path)? else { return Ok(()) };
        for document in documents.values.iter() {
            let one = std::slice::from_ref(document);
            let listed = if matches!(document, Value::Sequence { .. }) { document.items() } else { one };
            for replacement in listed {
                self.replace(replacement, gathered)?;
            }
        }
        Ok(())
    }

    fn replace(&mut self, entry: &Value, gathered: &mut Gathered) -> Result<(), Spent> {
        self.purse.pay(gathered.objects.len())?;
        let Some(value) = self.source(entry, gathered) else { return Ok(()) };
        for target in entry.items_of("targets") {
            let Some(select) = target.get("select") else { continue };
            let rejected: Option<Vec<Selector>> = target.items_of("reject").iter().map(Selector::read).collect();
            let (Some(selector), Some(rejected)) = (Selector::read(select), rejected) else {
                self.lose(Loss::Changes, select.span(), "the target of this replacement cannot be read".to_owned());
                continue;
            };
            let default = [Value::Scalar(Scalar::plain(NAME, select.span()))];
            let paths = target.items_of("fieldPaths");
            let paths = if paths.is_empty() { &default } else { paths };
            let options = Options::read(target.get("options"));
            let mut found = false;
            let mut failed: Vec<(Span, String)> = Vec::new();
            for object in &mut gathered.objects {
                self.purse.pay(1)?;
                if !is_target(object, &selector, &rejected) {
                    continue;
                }
                found = true;
                for path in paths {
                    let Value::Scalar(path) = path else { continue };
                    if !put(&mut object.value, &path.text, &value, &options, &mut self.purse)? {
                        failed.push((path.span, path.text.to_string()));
                    }
                }
            }
            if !found {
                let named = ["name", "kind"].iter().find_map(|key| select.get(key)).unwrap_or(select);
                self.problem(ProblemKind::Target, named.span(), named.text().unwrap_or_default());
            }
            failed.dedup();
            for (span, path) in failed {
                self.problem(ProblemKind::Field, span, &path);
            }
        }
        Ok(())
    }

    /// The value that is put elsewhere.
    fn source(&mut self, entry: &Value, gathered: &Gathered) -> Option<Value> {
        if let Some(value) = entry.get("sourceValue") {
            return Some(value.clone());
        }
        let source = entry.get("source")?;
        let of = Type::read(source);
        let (name, namespace) = (source.text_of("name"), source.text_of("namespace"));
        let is = |object: &&Object| {
            let (group, version) = object.group_version();
            let fits = |kind: &str, own_name: &str, own_namespace: &str| {
                let own_namespace = if own_namespace.is_empty() { "default" } else { own_namespace };
                name.is_none_or(|name| name == own_name)
                    && namespace.is_none_or(|namespace| namespace == own_namespace)
                    && of.selects(group, version, kind)
            };
            fits(object.kind(), object.name(), object.written_namespace())
                || object.previous.iter().any(|id| fits(&id.kind, &id.name, &id.namespace))
        };
        let named = ["name", "kind"].iter().find_map(|key| source.get(key)).unwrap_or(source);
        let Some(object) = gathered.objects.iter().find(is) else {
            self.problem(ProblemKind::Target, named.span(), named.text().unwrap_or_default());
            return None;
        };
        let path = source.text_of("fieldPath").unwrap_or(NAME);
        let options = Options::read(source.get("options"));
        let value = find(&object.value, &steps(path)).cloned().and_then(|value| match (&options.delimiter, value) {
            (Some(delimiter), Value::Scalar(scalar)) => {
                let part = scalar.text.split(&**delimiter).nth(usize::try_from(options.index).ok()?)?.into();
                Some(Value::Scalar(Scalar { text: part, ..scalar }))
            }
            (_, value) => Some(value),
        });
        if value.is_none() {
            self.problem(ProblemKind::Field, source.get("fieldPath").map_or(named.span(), Value::span), path);
        }
        value
    }
}

/// How a value is put into a field.
#[derive(Debug, Default)]
struct Options {
    delimiter: Option<String>,
    index: i64,
    create: bool,
}

impl Options {
    fn read(value: Option<&Value>) -> Self {
        let Some(value) = value else { return Self::default() };
        Self {
            delimiter: value.text_of("delimiter").filter(|delimiter| !delimiter.is_empty()).map(str::to_owned),
            index: value.text_of("index").and_then(|index| index.parse().ok()).unwrap_or_default(),
            create: value.flag("create"),
        }
    }
}

fn is_target(object: &Object, selector: &Selector, rejected: &[Selector]) -> bool {
    let any_id = |selector: &Selector| {
        selector.is_id(object, object.kind(), object.name(), object.written_namespace())
            || object.previous.iter().any(|id| selector.is_id(object, &id.kind, &id.name, &id.namespace))
    };
    selector.is_labelled(object)
        && any_id(selector)
        && !rejected
            .iter()
            .any(|reject| (reject.asks_for_labels() && reject.is_labelled(object)) || (reject.asks_for_ids() && any_id(reject)))
}

/// The steps of a path such as `spec.containers.[name=web].env.0.value`.
pub(super) fn steps(path: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    let mut open = false;
    for part in split(path, '.') {
        match steps.last_mut().filter(|_| open) {
            Some(last) => {
                last.push('.');
                last.push_str(&part);
            }
            None => steps.push(part.to_string()),
        }
        open = steps.last().is_some_and(|last| last.starts_with('[') && !last.ends_with(']'));
    }
    let mut flat = Vec::with_capacity(steps.len());
    for step in steps {
        // `name[0]` is a field and an index; brackets without `=` hold a key with dots.
        let bracket = step.strip_suffix(']').and_then(|inner| inner.rsplit_once('['));
        match bracket {
            Some((name, index)) if !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit()) => {
                flat.extend([name, index].into_iter().filter(|part| !part.is_empty()).map(str::to_owned));
            }
            Some(("", key)) if !key.contains('=') => flat.push(key.to_owned()),
            _ => flat.push(step),
        }
    }
    flat
}

/// The name and value of a step such as `[name=web]`.
fn element(step: &str) -> Option<(&str, &str)> {
    step.strip_prefix('[')?.strip_suffix(']')?.split_once('=')
}

/// The value at the end of a path.
pub(super) fn find<'v>(value: &'v Value, steps: &[String]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| match value {
        Value::Mapping { .. } => value.get(step),
        Value::Sequence { items, .. } => match element(step) {
            Some(("", text)) => items.iter().find(|item| item.text() == Some(text)),
            Some((key, text)) => items.iter().find(|item| item.get(key).and_then(Value::text) == Some(text)),
            None if step == "-" => items.last(),
            None => items.get(step.parse::<usize>().ok()?),
        },
        Value::Scalar(_) => None,
    })
}

/// Puts a value at a path of an object, and says whether there is such a place.
fn put(object: &mut Value, path: &str, value: &Value, options: &Options, purse: &mut Purse) -> Result<bool, Spent> {
    let steps = steps(path);
    if steps.len() + value.depth() > MAX_DEPTH {
        return Err(Spent);
    }
    let mut result = Ok(());
    let mut set = |place: &mut Value| {
        if result.is_ok() {
            result = write(place, value, options, purse);
        }
    };
    let mut walk = Walk { new: value, create: options.create, set: &mut set, cost: 0 };
    let count = walk.go(object, &steps);
    let cost = walk.cost;
    result?;
    purse.pay(cost)?;
    Ok(count > 0)
}

/// The way along a path to the places that it means.
struct Walk<'w> {
    new: &'w Value,
    /// Whether what is missing is made.
    create: bool,
    set: &'w mut dyn FnMut(&mut Value),
    /// How much was looked at.
    cost: usize,
}

impl Walk<'_> {
    /// Sets each place that a path means, and counts them.
    fn go(&mut self, value: &mut Value, steps: &[String]) -> usize {
        let Some((step, rest)) = steps.split_first() else {
            (self.set)(value);
            return 1;
        };
        match value {
            Value::Mapping { .. } => {
                if self.create && value.get(step).is_none() {
                    value.set(made_key(step, self.new.span()), self.made(rest));
                }
                value.get_mut(step).map_or(0, |inner| self.go(inner, rest))
            }
            Value::Sequence { items, .. } => {
                self.cost += items.len() / 4;
                if step == "*" {
                    return items.iter_mut().map(|item| self.go(item, rest)).sum();
                }
                if let Ok(at) = step.parse::<usize>() {
                    if self.create && at == items.len() {
                        items.push(self.made(rest));
                    }
                    return items.get_mut(at).map_or(0, |item| self.go(item, rest));
                }
                let Some((key, regex)) = element(step).and_then(|(key, pattern)| Some((key, Regex::new(pattern).ok()?))) else { return 0 };
                let is = |item: &Value| {
                    let text = if key.is_empty() { item.text() } else { item.get(key).and_then(Value::text) };
                    text.is_some_and(|text| regex.is_match(text))
                };
                if self.create && !items.iter().any(is) {
                    let span = self.new.span();
                    let name = Value::Scalar(made_key(regex.as_str(), span));
                    let mut item = Value::mapping(span);
                    item.set(made_key(key, span), name.clone());
                    items.push(if key.is_empty() { name } else { item });
                }
                items.iter_mut().filter(|item| is(item)).map(|item| self.go(item, rest)).sum()
            }
            Value::Scalar(scalar) => {
                self.cost += scalar.text.len() / 16;
                usize::from(within(scalar, steps, self.new).is_some())
            }
        }
    }

    /// What is made where something is missing, by what follows in the path.
    fn made(&self, rest: &[String]) -> Value {
        let span = self.new.span();
        match rest.first() {
            None if matches!(self.new, Value::Scalar(_)) => Value::Scalar(Scalar::plain("", span)),
            Some(next) if element(next).is_some() || next.parse::<usize>().is_ok() => {
                Value::Sequence { items: Vec::new(), style: Style::Block, span }
            }
            _ => Value::mapping(span),
        }
    }
}

/// Sets a value inside a text that is JSON or YAML itself; the rest of the text stays as it is.
fn within(scalar: &mut Scalar, steps: &[String], new: &Value) -> Option<()> {
    let new = new.text()?;
    let json = scalar.text.trim_start().starts_with(['{', '[']);
    let source = Arc::new(Source { path: "".into(), text: scalar.text.to_string(), bom: false });
    let parsed = syntax::parse(&source, Syntax::Yaml);
    let root = parsed.documents.first().filter(|_| parsed.errors.is_empty())?.root();
    let place = steps.iter().try_fold(root, |node, step| match element(step) {
        Some((key, text)) => node.items().find(|item| item.text_of(key) == Some(text)),
        None if node.is_sequence() => node.items().nth(step.parse().ok()?),
        None => node.get(step),
    })?;
    if !place.is_scalar() || (place.is_verbatim() && place.span().is_empty()) {
        return None;
    }
    let quoted = matches!(place.style(), Style::SingleQuoted | Style::DoubleQuoted);
    let written = if quoted { serde_json::to_string(new).ok()? } else { new.to_owned() };
    let mut text = source.text.clone();
    text.replace_range(place.span().range(), &written);
    if json {
        let pretty = source.text.contains('\n') && source.text.contains("  ");
        let mut value: serde_json::Value = serde_json::from_str(&text).ok()?;
        value.sort_all_objects();
        text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.ok()?;
    }
    scalar.text = text.trim().into();
    Some(())
}

/// Whether a scalar is a text rather than a number, a boolean or null.
pub(super) fn is_text(scalar: &Scalar) -> bool {
    if scalar.style != Style::Plain {
        return true;
    }
    if let Some(tag) = &scalar.tag {
        return tag.ends_with(":str");
    }
    let text = &*scalar.text;
    let word = matches!(text, "" | "~" | "null" | "Null" | "NULL" | "true" | "True" | "TRUE" | "false" | "False" | "FALSE");
    !(word || syntax::number(text).is_some() || text.starts_with("0x") || text.starts_with("0o"))
}

/// Sets a field to a value, or the part of it that a delimiter sets apart.
fn write(place: &mut Value, value: &Value, options: &Options, purse: &mut Purse) -> Result<(), Spent> {
    purse.pay(value.weight() + place.weight())?;
    match (place, value) {
        (Value::Scalar(old), Value::Scalar(new)) => {
            let was_text = is_text(old);
            if let Some(delimiter) = &options.delimiter {
                let mut parts: Vec<&str> = old.text.split(&**delimiter).collect();
                match usize::try_from(options.index) {
                    Err(_) => parts.insert(0, &new.text),
                    Ok(at) => match parts.get_mut(at) {
                        Some(part) => *part = &new.text,
                        None => parts.push(&new.text),
                    },
                }
                old.text = parts.join(delimiter).into();
            } else {
                old.text = new.text.clone();
                old.span = new.span;
            }
            // A field keeps its type.
            if was_text && !is_text(old) {
                stringify(old);
            }
        }
        (place, value) if options.delimiter.is_none() => *place = value.clone(),
        _ => {}
    }
    Ok(())
}
