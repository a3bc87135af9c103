//! `preflint.toml` and the settings that a scan runs with.

use std::collections::BTreeMap;
use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::check::{Active, Version};
use crate::error::SetupError;
use crate::finding::{Confidence, Severity};
use crate::rule::{ParamValue, Preset, Reader, Rule, RuleSet, Selection, read_param_value};
use crate::source::Source;
use crate::syntax::{self, Syntax};

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
    /// Values of parameters, by rule and name, with where they are written.
    params: BTreeMap<String, Vec<(String, ParamText)>>,
    /// The names of rules as the file has them, to underline unknown ones.
    source: Option<Arc<Source>>,
}

/// A parameter's value before the rule's type is known: where it stands in the file.
#[derive(Clone, Debug)]
struct ParamText {
    /// The path of keys in the file.
    keys: [String; 2],
}

const KEYS: &[&str] = &[
    "preset",
    "select",
    "extend-select",
    "ignore",
    "exclude",
    "externals",
    "kubernetes-version",
    "min-severity",
    "min-confidence",
    "fail-on",
    "params",
];

impl Config {
    /// Reads a configuration file's text; `path` is for messages.
    pub fn parse(path: &str, text: &str) -> Result<Self, SetupError> {
        let source = Arc::new(Source { path: path.into(), text: text.to_owned(), bom: false });
        let parsed = syntax::parse(&source, Syntax::Toml);
        if let Some(error) = parsed.errors.first() {
            return Err(SetupError::at(path, text, error.span, error.message.clone()));
        }
        let mut config = Self { source: Some(Arc::clone(&source)), ..Self::default() };
        let Some(document) = parsed.documents.first() else { return Ok(config) };
        for (key, value) in (Reader { node: document.root() }).pairs(KEYS)? {
            match key {
                "preset" => config.preset = Some(value.word(Preset::ALL, Preset::word)?),
                "select" => config.select = value.texts()?,
                "extend-select" => config.extend_select = value.texts()?,
                "ignore" => config.ignore = value.texts()?,
                "exclude" => config.exclude = value.texts()?,
                "externals" => config.externals = value.texts()?,
                "kubernetes-version" => {
                    config.kubernetes_version = Some(value.text()?.parse().map_err(|error: String| value.error(error))?);
                }
                "min-severity" => config.min_severity = Some(value.word(&Severity::ALL, Severity::word)?),
                "min-confidence" => config.min_confidence = Some(value.word(&Confidence::ALL, Confidence::word)?),
                "fail-on" => config.fail_on = Some(value.word(&Severity::ALL, Severity::word)?),
                _ => {
                    for (rule, params) in value.pairs(&[])? {
                        let names = params
                            .pairs(&[])?
                            .into_iter()
                            .map(|(name, _)| (name.to_owned(), ParamText { keys: [rule.to_owned(), name.to_owned()] }));
                        config.params.insert(rule.to_owned(), names.collect());
                    }
                }
            }
        }
        Ok(config)
    }

    fn params_of(&self, rule: &Rule, preset: Preset) -> Result<Vec<(String, ParamValue)>, SetupError> {
        let set = self.params.get(&*rule.id).or_else(|| rule.formerly.iter().find_map(|old| self.params.get(old)));
        let mut params = Vec::new();
        for param in &rule.params {
            let given = set.and_then(|set| set.iter().find(|(name, _)| *name == param.name));
            let value = match given {
                Some((_, text)) => Some(self.read_param(param, text)?),
                None => param.presets.range(..=preset).next_back().map(|(_, value)| value).or(param.default.as_ref()).cloned(),
            };
            if let Some(value) = value {
                params.push((param.name.clone(), value));
            }
        }
        Ok(params)
    }

    fn read_param(&self, param: &crate::rule::Param, text: &ParamText) -> Result<ParamValue, SetupError> {
        self.at(&["params", &text.keys[0], &text.keys[1]], |reader| read_param_value(param, reader))
    }

    /// Reads the file again at some keys; values are few, so keeping the tree is not worth a lifetime.
    fn at<T>(&self, keys: &[&str], read: impl Fn(Reader<'_>) -> Result<T, SetupError>) -> Result<T, SetupError> {
        let parsed = self.source.as_ref().map(|source| syntax::parse(source, Syntax::Toml)).unwrap_or_default();
        let node = parsed.documents.first().and_then(|document| document.root().at_path(keys));
        node.map_or_else(|| Err(SetupError::new(format!("`{}` is not set", keys.join(".")))), |node| read(Reader { node }))
    }

    /// Every rule and parameter that the file sets exists.
    fn check_params(&self, rules: &RuleSet) -> Result<(), SetupError> {
        for (id, params) in &self.params {
            let underline = |keys: &[&str], message: String, known: Vec<&str>, word: &str| {
                self.at::<()>(keys, |reader| {
                    let key = reader.node.key().unwrap_or(reader.node);
                    Err(Reader { node: key }.error(message.clone()).suggest(word, known.iter().copied()))
                })
            };
            let Some(rule) = rules.get(id) else {
                let known = rules.rules().iter().filter(|rule| !rule.params.is_empty()).map(|rule| &*rule.id).collect();
                return underline(&["params", id], format!("there is no rule `{id}`"), known, id);
            };
            for (name, _) in params {
                if !rule.params.iter().any(|param| param.name == *name) {
                    let known = rule.params.iter().map(|param| param.name.as_str()).collect();
                    return underline(&["params", id, name], format!("`{id}` has no parameter `{name}`"), known, name);
                }
            }
        }
        Ok(())
    }
}

/// How to judge: rules with their parameters, and thresholds. Immutable once made.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) rules: Arc<RuleSet>,
    pub(crate) active: Vec<Active>,
    pub(crate) exclude: GlobSet,
    pub(crate) kubernetes_version: Version,
    pub(crate) min_severity: Severity,
    pub(crate) min_confidence: Confidence,
    pub(crate) externals: Vec<String>,
    /// Findings get GitHub's line hash, which needs another pass over their files.
    pub line_hashes: bool,
    /// Findings at or above it make the exit code 1.
    pub fail_on: Severity,
    pub(crate) notes: Vec<String>,
}

impl Settings {
    /// Puts rules and configuration together.
    pub fn new(rules: Arc<RuleSet>, config: &Config) -> Result<Self, SetupError> {
        let preset = config.preset.unwrap_or(Preset::Default);
        let selection =
            Selection { preset, select: config.select.clone(), extend_select: config.extend_select.clone(), ignore: config.ignore.clone() };
        let selected = selection.resolve(&rules).map_err(|error| match &config.source {
            Some(source) => match source.text.find(&format!("\"{}\"", error.name)) {
                Some(start) => SetupError::at(
                    &source.path,
                    &source.text,
                    crate::source::Span::new(start, start + error.name.len() + 2),
                    error.to_string(),
                ),
                None => SetupError::new(error.to_string()),
            },
            None => SetupError::new(error.to_string()),
        })?;
        config.check_params(&rules)?;
        let mut active = Vec::new();
        let mut notes = Vec::new();
        for (index, rule) in rules.rules().iter().enumerate().filter(|(index, _)| selected.get(*index) == Some(&true)) {
            let params = config.params_of(rule, preset)?;
            match rule.params.iter().find(|param| !params.iter().any(|(name, _)| *name == param.name)) {
                Some(unset) => notes.push(format!("{} is not checked: its parameter `{}` is not set", rule.id, unset.name)),
                None => active.push(Active { index, params }),
            }
        }
        let mut exclude = GlobSetBuilder::new();
        for glob in &config.exclude {
            // A folder's name excludes what is below it.
            for glob in [glob.clone(), format!("{}/**", glob.trim_end_matches('/'))] {
                let glob = Glob::new(&glob)
                    .map_err(|error| SetupError::new(format!("`exclude`: {error}")).help("write globs such as `vendor/**`"))?;
                exclude.add(glob);
            }
        }
        let exclude = exclude.build().map_err(|error| SetupError::new(format!("`exclude`: {error}")))?;
        Ok(Self {
            kubernetes_version: config.kubernetes_version.unwrap_or(rules.data.api_versions.newest),
            rules,
            active,
            exclude,
            min_severity: config.min_severity.unwrap_or(Severity::Info),
            min_confidence: config.min_confidence.unwrap_or(Confidence::Low),
            externals: config.externals.clone(),
            line_hashes: false,
            fail_on: config.fail_on.unwrap_or(Severity::Low),
            notes,
        })
    }

    /// The rules of the scan, with all others that are known.
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }
}
