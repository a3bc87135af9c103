//! Strategic merge: a patch over an object, lists by the keys of their items where the type is known.

use std::collections::{HashMap, HashSet};

use super::object::made_key;
use super::schema::{Items, Shape};
use super::{Purse, Spent};
use crate::environment::{Key, Value};

const DIRECTIVE: &str = "$patch";
/// Lists with more items are taken as they stand where the keys of their items are incomplete.
const MAX_INCOMPLETE: usize = 1_000;

/// What a patch does with the value it is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

/// The value that a patch makes of another one; nothing where it takes it away.
pub(super) fn merge(dest: Option<Value>, patch: Option<&Value>, shape: Shape<'_>, purse: &mut Purse) -> Result<Option<Value>, Spent> {
    part(dest, patch, shape, None, purse)
}

fn part(
    dest: Option<Value>,
    patch: Option<&Value>,
    shape: Shape<'_>,
    items: Option<Items<'_>>,
    purse: &mut Purse,
) -> Result<Option<Value>, Spent> {
    purse.pay(1)?;
    match (dest, patch) {
        // A null that is written out stays, one that is left open goes.
        (Some(dest), None) if dest.is_null() => Ok(dest.text().is_some_and(|text| !text.is_empty()).then_some(dest)),
        (None, None) => Ok(None),
        (dest, Some(patch)) if patch.is_null() => {
            drop(dest);
            Ok(None)
        }
        (Some(dest @ Value::Mapping { .. }), patch @ (None | Some(Value::Mapping { .. }))) => {
            match patch.map_or(Directive::Merge, directive) {
                Directive::Delete => Ok(None),
                Directive::Replace => mapping(None, patch, shape, purse),
                Directive::Merge => mapping(Some(dest), patch, shape, purse),
            }
        }
        (dest, Some(patch @ Value::Mapping { .. })) => {
            drop(dest);
            if directive(patch) == Directive::Delete { Ok(None) } else { mapping(None, Some(patch), shape, purse) }
        }
        (Some(Value::Sequence { items: old, style, span }), patch @ (None | Some(Value::Sequence { .. }))) => {
            let Some(items) = items else {
                let Some(patch) = patch else { return Ok(Some(Value::Sequence { items: old, style, span })) };
                purse.pay(patch.weight())?;
                return Ok(Some(patch.clone()));
            };
            let Some(patch) = patch else { return Ok(Some(Value::Sequence { items: sequence(old, &[], &items, purse)?, style, span })) };
            let (directive, new) = list_directive(patch);
            match directive {
                Directive::Delete => Ok(None),
                Directive::Replace => {
                    Ok(Some(Value::Sequence { items: sequence(Vec::new(), &new, &items, purse)?, style, span: patch.span() }))
                }
                Directive::Merge => {
                    // A list without items is set by the one who fills it.
                    let span = if old.is_empty() { patch.span() } else { span };
                    Ok(Some(Value::Sequence { items: sequence(old, &new, &items, purse)?, style, span }))
                }
            }
        }
        (_, Some(Value::Sequence { items: new, style, span })) if items.is_some() => {
            let Some(items) = items else { return Ok(None) };
            // A list that is new is merged with itself, which keeps items without names.
            purse.pay(new.iter().map(Value::weight).sum())?;
            let (old, new) = (new.clone(), new.iter().collect::<Vec<_>>());
            Ok(Some(Value::Sequence { items: sequence(old, &new, &items, purse)?, style: *style, span: *span }))
        }
        (_, Some(patch)) => {
            purse.pay(patch.weight())?;
            Ok(Some(patch.clone()))
        }
        (Some(dest), None) => Ok(Some(dest)),
    }
}

fn mapping(dest: Option<Value>, patch: Option<&Value>, shape: Shape<'_>, purse: &mut Purse) -> Result<Option<Value>, Spent> {
    let new = patch.map(Value::entries).unwrap_or_default();
    let by_key: HashMap<&str, &(Key, Value)> = new.iter().map(|entry| (&*entry.0.text, entry)).collect();
    let mut seen: HashSet<&str> = HashSet::new();
    let (old, style, span) = match (dest, patch) {
        (Some(Value::Mapping { entries, style, span }), _) => {
            // An empty `{}` is set by the one who fills it.
            let span = if entries.is_empty() { patch.map_or(span, Value::span) } else { span };
            (entries, style, span)
        }
        (_, Some(Value::Mapping { style, span, .. })) => (Vec::new(), *style, *span),
        _ => return Ok(None),
    };
    let mut entries = Vec::with_capacity(old.len() + new.len());
    for (key, value) in old {
        let patched = by_key.get(&*key.text).copied();
        let (inner, items) = shape.field(&key.text);
        let was = value.span();
        let Some(value) = part(Some(value), patched.map(|(_, value)| value), inner, items, purse)? else {
            seen.extend(patched.map(|(key, _)| &*key.text));
            continue;
        };
        // What a patch sets as a whole belongs to it, the key included.
        let key = match patched {
            Some((new, _)) if value.span() != was => new.clone(),
            _ => key,
        };
        seen.extend(patched.map(|(key, _)| &*key.text));
        entries.push((key, value));
    }
    for (key, value) in new {
        if !seen.contains(&*key.text) && &*key.text != DIRECTIVE {
            let (inner, items) = shape.field(&key.text);
            if let Some(value) = part(None, Some(value), inner, items, purse)? {
                entries.push((key.clone(), value));
            }
        }
    }
    Ok(Some(Value::Mapping { entries, style, span }))
}

fn directive(patch: &Value) -> Directive {
    match patch.text_of(DIRECTIVE) {
        Some("delete") => Directive::Delete,
        Some("replace") => Directive::Replace,
        _ => Directive::Merge,
    }
}

/// What a patch of a list says of the whole list, in an item of its own, and the other items.
fn list_directive(patch: &Value) -> (Directive, Vec<&Value>) {
    let said = patch.items().iter().find(|item| matches!(item.entries(), [(key, _)] if &*key.text == DIRECTIVE));
    let rest = patch.items().iter().filter(|item| said.is_none_or(|said| !std::ptr::eq(*item, said))).collect();
    (said.map_or(Directive::Merge, directive), rest)
}

/// The values by which an item is known; empty where it has none.
type Names = Vec<Box<str>>;

fn names(item: &Value, keys: &[&str]) -> Names {
    keys.iter().map(|key| item.text_of(key).unwrap_or_default().into()).collect()
}

/// Where the items of a list stand by their names; of equal ones the first.
struct Index {
    places: HashMap<Names, usize>,
    count: usize,
}

impl Index {
    fn new<'v>(items: impl Iterator<Item = &'v Value>, keys: &[&str]) -> Self {
        let mut index = Self { places: HashMap::new(), count: 0 };
        for (at, item) in items.enumerate() {
            index.places.entry(names(item, keys)).or_insert(at);
            index.count += 1;
        }
        index
    }

    /// The first item that has all of these names; an empty one is not asked for.
    fn find(&self, asked: &Names, purse: &mut Purse) -> Result<Option<usize>, Spent> {
        if asked.iter().all(|name| !name.is_empty()) {
            return Ok(self.places.get(asked).copied());
        }
        purse.pay(1 + self.count / 16)?;
        let fits = |known: &Names| known.iter().zip(asked).all(|(known, asked)| asked.is_empty() || known == asked);
        Ok(self.places.iter().filter(|(known, _)| fits(known)).map(|(_, at)| *at).min())
    }
}

/// The items of a patch, each merged with the one it is for, before the items that the patch does not name.
fn sequence(mut old: Vec<Value>, new: &[&Value], items: &Items<'_>, purse: &mut Purse) -> Result<Vec<Value>, Spent> {
    if items.keys.is_empty() {
        let mut seen: HashSet<Box<str>> = HashSet::new();
        let all = new.iter().copied().cloned().chain(old);
        return Ok(all.filter(|item| item.text().is_none_or(|text| seen.insert(text.into()))).collect());
    }
    let mut listed: Vec<Names> = new.iter().copied().chain(&old).map(|item| names(item, &items.keys)).collect();
    if items.keys.len() > 1 {
        complete(&mut listed, purse)?;
    }
    // A key that no item has does not tell them apart.
    let mut used: Vec<usize> =
        (0..items.keys.len()).filter(|&at| listed.iter().any(|names| names.get(at).is_some_and(|name| !name.is_empty()))).collect();
    if used.is_empty() {
        used = (0..items.keys.len()).collect();
    }
    let keys: Vec<&str> = used.iter().filter_map(|&at| items.keys.get(at).copied()).collect();
    let mut seen: HashSet<Names> = HashSet::new();
    let mut result: Vec<Value> = Vec::with_capacity(old.len() + new.len());
    let (mut olds, news) = (Index::new(old.iter(), &keys), Index::new(new.iter().copied(), &keys));
    let mut gone: HashSet<Names> = HashSet::new();
    for full in listed {
        let asked: Names = used.iter().filter_map(|&at| full.get(at).cloned()).collect();
        if !seen.insert(asked.clone()) {
            continue;
        }
        if asked.iter().all(|name| name.is_empty()) {
            // Kustomize lets an item without names take away all that have some.
            for item in old.iter_mut().filter(|item| keys.iter().all(|key| item.get(key).is_some())) {
                *item = Value::mapping(item.span());
            }
            olds = Index::new(std::iter::empty(), &keys);
            continue;
        }
        let patch = news.find(&asked, purse)?.and_then(|at| new.get(at)).copied();
        let dest = match olds.find(&asked, purse)? {
            Some(at) => old.get_mut(at),
            None => None,
        };
        // Kustomize puts the old item back over one that is replaced as a whole.
        let merged = match (dest, patch) {
            (Some(dest), Some(patch)) if directive(patch) == Directive::Replace => Some(dest.clone()),
            (Some(dest), patch) => {
                let taken = std::mem::replace(dest, Value::mapping(dest.span()));
                let merged = part(Some(taken), patch, items.shape, None, purse)?;
                if let Some(merged) = &merged {
                    purse.pay(merged.weight())?;
                    *dest = merged.clone();
                }
                merged
            }
            (None, patch) => part(None, patch, items.shape, None, purse)?,
        };
        let Some(mut merged) = merged.filter(|item| !item.entries().is_empty()) else {
            gone.insert(asked);
            continue;
        };
        for (key, name) in keys.iter().zip(&asked) {
            if merged.get(key).is_none() && !name.is_empty() {
                let span = merged.span();
                merged.set(made_key(key, span), Value::Scalar(made_key(name, span)));
            }
        }
        result.push(merged);
    }
    // What is merged replaces itself; of items with equal names the last one stays.
    let mut places: HashMap<Names, usize> = result.iter().enumerate().map(|(at, item)| (names(item, &keys), at)).collect();
    let mut kept: Vec<Option<Value>> = result.into_iter().map(Some).collect();
    for item in old {
        let own = names(&item, &keys);
        if item.entries().is_empty() || gone.contains(&own) {
            continue;
        }
        if keys.len() < 2 {
            match places.get(&own).and_then(|&at| kept.get_mut(at)) {
                Some(place) => *place = Some(item),
                None => kept.push(Some(item)),
            }
            continue;
        }
        if own.iter().all(|name| !name.is_empty()) {
            if let Some(place) = places.remove(&own).and_then(|at| kept.get_mut(at)) {
                *place = None;
            }
        } else if let Some(first) = own.first().filter(|first| !first.is_empty()) {
            // Kustomize compares the names an item has, so that one without a protocol stands for all of its port.
            purse.pay(1 + kept.len() / 16)?;
            let key = keys.first().copied().unwrap_or_default();
            for place in &mut kept {
                if place.as_ref().is_some_and(|item| item.text_of(key) == Some(first)) {
                    *place = None;
                }
            }
        }
        places.insert(own, kept.len());
        kept.push(Some(item));
    }
    Ok(kept.into_iter().flatten().collect())
}

/// Gives names that items lack to those that agree with others in the rest.
fn complete(listed: &mut [Names], purse: &mut Purse) -> Result<(), Spent> {
    let lacking: Vec<usize> =
        listed.iter().enumerate().filter(|(_, names)| names.iter().any(|name| name.is_empty())).map(|(at, _)| at).collect();
    if lacking.is_empty() || listed.len() > MAX_INCOMPLETE {
        return Ok(());
    }
    purse.pay(listed.len() * lacking.len() / 16)?;
    for one in 0..listed.len() {
        for other in 0..listed.len() {
            let (Some(a), Some(b)) = (listed.get(one), listed.get(other)) else { continue };
            let agree = a.iter().zip(b).any(|(a, b)| a == b);
            let clash = a.iter().zip(b).any(|(a, b)| a != b && !a.is_empty() && !b.is_empty());
            if agree && !clash && a != b {
                let full: Names = a.iter().zip(b).map(|(a, b)| if a.is_empty() { b.clone() } else { a.clone() }).collect();
                for at in [one, other] {
                    if let Some(names) = listed.get_mut(at) {
                        names.clone_from(&full);
                    }
                }
            }
        }
    }
    Ok(())
}
