//! Checks: what a rule asks of an artifact, and the drafts of findings it leaves.

mod api_versions;
pub(crate) mod native;
mod predicate;
mod wrangler_fields;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use crate::artifact::{Artifact, Inner, Place, Subject, TargetKind, Variable, inner_documents};
use crate::environment::Problem;
use crate::error::SetupError;
use crate::finding::{Confidence, Location, Object, Related, Severity};
use crate::project::{Excuse, Files};
use crate::redact::FileSecrets;
use crate::rule::{ArtifactKind, Param, ParamValue, Reader, Rule, RuleSet};
use crate::secret::Format;
use crate::source::{Source, Span};
use crate::suppress::Date;
use crate::survey::State;
use crate::syntax::{Node, Parsed};
use crate::tree::Tree;

pub(crate) use api_versions::ApiVersions;
pub use api_versions::Version;
pub(crate) use native::Native;
pub(crate) use predicate::{Params, Predicate, Steps};
pub(crate) use wrangler_fields::{Field, FieldType, WranglerFields};

/// One check of a rule.
#[derive(Debug)]
pub(crate) enum Check {
    /// Exact token formats, searched in every text.
    Formats(Formats),
    Declarative(Declarative),
    Native(Native),
}

/// Token formats that share a message.
#[derive(Debug)]
pub(crate) struct Formats {
    pub(crate) formats: Vec<Format>,
    pub(crate) message: String,
}

#[derive(Debug)]
enum Target {
    Place(TargetKind),
    Variable(Box<Variables>),
}

/// A check of variables as one question, and what it implies of parts that many variables share. Values files hold
/// a hundred thousand variables, but few different names.
#[derive(Debug)]
struct Variables {
    /// Holds where there is a finding.
    wanted: Predicate,
    name: Option<Predicate>,
    value: Option<Predicate>,
    /// Of scope and placement.
    class: Option<Predicate>,
}

impl Variables {
    fn new(when: Option<&Predicate>, want: Want, predicate: &Predicate) -> Self {
        let hit = match want {
            Want::Deny => predicate.clone(),
            Want::Require => predicate.clone().negated(),
        };
        let wanted = match when {
            Some(when) => when.clone().and(hit),
            None => hit,
        };
        let implied = |fields: &[&str]| wanted.implied(fields).map(Predicate::sorted);
        Self { name: implied(&["name"]), value: implied(&["value"]), class: implied(&["scope", "placement"]), wanted: wanted.sorted() }
    }
}

/// Numbers of an artifact's variables by what they share.
#[derive(Debug, Default)]
struct Index {
    /// The variables of each different name, and of each different value.
    names: Vec<Vec<usize>>,
    values: Vec<Vec<usize>>,
    /// One variable for each scope and placement.
    classes: Vec<usize>,
}

impl Index {
    fn new(artifact: &Artifact<'_>) -> Self {
        let mut index = Self::default();
        let (mut names, mut values, mut classes) = (HashMap::new(), HashMap::new(), Vec::new());
        for (number, variable) in artifact.variables.iter().enumerate() {
            group(&mut index.names, &mut names, &variable.name, number);
            group(&mut index.values, &mut values, &variable.value, number);
            let class = (variable.scope, variable.placement);
            if !classes.contains(&class) {
                classes.push(class);
                index.classes.push(number);
            }
        }
        index
    }
}

fn group<'v>(groups: &mut Vec<Vec<usize>>, known: &mut HashMap<&'v str, usize>, key: &'v str, number: usize) {
    let at = *known.entry(key).or_insert(groups.len());
    match groups.get_mut(at) {
        Some(group) => group.push(number),
        None => groups.push(vec![number]),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Deny,
    Require,
}

/// A predicate over one kind of target.
#[derive(Debug)]
pub(crate) struct Declarative {
    target: Target,
    when: Option<Predicate>,
    unless: Vec<String>,
    want: Want,
    predicate: Predicate,
    at: Option<predicate::Path>,
    /// See `Draft::whole`.
    whole: bool,
    message: String,
    severity: Option<Severity>,
    confidence: Option<Confidence>,
}

const KEYS: &[&str] =
    &["target", "when", "unless", "deny", "require", "native", "formats", "at", "whole", "message", "severity", "confidence"];

impl Check {
    /// Reads the `check` of a rule: one, or a list.
    pub(crate) fn read(reader: Reader<'_>, params: &[Param]) -> Result<Vec<Self>, SetupError> {
        if reader.node.is_sequence() {
            return reader.items()?.into_iter().map(|item| Self::read_one(item, params)).collect();
        }
        Ok(vec![Self::read_one(reader, params)?])
    }

    fn read_one(reader: Reader<'_>, params: &[Param]) -> Result<Self, SetupError> {
        let pairs = reader.pairs(KEYS)?;
        let get = |key: &str| pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        let message = get("message").map(|message| message.text().map(str::to_owned)).transpose()?;
        if let Some(native) = get("native") {
            return Native::find(native.text()?).map(Self::Native).ok_or_else(|| {
                native.error("there is no native check of this name").suggest(native.text().unwrap_or_default(), Native::names())
            });
        }
        let message = message.ok_or_else(|| reader.error("the check has no `message`"))?;
        if let Some(formats) = get("formats") {
            let formats = formats.items()?.into_iter().map(read_format).collect::<Result<_, _>>()?;
            return Ok(Self::Formats(Formats { formats, message }));
        }
        let target = get("target").ok_or_else(|| reader.error("the check has no `target`"))?;
        let word = target.text()?;
        let kind = match TargetKind::WORDS.iter().find(|(known, _)| *known == word) {
            Some((_, kind)) => Some(*kind),
            None if word == "variable" => None,
            None => {
                let known = TargetKind::WORDS.iter().map(|(known, _)| *known).chain(["variable"]);
                return Err(target.error("unknown target").suggest(word, known));
            }
        };
        let (want, predicate) = match (get("deny"), get("require")) {
            (Some(predicate), None) => (Want::Deny, predicate),
            (None, Some(predicate)) => (Want::Require, predicate),
            _ => return Err(reader.error("a check has one of `deny`, `require`, `native` and `formats`")),
        };
        let unless = get("unless").map(Reader::texts).transpose()?.unwrap_or_default();
        if let Some(unknown) = unless.iter().find(|fact| !Excuse::NAMES.contains(&fact.as_str())) {
            return Err(get("unless").unwrap_or(reader).error("unknown fact").suggest(unknown, Excuse::NAMES.iter().copied()));
        }
        let when = get("when").map(|when| Predicate::read(when, params)).transpose()?;
        let predicate = Predicate::read(predicate, params)?;
        let target = match kind {
            Some(kind) => Target::Place(kind),
            None => Target::Variable(Box::new(Variables::new(when.as_ref(), want, &predicate))),
        };
        Ok(Self::Declarative(Declarative {
            target,
            when,
            unless,
            want,
            predicate,
            at: get("at").map(predicate::Path::read).transpose()?,
            whole: get("whole").map(Reader::bool).transpose()?.unwrap_or_default(),
            message,
            severity: get("severity").map(|word| word.word(&Severity::ALL, Severity::word)).transpose()?,
            confidence: get("confidence").map(|word| word.word(&Confidence::ALL, Confidence::word)).transpose()?,
        }))
    }

    /// Whether it asks what is written in a file rather than what is deployed.
    fn is_about_text(&self) -> bool {
        match self {
            Self::Formats(_) | Self::Native(Native::Text(..)) => true,
            Self::Declarative(check) => matches!(check.target, Target::Variable(_)),
            Self::Native(_) => false,
        }
    }

    /// Whether it is written in the predicate language or as formats.
    pub(crate) fn is_declarative(&self) -> bool {
        !matches!(self, Self::Native(_))
    }
}

fn read_format(reader: Reader<'_>) -> Result<Format, SetupError> {
    let mut format = Format { name: String::new(), keyword: String::new(), pattern: String::new() };
    for (key, value) in reader.pairs(&["name", "keyword", "pattern"])? {
        let text = value.text()?.to_owned();
        match key {
            "name" => format.name = text,
            "keyword" => format.keyword = text,
            _ => format.pattern = text,
        }
    }
    if format.keyword.is_empty() || format.pattern.is_empty() {
        return Err(reader.error("a format has `name`, `keyword` and `pattern`"));
    }
    Ok(format)
}

/// A rule as this scan runs it.
#[derive(Clone, Debug)]
pub(crate) struct Active {
    pub(crate) index: usize,
    pub(crate) params: Vec<(String, ParamValue)>,
}

impl Active {
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.params.iter().find(|(known, _)| known == name).and_then(|(_, value)| match value {
            ParamValue::Number(number) => Some(*number),
            _ => None,
        })
    }

    /// The items of a list parameter.
    pub(crate) fn texts(&self, name: &str) -> &[String] {
        self.params.iter().find(|(known, _)| known == name).map_or(&[], |(_, value)| match value {
            ParamValue::Texts(texts) => texts,
            _ => &[],
        })
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| known == name).and_then(|(_, value)| match value {
            ParamValue::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }
}

/// A finding before it is judged.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) rule: usize,
    pub(crate) message: String,
    pub(crate) severity: Severity,
    pub(crate) confidence: Confidence,
    pub(crate) location: Location,
    pub(crate) related: Vec<Related>,
    pub(crate) object: Object,
    pub(crate) environment: Option<String>,
    /// Facts of the group that would excuse it.
    pub(crate) unless: Vec<Excuse>,
    /// What else it says all about, for rules with a precedence: the whole target.
    pub(crate) whole: Option<Span>,
    /// The secret that it points at, to tell it from another one; never shown.
    pub(crate) secret: Option<Box<str>>,
}

impl Draft {
    /// A draft with the rule's own severity and confidence.
    pub(crate) fn new(rule: &Rule, index: usize, path: &Arc<str>, span: Span, object: Object, message: String) -> Self {
        Self {
            rule: index,
            message,
            severity: rule.severity,
            confidence: rule.confidence,
            location: Location { path: Arc::clone(path), span },
            related: Vec::new(),
            object,
            environment: None,
            unless: Vec::new(),
            whole: None,
            secret: None,
        }
    }
}

/// What of a file is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of a file that is deployed as it stands.
    Whole,
    /// What is written in a file; what it deploys is judged with its environments.
    Text,
    /// What an environment deploys; what is written in its files is judged with each of them.
    Deployed,
    /// What an environment makes of texts that are no objects by themselves, such as patches.
    Patched,
}

/// Everything of one file that checks look at, or of an environment.
pub(crate) struct File<'a, 'd> {
    pub(crate) part: Part,
    pub(crate) source: &'a Source,
    pub(crate) parsed: &'d Parsed,
    pub(crate) artifacts: &'a [Artifact<'d>],
    pub(crate) secrets: &'a FileSecrets,
    pub(crate) rules: &'a RuleSet,
    pub(crate) kubernetes_version: Version,
    /// The day of the scan, where it is known.
    pub(crate) today: Option<Date>,
    pub(crate) tree: &'a Tree,
    pub(crate) files: &'a Files<'a>,
    pub(crate) state: State,
    /// Names of images that a build tool puts others in the place of.
    pub(crate) images: &'a [String],
    /// What the environment names and does not have.
    pub(crate) problems: &'a [Problem],
    pub(crate) lazy: Lazy,
}

/// What several rules ask of a file and most files do not need.
#[derive(Default)]
pub(crate) struct Lazy {
    embedded: OnceCell<Vec<Inner>>,
    indexes: OnceCell<Vec<Index>>,
}

impl File<'_, '_> {
    /// Documents inside scalars.
    pub(crate) fn embedded(&self) -> &[Inner] {
        self.lazy.embedded.get_or_init(|| self.artifacts.iter().flat_map(inner_documents).collect())
    }

    /// One index for each artifact.
    fn indexes(&self) -> &[Index] {
        self.lazy.indexes.get_or_init(|| self.artifacts.iter().map(Index::new).collect())
    }
}

/// One rule at work on a file.
pub(crate) struct Run<'a, 'd> {
    pub(crate) file: &'a File<'a, 'd>,
    pub(crate) rule: &'a Rule,
    pub(crate) active: &'a Active,
    /// Every rule that runs on the file.
    pub(crate) all: &'a [Active],
    pub(crate) drafts: Vec<Draft>,
}

impl<'a, 'd> Run<'a, 'd> {
    /// The artifacts that the rule judges.
    pub(crate) fn artifacts(&self) -> impl Iterator<Item = &'a Artifact<'d>> + use<'a, 'd> {
        let rule = self.rule;
        self.file.artifacts.iter().filter(move |artifact| rule.artifacts.contains(&artifact.kind))
    }

    /// Whether another rule runs on the file, too.
    pub(crate) fn runs(&self, id: &str) -> bool {
        self.all.iter().any(|active| self.file.rules.rules().get(active.index).is_some_and(|rule| &*rule.id == id))
    }

    /// Whether the rule judges artifacts of this kind.
    pub(crate) fn judges(&self, artifact: &Artifact<'_>) -> bool {
        self.rule.artifacts.contains(&artifact.kind)
    }

    /// Adds a finding and returns it for changes.
    #[expect(clippy::indexing_slicing, reason = "the vector was just pushed to")]
    pub(crate) fn report(&mut self, span: Span, object: Object, message: impl Into<String>) -> &mut Draft {
        let draft = Draft::new(self.rule, self.active.index, &self.file.source.path, span, object, message.into());
        self.drafts.push(draft);
        let last = self.drafts.len() - 1;
        &mut self.drafts[last]
    }

    /// Adds a finding at a node of a target.
    pub(crate) fn report_at(&mut self, place: &Place<'d>, node: Node<'d>, message: impl Into<String>) -> &mut Draft {
        let object = Object { path: node.path(), ..place.object.clone() };
        self.report(node.place(), object, message)
    }
}

/// Runs the file checks of the active rules over a file.
pub(crate) fn check_file(file: &File<'_, '_>, active: &[Active]) -> Vec<Draft> {
    let mut drafts = Vec::new();
    let all = active;
    for active in all {
        let Some(rule) = file.rules.rules().get(active.index) else { continue };
        let mut run = Run { file, rule, active, all, drafts: Vec::new() };
        for (number, check) in rule.checks.iter().enumerate() {
            let left_out = match file.part {
                Part::Whole => false,
                Part::Deployed => check.is_about_text(),
                Part::Text | Part::Patched => !check.is_about_text(),
            };
            if left_out {
                continue;
            }
            match check {
                Check::Formats(formats) => native::formats(&mut run, number, formats),
                Check::Declarative(check) => check.run(&mut run),
                Check::Native(Native::File(_, function) | Native::Text(_, function)) => function(&mut run),
                Check::Native(Native::Project(..) | Native::Credentials(..)) => {}
            }
        }
        drafts.append(&mut run.drafts);
    }
    one_a_value(drafts, file.rules)
}

/// One value, one finding: of overlapping drafts whose rules have a precedence only the first in it stays.
fn one_a_value(drafts: Vec<Draft>, rules: &RuleSet) -> Vec<Draft> {
    let precedence = |draft: &Draft| rules.rules().get(draft.rule).and_then(|rule| rule.precedence);
    let (mut ranked, mut kept): (Vec<Draft>, Vec<Draft>) = drafts.into_iter().partition(|draft| precedence(draft).is_some());
    ranked.sort_by_key(|draft| (precedence(draft), draft.location.span));
    // The spans that are taken do not overlap, so the nearest one before the end decides.
    let mut taken: BTreeMap<u32, u32> = BTreeMap::new();
    let last_before = |taken: &BTreeMap<u32, u32>, end: u32| taken.range(..end).next_back().map(|(&start, &end)| Span { start, end });
    for draft in ranked {
        let own = draft.location.span;
        if last_before(&taken, own.end).is_some_and(|taken| taken.end > own.start) {
            continue;
        }
        let mut span = draft.whole.unwrap_or(own);
        while let Some(inner) = last_before(&taken, span.end).filter(|inner| inner.end > span.start) {
            taken.remove(&inner.start);
            span = Span { start: span.start.min(inner.start), end: span.end.max(inner.end) };
        }
        taken.insert(span.start, span.end);
        kept.push(draft);
    }
    kept
}

impl Variables {
    /// The variables for which the question holds.
    fn select<'a, 'd>(&self, artifact: &'a Artifact<'d>, index: &Index, params: &Params) -> Vec<&'a Variable<'d>> {
        let holds = |predicate: &Option<Predicate>, number: usize| {
            let variable = artifact.variables.get(number);
            variable.is_some_and(|variable| {
                predicate.as_ref().is_none_or(|predicate| predicate.holds(Subject::Variable(variable), params, &mut Vec::new()))
            })
        };
        if !index.classes.iter().any(|&number| holds(&self.class, number)) {
            return Vec::new();
        }
        let shared = |groups: &[Vec<usize>], predicate: &Option<Predicate>| -> Vec<usize> {
            groups.iter().filter(|numbers| numbers.first().is_some_and(|&number| holds(predicate, number))).flatten().copied().collect()
        };
        let mut numbers: Vec<usize> = match (&self.name, &self.value) {
            (Some(_), _) => shared(&index.names, &self.name),
            (None, Some(_)) => shared(&index.values, &self.value),
            (None, None) => (0..artifact.variables.len()).collect(),
        };
        numbers.sort_unstable();
        let variables = numbers.into_iter().filter_map(|number| artifact.variables.get(number));
        variables.filter(|variable| self.wanted.holds(Subject::Variable(variable), params, &mut Vec::new())).collect()
    }
}

impl Declarative {
    fn run(&self, run: &mut Run<'_, '_>) {
        let file = run.file;
        for (number, artifact) in file.artifacts.iter().enumerate() {
            match &self.target {
                // Embedded configuration is judged wherever it stands.
                Target::Variable(variables) => {
                    let judges = |kind| run.rule.artifacts.contains(&kind);
                    if judges(artifact.kind) || judges(ArtifactKind::Embedded) {
                        for variable in file
                            .indexes()
                            .get(number)
                            .map(|index| variables.select(artifact, index, &run.active.params))
                            .unwrap_or_default()
                        {
                            self.variable(run, artifact, variable);
                        }
                    }
                }
                Target::Place(kind) if run.judges(artifact) => {
                    for place in artifact.targets(*kind) {
                        self.place(run, artifact, place);
                    }
                }
                Target::Place(_) => {}
            }
        }
    }

    fn variable<'d>(&self, run: &mut Run<'_, 'd>, artifact: &Artifact<'d>, variable: &Variable<'d>) {
        let kind = match variable.placement {
            crate::artifact::Placement::Embedded => ArtifactKind::Embedded,
            _ => artifact.kind,
        };
        if !run.rule.artifacts.contains(&kind) {
            return;
        }
        // What a credential is never reaches a message.
        let value = if run.file.secrets.covers(variable.span) || variable.verdict.get().copied().flatten().is_some() {
            "***"
        } else {
            variable.value.trim()
        };
        let message = fill(&self.message, &run.active.params, |word| match word {
            "name" => Some(variable.name.to_string()),
            "value" => Some(shorten(value)),
            "placement" => Some(variable.placement.word().to_owned()),
            "container" => Some(variable.container.to_owned()),
            _ => None,
        });
        let object = artifact.object_at(variable.node, variable.container);
        let span = if variable.span.is_empty() { variable.node.place() } else { variable.span };
        let draft = run.report(span, object, message);
        self.adjust(draft);
    }

    fn place<'d>(&self, run: &mut Run<'_, 'd>, artifact: &Artifact<'d>, place: &Place<'d>) {
        let subject = Subject::Place(place);
        let params = &run.active.params;
        if self.when.as_ref().is_some_and(|when| !when.holds(subject, params, &mut Vec::new())) {
            return;
        }
        let mut hits = Vec::new();
        let holds = self.predicate.holds(subject, params, &mut hits);
        let places: Vec<Node<'d>> = match self.want {
            Want::Deny if holds => {
                // A wildcard reports each of its items; of several leaves the last one decides.
                let last = hits.last().copied();
                match last {
                    Some(last) if last.parent().is_some_and(Node::is_sequence) => {
                        hits.into_iter().filter(|hit| hit.parent() == last.parent()).collect()
                    }
                    Some(last) => vec![last],
                    None => vec![place.node],
                }
            }
            Want::Require if !holds => {
                let (depth, node) = self.predicate.failed_at(subject, params).unwrap_or((0, place.node));
                let missing = depth == 0 || node.is_null() || !node.is_scalar();
                if missing && !place.complete {
                    return;
                }
                vec![node]
            }
            _ => return,
        };
        let at = match &self.at {
            Some(predicate::Path::Steps(steps)) => steps.find(place.node).into_iter().next(),
            _ => None,
        };
        // One entry of a role is one decision, however many resources it lists.
        let most = if place.kind == TargetKind::Grant { 1 } else { usize::MAX };
        for node in places.into_iter().take(most) {
            // What an environment's values inherit stands in another file.
            let node = Some(at.unwrap_or(node)).filter(|node| std::ptr::eq(node.doc, place.node.doc)).unwrap_or(place.node);
            let message = fill(&self.message, &run.active.params, |word| match word {
                "name" => Some(place.name().to_owned()),
                "kind" => Some(place.object.kind.clone()),
                "workload" => Some(place.object.name.clone()),
                "environment" => Some(place.environment.to_owned()),
                "list" => Some(place.list.clone()),
                "path" => Some(node.path()),
                "key" => Some(place.object.path.clone()),
                "value" if run.file.secrets.covers(node.span()) => Some("***".to_owned()),
                "value" => node.text().map(shorten),
                "replicas" => place.replicas.map(|replicas| replicas.to_string()),
                _ => None,
            });
            let draft = run.report_at(place, node, message);
            draft.unless = self.unless.iter().map(|fact| Excuse::new(fact, artifact)).collect();
            draft.whole = self.whole.then(|| place.node.span());
            self.adjust(draft);
        }
    }

    fn adjust(&self, draft: &mut Draft) {
        draft.severity = self.severity.unwrap_or(draft.severity);
        draft.confidence = self.confidence.unwrap_or(draft.confidence);
    }
}

/// A value in a message, on one line and not too long.
pub(crate) fn shorten(value: &str) -> String {
    let line: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).take(61).collect();
    if line.chars().count() > 60 { format!("{}…", line.chars().take(60).collect::<String>()) } else { line }
}

/// Puts the words of `{…}` into a message; unknown ones become empty.
pub(crate) fn fill(template: &str, params: &Params, word: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, tail)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, after)) = tail.split_once('}') else {
            out.push('{');
            rest = tail;
            continue;
        };
        match name.strip_prefix("param:") {
            Some(param) => {
                if let Some((_, value)) = params.iter().find(|(known, _)| known == param) {
                    out.push_str(&value.to_string());
                }
            }
            None => out.push_str(&word(name).unwrap_or_default()),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}
