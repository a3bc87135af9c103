//! One Compose file over another: which parts are merged by their keys, which are appended, which replaced.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::super::{Joined, Key, Scalar, Value};
use crate::artifact::interpolated;
use crate::source::Span;
use crate::syntax::{Node, Style};

/// A tag that says how a value is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// Takes away what stood there before, and itself.
    Reset,
    /// Takes the place of what stood there before.
    Override,
}

impl Tag {
    pub(super) fn of(node: Node<'_>) -> Option<Self> {
        match node.tag()? {
            "!reset" => Some(Self::Reset),
            "!override" => Some(Self::Override),
            _ => None,
        }
    }
}

/// How two values of one path become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Mappings by their keys, sequences by their items, the later of two scalars.
    Plain,
    /// The later one.
    Replace,
    /// `NAME: value` or a list of `NAME=value`.
    Pairs,
    /// Hosts, of which one may have several addresses.
    Hosts,
    /// One text or a list.
    Texts,
    /// Names, or names with options.
    Names,
    /// A context, or a mapping that has one.
    Build,
    /// Options belong to their driver.
    Logging,
}

fn how(path: &[String]) -> How {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["services", _, rest @ ..] => match rest {
            ["command" | "entrypoint"] | ["healthcheck", "test"] => How::Replace,
            ["environment" | "labels" | "annotations" | "sysctls"]
            | ["build", "args" | "labels" | "additional_contexts"]
            | ["deploy", "labels"] => How::Pairs,
            ["extra_hosts"] | ["build", "extra_hosts"] => How::Hosts,
            ["dns" | "dns_opt" | "dns_search" | "env_file" | "label_file" | "tmpfs"] => How::Texts,
            ["depends_on" | "models" | "networks"] => How::Names,
            ["build"] => How::Build,
            ["logging"] => How::Logging,
            _ => How::Plain,
        },
        ["configs" | "networks" | "secrets" | "volumes", _, "labels"] => How::Pairs,
        _ => How::Plain,
    }
}

/// What makes an item of a sequence the same as another one; without it, equal items are the same.
fn identity(path: &[String], item: &Value) -> Option<String> {
    let (key, is_service) = match path {
        [first, _, key] if first == "services" => (key.as_str(), true),
        [first, _, ipam, config] if first == "networks" && ipam == "ipam" && config == "config" => ("subnet", false),
        _ => return None,
    };
    let field = |key: &str| item.get(key).and_then(effective);
    match (key, is_service) {
        ("subnet", false) => field("subnet"),
        ("ports", true) => Some(port(item)),
        ("volumes", true) => field("target").or_else(|| effective(item).map(|text| mount_target(&text))),
        ("devices", true) => field("target").or_else(|| effective(item).map(|text| text.split(':').nth(1).unwrap_or(&text).to_owned())),
        ("secrets", true) => field("target").or_else(|| mounted("/run/secrets", item)),
        ("configs", true) => field("target").or_else(|| mounted("", item)),
        ("env_file", true) => field("path").or_else(|| effective(item)),
        _ => effective(item),
    }
}

/// The text of a scalar with the defaults of its variables.
fn effective(value: &Value) -> Option<String> {
    value.text().map(|text| interpolated(text, Span::default()).0.into_owned())
}

fn mounted(folder: &str, item: &Value) -> Option<String> {
    item.get("source").and_then(effective).or_else(|| effective(item)).map(|name| format!("{folder}/{name}"))
}

/// Where a volume of the form `[source:]target[:mode]` is mounted.
fn mount_target(text: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in text.split(':') {
        match parts.last_mut() {
            // A letter before a colon is a drive.
            Some(last)
                if last.len() == 1 && part.starts_with(['\\', '/']) && last.starts_with(|first: char| first.is_ascii_alphabetic()) =>
            {
                last.push(':');
                last.push_str(part);
            }
            _ => parts.push(part.to_owned()),
        }
    }
    let index = usize::from(parts.len() > 1);
    parts.into_iter().nth(index).unwrap_or_default()
}

/// A published port as address, host port, container port and protocol.
fn port(item: &Value) -> String {
    let field = |key: &str| item.get(key).and_then(effective);
    if let Some(target) = field("target") {
        let address = field("host_ip").unwrap_or_default();
        return port_key(&address, &field("published").unwrap_or_default(), &target, field("protocol").as_deref().unwrap_or("tcp"));
    }
    let text = effective(item).unwrap_or_default();
    let (text, protocol) = text.rsplit_once('/').unwrap_or((&text, "tcp"));
    let (front, target) = text.rsplit_once(':').unwrap_or(("", text));
    let (address, published) = front.rsplit_once(':').unwrap_or(("", front));
    port_key(address.trim_matches(['[', ']']), published, target, protocol)
}

fn port_key(address: &str, published: &str, target: &str, protocol: &str) -> String {
    let address = if address.is_empty() { "0.0.0.0" } else { address };
    format!("{address}:{published}:{target}/{protocol}")
}

/// Whether two values say the same, wherever they stand.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    written(one) == written(other)
}

/// A value as one text.
fn written(value: &Value) -> String {
    let mut out = String::new();
    write_to(&mut out, value);
    out
}

fn write_to(out: &mut String, value: &Value) {
    match value {
        Value::Scalar(scalar) => {
            let _ = write!(out, "{:?}", scalar.text);
        }
        Value::Sequence { items, .. } => {
            out.push('[');
            for item in items {
                write_to(out, item);
                out.push(',');
            }
            out.push(']');
        }
        Value::Mapping { entries, .. } => {
            let mut entries: Vec<&(Key, Value)> = entries.iter().collect();
            entries.sort_by(|one, other| one.0.text.cmp(&other.0.text));
            out.push('{');
            for (key, value) in entries {
                let _ = write!(out, "{:?}:", key.text);
                write_to(out, value);
                out.push(',');
            }
            out.push('}');
        }
    }
}

/// Merges values of one joined text.
pub(super) struct Merger<'a> {
    pub(super) joined: &'a Joined,
    pub(super) tags: &'a HashMap<Span, Tag>,
}

impl Merger<'_> {
    fn tag(&self, value: &Value) -> Option<Tag> {
        if self.tags.is_empty() { None } else { self.tags.get(&value.span()).copied() }
    }

    /// The value of a path where one file says `base` and a later one `over`.
    pub(super) fn merge(&self, path: &mut Vec<String>, base: Value, over: Value) -> Value {
        if self.tag(&over).is_some() || self.tag(&base) == Some(Tag::Reset) {
            return over;
        }
        match how(path) {
            How::Replace => over,
            _ if over.is_null() => base,
            How::Plain => self.plain(path, base, over),
            How::Pairs => match (base, over) {
                (base @ Value::Mapping { .. }, over @ Value::Mapping { .. }) => replace_entries(base, over),
                (base @ Value::Sequence { .. }, over @ Value::Sequence { .. }) => join_items(base, over, |item| item.text().map(name_of)),
                (base, over) => replace_entries(self.to_pairs(base), self.to_pairs(over)),
            },
            How::Hosts => match (base, over) {
                (base @ Value::Sequence { .. }, over @ Value::Sequence { .. }) => join_items(base, over, |_| None),
                (base, over) => join_items(from_pairs(base), from_pairs(over), |_| None),
            },
            How::Texts => join_items(to_list(base), to_list(over), |item| identity(path, item)),
            How::Names => match (base, over) {
                (base @ Value::Sequence { .. }, over @ Value::Sequence { .. }) => {
                    join_items(base, over, |item| item.text().map(str::to_owned))
                }
                (base, over) => {
                    let waits = path.last().is_some_and(|key| key == "depends_on");
                    self.plain(path, to_names(base, waits), to_names(over, waits))
                }
            },
            How::Build => match (base, over) {
                (Value::Scalar(_), over @ Value::Scalar(_)) => over,
                (base, over) => self.plain(path, to_build(base), to_build(over)),
            },
            How::Logging => {
                let driver = |value: &Value| value.get("driver").and_then(effective);
                let other = driver(&base).zip(driver(&over)).is_some_and(|(base, over)| base != over);
                if other { over } else { self.plain(path, base, over) }
            }
        }
    }

    fn plain(&self, path: &mut Vec<String>, base: Value, over: Value) -> Value {
        match (base, over) {
            (Value::Mapping { mut entries, style, span }, Value::Mapping { entries: later, .. }) => {
                let mut index: HashMap<Box<str>, usize> = entries.iter().enumerate().map(|(at, (key, _))| (key.text.clone(), at)).collect();
                for (key, value) in later {
                    let Some((known, slot)) = index.get(&key.text).and_then(|&at| entries.get_mut(at)) else {
                        index.insert(key.text.clone(), entries.len());
                        entries.push((key, value));
                        continue;
                    };
                    // A collection stays where it was first written, a scalar where it was last set.
                    if matches!(value, Value::Scalar(_)) && !value.is_null() {
                        *known = key.clone();
                    }
                    let before = std::mem::replace(slot, Value::Scalar(Scalar::plain("", key.span)));
                    path.push(key.text.into());
                    *slot = self.merge(path, before, value);
                    path.pop();
                }
                Value::Mapping { entries, style, span }
            }
            (base @ Value::Sequence { .. }, over @ Value::Sequence { .. }) => join_items(base, over, |item| identity(path, item)),
            (_, over) => over,
        }
    }

    /// Without what `!reset` takes away.
    pub(super) fn settled(&self, value: Value) -> Value {
        if self.tags.is_empty() {
            return value;
        }
        let kept = |value: &Value| self.tag(value) != Some(Tag::Reset);
        match value {
            Value::Mapping { entries, style, span } => {
                let entries = entries.into_iter().filter(|(_, value)| kept(value)).map(|(key, value)| (key, self.settled(value)));
                Value::Mapping { entries: entries.collect(), style, span }
            }
            Value::Sequence { items, style, span } => {
                Value::Sequence { items: items.into_iter().filter(kept).map(|item| self.settled(item)).collect(), style, span }
            }
            scalar @ Value::Scalar(_) => scalar,
        }
    }

    /// A list of `NAME=value` as a mapping; each part keeps its own place where the text is written as it reads.
    fn to_pairs(&self, value: Value) -> Value {
        let Value::Sequence { items, style, span } = value else { return value };
        let pair = |item: Value| {
            let Value::Scalar(item) = item else { return None };
            let written = self.joined.slice(item.span);
            let inset = written.find(&*item.text).filter(|_| !item.text.is_empty());
            let (name, value) = item.text.split_once('=').map_or((&*item.text, None), |(name, value)| (name, Some(value)));
            let part = |from: usize, length: usize| match inset {
                Some(inset) => Span::new(item.span.start as usize + inset + from, item.span.start as usize + inset + from + length),
                None => item.span,
            };
            let key = Scalar { text: name.into(), style: item.style, span: part(0, name.len()), tag: None };
            let value = match value {
                // What follows the sign is text, whatever it looks like.
                Some(value) => {
                    Scalar { text: value.into(), style: Style::DoubleQuoted, span: part(name.len() + 1, value.len()), tag: None }
                }
                None => Scalar::plain("", behind(key.span)),
            };
            Some((key, Value::Scalar(value)))
        };
        Value::Mapping { entries: unique(items.into_iter().filter_map(pair)), style, span }
    }
}

/// The place where nothing stands behind a text.
fn behind(span: Span) -> Span {
    Span::new(span.end as usize, span.end as usize)
}

/// The name of `NAME=value`.
fn name_of(text: &str) -> String {
    text.split_once('=').map_or(text, |(name, _)| name).to_owned()
}

/// The entries of two mappings, of equal keys the later one, a null too.
fn replace_entries(base: Value, over: Value) -> Value {
    match (base, over) {
        (Value::Mapping { entries, style, span }, Value::Mapping { entries: later, .. }) => {
            Value::Mapping { entries: unique(entries.into_iter().chain(later)), style, span }
        }
        (_, over) => over,
    }
}

/// Entries of different keys: the last of each key, where the first stood.
fn unique(all: impl Iterator<Item = (Key, Value)>) -> Vec<(Key, Value)> {
    let mut index: HashMap<Box<str>, usize> = HashMap::new();
    let mut entries: Vec<(Key, Value)> = Vec::new();
    for entry in all {
        if let Some(slot) = index.get(&entry.0.text).and_then(|&at| entries.get_mut(at)) {
            *slot = entry;
        } else {
            index.insert(entry.0.text.clone(), entries.len());
            entries.push(entry);
        }
    }
    entries
}

/// The items of two sequences: of those with one identity the last, where the first stood; of equal ones the first.
fn join_items(base: Value, over: Value, identity: impl Fn(&Value) -> Option<String>) -> Value {
    let (Value::Sequence { items, style, span }, Value::Sequence { items: later, .. }) = (base, over) else {
        return Value::Sequence { items: Vec::new(), style: Style::Block, span: Span::default() };
    };
    let mut index: HashMap<String, usize> = HashMap::new();
    let mut joined: Vec<Value> = Vec::with_capacity(items.len() + later.len());
    for item in items.into_iter().chain(later) {
        let (key, same) = match identity(&item) {
            Some(key) => (format!("={key}"), false),
            None => (written(&item), true),
        };
        match index.get(&key).and_then(|&at| joined.get_mut(at)) {
            Some(_) if same => {}
            Some(slot) => *slot = item,
            None => {
                index.insert(key, joined.len());
                joined.push(item);
            }
        }
    }
    Value::Sequence { items: joined, style, span }
}

/// One text as a list.
fn to_list(value: Value) -> Value {
    match value {
        value @ Value::Sequence { .. } => value,
        null if null.is_null() => Value::Sequence { items: Vec::new(), style: Style::Flow, span: null.span() },
        value => {
            let span = value.span();
            Value::Sequence { items: vec![value], style: Style::Flow, span }
        }
    }
}

/// A mapping of hosts as a list of `host=address`.
fn from_pairs(value: Value) -> Value {
    let Value::Mapping { entries, style, span } = value else { return to_list(value) };
    let mut items = Vec::new();
    for (key, value) in entries {
        let addresses: Vec<&Value> = if value.text().is_some() { vec![&value] } else { value.items().iter().collect() };
        for address in addresses {
            let text = format!("{}={}", key.text, address.text().unwrap_or_default());
            items.push(Value::Scalar(Scalar { text: text.into(), style: Style::DoubleQuoted, span: address.span(), tag: None }));
        }
    }
    Value::Sequence { items, style, span }
}

/// A list of names as a mapping; a service that is only named need not but have started.
fn to_names(value: Value, waits: bool) -> Value {
    if matches!(value, Value::Mapping { .. }) {
        return value;
    }
    let span = value.span();
    let Value::Sequence { items, .. } = to_list(value) else { return Value::Mapping { entries: Vec::new(), style: Style::Flow, span } };
    let named = |item: Value| {
        let Value::Scalar(key) = item else { return None };
        let place = key.span;
        let options = if waits {
            let condition = (Scalar::plain("condition", place), Value::Scalar(Scalar::plain("service_started", place)));
            let required = (Scalar::plain("required", place), Value::Scalar(Scalar::plain("true", place)));
            Value::Mapping { entries: vec![condition, required], style: Style::Flow, span: place }
        } else {
            Value::Scalar(Scalar::plain("", behind(place)))
        };
        Some((key, options))
    };
    Value::Mapping { entries: unique(items.into_iter().filter_map(named)), style: Style::Flow, span }
}

/// A context as a mapping.
fn to_build(value: Value) -> Value {
    if matches!(value, Value::Mapping { .. }) {
        return value;
    }
    let span = value.span();
    let entries = if value.is_null() { Vec::new() } else { vec![(Scalar::plain("context", span), value)] };
    Value::Mapping { entries, style: Style::Flow, span }
}
