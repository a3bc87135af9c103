//! Rules: their metadata, the packs they come from, and which of them a scan uses.

mod load;
mod select;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::check::Check;
use crate::finding::{Confidence, Severity};

pub(crate) use load::{Reader, read_param_value};
pub(crate) use select::named;
pub use select::{Selection, SelectionError};

/// The words of an enumeration as they stand in rule files, options and output.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every value in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word for it.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The value of a word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.word() == word)
            }
        }
    };
}

words! {
    /// Which rules run unless named: each preset holds those before it, but for opt-in.
    Preset {
        /// Few and nearly always right.
        Default = "default",
        /// What a careful team wants.
        Strict = "strict",
        /// Contested or stylistic.
        Pedantic = "pedantic",
        /// Only when named.
        OptIn = "opt-in",
    }
}

words! {
    /// Kinds of artifacts that rules speak of.
    ArtifactKind {
        /// A Kubernetes object.
        Kubernetes = "kubernetes",
        /// A values file.
        HelmValues = "helm-values",
        /// Chart.yaml, templates and crds of a chart.
        Chart = "chart",
        /// A kustomization file.
        Kustomize = "kustomize",
        /// A Compose file.
        Compose = "compose",
        /// Configuration of Cloudflare Workers.
        Wrangler = "wrangler",
        /// Environment variables.
        Dotenv = "dotenv",
        /// Configuration text inside another artifact.
        Embedded = "embedded",
        /// Argo CD, Flux, helmfile and CI documents.
        Gitops = "gitops",
    }
}

words! {
    /// What a verdict needs.
    Scope {
        /// One artifact.
        File = "file",
        /// Several objects of one group.
        Project = "project",
    }
}

words! {
    /// Whether a rule can mend what it finds.
    FixKind {
        /// Behaviour stays.
        Safe = "safe",
        /// Behaviour may change.
        Unsafe = "unsafe",
        /// A person has to choose.
        None = "none",
    }
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamValue {
    /// A number; whole where the type is integer.
    Number(f64),
    /// A text or a choice.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
}

impl std::fmt::Display for ParamValue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Text(text) => formatter.write_str(text),
            Self::Texts(texts) => formatter.write_str(&texts.join(", ")),
        }
    }
}

words! {
    /// Types of parameters.
    ParamType {
        /// A whole number.
        Integer = "integer",
        /// A number.
        Number = "number",
        /// A text.
        String = "string",
        /// A list of texts.
        Strings = "strings",
        /// One of the listed words.
        Choice = "choice",
    }
}

/// A parameter of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name in configuration.
    pub name: String,
    /// What it takes.
    pub kind: ParamType,
    /// The words of a choice.
    pub one_of: Vec<String>,
    /// The value unless set; a rule without it is not checked.
    pub default: Option<ParamValue>,
    /// Other defaults from a preset on.
    pub presets: BTreeMap<Preset, ParamValue>,
}

/// A worked example, run as a test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Example {
    /// Name of the file that holds it.
    pub file: String,
    /// Text the rule reports.
    pub bad: String,
    /// The same, mended.
    pub good: String,
    /// Texts of other files that the verdict needs, by path.
    pub beside: BTreeMap<String, String>,
}

/// One rule, from one file.
#[derive(Debug)]
pub struct Rule {
    /// `pack/name`, permanent.
    pub id: Arc<str>,
    /// A short statement of the defect.
    pub name: String,
    /// Old ids that stay accepted.
    pub formerly: Vec<String>,
    /// Kinds of artifacts it judges.
    pub artifacts: Vec<ArtifactKind>,
    /// What its verdict needs.
    pub scope: Scope,
    /// From which preset on it runs.
    pub preset: Preset,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// Whether it is about security.
    pub security: bool,
    /// What goes wrong.
    pub rationale: String,
    /// What to write instead.
    pub remediation: String,
    /// Official documentation.
    pub references: Vec<String>,
    /// Tags such as `cwe-400`.
    pub tags: Vec<String>,
    /// The same check in other tools, `tool:id`.
    pub equivalents: Vec<String>,
    /// Parameters, in the order of the file.
    pub params: Vec<Param>,
    /// Of several rules that report one value, the one with the smallest number does; none: every one does.
    pub precedence: Option<u8>,
    /// Whether it has a fix.
    pub fix: FixKind,
    /// A worked example.
    pub example: Option<Example>,
    pub(crate) checks: Vec<Check>,
}

impl Rule {
    /// The part of the id before the slash.
    pub fn pack(&self) -> &str {
        self.id.split('/').next().unwrap_or_default()
    }

    /// Whether every check of it is written in the rule file.
    pub fn is_declarative(&self) -> bool {
        self.checks.iter().all(Check::is_declarative)
    }

    /// Whether the scanner itself reports it, whatever is selected.
    pub fn is_scan(&self) -> bool {
        self.pack() == "scan"
    }
}

/// All loaded rules, sorted by id, and the data tables beside them.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    pub(crate) data: Data,
}

/// Tables in `rules/` that native checks read.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) api_versions: crate::check::ApiVersions,
    pub(crate) secrets: crate::redact::Secrets,
    pub(crate) wrangler: crate::check::WranglerFields,
}

impl RuleSet {
    /// Every rule, sorted by id.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The index of a rule by its id or an old one.
    pub(crate) fn index(&self, id: &str) -> Option<usize> {
        self.rules
            .binary_search_by(|rule| (*rule.id).cmp(id))
            .ok()
            .or_else(|| self.rules.iter().position(|rule| rule.formerly.iter().any(|old| old == id)))
    }

    /// A rule by its id or an old one.
    pub fn get(&self, id: &str) -> Option<&Rule> {
        self.index(id).and_then(|index| self.rules.get(index))
    }

    /// Rules that a word names: an id, an id without its pack, or a check of another tool with or without the tool's name.
    pub fn find(&self, word: &str) -> Vec<&Rule> {
        if let Some(rule) = self.get(word) {
            return vec![rule];
        }
        let same = |other: &str| other.eq_ignore_ascii_case(word);
        self.rules
            .iter()
            .filter(|rule| {
                rule.id.split_once('/').is_some_and(|(_, name)| name == word)
                    || rule.equivalents.iter().any(|peer| same(peer) || peer.split_once(':').is_some_and(|(_, id)| same(id)))
            })
            .collect()
    }
}

/// The closest of `known` to a mistyped word, where it is close enough to be meant.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
impl RuleSet {
    /// The given rules beside the built-in data tables, for the tests of the report.
    pub(crate) fn for_tests(mut rules: Vec<Rule>) -> Self {
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        match Self::load(&[]) {
            Ok(set) => Self { rules, data: set.data },
            Err(error) => unreachable!("the built-in rules load: {error}"),
        }
    }
}
