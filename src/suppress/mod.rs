//! Suppressions: what somebody wrote into a file so that a finding may stay. Those of the configuration are in `config`.

mod cover;
mod date;
mod own;
mod peers;
mod silence;
mod write;

use std::cell::OnceCell;
use std::sync::Arc;

use crate::artifact::Artifact;
use crate::digest::Binding;
use crate::finding::SuppressionKind;
use crate::rule::{RuleSet, did_you_mean};
use crate::source::{Source, Span};
use crate::syntax::Parsed;

pub(crate) use cover::Cover;
pub use date::Date;
pub(crate) use own::Words;
pub(crate) use peers::Peer;
pub(crate) use silence::{Silence, Silencer, Verdict};
pub(crate) use write::{Wanted, write};

/// How suppressions in files are read.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// Whether they count at all.
    pub(crate) inline: bool,
    pub(crate) require_reason: bool,
    /// The day by which they are judged; without one they never end.
    pub(crate) today: Option<Date>,
    /// Other tools whose suppressions count, too.
    pub(crate) honor: Vec<Peer>,
}

/// The rules that one name stands for.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// The name, in the file.
    pub(crate) span: Span,
    /// Indices of rules, sorted.
    pub(crate) rules: Vec<usize>,
    /// A single rule rather than a pack or all that a tool knows.
    pub(crate) exact: bool,
}

/// One suppression of a file.
#[derive(Clone, Debug)]
pub(crate) struct Directive {
    pub(crate) kind: SuppressionKind,
    /// All of it, in the file.
    pub(crate) span: Span,
    pub(crate) names: Vec<Named>,
    /// The reason, in the file; empty where there is none or it is not written as it reads.
    pub(crate) reason: Span,
    pub(crate) until: Option<Date>,
    pub(crate) binding: Option<Binding>,
    pub(crate) cover: Cover,
    /// The tool that it was written for, where that is another one.
    pub(crate) peer: Option<Peer>,
}

/// Something to report about a suppression.
#[derive(Debug)]
pub(crate) struct Remark {
    /// Id of the rule of pack `scan`.
    pub(crate) rule: &'static str,
    pub(crate) span: Span,
    pub(crate) message: String,
    /// It is about what was written for another tool, whose users are told and not held up.
    pub(crate) foreign: bool,
}

/// The suppressions of a file and what is wrong with others.
#[derive(Debug, Default)]
pub(crate) struct Suppressions {
    pub(crate) directives: Vec<Directive>,
    pub(crate) remarks: Vec<Remark>,
}

/// The prefix of annotations, and the word that comments begin with.
const ANNOTATION: &str = "preflint.dev/ignore";

/// Everything that reading a file's suppressions needs.
struct Reading<'a, 'd> {
    source: &'a Arc<Source>,
    parsed: &'d Parsed,
    artifacts: &'a [Artifact<'d>],
    rules: &'a RuleSet,
    policy: &'a Policy,
    /// Made for the first comment that covers a node.
    layout: OnceCell<cover::Layout<'a, 'd>>,
    found: Suppressions,
}

/// Reads the suppressions of a file.
pub(crate) fn read<'d>(
    source: &Arc<Source>,
    parsed: &'d Parsed,
    artifacts: &[Artifact<'d>],
    rules: &RuleSet,
    policy: &Policy,
) -> Suppressions {
    let bytes = source.text.as_bytes();
    let own = memchr::memmem::find(bytes, b"preflint").is_some();
    let honored: Vec<Peer> =
        policy.honor.iter().copied().filter(|peer| memchr::memmem::find(bytes, peer.mark().as_bytes()).is_some()).collect();
    if !policy.inline || !own && honored.is_empty() {
        return Suppressions::default();
    }
    let mut reading = Reading { source, parsed, artifacts, rules, policy, layout: OnceCell::new(), found: Suppressions::default() };
    for comment in cover::comments(source, parsed) {
        if own {
            reading.own_comment(&comment);
        }
        for &peer in &honored {
            peers::comment(&mut reading, peer, &comment);
        }
    }
    for artifact in artifacts {
        for (annotations, object) in cover::annotations(artifact) {
            for (key, value) in annotations.entries() {
                let Some(name) = key.text() else { continue };
                if own && (name == ANNOTATION || name.starts_with("preflint.dev/")) {
                    reading.own_annotation(name, key, value, object);
                }
                for &peer in &honored {
                    peers::annotation(&mut reading, peer, name, key, value, object);
                }
            }
        }
    }
    reading.found
}

impl<'a, 'd> Reading<'a, 'd> {
    fn layout(&self) -> &cover::Layout<'a, 'd> {
        self.layout.get_or_init(|| cover::Layout::new(self.source, self.parsed, self.artifacts))
    }

    fn remark(&mut self, rule: &'static str, span: Span, message: impl Into<String>) {
        self.found.remarks.push(Remark { rule, span, message: message.into(), foreign: false });
    }

    fn own_comment(&mut self, comment: &cover::Comment) {
        let text = self.source.slice(comment.body);
        let Some((start, parsed)) = own::comment(text) else { return };
        let span = Span::new(comment.body.start as usize + start, comment.body.start as usize + text.trim_end().len());
        let words = match parsed {
            Ok(read) => read,
            Err(fault) => {
                self.remark("scan/suppression-malformed", fault.span.moved(comment.body.start), fault.message);
                return;
            }
        };
        let cover = if !words.whole_file {
            comment.cover(self.layout())
        } else if cover::is_before_content(self.source, self.parsed, comment.span.start) {
            Cover::File
        } else {
            self.remark(
                "scan/suppression-malformed",
                span,
                "`ignore-file` stands before the first content of the file, or it covers nothing",
            );
            return;
        };
        self.add(SuppressionKind::Comment, span, &words, comment.body.start, cover);
    }

    fn own_annotation(&mut self, name: &str, key: crate::syntax::Node<'_>, value: crate::syntax::Node<'_>, object: &Artifact<'_>) {
        let rest = name.strip_prefix(ANNOTATION).unwrap_or("?");
        let container = rest.strip_prefix('.');
        let span = Span { start: key.span().start, end: value.span().end.max(key.span().end) };
        if !(rest.is_empty() || container.is_some_and(|container| !container.is_empty())) {
            let message = "write `preflint.dev/ignore`, or `preflint.dev/ignore.` and the name of a container";
            self.remark("scan/suppression-malformed", key.span(), message);
            return;
        }
        let cover = match container {
            None => Some(Cover::Nodes(vec![object.root.span()])),
            Some(container) => cover::container(object, container),
        };
        let Some(cover) = cover else {
            self.remark("scan/suppression-malformed", key.span(), "the object has no container of this name");
            return;
        };
        let text = value.text().unwrap_or_default();
        // Places are those of the text as written, unless escapes change what it says.
        let raw = self.source.slice(value.value_span());
        let exact = value.is_verbatim() || own::list(raw).is_ok_and(|raw| own::list(text).is_ok_and(|read| raw.says(&read)));
        let text = if exact { raw } else { text };
        let words = match own::list(text) {
            Ok(words) => words,
            Err(fault) => {
                let span = if exact { fault.span.moved(value.value_span().start) } else { span };
                self.remark("scan/suppression-malformed", span, fault.message);
                return;
            }
        };
        let words = if exact { words } else { words.without_places() };
        let offset = if exact { value.value_span().start } else { value.span().start };
        self.add(SuppressionKind::Annotation, span, &words, offset, cover);
    }

    /// Adds a suppression of our own, with places relative to `offset`, and says what is wrong with it.
    fn add(&mut self, kind: SuppressionKind, span: Span, words: &Words<'_>, offset: u32, cover: Cover) {
        let mut names = Vec::new();
        for (place, name) in &words.names {
            let place = place.moved(offset);
            match named(self.rules, name) {
                Ok((rules, exact)) => names.push(Named { span: place, rules, exact }),
                Err(message) => self.remark("scan/suppression-unknown-rule", place, message),
            }
        }
        if names.is_empty() {
            return;
        }
        let (until, reason) = (words.until, words.reason.moved(offset));
        if words.reason.is_empty() && !words.has_reason && self.policy.require_reason {
            let message = "a suppression needs a reason, or it silences nothing: add ` -- ` and why the finding may stay";
            self.remark("scan/suppression-without-reason", span, message);
            return;
        }
        if let Some(message) = expired(until, self.policy.today) {
            self.remark("scan/suppression-expired", span, message);
            return;
        }
        self.found.directives.push(Directive { kind, span, names, reason, until, binding: words.binding, cover, peer: None });
    }
}

/// What to say of a suppression that has ended.
pub(crate) fn expired(until: Option<Date>, today: Option<Date>) -> Option<String> {
    let (until, today) = (until?, today?);
    (today > until).then(|| format!("this suppression ended with {until}: mend what it covers, or decide again and set a later day"))
}

/// The rules that a name stands for, and whether it is one rule's; else what is wrong, without the name.
pub(crate) fn named(rules: &RuleSet, name: &str) -> Result<(Vec<usize>, bool), String> {
    if let Some(index) = rules.index(name) {
        return Ok((vec![index], true));
    }
    let all = || rules.rules().iter().enumerate();
    if let Some(pack) = name.strip_suffix("/*") {
        let found: Vec<usize> = all().filter(|(_, rule)| rule.pack() == pack).map(|(index, _)| index).collect();
        if !found.is_empty() {
            return Ok((found, false));
        }
    }
    // A name alone, a pack alone, or the id that another tool has for it.
    let known = rules.find(name);
    if let [rule] = known.as_slice() {
        return Err(format!("there is no rule of this name; did you mean `{}`?", rule.id));
    }
    if all().any(|(_, rule)| rule.pack() == name) {
        return Err(format!("this is a pack, not a rule; write `{name}/*` for all of its rules"));
    }
    let ids = all().map(|(_, rule)| &*rule.id);
    let close = did_you_mean(name, ids).map(|close| format!("did you mean `{close}`?"));
    Err(format!("there is no rule of this name; {}", close.as_deref().unwrap_or("`preflint rules` lists them")))
}
