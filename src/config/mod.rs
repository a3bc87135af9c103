//! `preflint.toml`: reading it, with every key and name underlined that is not known.

pub(crate) mod explain;
mod schema;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::check::Version;
use crate::digest::Binding;
use crate::error::SetupError;
use crate::finding::{Confidence, Severity};
use crate::rule::{Preset, Reader};
use crate::source::{MaskedText, Source, Span};
use crate::suppress::{Date, Peer};
use crate::syntax::{self, Document, NodeId, Syntax};

pub use schema::config_schema;
pub use settings::Settings;
pub(crate) use settings::{Entry, Profiles};

/// Name of the configuration file, at the root.
pub(crate) const FILE: &str = "preflint.toml";

/// What a configuration file and the command line say; what is unset has its default.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The preset, `default` unless set.
    pub preset: Option<Preset>,
    /// Rules, packs and tags to run instead of the preset's.
    pub select: Vec<String>,
    /// Rules, packs and tags to run too.
    pub extend_select: Vec<String>,
    /// Rules, packs and tags never to run.
    pub ignore: Vec<String>,
    /// Globs of paths that are not looked at.
    pub exclude: Vec<String>,
    /// Objects that exist elsewhere, `Kind/name` or a name.
    pub externals: Vec<String>,
    /// The Kubernetes version to judge by; the newest known unless set.
    pub kubernetes_version: Option<Version>,
    /// Findings below it are left out.
    pub min_severity: Option<Severity>,
    /// Findings below it are left out.
    pub min_confidence: Option<Confidence>,
    /// Findings at or above it make the exit code 1; low unless set.
    pub fail_on: Option<Severity>,
    /// Path of the baseline from the root.
    pub baseline: Option<String>,
    /// Whether comments and annotations in files may silence findings; true unless set.
    pub inline_suppressions: Option<bool>,
    /// Whether a suppression without a reason silences nothing; true unless set.
    pub require_reason: Option<bool>,
    /// The day by which suppressions end; without one they never do.
    pub today: Option<Date>,
    /// Other tools whose suppressions count, too.
    honor: Vec<Peer>,
    /// Severities by rule, pack or tag.
    severity: Severities,
    params: Params,
    overrides: Vec<Override>,
    environments: Vec<Environment>,
    releases: Vec<Release>,
    suppressions: Vec<Suppress>,
    /// The file, to underline what turns out to be wrong once the rules are known.
    document: Option<Arc<Document>>,
}

/// Names of rules, packs or tags with where they are written, and the severity each gets.
type Severities = Vec<(String, NodeId, Severity)>;

/// Parameters by rule: the name as written, and the values whose types only the rule knows.
type Params = BTreeMap<String, (NodeId, Vec<(String, NodeId)>)>;

/// An `[[overrides]]`: other settings for some files or environments.
#[derive(Clone, Debug)]
struct Override {
    node: NodeId,
    paths: Vec<String>,
    env: Vec<String>,
    extend_select: Vec<String>,
    ignore: Vec<String>,
    severity: Severities,
    params: Params,
}

/// An `[environments.NAME]`: the files that belong to it.
#[derive(Clone, Debug)]
struct Environment {
    name: String,
    node: NodeId,
    paths: Vec<String>,
    /// One of `SCOPES`.
    scope: Option<String>,
}

/// A `[[releases]]`: one installation of a chart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) name: String,
    /// Empty where it is given at deploy time.
    pub(crate) namespace: String,
    /// Folder of the chart, from the root.
    pub(crate) chart: String,
    /// Which environment it belongs to; empty where there is only one.
    pub(crate) environment: String,
    /// Values files, from the root; later ones win, and all win over the chart's own.
    pub(crate) values: Vec<String>,
}

/// A `[[suppressions]]`.
#[derive(Clone, Debug, Default)]
struct Suppress {
    node: NodeId,
    rules: Vec<(String, NodeId)>,
    paths: Vec<String>,
    /// Patterns by the field of the object that they look at, one of `SELECTORS`.
    selectors: Vec<(&'static str, String)>,
    reason: Option<Span>,
    until: Option<Date>,
    binding: Option<Binding>,
}

/// A key of the file and what an editor says about it.
struct Key {
    name: &'static str,
    about: &'static str,
}

const fn key(name: &'static str, about: &'static str) -> Key {
    Key { name, about }
}

const KEYS: &[Key] = &[
    key(
        "preset",
        "Which rules run unless named: default is small and nearly always right, strict is what a careful team wants, pedantic adds contested ones.",
    ),
    key("select", "Rules, packs or tags to run instead of those of the preset; `all` is every rule."),
    key("extend-select", "Rules, packs or tags to run beside those of the preset."),
    key("ignore", "Rules, packs or tags never to run."),
    key("severity", "Other severities for rules, packs or tags."),
    key("params", "Parameters of rules, by rule and name."),
    key("exclude", "Globs of paths, from the root, that are not looked at."),
    key("externals", "Objects that exist outside of this repository, as `Kind/name` or a name."),
    key("kubernetes-version", "The Kubernetes version to judge by, such as 1.34."),
    key("min-severity", "Findings below this severity are left out."),
    key("min-confidence", "Findings below this confidence are left out."),
    key("fail-on", "Findings at or above this severity make the exit code 1; low unless set."),
    key("baseline", "Path of the baseline, from the root; preflint-baseline.json unless set."),
    key("inline-suppressions", "Whether comments and annotations may silence findings; true unless set."),
    key("require-reason", "Whether a suppression without a reason silences nothing; true unless set."),
    key("environments", "Named environments and the files that belong to them."),
    key("releases", "Installations of charts of this repository: where to, and with which values files."),
    key("overrides", "Other settings for some files or environments; later ones win."),
    key("suppressions", "Findings that may stay, where a comment in the file is not possible."),
    key("migrate", "Help to come from another tool."),
];
const OVERRIDE_KEYS: &[Key] = &[
    key("paths", "Globs of paths, from the root, that the settings are for."),
    key("env", "Names of environments that the settings are for."),
    key("extend-select", "Rules, packs or tags to run here, too; with `paths` only."),
    key("ignore", "Rules, packs or tags not to run here."),
    key("severity", "Severities for rules, packs or tags here."),
    key("params", "Parameters of rules here; with `paths` only."),
];
const ENVIRONMENT_KEYS: &[Key] = &[
    key("paths", "Globs of paths, from the root, that belong to the environment."),
    key("scope", "Whether what is deployed there is production or development; judged by the words of the path unless set."),
];
const RELEASE_KEYS: &[Key] = &[
    key("name", "Name of the release."),
    key("namespace", "The namespace that it is installed into."),
    key("chart", "Folder of the chart, from the root."),
    key("environment", "The environment that it belongs to, where a chart is installed more than once."),
    key("values", "Values files, from the root, in the order of `helm install --values`: later ones win."),
];
const SUPPRESSION_KEYS: &[Key] = &[
    key("rules", "Ids of rules, or `pack/*`."),
    key("reason", "Why the findings may stay."),
    key("until", "The last day, YYYY-MM-DD, on which they may."),
    key("paths", "Globs of paths, from the root, that the findings stand in."),
    key("kind", "Kind of the object, such as Deployment; `*` stands for any letters."),
    key("name", "Name of the object; `*` stands for any letters."),
    key("namespace", "Namespace of the object as written; `*` stands for any letters."),
    key("container", "Name of the container; `*` stands for any letters."),
    key("service", "Name of the Compose service; `*` stands for any letters."),
    key("value", "Which secret is meant: the digits that `preflint suppress` writes."),
];
const MIGRATE_KEYS: &[Key] = &[key("honor", "Tools whose comments and annotations silence the rules that stand for their checks.")];
const SELECTORS: &[&str] = &["kind", "name", "namespace", "container", "service"];
const SCOPES: &[&str] = &["production", "development", "unscoped"];

fn names(keys: &[Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name).collect()
}

impl Config {
    /// Reads a configuration file's text; `path` is for messages.
    pub fn parse(path: &str, text: &str) -> Result<Self, SetupError> {
        let source = Arc::new(Source { path: path.into(), text: text.to_owned(), bom: false });
        let mut parsed = syntax::parse(&source, Syntax::Toml);
        if let Some(error) = parsed.errors.first() {
            return Err(SetupError::at(path, text, error.span, error.message.clone()));
        }
        let Some(document) = parsed.documents.pop().map(Arc::new) else { return Ok(Self::default()) };
        let mut config = Self { document: Some(Arc::clone(&document)), ..Self::default() };
        for (key, value) in (Reader { node: document.root() }).pairs(&names(KEYS))? {
            match key {
                "preset" => config.preset = Some(value.word(&[Preset::Default, Preset::Strict, Preset::Pedantic], Preset::word)?),
                "select" => config.select = value.texts()?,
                "extend-select" => config.extend_select = value.texts()?,
                "ignore" => config.ignore = value.texts()?,
                "severity" => config.severity = severities(value)?,
                "params" => config.params = params(value)?,
                "exclude" => config.exclude = value.texts()?,
                "externals" => config.externals = value.texts()?,
                "kubernetes-version" => {
                    config.kubernetes_version = Some(value.text()?.parse().map_err(|error: String| value.error(error))?);
                }
                "min-severity" => config.min_severity = Some(value.word(&Severity::ALL, Severity::word)?),
                "min-confidence" => config.min_confidence = Some(value.word(&Confidence::ALL, Confidence::word)?),
                "fail-on" => config.fail_on = Some(value.word(&Severity::ALL, Severity::word)?),
                "baseline" => config.baseline = Some(value.text()?.to_owned()),
                "inline-suppressions" => config.inline_suppressions = Some(value.bool()?),
                "require-reason" => config.require_reason = Some(value.bool()?),
                "environments" => {
                    config.environments =
                        value.pairs(&[])?.into_iter().map(|(name, value)| environment(name, value)).collect::<Result<_, _>>()?;
                }
                "releases" => config.releases = value.items()?.into_iter().map(release).collect::<Result<_, _>>()?,
                "overrides" => config.overrides = value.items()?.into_iter().map(read_override).collect::<Result<_, _>>()?,
                "suppressions" => config.suppressions = value.items()?.into_iter().map(suppression).collect::<Result<_, _>>()?,
                _ => {
                    for (_, list) in value.pairs(&names(MIGRATE_KEYS))? {
                        config.honor = list.items()?.into_iter().map(|item| item.word(Peer::ALL, Peer::word)).collect::<Result<_, _>>()?;
                    }
                }
            }
        }
        Ok(config)
    }

    /// A value or name of the file, to read it or to underline it.
    fn at(&self, node: NodeId) -> Option<Reader<'_>> {
        self.document.as_ref().map(|document| Reader { node: document.node(node) })
    }

    /// An error that underlines a node of the file.
    fn error(&self, node: NodeId, message: impl Into<String>) -> SetupError {
        let message = message.into();
        match self.at(node) {
            Some(reader) if reader.node.is_mapping() => table_error(reader, message),
            Some(reader) => reader.error(message),
            None => SetupError::new(message),
        }
    }
}

/// The header of a table, or all of an inline table.
fn table_place(table: Reader<'_>) -> Span {
    let span = table.node.span();
    let header = table.node.doc.source.slice(span).lines().next().unwrap_or_default();
    Span::new(span.start as usize, span.start as usize + header.trim_end().len())
}

/// An error about a table as a whole.
fn table_error(table: Reader<'_>, message: impl Into<String>) -> SetupError {
    let source = &table.node.doc.source;
    SetupError::at(&source.path, &source.text, table_place(table), message)
}

fn node(reader: Reader<'_>) -> NodeId {
    reader.node.id
}

/// The node of the key under which a value stands, so that an error underlines the name.
fn name_node(value: Reader<'_>) -> NodeId {
    value.node.key().unwrap_or(value.node).id
}

fn severities(table: Reader<'_>) -> Result<Severities, SetupError> {
    let pairs = table.pairs(&[])?.into_iter();
    pairs.map(|(name, value)| Ok((name.to_owned(), name_node(value), value.word(&Severity::ALL, Severity::word)?))).collect()
}

fn params(table: Reader<'_>) -> Result<Params, SetupError> {
    let mut params = Params::new();
    for (rule, values) in table.pairs(&[])? {
        let list = values.pairs(&[])?.into_iter().map(|(name, value)| (name.to_owned(), node(value))).collect();
        params.insert(rule.to_owned(), (name_node(values), list));
    }
    Ok(params)
}

fn environment(name: &str, value: Reader<'_>) -> Result<Environment, SetupError> {
    let mut environment = Environment { name: name.to_owned(), node: name_node(value), paths: Vec::new(), scope: None };
    for (key, value) in value.pairs(&names(ENVIRONMENT_KEYS))? {
        match key {
            "paths" => environment.paths = value.texts()?,
            _ => environment.scope = Some(value.word(SCOPES, |word| word)?.to_owned()),
        }
    }
    if environment.paths.is_empty() {
        return Err(table_error(value, "an environment has `paths`, the globs of the files that belong to it"));
    }
    Ok(environment)
}

fn release(value: Reader<'_>) -> Result<Release, SetupError> {
    let mut release = Release::default();
    // Paths are compared as the walk gives them.
    let path = |value: Reader<'_>| value.text().map(|text| text.trim_start_matches("./").trim_end_matches('/').to_owned());
    for (key, value) in value.pairs(&names(RELEASE_KEYS))? {
        match key {
            "name" => value.text()?.clone_into(&mut release.name),
            "namespace" => value.text()?.clone_into(&mut release.namespace),
            "chart" => release.chart = path(value)?,
            "environment" => value.text()?.clone_into(&mut release.environment),
            _ => release.values = value.items()?.into_iter().map(path).collect::<Result<_, _>>()?,
        }
    }
    if release.name.is_empty() || value.node.get("chart").is_none() {
        return Err(table_error(value, "a release has `name` and `chart`, the folder of its chart"));
    }
    Ok(release)
}

fn read_override(value: Reader<'_>) -> Result<Override, SetupError> {
    let mut read = Override {
        node: node(value),
        paths: Vec::new(),
        env: Vec::new(),
        extend_select: Vec::new(),
        ignore: Vec::new(),
        severity: Vec::new(),
        params: Params::new(),
    };
    for (key, value) in value.pairs(&names(OVERRIDE_KEYS))? {
        match key {
            "paths" => read.paths = value.texts()?,
            "env" => read.env = value.texts()?,
            "extend-select" => read.extend_select = value.texts()?,
            "ignore" => read.ignore = value.texts()?,
            "severity" => read.severity = severities(value)?,
            _ => read.params = params(value)?,
        }
    }
    if read.paths.is_empty() && read.env.is_empty() {
        return Err(table_error(value, "an override is for `paths`, for `env`, or for both"));
    }
    // In which environments a file is deployed is known when its findings are.
    let only_by_path = !read.extend_select.is_empty() || !read.params.is_empty();
    if only_by_path && !read.env.is_empty() {
        let error = table_error(value, "an override for `env` takes `ignore` and `severity`");
        return Err(error.help("use `paths` for `extend-select` and `params`"));
    }
    Ok(read)
}

/// What stands for a digest may be the secret itself, which the error does not show.
fn not_a_digest(value: Reader<'_>) -> SetupError {
    let source = &value.node.doc.source;
    let span = value.node.span();
    let text = MaskedText::new(&source.text, &[span]);
    SetupError::at(&source.path, text.text(), span, "sixteen hex digits are expected, as `preflint suppress` writes them")
}

fn suppression(value: Reader<'_>) -> Result<Suppress, SetupError> {
    let mut read = Suppress { node: node(value), ..Suppress::default() };
    for (key, value) in value.pairs(&names(SUPPRESSION_KEYS))? {
        match key {
            "rules" => {
                read.rules =
                    value.items()?.into_iter().map(|item| Ok((item.text()?.to_owned(), node(item)))).collect::<Result<_, SetupError>>()?;
            }
            "reason" => {
                let is_blank = value.text()?.trim().is_empty();
                read.reason = (!is_blank).then(|| value.node.value_span());
            }
            "until" => read.until = Some(value.text()?.parse().map_err(|error: String| value.error(error))?),
            "paths" => read.paths = value.texts()?,
            "value" => {
                let binding = Binding::parse(value.text()?);
                read.binding = Some(binding.ok_or_else(|| not_a_digest(value))?);
            }
            key => {
                if let Some(selector) = SELECTORS.iter().find(|selector| **selector == key) {
                    read.selectors.push((selector, value.text()?.to_owned()));
                }
            }
        }
    }
    if read.rules.is_empty() {
        return Err(table_error(value, "a suppression has `rules`, the ids that it silences"));
    }
    if read.paths.is_empty() && read.selectors.is_empty() {
        let help = "name a rule under `ignore` to switch it off everywhere";
        return Err(table_error(value, "a suppression has `paths`, `kind`, `name`, `namespace`, `container` or `service`").help(help));
    }
    Ok(read)
}
