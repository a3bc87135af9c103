//! `preflint config explain`: what holds for one file, and where each setting comes from.

use std::io;

use super::{Config, FILE, KEYS, Settings};
use crate::artifact::PathScope;
use crate::rule::{Preset, Rule};
use crate::source::MaskedText;
use crate::syntax::NodeId;

/// Settings of the command line, by their key in the file.
pub(crate) type Given = Vec<(&'static str, String)>;

/// Writes the settings that hold for a path. `config` is what the file says, `settings` what became of it and of the command line.
pub(crate) fn write(config: &Config, given: &Given, settings: &Settings, path: &str, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "{path}")?;
    let excluded = settings.exclude.is_match(path);
    if excluded {
        writeln!(out, "  not looked at: `exclude` matches it{}", config.origin("exclude"))?;
    }
    let environments = settings.environments_of(path, None);
    if !environments.is_empty() {
        writeln!(out, "  environment: {}", environments.join(", "))?;
    }
    let scope = settings.scope(path);
    let origin = if scope == PathScope::of_path(path) { "by the words of its path" } else { "as `environments` says" };
    writeln!(out, "  scope: {} ({origin})", scope.word())?;

    writeln!(out, "\nsettings")?;
    for key in KEYS {
        if let Some((_, text)) = given.iter().find(|(name, _)| *name == key.name) {
            writeln!(out, "  {} = {text}  (command line)", key.name)?;
        } else if let Some((text, line)) = config.written(key.name) {
            writeln!(out, "  {} = {text}  ({FILE}:{line})", key.name)?;
        }
    }
    let defaults: Vec<&str> = KEYS
        .iter()
        .map(|key| key.name)
        .filter(|name| !given.iter().any(|(given, _)| given == name) && config.written(name).is_none())
        .collect();
    writeln!(out, "  not set: {}", defaults.join(", "))?;

    let overrides = settings.overrides_of(path);
    if !overrides.is_empty() {
        writeln!(out, "\noverrides for it, later ones win")?;
        for given in overrides.into_iter().filter_map(|index| config.overrides.get(index)) {
            let env = if given.env.is_empty() { String::new() } else { format!("  for environment {}", given.env.join(", ")) };
            writeln!(out, "  {FILE}:{}{env}", config.line(given.node))?;
        }
    }

    let profile = settings.profile_of(path);
    let plain = settings.profile_without_overrides();
    let rules = settings.rules.rules();
    let running = profile.active.iter().filter_map(|active| Some((active, rules.get(active.index)?)));
    let running: Vec<_> = running.filter(|(_, rule)| !rule.is_scan()).collect();
    writeln!(out, "\nrules: {} of {} run", running.len(), rules.iter().filter(|rule| !rule.is_scan()).count())?;
    let width = running.iter().map(|(_, rule)| rule.id.len()).max().unwrap_or_default();
    for (active, rule) in running {
        let level = profile.severity(active.index).unwrap_or(rule.severity);
        let params: Vec<String> = active.params.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let params = if params.is_empty() { String::new() } else { format!("  {}", params.join(", ")) };
        let why = why(rule, config, plain.runs(active.index), level != rule.severity);
        writeln!(out, "  {:width$}  {:8}  {why}{params}", rule.id, level.word())?;
    }
    Ok(())
}

/// Why a rule runs, and with another severity.
fn why(rule: &Rule, config: &Config, in_general: bool, other_severity: bool) -> String {
    let preset = config.preset.unwrap_or(Preset::Default);
    let mut why = match () {
        () if !in_general => "switched on by an override".to_owned(),
        () if !config.select.is_empty() => "selected".to_owned(),
        () if rule.preset <= preset => format!("preset {}", rule.preset.word()),
        () => "selected too".to_owned(),
    };
    if other_severity {
        why.push_str(", severity configured");
    }
    why
}

impl Config {
    /// The text of a key's value on one line without what looks like a secret, and the 1-based line of the key.
    fn written(&self, key: &str) -> Option<(String, u32)> {
        let value = self.document.as_ref()?.root().get(key)?;
        let name = value.key().unwrap_or(value);
        let text = match (value.is_mapping(), value.is_sequence()) {
            (true, _) => format!("{{{}}}", value.pairs().filter_map(|(key, _)| key.text()).collect::<Vec<_>>().join(", ")),
            (_, true) if value.items().any(|item| !item.is_scalar()) => format!("{} tables", value.items().count()),
            (_, true) => format!("[{}]", value.items().filter_map(crate::syntax::Node::text).collect::<Vec<_>>().join(", ")),
            _ => value.text().unwrap_or_default().to_owned(),
        };
        Some((text, self.line(name.id)))
    }

    fn origin(&self, key: &str) -> String {
        self.written(key).map(|(_, line)| format!(" ({FILE}:{line})")).unwrap_or_default()
    }

    /// The 1-based line of a node of the file.
    fn line(&self, node: NodeId) -> u32 {
        let reader = self.at(node);
        reader.map_or(1, |reader| MaskedText::new(&reader.node.doc.source.text, &[]).position(reader.node.span().start).line)
    }
}
