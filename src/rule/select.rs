//! Which rules a scan uses.

use std::sync::Arc;

use super::{Preset, RuleSet, did_you_mean};

/// A choice of rules by preset and by name; names are rules, packs (`secrets` or `secrets/*`), tags, or `all`.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The preset whose rules run.
    pub preset: Preset,
    /// Run these instead of the preset's.
    pub select: Vec<String>,
    /// Run these too.
    pub extend_select: Vec<String>,
    /// Never run these.
    pub ignore: Vec<String>,
}

impl Default for Selection {
    fn default() -> Self {
        Self { preset: Preset::Default, select: Vec::new(), extend_select: Vec::new(), ignore: Vec::new() }
    }
}

/// A name that stands for no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no rule, pack or tag `{name}`{}", did_you_mean_text(.suggestion.as_deref()))]
pub struct SelectionError {
    /// The name as given.
    pub name: String,
    /// A known name close to it.
    pub suggestion: Option<String>,
}

fn did_you_mean_text(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(|| "; `preflint rules` lists them".to_owned(), |suggestion| format!("; did you mean `{suggestion}`?"))
}

impl Selection {
    /// One flag for each rule of the set: whether it is selected. Rules of pack `scan` always are.
    pub fn resolve(&self, rules: &RuleSet) -> Result<Vec<bool>, SelectionError> {
        let mut selected: Vec<bool> = if self.select.is_empty() {
            rules.rules().iter().map(|rule| rule.preset <= self.preset && rule.preset != Preset::OptIn).collect()
        } else {
            vec![false; rules.rules().len()]
        };
        for (names, on) in [(&self.select, true), (&self.extend_select, true), (&self.ignore, false)] {
            for name in names {
                for index in named(rules, name)? {
                    if let Some(flag) = selected.get_mut(index) {
                        *flag = on;
                    }
                }
            }
        }
        for (flag, rule) in selected.iter_mut().zip(rules.rules()) {
            *flag |= rule.is_scan();
        }
        Ok(selected)
    }
}

/// The rules that an id, a pack or a tag stands for.
pub(crate) fn named(rules: &RuleSet, name: &str) -> Result<Vec<usize>, SelectionError> {
    if let Some(index) = rules.index(name) {
        return Ok(vec![index]);
    }
    let pack = name.strip_suffix("/*").unwrap_or(name);
    let found: Vec<usize> = rules
        .rules()
        .iter()
        .enumerate()
        .filter(|(_, rule)| name == "all" || rule.pack() == pack || rule.tags.iter().any(|tag| tag == name))
        .map(|(index, _)| index)
        .collect();
    if found.is_empty() {
        let known: Vec<Arc<str>> = rules.rules().iter().map(|rule| Arc::clone(&rule.id)).collect();
        let words = known.iter().flat_map(|id| {
            let (pack, short) = id.split_once('/').unwrap_or((id, id));
            [&**id, pack, short]
        });
        let suggestion = did_you_mean(name, words).map(|close| {
            // A name without its pack is completed.
            known
                .iter()
                .find(|id| id.split_once('/').is_some_and(|(_, short)| short == close))
                .map_or(close.to_owned(), ToString::to_string)
        });
        return Err(SelectionError { name: name.to_owned(), suggestion });
    }
    Ok(found)
}
