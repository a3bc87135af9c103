//! The predicate language of declarative checks: paths, a small closed set of operators, and logic.

use std::sync::{Arc, OnceLock};

use regex::Regex;

use crate::artifact::{FIELDS, Subject};
use crate::error::SetupError;
use crate::rule::{Param, ParamValue, Reader};
use crate::syntax::{Node, Reading, Scalar, number, parse_duration, parse_quantity};

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    /// Every item of a sequence or value of a mapping.
    Every,
}

/// What a leaf looks at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Path {
    /// `@name`: a field that the target provides.
    Field(String),
    /// `$name`: a parameter of the rule.
    Param(String),
    Steps(Steps),
}

/// A path through the tree.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Steps(Vec<Step>);

#[derive(Clone, Debug)]
pub(crate) enum Operand {
    Literal(String),
    Param(String),
}

/// A regular expression that is compiled when a scan first needs it: most scans need few of them.
#[derive(Debug)]
pub(crate) struct Pattern {
    text: String,
    regex: OnceLock<Option<Regex>>,
}

impl Pattern {
    fn is_match(&self, text: &str) -> bool {
        // The loader has compiled those of user packs, a test those that are built in.
        self.regex.get_or_init(|| Regex::new(&self.text).ok()).as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Operator {
    Exists(bool),
    OneOf(Vec<Operand>),
    Matches(Arc<Pattern>),
    Contains(Operand),
    AtLeast(Operand),
    AtMost(Operand),
}

/// A predicate over a target.
#[derive(Clone, Debug)]
pub(crate) enum Predicate {
    All(Vec<Predicate>),
    Any(Vec<Predicate>),
    Not(Box<Predicate>),
    Each(Path, Box<Predicate>),
    Leaf(Path, Vec<Operator>),
}

/// Values of a rule's parameters in this scan.
pub(crate) type Params = [(String, ParamValue)];

/// What a leaf's path leads to.
enum Found<'a, 'd> {
    Node(Node<'d>),
    Text(std::borrow::Cow<'a, str>),
}

impl Steps {
    fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(tail) = rest.strip_prefix("[*]") {
                steps.push(Step::Every);
                rest = tail;
            } else if let Some(tail) = rest.strip_prefix("[\"") {
                let (key, tail) = tail.split_once("\"]")?;
                steps.push(Step::Key(key.to_owned()));
                rest = tail;
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let (key, tail) = rest.split_at_checked(end)?;
                if key.is_empty() {
                    return None;
                }
                steps.push(Step::Key(key.to_owned()));
                rest = tail;
            }
            rest = match rest.strip_prefix('.') {
                Some("") => return None,
                Some(tail) => tail,
                None => rest,
            };
        }
        Some(Self(steps))
    }

    /// The keys before a wildcard, joined by dots.
    pub(crate) fn prefix(&self) -> String {
        let keys: Vec<&str> = self.0.iter().map_while(|step| if let Step::Key(key) = step { Some(key.as_str()) } else { None }).collect();
        keys.join(".")
    }

    /// Every node the path leads to.
    pub(crate) fn find<'d>(&self, root: Node<'d>) -> Vec<Node<'d>> {
        let mut nodes = vec![root];
        for step in &self.0 {
            nodes = match step {
                Step::Key(key) => nodes.into_iter().filter_map(|node| node.get(key)).collect(),
                Step::Every => nodes
                    .into_iter()
                    .flat_map(|node| -> Vec<Node<'d>> {
                        if node.is_mapping() {
                            node.entries().into_iter().map(|(_, value)| value).collect()
                        } else {
                            node.items().collect()
                        }
                    })
                    .collect(),
            };
        }
        nodes
    }

    /// The deepest node on the path that exists, and how many steps lead to it.
    fn deepest<'d>(&self, root: Node<'d>) -> (usize, Node<'d>) {
        let mut node = root;
        for (depth, step) in self.0.iter().enumerate() {
            let next = match step {
                Step::Key(key) => node.get(key),
                Step::Every => None,
            };
            match next {
                Some(next) => node = next,
                None => return (depth, node),
            }
        }
        (self.0.len(), node)
    }
}

impl Path {
    pub(crate) fn read(reader: Reader<'_>) -> Result<Self, SetupError> {
        let text = reader.text()?;
        if let Some(field) = text.strip_prefix('@') {
            if !FIELDS.contains(&field) {
                return Err(reader.error(format!("no target has a field `@{field}`")).suggest(field, FIELDS.iter().copied()));
            }
            return Ok(Self::Field(field.to_owned()));
        }
        if let Some(param) = text.strip_prefix('$') {
            return Ok(Self::Param(param.to_owned()));
        }
        Steps::parse(text)
            .map(Self::Steps)
            .ok_or_else(|| reader.error("this is no path").help("write keys joined by dots: `spec.replicas`"))
    }
}

impl Operand {
    fn read(reader: Reader<'_>, params: &[Param]) -> Result<Self, SetupError> {
        let text = reader.text()?;
        match text.strip_prefix('$') {
            Some(name) if params.iter().any(|param| param.name == name) => Ok(Self::Param(name.to_owned())),
            Some(name) if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') && !name.is_empty() => Err(reader
                .error(format!("the rule has no parameter `{name}`"))
                .suggest(name, params.iter().map(|param| param.name.as_str()))),
            _ => Ok(Self::Literal(text.to_owned())),
        }
    }

    /// The texts it stands for: one, or the items of a list parameter.
    fn texts(&self, params: &Params) -> Vec<String> {
        match self {
            Self::Literal(text) => vec![text.clone()],
            Self::Param(name) => match param(params, name) {
                Some(ParamValue::Texts(texts)) => texts.clone(),
                Some(value) => vec![value.to_string()],
                None => Vec::new(),
            },
        }
    }
}

fn param<'p>(params: &'p Params, name: &str) -> Option<&'p ParamValue> {
    params.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

const OPERATORS: &[&str] =
    &["path", "exists", "equals", "one_of", "matches", "contains", "at_least", "at_most", "all", "any", "not", "each", "that"];

impl Predicate {
    pub(crate) fn read(reader: Reader<'_>, params: &[Param]) -> Result<Self, SetupError> {
        let pairs = reader.pairs(OPERATORS)?;
        let list = |reader: Reader<'_>| -> Result<Vec<Self>, SetupError> {
            reader.items()?.into_iter().map(|item| Self::read(item, params)).collect()
        };
        if let [(word @ ("all" | "any" | "not"), value)] = pairs.as_slice() {
            return Ok(match *word {
                "all" => Self::All(list(*value)?),
                "any" => Self::Any(list(*value)?),
                _ => Self::Not(Box::new(Self::read(*value, params)?)),
            });
        }
        let (mut path, mut each, mut that, mut operators) = (None, None, None, Vec::new());
        for (word, value) in pairs {
            match word {
                "path" => path = Some(Path::read(value)?),
                "each" => each = Some(Path::read(value)?),
                "that" => that = Some(Self::read(value, params)?),
                "exists" => operators.push(Operator::Exists(value.bool()?)),
                "equals" => operators.push(Operator::OneOf(vec![Operand::read(value, params)?])),
                "one_of" => {
                    let operands = if value.node.is_sequence() {
                        value.items()?.into_iter().map(|item| Operand::read(item, params)).collect::<Result<_, _>>()?
                    } else {
                        vec![Operand::read(value, params)?]
                    };
                    operators.push(Operator::OneOf(operands));
                }
                "matches" => {
                    let text = value.text()?.to_owned();
                    operators.push(Operator::Matches(Arc::new(Pattern { text, regex: OnceLock::new() })));
                }
                "contains" => operators.push(Operator::Contains(Operand::read(value, params)?)),
                "at_least" => operators.push(Operator::AtLeast(Operand::read(value, params)?)),
                "at_most" => operators.push(Operator::AtMost(Operand::read(value, params)?)),
                _ => return Err(reader.error(format!("`{word}` cannot stand beside other words here"))),
            }
        }
        match (path, each, that) {
            (Some(path), None, None) if !operators.is_empty() => Ok(Self::Leaf(path, operators)),
            (None, Some(path), Some(that)) if operators.is_empty() => Ok(Self::Each(path, Box::new(that))),
            (None, Some(path), None) if !operators.is_empty() => {
                Ok(Self::Each(path, Box::new(Self::Leaf(Path::Steps(Steps(Vec::new())), operators))))
            }
            _ => Err(reader.error("a predicate is `path` with operators, `each`, `all`, `any` or `not`")),
        }
    }

    /// Both at once.
    pub(crate) fn and(self, other: Self) -> Self {
        Self::All(vec![self, other])
    }

    pub(crate) fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// The same predicate with cheap questions first. Only for targets without nodes, where the order of hits is nothing.
    pub(crate) fn sorted(self) -> Self {
        let sort = |list: Vec<Self>| {
            let mut list: Vec<Self> = list.into_iter().map(Self::sorted).collect();
            list.sort_by_key(Self::cost);
            list
        };
        match self {
            Self::All(list) => Self::All(sort(list)),
            Self::Any(list) => Self::Any(sort(list)),
            Self::Not(not) => Self::Not(Box::new(not.sorted())),
            other => other,
        }
    }

    fn cost(&self) -> usize {
        match self {
            Self::All(list) | Self::Any(list) => list.iter().map(Self::cost).sum(),
            Self::Not(not) => not.cost(),
            Self::Each(..) => 100,
            Self::Leaf(_, operators) => {
                operators.iter().map(|operator| if let Operator::Matches(pattern) = operator { 10 + pattern.text.len() } else { 1 }).sum()
            }
        }
    }

    /// What it implies of some fields alone: where this does not hold, neither does the whole.
    pub(crate) fn implied(&self, fields: &[&str]) -> Option<Self> {
        match self {
            Self::Leaf(Path::Field(field), _) => fields.contains(&field.as_str()).then(|| self.clone()),
            Self::All(list) => {
                let known: Vec<Self> = list.iter().filter_map(|one| one.implied(fields)).collect();
                (!known.is_empty()).then_some(Self::All(known))
            }
            Self::Any(list) => list.iter().map(|one| one.implied(fields)).collect::<Option<Vec<_>>>().map(Self::Any),
            Self::Not(not) => not.asks_only(fields).then(|| self.clone()),
            _ => None,
        }
    }

    fn asks_only(&self, fields: &[&str]) -> bool {
        match self {
            Self::Leaf(Path::Field(field), _) => fields.contains(&field.as_str()),
            Self::Leaf(..) | Self::Each(..) => false,
            Self::All(list) | Self::Any(list) => list.iter().all(|one| one.asks_only(fields)),
            Self::Not(not) => not.asks_only(fields),
        }
    }

    /// Whether it holds; the nodes that made it hold are added to `hits`.
    pub(crate) fn holds<'d>(&self, subject: Subject<'_, 'd>, params: &Params, hits: &mut Vec<Node<'d>>) -> bool {
        match self {
            Self::All(all) => all.iter().all(|one| one.holds(subject, params, hits)),
            Self::Any(any) => any.iter().any(|one| one.holds(subject, params, hits)),
            Self::Not(not) => !not.holds(subject, params, &mut Vec::new()),
            Self::Each(path, that) => {
                let Path::Steps(steps) = path else { return false };
                let Some(collection) = subject.find(steps).into_iter().next() else { return true };
                Steps(vec![Step::Every])
                    .find(collection)
                    .into_iter()
                    .all(|item| that.holds(Subject::Node(item, subject.compose()), params, hits))
            }
            Self::Leaf(path, operators) => leaf(path, operators, subject, params, hits),
        }
    }

    /// For a predicate that does not hold: the deepest existing place on its paths, or the value that failed.
    pub(crate) fn failed_at<'d>(&self, subject: Subject<'_, 'd>, params: &Params) -> Option<(usize, Node<'d>)> {
        match self {
            Self::All(all) => {
                all.iter().filter(|one| !one.holds(subject, params, &mut Vec::new())).find_map(|one| one.failed_at(subject, params))
            }
            Self::Any(any) => {
                any.iter().filter_map(|one| one.failed_at(subject, params)).reduce(|best, next| if next.0 > best.0 { next } else { best })
            }
            Self::Leaf(Path::Steps(steps), _) => match subject.find(steps).into_iter().next() {
                Some(node) if !node.is_null() => Some((steps.0.len(), node)),
                _ => subject.node().map(|root| steps.deepest(root)),
            },
            Self::Each(Path::Steps(steps), that) => {
                subject.find(steps).into_iter().flat_map(|node| Steps(vec![Step::Every]).find(node)).find_map(|item| {
                    let inner = Subject::Node(item, subject.compose());
                    (!that.holds(inner, params, &mut Vec::new())).then(|| that.failed_at(inner, params)).flatten()
                })
            }
            _ => None,
        }
    }
}

fn leaf<'d>(path: &Path, operators: &[Operator], subject: Subject<'_, 'd>, params: &Params, hits: &mut Vec<Node<'d>>) -> bool {
    let compose = subject.compose();
    let found: Vec<Found<'_, 'd>> = match path {
        Path::Field(name) => {
            return match subject.field(name).map(Found::Text) {
                Some(found) => operators.iter().all(|operator| operator.holds(&found, params, compose)),
                None => operators.iter().all(|operator| matches!(operator, Operator::Exists(false))),
            };
        }
        Path::Param(name) => param(params, name).map(|value| Found::Text(value.to_string().into())).into_iter().collect(),
        Path::Steps(steps) => subject.find(steps).into_iter().filter(|node| !node.is_null()).map(Found::Node).collect(),
    };
    if found.is_empty() {
        return operators.iter().all(|operator| matches!(operator, Operator::Exists(false)));
    }
    let mut any = false;
    for one in &found {
        if operators.iter().all(|operator| operator.holds(one, params, compose)) {
            any = true;
            if let Found::Node(node) = one {
                hits.push(*node);
            }
        }
    }
    any
}

impl Operator {
    fn holds(&self, found: &Found<'_, '_>, params: &Params, compose: bool) -> bool {
        match self {
            Self::Exists(wanted) => *wanted,
            Self::OneOf(operands) => operands.iter().any(|operand| match operand {
                Operand::Literal(wanted) => equals(found, wanted, compose),
                Operand::Param(_) => operand.texts(params).iter().any(|wanted| equals(found, wanted, compose)),
            }),
            Self::Matches(pattern) => found.text().is_some_and(|text| pattern.is_match(text)),
            Self::Contains(operand) => operand.texts(params).iter().any(|wanted| match found {
                Found::Node(node) if node.is_sequence() => node.items().any(|item| item.text() == Some(wanted)),
                Found::Node(node) if node.is_mapping() => node.get(wanted).is_some(),
                _ => found.text().is_some_and(|text| text.contains(wanted.as_str())),
            }),
            Self::AtLeast(operand) => compare(found, operand, params, compose, |value, bound| value >= bound),
            Self::AtMost(operand) => compare(found, operand, params, compose, |value, bound| value <= bound),
        }
    }
}

impl Found<'_, '_> {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Node(node) => node.text(),
            Self::Text(text) => Some(text),
        }
    }
}

/// The number that a text stands for: plain, a quantity, or a duration in seconds.
pub(crate) fn amount(text: &str, compose: bool) -> Option<f64> {
    number(text).or_else(|| parse_quantity(text, compose)).or_else(|| parse_duration(text))
}

fn equals(found: &Found<'_, '_>, wanted: &str, compose: bool) -> bool {
    let Some(text) = found.text() else { return false };
    if text == wanted {
        return true;
    }
    if let (Found::Node(node), Some(wanted)) = (
        found,
        match wanted {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        },
    ) {
        let reading = if compose { Reading::Yaml12 } else { Reading::Yaml11 };
        return node.scalar(reading) == Some(Scalar::Bool(wanted));
    }
    // Words are no amounts, and most operands are words.
    if !wanted.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.')) {
        return false;
    }
    match (amount(text, compose), amount(wanted, compose)) {
        (Some(value), Some(wanted)) => (value - wanted).abs() < f64::EPSILON,
        _ => false,
    }
}

fn compare(found: &Found<'_, '_>, operand: &Operand, params: &Params, compose: bool, holds: impl Fn(f64, f64) -> bool) -> bool {
    let Some(value) = found.text().and_then(|text| amount(text, compose)) else { return false };
    operand.texts(params).first().and_then(|bound| amount(bound, compose)).is_some_and(|bound| holds(value, bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_parse() {
        let keys = |text: &str| Steps::parse(text).map(|steps| steps.0.len());
        assert_eq!(keys("spec.replicas"), Some(2));
        assert_eq!(keys("metadata.annotations[\"a.b/c\"]"), Some(3));
        assert_eq!(keys("spec.containers[*].name"), Some(4));
        assert_eq!(keys("a..b"), None);
        assert_eq!(keys("a."), None);
    }
}
