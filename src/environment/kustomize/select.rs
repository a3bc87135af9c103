//! Which objects a patch or a replacement is meant for.

use regex::Regex;

use super::object::{Former, Object};
use crate::environment::Value;

/// A selector: patterns that match whole names, and expressions over labels and annotations.
#[derive(Debug, Default)]
pub(super) struct Selector {
    group: Option<Regex>,
    version: Option<Regex>,
    kind: Option<Regex>,
    name: Option<Regex>,
    namespace: Option<Regex>,
    labels: Vec<Requirement>,
    annotations: Vec<Requirement>,
}

#[derive(Debug)]
struct Requirement {
    key: String,
    is: Condition,
}

#[derive(Debug)]
enum Condition {
    Present,
    Absent,
    OneOf(Vec<String>),
    NoneOf(Vec<String>),
    Above(i64),
    Below(i64),
}

impl Selector {
    /// The selector as written; nothing where a pattern or an expression is none.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let pattern = |key: &str| match value.text_of(key).filter(|text| !text.is_empty()) {
            Some(text) => Regex::new(&format!("^(?:{text})$")).map(Some).ok(),
            None => Some(None),
        };
        let expression = |key: &str| requirements(value.text_of(key).unwrap_or_default());
        Some(Self {
            group: pattern("group")?,
            version: pattern("version")?,
            kind: pattern("kind")?,
            name: pattern("name")?,
            namespace: pattern("namespace")?,
            labels: expression("labelSelector")?,
            annotations: expression("annotationSelector")?,
        })
    }

    /// Whether an object is meant by what it is called now or was called first.
    pub(super) fn selects(&self, object: &Object) -> bool {
        let (current, original) = (object.current(), object.original());
        let fits = |pattern: &Option<Regex>, get: fn(&Former) -> &str| {
            matches(pattern.as_ref(), get(&original)) || matches(pattern.as_ref(), get(&current))
        };
        fits(&self.namespace, |id| &id.namespace)
            && fits(&self.name, |id| &id.name)
            && self.is_type(object, &current.kind)
            && self.is_labelled(object)
    }

    /// Whether one identity of an object is meant; labels are not asked.
    pub(super) fn is_id(&self, object: &Object, kind: &str, name: &str, namespace: &str) -> bool {
        self.is_type(object, kind) && matches(self.name.as_ref(), name) && matches(self.namespace.as_ref(), namespace)
    }

    fn is_type(&self, object: &Object, kind: &str) -> bool {
        let (group, version) = object.group_version();
        matches(self.group.as_ref(), group) && matches(self.version.as_ref(), version) && matches(self.kind.as_ref(), kind)
    }

    pub(super) fn is_labelled(&self, object: &Object) -> bool {
        let all = |requirements: &[Requirement], key: &str| {
            let values = object.metadata_map(key);
            requirements
                .iter()
                .all(|requirement| requirement.holds(values.and_then(|values| values.get(&requirement.key)).and_then(Value::text)))
        };
        all(&self.labels, "labels") && all(&self.annotations, "annotations")
    }

    pub(super) fn asks_for_labels(&self) -> bool {
        !self.labels.is_empty() || !self.annotations.is_empty()
    }

    pub(super) fn asks_for_ids(&self) -> bool {
        [&self.group, &self.version, &self.kind, &self.name, &self.namespace].iter().any(|pattern| pattern.is_some())
    }
}

fn matches(pattern: Option<&Regex>, text: &str) -> bool {
    pattern.is_none_or(|pattern| pattern.is_match(text))
}

impl Requirement {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.is {
            Condition::Present => value.is_some(),
            Condition::Absent => value.is_none(),
            Condition::OneOf(values) => value.is_some_and(|value| values.iter().any(|known| known == value)),
            Condition::NoneOf(values) => value.is_none_or(|value| values.iter().all(|known| known != value)),
            Condition::Above(limit) => number().is_some_and(|number| number > *limit),
            Condition::Below(limit) => number().is_some_and(|number| number < *limit),
        }
    }
}

/// The requirements of an expression such as `app=web,tier in (a, b),!old`.
fn requirements(expression: &str) -> Option<Vec<Requirement>> {
    let mut found = Vec::new();
    let mut parts: Vec<String> = Vec::new();
    let mut depth = 0_usize;
    for character in expression.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        match parts.last_mut() {
            Some(part) => part.push(character),
            None => parts.push(character.to_string()),
        }
    }
    for part in parts.iter().map(|part| part.trim()) {
        let one = |value: &str| vec![value.trim().to_owned()];
        let (key, is) = if part.contains('(') {
            among(part)?
        } else if let Some((key, value)) = part.split_once("!=") {
            (key, Condition::NoneOf(one(value)))
        } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            (key, Condition::OneOf(one(value)))
        } else if let Some((key, value)) = part.split_once('>') {
            (key, Condition::Above(value.trim().parse().ok()?))
        } else if let Some((key, value)) = part.split_once('<') {
            (key, Condition::Below(value.trim().parse().ok()?))
        } else if let Some(key) = part.strip_prefix('!') {
            (key, Condition::Absent)
        } else {
            (part, Condition::Present)
        };
        let key = key.trim();
        if key.is_empty() {
            return None;
        }
        found.push(Requirement { key: key.to_owned(), is });
    }
    Some(found)
}

/// A requirement such as `tier in (a, b)`.
fn among(part: &str) -> Option<(&str, Condition)> {
    let (head, values) = part.strip_suffix(')')?.split_once('(')?;
    let (key, operator) = head.trim().rsplit_once(char::is_whitespace)?;
    let values = values.split(',').map(|value| value.trim().to_owned()).collect();
    match operator {
        "in" => Some((key, Condition::OneOf(values))),
        "notin" => Some((key, Condition::NoneOf(values))),
        _ => None,
    }
}
