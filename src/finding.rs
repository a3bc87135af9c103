//! What a scan says: findings and the report that carries them. Owned data, no lifetimes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::baseline::{Known, recognise};
use crate::digest::Binding;
use crate::rule::RuleSet;
use crate::source::{MaskedText, Span};

/// How bad it is when a finding is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Confidence {
    Low,
    Medium,
    High,
}

impl Severity {
    /// All severities, mildest first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word used in rule files, options and output.
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// One step milder; info stays.
    #[must_use]
    pub(crate) fn lower(self) -> Self {
        match self {
            Self::Info | Self::Low => Self::Info,
            Self::Medium => Self::Low,
            Self::High => Self::Medium,
            Self::Critical => Self::High,
        }
    }
}

impl Confidence {
    /// All confidences, lowest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// The word used in rule files, options and output.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// One step lower; low stays.
    #[must_use]
    pub(crate) fn lower(self) -> Self {
        match self {
            Self::High => Self::Medium,
            Self::Medium | Self::Low => Self::Low,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.word())
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.word())
    }
}

impl FromStr for Severity {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|severity| severity.word() == word).ok_or_else(|| "use info, low, medium, high or critical".to_owned())
    }
}

impl FromStr for Confidence {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|confidence| confidence.word() == word).ok_or_else(|| "use low, medium or high".to_owned())
    }
}

/// A place in a source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Path from the root, separated by `/`.
    pub path: Arc<str>,
    /// Bytes of the source's text (decoded, without byte order mark).
    pub span: Span,
}

/// A further place that explains a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// Where it is.
    pub location: Location,
    /// What it has to do with the finding.
    pub label: String,
}

/// What a finding is about, as far as it is known; empty texts are unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// Kubernetes kind, or `service` (Compose), `worker` (wrangler), `variable` (dotenv).
    pub kind: String,
    /// Kubernetes namespace, where written.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Container name.
    pub container: String,
    /// Path of the node in its document, such as `spec.replicas`.
    pub path: String,
}

impl Object {
    /// What it is as one text, without the numbers of items in lists, which change when others come and go.
    pub(crate) fn key(&self) -> String {
        let mut path = String::with_capacity(self.path.len());
        let mut inside = false;
        for character in self.path.chars() {
            inside = (inside && character != ']') || character == '[';
            if !(inside && character.is_ascii_digit()) {
                path.push(character);
            }
        }
        format!("{}/{}/{}/{}:{path}", self.kind, self.namespace, self.name, self.container)
    }
}

/// One statement about one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Id of the rule, `pack/name`.
    pub rule: Arc<str>,
    /// What is wrong here, without any secret.
    pub message: String,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// The text to edit.
    pub location: Location,
    /// Places that explain it.
    pub related: Vec<Related>,
    /// What it is about.
    pub object: Object,
    /// Names of the environments in which it holds; empty where there is only one.
    pub environments: BTreeSet<String>,
    /// Sixteen hex digits that stay the same while the rule, the path and the object stay.
    pub fingerprint: String,
    /// GitHub's `primaryLocationLineHash`, where line hashes were asked for.
    pub line_hash: Option<String>,
    /// Whether somebody has said that it may stay.
    pub status: Status,
    /// Digest of the text it points at, keyed with the salt of the baseline.
    pub(crate) content: u32,
    /// Which secret it is about, where that was asked for.
    pub(crate) binding: Option<Binding>,
    /// A suppression in its file that covers it and does not say which secret it means.
    pub(crate) unbound: Option<Span>,
}

/// Whether a finding is asked about, or silenced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It counts.
    Active,
    /// A suppression covers it.
    Suppressed(Suppression),
    /// The baseline holds it.
    Baseline,
}

/// What silences a finding, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// In which way it is written.
    pub kind: SuppressionKind,
    /// Where it is written.
    pub location: Location,
    /// Its 1-based line.
    pub line: u32,
    /// The reason as written, secrets masked; empty where there is none.
    pub reason: String,
    /// The day after which it ends, `YYYY-MM-DD`.
    pub until: Option<String>,
}

/// In which way a suppression is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SuppressionKind {
    /// A comment in the file.
    Comment,
    /// An annotation of the object or its pod template.
    Annotation,
    /// An entry of the configuration file.
    Config,
}

impl SuppressionKind {
    /// The word used in output.
    pub fn word(self) -> &'static str {
        match self {
            Self::Comment => "comment",
            Self::Annotation => "annotation",
            Self::Config => "config",
        }
    }
}

/// Why a file was not analysed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NotAnalysed {
    /// Path from the root.
    pub path: Arc<str>,
    /// A short reason, the same for all files of one sort, such as `chart template`.
    pub reason: &'static str,
}

/// What was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Files found by the walk or named.
    pub files: usize,
    /// Files that hold no deployment artifact.
    pub other: usize,
    /// Checked artifacts by kind (`kubernetes`, `compose` …).
    pub artifacts: BTreeMap<&'static str, usize>,
    /// Artifacts that were recognised but could not be judged, sorted.
    pub not_analysed: Vec<NotAnalysed>,
}

/// The result of a scan.
#[derive(Clone, Debug)]
pub struct Report {
    /// Findings that count, in the order of path, place and rule.
    pub findings: Vec<Finding>,
    /// Findings that a suppression or the baseline silences, in the same order.
    pub silenced: Vec<Finding>,
    /// What the findings are compared with, where they are; those that count are new then.
    pub compared: Option<Compared>,
    /// What was looked at.
    pub coverage: Coverage,
    /// The masked text of every source that has a finding.
    pub sources: BTreeMap<Arc<str>, MaskedText>,
    /// All rules that were loaded.
    pub rules: Arc<RuleSet>,
    /// Ids of the rules that were checked, sorted.
    pub selected: Vec<Arc<str>>,
    /// Remarks about the scan itself, such as rules that could not be checked; no secrets.
    pub notes: Vec<String>,
}

/// What a scan is compared with, so that it reports only what is new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Path of the baseline from the root.
    pub baseline: Option<String>,
    /// The revision as given, where the findings of its merge base are left out.
    pub base: Option<String>,
    /// How many findings the merge base has too.
    pub known: usize,
}

impl Report {
    /// The same without findings that another report has, too; `base` names what the other one is about.
    #[must_use]
    pub fn without(mut self, other: &Self, base: &str) -> Self {
        let known: Vec<Known> = other.findings.iter().map(Known::of).collect();
        let (found, _) = recognise(&known, &self.findings.iter().collect::<Vec<_>>());
        let mut found = found.into_iter();
        let before = self.findings.len();
        self.findings.retain(|_| found.next().flatten().is_none());
        let compared = self.compared.get_or_insert_default();
        compared.base = Some(base.to_owned());
        compared.known = before - self.findings.len();
        self
    }

    /// The number of findings of each severity, mildest first.
    pub fn counts(&self) -> [(Severity, usize); 5] {
        Severity::ALL.map(|severity| (severity, self.findings.iter().filter(|finding| finding.severity == severity).count()))
    }
}
