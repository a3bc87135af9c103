//! Settings: rules and configuration put together, and what they are for one file.

use std::collections::HashMap;
use std::sync::Arc;

use globset::{Glob, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

use super::{Config, Environment, FILE, Override, Params, Release, Severities, Suppress, table_place};
use crate::artifact::PathScope;
use crate::baseline::Baseline;
use crate::check::{Active, Draft, Version};
use crate::digest::Binding;
use crate::environment::compose::files_of;
use crate::error::SetupError;
use crate::finding::{Confidence, Location, Object, Severity};
use crate::redact::masked;
use crate::rule::{ParamValue, Preset, Reader, Rule, RuleSet, Selection, SelectionError, read_param_value};
use crate::source::{MaskedText, Source, Span};
use crate::suppress::{Date, Named, Policy};
use crate::syntax::{Node, NodeId};

/// How to judge: rules with their parameters, and thresholds. Immutable once made.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) rules: Arc<RuleSet>,
    /// One flag for each rule: whether it runs where no override says otherwise.
    selected: Vec<bool>,
    /// Parameters of every rule, selected or not.
    params: Vec<Vec<(String, ParamValue)>>,
    /// Other severities than the rules' own.
    severity: Vec<Option<Severity>>,
    overrides: Vec<Settled>,
    environments: Vec<(String, GlobSet, Option<PathScope>)>,
    pub(crate) releases: Vec<Release>,
    /// Suppressions of the configuration.
    pub(crate) entries: Vec<Entry>,
    /// The configuration's text, once something of it may have to be shown.
    pub(crate) text: Option<MaskedText>,
    pub(crate) policy: Policy,
    pub(crate) baseline: Option<Arc<Baseline>>,
    /// Findings say which secret they are about, digested with this salt.
    pub(crate) bind: Option<[u8; 4]>,
    /// Whether other rules run than the configuration says, so that what they did not find says little.
    pub(crate) narrowed: bool,
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

/// An override with its rules resolved.
#[derive(Clone, Debug)]
struct Settled {
    /// None: every path.
    paths: Option<GlobSet>,
    env: Vec<String>,
    extend_select: Vec<usize>,
    ignore: Vec<usize>,
    severity: Vec<(usize, Severity)>,
    params: Vec<(usize, String, ParamValue)>,
}

/// A suppression of the configuration with its rules and patterns resolved.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) location: Location,
    pub(crate) names: Vec<Named>,
    paths: Option<GlobSet>,
    selectors: Vec<(&'static str, GlobMatcher)>,
    pub(crate) reason: Option<Span>,
    pub(crate) until: Option<Date>,
    pub(crate) binding: Option<Binding>,
}

impl Entry {
    /// Whether a finding at a path about an object is meant, whatever its rule.
    pub(crate) fn covers(&self, path: &str, object: &Object) -> bool {
        let field = |name: &str| match name {
            "kind" => Some(object.kind.as_str()),
            "namespace" => Some(object.namespace.as_str()),
            "container" => Some(object.container.as_str()),
            "service" => (object.kind == "service").then_some(object.name.as_str()),
            _ => Some(object.name.as_str()),
        };
        self.paths.as_ref().is_none_or(|paths| paths.is_match(path))
            && self.selectors.iter().all(|(name, pattern)| field(name).is_some_and(|text| !text.is_empty() && pattern.is_match(text)))
    }
}

/// What runs on the files of one set of overrides.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) active: Vec<Active>,
    severity: Vec<Option<Severity>>,
    /// Overrides that wait for an environment, as indices.
    waiting: Vec<usize>,
}

impl Profile {
    /// The severity that the configuration gives a rule.
    pub(crate) fn severity(&self, rule: usize) -> Option<Severity> {
        self.severity.get(rule).copied().flatten()
    }

    /// Whether a rule runs.
    pub(crate) fn runs(&self, rule: usize) -> bool {
        self.active.iter().any(|active| active.index == rule)
    }
}

/// The profiles of a scan's files.
pub(crate) struct Profiles {
    by_mask: HashMap<u64, Profile>,
    of_path: HashMap<Arc<str>, u64>,
    base: Profile,
}

impl Profiles {
    pub(crate) fn new<'p>(settings: &Settings, paths: impl Iterator<Item = &'p Arc<str>>) -> Self {
        let mut profiles = Self { by_mask: HashMap::new(), of_path: HashMap::new(), base: settings.profile(0) };
        if settings.overrides.is_empty() {
            return profiles;
        }
        for path in paths {
            let mask = settings.mask(path);
            if mask != 0 {
                profiles.of_path.insert(Arc::clone(path), mask);
                profiles.by_mask.entry(mask).or_insert_with(|| settings.profile(mask));
            }
        }
        profiles
    }

    pub(crate) fn of(&self, path: &str) -> &Profile {
        self.of_path.get(path).and_then(|mask| self.by_mask.get(mask)).unwrap_or(&self.base)
    }

    /// Every profile once.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Profile> {
        std::iter::once(&self.base).chain(self.by_mask.values())
    }
}

impl Settings {
    /// Puts rules and configuration together.
    pub fn new(rules: Arc<RuleSet>, config: &Config) -> Result<Self, SetupError> {
        let preset = config.preset.unwrap_or(Preset::Default);
        let selection =
            Selection { preset, select: config.select.clone(), extend_select: config.extend_select.clone(), ignore: config.ignore.clone() };
        let selected = selection.resolve(&rules).map_err(|error| config.unknown_name(&error))?;
        let params = config.resolve_params(&rules, preset)?;
        let mut severity = vec![None; rules.rules().len()];
        for (index, level) in config.resolve_severities(&rules, &config.severity)? {
            if let Some(known) = severity.get_mut(index) {
                *known = Some(level);
            }
        }
        let mut notes = Vec::new();
        for ((rule, params), _) in rules.rules().iter().zip(&params).zip(&selected).filter(|(_, selected)| **selected) {
            if let Some(unset) = unset(rule, params) {
                notes.push(format!("{} is not checked: its parameter `{unset}` is not set", rule.id));
            }
        }
        let policy = Policy {
            inline: config.inline_suppressions.unwrap_or(true),
            require_reason: config.require_reason.unwrap_or(true),
            today: config.today,
            honor: config.honor.clone(),
        };
        Ok(Self {
            selected,
            params,
            severity,
            overrides: config.overrides.iter().map(|given| config.settle(&rules, given)).collect::<Result<_, _>>()?,
            environments: config.environments.iter().map(|given| config.resolve_environment(given)).collect::<Result<_, _>>()?,
            releases: config.releases.clone(),
            entries: config.suppressions.iter().map(|given| config.entry(&rules, given)).collect::<Result<_, _>>()?,
            text: config.masked(&rules),
            policy,
            baseline: None,
            bind: None,
            narrowed: false,
            exclude: globs("exclude", &config.exclude, SetupError::new)?,
            kubernetes_version: config.kubernetes_version.unwrap_or(rules.data.api_versions.newest),
            rules,
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

    /// Judges against a baseline: findings that it holds do not count.
    #[must_use]
    pub fn with_baseline(mut self, baseline: Baseline) -> Self {
        self.baseline = Some(Arc::new(baseline));
        self
    }

    /// The overrides whose paths match, as bits.
    fn mask(&self, path: &str) -> u64 {
        let matches = |settled: &Settled| settled.paths.as_ref().is_none_or(|paths| paths.is_match(path));
        self.overrides.iter().enumerate().filter(|(_, settled)| matches(settled)).fold(0, |mask, (index, _)| mask | 1 << index)
    }

    fn profile(&self, mask: u64) -> Profile {
        let mut selected = self.selected.clone();
        let mut severity = self.severity.clone();
        let mut params = self.params.clone();
        let mut waiting = Vec::new();
        for (index, settled) in self.overrides.iter().enumerate() {
            let matches = settled.paths.is_none() || mask & (1 << index) != 0;
            if matches && !settled.env.is_empty() {
                waiting.push(index);
            }
            if !matches || !settled.env.is_empty() {
                continue;
            }
            let mut switch = |rules: &[usize], on: bool| {
                for &rule in rules {
                    if let Some(flag) = selected.get_mut(rule) {
                        *flag = on;
                    }
                }
            };
            switch(&settled.extend_select, true);
            switch(&settled.ignore, false);
            for &(rule, level) in &settled.severity {
                if let Some(known) = severity.get_mut(rule) {
                    *known = Some(level);
                }
            }
            for (rule, name, value) in &settled.params {
                let Some(known) = params.get_mut(*rule) else { continue };
                known.retain(|(known, _)| known != name);
                known.push((name.clone(), value.clone()));
            }
        }
        let all = self.rules.rules().iter().zip(params).enumerate();
        let active = all
            .filter(|(index, (rule, params))| (selected.get(*index) == Some(&true) || rule.is_scan()) && unset(rule, params).is_none())
            .map(|(index, (_, params))| Active { index, params })
            .collect();
        Profile { active, severity, waiting }
    }

    /// A draft with the severity that the configuration has for it; none where its rule does not run for it.
    pub(crate) fn settle(&self, mut draft: Draft, profiles: &Profiles) -> Option<Draft> {
        let profile = profiles.of(&draft.location.path);
        draft.severity = profile.severity(draft.rule).unwrap_or(draft.severity);
        if !profile.waiting.is_empty() {
            let environments = self.environments_of(&draft.location.path, draft.environment.as_deref());
            let holds = |settled: &&Settled| settled.env.iter().any(|name| environments.contains(&name.as_str()));
            for settled in profile.waiting.iter().filter_map(|&index| self.overrides.get(index)).filter(holds) {
                if settled.ignore.contains(&draft.rule) {
                    return None;
                }
                if let Some((_, level)) = settled.severity.iter().rev().find(|(rule, _)| *rule == draft.rule) {
                    draft.severity = *level;
                }
            }
        }
        profile.runs(draft.rule).then_some(draft)
    }

    /// The environments of a file: those of the configuration that hold it, and those that hold the folder or a file it is
    /// deployed from.
    pub(crate) fn environments_of<'s>(&'s self, path: &str, deployed_from: Option<&'s str>) -> Vec<&'s str> {
        let deployed_from = deployed_from.map(|folder| folder.trim_end_matches('/'));
        let mut files: Vec<String> = deployed_from.map(files_of).into_iter().flatten().collect();
        // What a pattern says of the files in a folder it says of what the folder deploys.
        files.extend(deployed_from.map(|folder| format!("{folder}/kustomization.yaml")));
        let from = |set: &GlobSet| deployed_from.is_some_and(|name| set.is_match(name)) || files.iter().any(|file| set.is_match(file));
        let holds = |set: &GlobSet| set.is_match(path) || from(set);
        let known = self.environments.iter().filter(|(_, paths, _)| holds(paths)).map(|(name, ..)| name.as_str());
        let own = deployed_from.into_iter().flat_map(|folder| [folder, folder.rsplit('/').next().unwrap_or(folder)]);
        known.chain(own).collect()
    }

    /// Whether a path is production or development: as the configuration says, else by the words in it.
    pub(crate) fn scope(&self, path: &str) -> PathScope {
        let said = self.environments.iter().filter(|(_, paths, _)| paths.is_match(path)).find_map(|(_, _, scope)| *scope);
        said.unwrap_or_else(|| PathScope::of_path(path))
    }

    /// What runs on a path.
    pub(crate) fn profile_of(&self, path: &str) -> Profile {
        self.profile(self.mask(path))
    }

    /// What runs where no override applies.
    pub(crate) fn profile_without_overrides(&self) -> Profile {
        self.profile(0)
    }

    /// The overrides that apply to a path, as indices in the order of the file.
    pub(crate) fn overrides_of(&self, path: &str) -> Vec<usize> {
        let mask = self.mask(path);
        (0..self.overrides.len()).filter(|index| mask & (1 << index) != 0).collect()
    }
}

/// The parameter that a rule needs and does not have.
fn unset<'r>(rule: &'r Rule, params: &[(String, ParamValue)]) -> Option<&'r str> {
    rule.params.iter().map(|param| param.name.as_str()).find(|name| !params.iter().any(|(known, _)| known == name))
}

/// Globs of paths from the root; a folder's name stands for what is below it.
fn globs(key: &str, given: &[String], error: impl Fn(String) -> SetupError) -> Result<GlobSet, SetupError> {
    let mut set = GlobSetBuilder::new();
    let failed = |cause: globset::Error| error(format!("`{key}`: {cause}")).help("write globs such as `vendor/**`");
    for glob in given {
        let folder = glob.trim_end_matches('/');
        for glob in [glob.clone(), format!("{folder}/**")] {
            set.add(Glob::new(&glob).map_err(failed)?);
        }
    }
    set.build().map_err(failed)
}

impl Config {
    /// An error about a name that stands for no rule, underlined where the file has it.
    fn unknown_name(&self, error: &SelectionError) -> SetupError {
        let in_list = |node: &Node<'_>| node.parent().is_some_and(Node::is_sequence) && node.text() == Some(&error.name);
        match self.document.as_ref().and_then(|document| document.entries().find(in_list)) {
            Some(node) => Reader { node }.error(error.to_string()),
            None => SetupError::new(error.to_string()),
        }
    }

    fn resolve_severities(&self, rules: &RuleSet, given: &Severities) -> Result<Vec<(usize, Severity)>, SetupError> {
        let mut found = Vec::new();
        for (name, node, level) in given {
            let named = crate::rule::named(rules, name).map_err(|error| self.error(*node, error.to_string()))?;
            found.extend(named.into_iter().map(|index| (index, *level)));
        }
        Ok(found)
    }

    /// Parameters of every rule: what is set, else the preset's or the rule's own default.
    fn resolve_params(&self, rules: &RuleSet, preset: Preset) -> Result<Vec<Vec<(String, ParamValue)>>, SetupError> {
        let defaults = rules.rules().iter().map(|rule| {
            let value = |param: &crate::rule::Param| {
                let value = param.presets.range(..=preset).next_back().map(|(_, value)| value).or(param.default.as_ref())?;
                Some((param.name.clone(), value.clone()))
            };
            rule.params.iter().filter_map(value).collect()
        });
        let mut all: Vec<Vec<(String, ParamValue)>> = defaults.collect();
        for (rule, name, value) in self.read_params(rules, &self.params)? {
            if let Some(known) = all.get_mut(rule) {
                known.retain(|(known, _)| *known != name);
                known.push((name, value));
            }
        }
        Ok(all)
    }

    fn read_params(&self, rules: &RuleSet, given: &Params) -> Result<Vec<(usize, String, ParamValue)>, SetupError> {
        let mut found = Vec::new();
        for (id, (node, values)) in given {
            let Some((index, rule)) = rules.index(id).and_then(|index| Some((index, rules.rules().get(index)?))) else {
                let known = rules.rules().iter().filter(|rule| !rule.params.is_empty()).map(|rule| &*rule.id);
                return Err(self.error(*node, format!("there is no rule `{id}`")).suggest(id, known));
            };
            for (name, value) in values {
                let Some(reader) = self.at(*value) else { continue };
                let Some(param) = rule.params.iter().find(|param| param.name == *name) else {
                    let key = Reader { node: reader.node.key().unwrap_or(reader.node) };
                    let known = rule.params.iter().map(|param| param.name.as_str());
                    return Err(key.error(format!("`{id}` has no parameter `{name}`")).suggest(name, known));
                };
                found.push((index, name.clone(), read_param_value(param, reader)?));
            }
        }
        Ok(found)
    }

    fn settle(&self, rules: &RuleSet, given: &Override) -> Result<Settled, SetupError> {
        if self.overrides.len() > 64 {
            return Err(self.error(given.node, "there are more than 64 overrides").help("join some: `paths` takes several globs"));
        }
        let indices = |names: &[String]| -> Result<Vec<usize>, SetupError> {
            let mut found = Vec::new();
            for name in names {
                found.extend(crate::rule::named(rules, name).map_err(|error| self.unknown_name(&error))?);
            }
            Ok(found)
        };
        Ok(Settled {
            paths: self.paths(given.node, &given.paths)?,
            env: given.env.clone(),
            extend_select: indices(&given.extend_select)?,
            ignore: indices(&given.ignore)?,
            severity: self.resolve_severities(rules, &given.severity)?,
            params: self.read_params(rules, &given.params)?,
        })
    }

    /// The globs of a table's `paths`; none where it has none.
    fn paths(&self, node: NodeId, given: &[String]) -> Result<Option<GlobSet>, SetupError> {
        (!given.is_empty()).then(|| globs("paths", given, |message| self.error(node, message))).transpose()
    }

    fn resolve_environment(&self, given: &Environment) -> Result<(String, GlobSet, Option<PathScope>), SetupError> {
        let paths = globs("paths", &given.paths, |message| self.error(given.node, message))?;
        let scope = given.scope.as_deref().map(|word| match word {
            "production" => PathScope::Production,
            "development" => PathScope::Development,
            _ => PathScope::Unscoped,
        });
        Ok((given.name.clone(), paths, scope))
    }

    fn entry(&self, rules: &RuleSet, given: &Suppress) -> Result<Entry, SetupError> {
        let mut names = Vec::new();
        for (name, node) in &given.rules {
            let (rules, exact) = crate::suppress::named(rules, name).map_err(|message| self.error(*node, message))?;
            names.push(Named { span: self.span(*node), rules, exact });
        }
        if given.reason.is_none() && self.require_reason.unwrap_or(true) {
            return Err(self.error(given.node, "a suppression has a `reason`").help("or set `require-reason = false`"));
        }
        let pattern = |(selector, text): &(&'static str, String)| {
            let glob = GlobBuilder::new(text).literal_separator(false).build();
            let glob = glob.map_err(|error| self.error(given.node, format!("`{selector}`: {error}")))?;
            Ok((*selector, glob.compile_matcher()))
        };
        Ok(Entry {
            location: Location { path: FILE.into(), span: self.at(given.node).map_or(Span::default(), table_place) },
            names,
            paths: self.paths(given.node, &given.paths)?,
            selectors: given.selectors.iter().map(pattern).collect::<Result<_, SetupError>>()?,
            reason: given.reason,
            until: given.until,
            binding: given.binding,
        })
    }

    fn span(&self, node: NodeId) -> Span {
        self.at(node).map_or(Span::default(), |reader| reader.node.span())
    }

    /// The file's text without what looks like a secret, where findings may point into it.
    fn masked(&self, rules: &RuleSet) -> Option<MaskedText> {
        let source: &Source = &self.document.as_ref().filter(|_| !self.suppressions.is_empty())?.source;
        Some(masked(&rules.data.secrets, source))
    }
}
