//! Who silences what: suppressions against the findings of a scan, and what they turned out to be good for.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Date, Directive, Named, expired};
use crate::check::Draft;
use crate::config::{self, Entry, Profiles, Settings};
use crate::digest::Binding;
use crate::finding::{Location, Object, Severity, SuppressionKind};
use crate::rule::{Rule, Scope};
use crate::source::Span;

/// What silences a finding.
#[derive(Clone, Debug)]
pub(crate) struct Silence {
    pub(crate) kind: SuppressionKind,
    pub(crate) location: Location,
    /// The reason, in the file of the location.
    pub(crate) reason: Span,
    pub(crate) until: Option<Date>,
}

/// What suppressions do to a finding.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) silence: Option<Silence>,
    /// A suppression in its file that would silence it, if it said which secret it means.
    pub(crate) unbound: Option<Span>,
}

/// All suppressions of a scan, and which of their names were needed.
pub(crate) struct Silencer<'s> {
    settings: &'s Settings,
    of_path: HashMap<Arc<str>, InFile>,
    entries: Vec<Use>,
    /// Suppressions of secrets that do not say which: their place, the rule, and the place of the secret.
    unbound: Vec<(Location, String, Location)>,
}

struct InFile {
    directives: Vec<(Directive, Use)>,
    judged: bool,
}

/// For each name of a suppression: whether it has silenced something, or would have.
type Use = Vec<bool>;

impl<'s> Silencer<'s> {
    pub(crate) fn new(settings: &'s Settings) -> Self {
        let entries = settings.entries.iter().map(|entry| vec![false; entry.names.len()]).collect();
        Self { settings, of_path: HashMap::new(), entries, unbound: Vec::new() }
    }

    /// Adds the suppressions of a file; `judged`: every rule has seen it.
    pub(crate) fn add(&mut self, path: &Arc<str>, directives: Vec<Directive>, judged: bool) {
        if !directives.is_empty() {
            let with_use = |directive: Directive| {
                let used = vec![false; directive.names.len()];
                (directive, used)
            };
            let directives = directives.into_iter().map(with_use).collect();
            self.of_path.insert(Arc::clone(path), InFile { directives, judged });
        }
    }

    /// What silences a finding, if anything does.
    pub(crate) fn judge(&mut self, draft: &Draft) -> Verdict {
        let Some(rule) = self.settings.rules.rules().get(draft.rule) else { return Verdict::default() };
        let (mut silence, mut unbound): (Option<Silence>, Vec<Location>) = (None, Vec::new());
        if let Some(file) = self.of_path.get_mut(&draft.location.path) {
            for (directive, used) in &mut file.directives {
                if !named_by(&directive.names, draft.rule) || !directive.cover.covers(draft.location.span, &draft.object.container) {
                    continue;
                }
                let location = Location { path: Arc::clone(&draft.location.path), span: directive.span };
                match bound(directive.binding, draft, rule) {
                    // What another tool's users wrote knows of no binding.
                    None if directive.peer.is_none() => {
                        unbound.push(location);
                        mark(&directive.names, used, draft.rule);
                    }
                    Some(false) => {}
                    _ => {
                        mark(&directive.names, used, draft.rule);
                        let Directive { kind, reason, until, .. } = *directive;
                        silence.get_or_insert(Silence { kind, location, reason, until });
                    }
                }
            }
        }
        let expired = |entry: &Entry| expired(entry.until, self.settings.policy.today).is_some();
        for (entry, used) in self.settings.entries.iter().zip(&mut self.entries) {
            if expired(entry) || !named_by(&entry.names, draft.rule) || !entry.covers(&draft.location.path, &draft.object) {
                continue;
            }
            match bound(entry.binding, draft, rule) {
                None => {
                    unbound.push(entry.location.clone());
                    mark(&entry.names, used, draft.rule);
                }
                Some(false) => {}
                Some(true) => {
                    mark(&entry.names, used, draft.rule);
                    let reason = entry.reason.unwrap_or_default();
                    let kind = SuppressionKind::Config;
                    silence.get_or_insert(Silence { kind, location: entry.location.clone(), reason, until: entry.until });
                }
            }
        }
        if silence.is_some() {
            return Verdict { silence, unbound: None };
        }
        let in_file = unbound.iter().find(|location| location.path == draft.location.path).map(|location| location.span);
        self.unbound.extend(unbound.into_iter().map(|location| (location, rule.id.to_string(), draft.location.clone())));
        Verdict { silence: None, unbound: in_file }
    }

    /// Findings about the suppressions themselves; `whole`: all of the repository was looked at. `line` gives the line of
    /// an offset of a file.
    pub(crate) fn remarks(mut self, profiles: &Profiles, whole: bool, line: impl Fn(&str, u32) -> u32) -> Vec<Draft> {
        let mut remarks = Vec::new();
        let mut unbound = std::mem::take(&mut self.unbound);
        unbound.sort();
        unbound.dedup_by(|a, b| a.0 == b.0);
        for (location, rule, secret) in unbound {
            let place = format!("{}:{}", secret.path, line(&secret.path, secret.span.start));
            let message =
                format!("a suppression of `{rule}` has to say which secret it means: `preflint suppress {place} {rule}` completes it");
            remarks.extend(remark(self.settings, "scan/suppression-malformed", &location, message));
        }
        for (path, file) in self.of_path.iter().filter(|(_, file)| file.judged) {
            for (directive, used) in &file.directives {
                let needless = |name: &Named| self.is_needless(name, path, profiles, whole);
                for (span, message) in needless_names(directive.span, &directive.names, used, &needless) {
                    let location = Location { path: Arc::clone(path), span };
                    let remark = remark(self.settings, "scan/suppression-unused", &location, message);
                    // A team that comes from another tool is told, and not held up.
                    remarks.extend(remark.map(|mut remark| {
                        if directive.peer.is_some() {
                            remark.severity = Severity::Info;
                        }
                        remark
                    }));
                }
            }
        }
        for (entry, used) in self.settings.entries.iter().zip(&self.entries) {
            if let Some(message) = expired(entry.until, self.settings.policy.today) {
                remarks.extend(remark(self.settings, "scan/suppression-expired", &entry.location, message));
                continue;
            }
            // One that is about certain files is judged with them; a part of the repository says nothing about the rest.
            let needless = |name: &Named| whole && self.is_needless(name, config::FILE, profiles, whole);
            for (span, message) in needless_names(entry.location.span, &entry.names, used, &needless) {
                let location = Location { path: Arc::clone(&entry.location.path), span };
                remarks.extend(remark(self.settings, "scan/suppression-unused", &location, message));
            }
        }
        remarks
    }

    /// Whether a name that silenced nothing could not have: all of its rules were checked.
    fn is_needless(&self, name: &Named, path: &str, profiles: &Profiles, whole: bool) -> bool {
        let checked = |index: &usize| {
            let everything_known = self.settings.rules.rules().get(*index).is_some_and(|rule| rule.scope == Scope::File || whole);
            everything_known && profiles.of(path).runs(*index)
        };
        // Of a pack only some rules run under any preset.
        if name.exact { name.rules.iter().all(checked) } else { !self.settings.narrowed && whole && name.rules.iter().any(checked) }
    }
}

fn named_by(names: &[Named], rule: usize) -> bool {
    names.iter().any(|name| name.rules.contains(&rule))
}

fn mark(names: &[Named], used: &mut Use, rule: usize) {
    for (name, used) in names.iter().zip(used) {
        *used |= name.rules.contains(&rule);
    }
}

/// Whether a suppression speaks of the secret of a finding; none where it would have to and does not say.
fn bound(binding: Option<Binding>, draft: &Draft, rule: &Rule) -> Option<bool> {
    match (&draft.secret, binding) {
        // Rules that report values have a precedence among each other.
        (Some(_), None) if rule.precedence.is_some() => None,
        (Some(secret), Some(binding)) => Some(binding.binds(secret)),
        _ => Some(true),
    }
}

/// The parts of a suppression that silence nothing, with what to say of them.
fn needless_names(span: Span, names: &[Named], used: &Use, needless: &dyn Fn(&Named) -> bool) -> Vec<(Span, &'static str)> {
    let unused: Vec<&Named> = names.iter().zip(used).filter(|(name, used)| !**used && needless(name)).map(|(name, _)| name).collect();
    if !unused.is_empty() && unused.len() == names.len() {
        return vec![(span, "this suppression silences nothing: take it out")];
    }
    // Where escapes stand between the name and the file, its place is not known.
    let place = |name: &Named| if name.span.is_empty() { span } else { name.span };
    unused.into_iter().map(|name| (place(name), "this part of the suppression silences nothing: take it out")).collect()
}

fn remark(settings: &Settings, rule: &str, location: &Location, message: impl Into<String>) -> Option<Draft> {
    let index = settings.rules.index(rule)?;
    let rule = settings.rules.rules().get(index)?;
    Some(Draft::new(rule, index, &location.path, location.span, Object::default(), message.into()))
}
