//! Everything secret in one file: what rules report and what no output may show.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use crate::artifact::{Artifact, Command, PathScope, Placement, Variable, json_pairs};
use crate::check::Check;
use crate::digest::Binding;
use crate::error::SetupError;
use crate::rule::{Reader, Rule};
use crate::secret::{self, Argument, Detector, Judge, Kind, Place, Verdict, Words};
use crate::source::{MaskedText, Source, Span};
use crate::syntax::{Node, Style};

/// Words, formats and detectors, the same for every file.
#[derive(Debug)]
pub(crate) struct Secrets {
    pub(crate) judge: Judge,
    pub(crate) detector: Detector,
    /// Rule, check of the rule, and format of the check for each format of the detector.
    pub(crate) formats: Vec<(std::sync::Arc<str>, usize, usize)>,
}

impl Secrets {
    pub(crate) fn new(words: Reader<'_>, rules: &[Rule]) -> Result<Self, SetupError> {
        let mut lists = std::collections::BTreeMap::new();
        for (key, list) in words.pairs(&[])? {
            lists.insert(key.to_owned(), list.texts()?);
        }
        let words = Words::from_lists(&lists).map_err(SetupError::new)?;
        let (mut all, mut formats) = (Vec::new(), Vec::new());
        for rule in rules {
            for (number, check) in rule.checks.iter().enumerate() {
                let Check::Formats(check) = check else { continue };
                for (index, format) in check.formats.iter().enumerate() {
                    all.push(format.clone());
                    formats.push((std::sync::Arc::clone(&rule.id), number, index));
                }
            }
        }
        let detector = Detector::new(all).map_err(SetupError::new)?.except_published(&words);
        // How long a signing key must be is a parameter of the rule that asks.
        Ok(Self { judge: Judge::new(words, 0), detector, formats })
    }
}

impl Verdict {
    /// The word that rule files know it by.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Default => "default",
            Self::Placeholder => "placeholder",
            Self::WeakKey => "weak-key",
            Self::Literal => "literal",
        }
    }
}

/// A token in the text of a file.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// Index into `Secrets::formats`.
    pub(crate) format: usize,
    pub(crate) span: Span,
}

/// A password in a URL.
#[derive(Debug)]
pub(crate) struct UrlPassword {
    /// Artifact and variable of the file.
    pub(crate) at: (usize, usize),
    pub(crate) span: Span,
    /// The host is this machine.
    pub(crate) local: bool,
    pub(crate) verdict: Verdict,
}

/// A credential among the words of a command.
#[derive(Debug)]
pub(crate) struct ArgumentSecret {
    /// Artifact, command and word of the file.
    pub(crate) at: (usize, usize, usize),
    pub(crate) span: Span,
    /// A `user:password` pair.
    pub(crate) pair: bool,
    pub(crate) verdict: Verdict,
}

/// What is secret in one file.
#[derive(Debug, Default)]
pub(crate) struct FileSecrets {
    pub(crate) tokens: Vec<Token>,
    pub(crate) private_keys: Vec<Span>,
    /// Signed tokens that are no published sample and not meant to be public.
    pub(crate) signed_tokens: Vec<Span>,
    pub(crate) url_passwords: Vec<UrlPassword>,
    pub(crate) arguments: Vec<ArgumentSecret>,
    /// Values of variables that are credentials.
    values: Vec<Span>,
    /// All of them sorted and without overlaps, once asked for.
    merged: OnceCell<Vec<Span>>,
}

impl FileSecrets {
    /// Finds what the text alone shows: formats, keys, signed tokens.
    pub(crate) fn scan(secrets: &Secrets, source: &Source) -> Self {
        let text = &source.text;
        Self {
            tokens: secrets
                .detector
                .scan(text)
                .into_iter()
                .map(|found| Token { format: found.format, span: span(found.span, 0) })
                .collect(),
            private_keys: secret::private_keys(text).into_iter().map(|range| span(range, 0)).collect(),
            signed_tokens: secret::json_web_tokens(text)
                .into_iter()
                .filter(|token| !token.demo && !token.public)
                .map(|token| span(token.span, 0))
                .collect(),
            ..Self::default()
        }
    }

    /// Judges the variables and commands of the file's artifacts; verdicts are kept in the variables.
    pub(crate) fn judge(&mut self, secrets: &Secrets, artifacts: &[Artifact<'_>]) {
        for (number, artifact) in artifacts.iter().enumerate() {
            for (index, variable) in artifact.variables.iter().enumerate() {
                self.variable(secrets, (number, index), artifact.scope, variable);
            }
            for (index, command) in artifact.commands.iter().enumerate() {
                self.command(secrets, (number, index), artifact.scope, command);
            }
        }
    }

    fn variable(&mut self, secrets: &Secrets, at: (usize, usize), scope: PathScope, variable: &Variable<'_>) {
        let verdict = verdict(secrets, scope, variable);
        let _ = variable.verdict.set(verdict);
        if verdict.is_some() {
            variable.signs.set(secrets.judge.credential_name(&variable.name) == Some(Kind::SigningKey));
            self.values.push(variable.span);
        }
        let value = &*variable.value;
        let source = &variable.node.doc.source;
        // Where the value is the text of its span, what is found in it has a place of its own.
        let outer = source.slice(variable.span);
        let inset = outer.find(value).filter(|_| !value.is_empty());
        let place = |range: std::ops::Range<usize>| inset.map_or(variable.span, |inset| span(range, variable.span.start as usize + inset));
        if value.contains("://") {
            for url in secret::url_credentials(value) {
                let part = |range: &std::ops::Range<usize>| value.get(range.clone()).unwrap_or_default();
                // Hosts that no one can own stand in documentation.
                let documented =
                    ["example.com", "example.org", "example.net", ".example", ".invalid"].iter().any(|end| part(&url.host).ends_with(end));
                let verdict = secrets.judge.judge_url(part(&url.user), part(&url.password));
                if let Some(verdict) = verdict.filter(|verdict| !(documented && *verdict == Verdict::Default)) {
                    let local = secret::is_local_host(part(&url.host));
                    self.url_passwords.push(UrlPassword { at, span: place(url.password), local, verdict });
                }
            }
        }
        // Encoded values are no text of the file; what they hold is found after decoding.
        if variable.placement == Placement::SecretData && inset.is_none() {
            let inner = secrets.detector.scan(value);
            self.tokens.extend(inner.into_iter().map(|found| Token { format: found.format, span: variable.span }));
            if !secret::private_keys(value).is_empty() {
                self.private_keys.push(variable.span);
            }
            if secret::json_web_tokens(value).iter().any(|token| !token.demo && !token.public) {
                self.signed_tokens.push(variable.span);
            }
        }
    }

    fn command<'a>(&mut self, secrets: &Secrets, at: (usize, usize), scope: PathScope, command: &Command<'a>) {
        // Scripts are read where they stand, escapes and all, so that their parts have places.
        let exact = |word: &Node<'_>| word.is_verbatim() || matches!(word.style(), Style::Literal | Style::Folded);
        let text = |word: &Node<'a>| if exact(word) { word.doc.source.slice(word.value_span()) } else { word.text().unwrap_or_default() };
        let texts: Vec<&'a str> = command.words.iter().map(text).collect();
        let found = match texts.as_slice() {
            // The words of a script are not the words of the list, which is the script alone.
            [script] => secrets.judge.in_command(script).into_iter().map(|found| Argument { word: 0, ..found }).collect(),
            words => secrets.judge.argument_secrets(words),
        };
        for found in found {
            let Some((word, text)) = command.words.get(found.word).zip(texts.get(found.word)) else { continue };
            let value = text.get(found.span.clone()).unwrap_or_default();
            let verdict = in_its_scope(found.verdict, value, scope);
            let span = if exact(word) { span(found.span, word.value_span().start as usize) } else { word.span() };
            self.arguments.push(ArgumentSecret { at: (at.0, at.1, found.word), span, pair: found.basic, verdict });
        }
    }

    pub(crate) fn spans(&self) -> impl Iterator<Item = Span> {
        let tokens = self.tokens.iter().map(|token| token.span);
        let urls = self.url_passwords.iter().map(|url| url.span);
        let arguments = self.arguments.iter().map(|argument| argument.span);
        let texts = [&self.private_keys, &self.signed_tokens, &self.values].into_iter().flatten().copied();
        tokens.chain(urls).chain(arguments).chain(texts)
    }

    /// Whether a secret stands in this span.
    pub(crate) fn covers(&self, span: Span) -> bool {
        let merged = self.merged.get_or_init(|| merged(self.spans().collect()));
        let before = merged.partition_point(|secret| secret.start < span.end);
        before.checked_sub(1).and_then(|last| merged.get(last)).is_some_and(|secret| secret.overlaps(span))
    }

    /// Where a text of another file repeats a secret of this one.
    pub(crate) fn repeated_in(&self, source: &Source, text: &str) -> Vec<Span> {
        repeated(&texts(source, self.spans()), text, 0)
    }

    /// Every span that output must mask, the text's own lines read once more without structure.
    pub(crate) fn masks(&self, secrets: &Secrets, source: &Source) -> Vec<Span> {
        let lines = secrets.judge.redact_lines(&source.text).into_iter().map(|range| span(range, 0));
        let text = source.text.as_str();
        let pairs = json_pairs(text).filter(|(name, _)| secrets.judge.credential_name(name).is_some()).map(|(_, value)| {
            let start = (value.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
            Span::new(start, start + value.len())
        });
        self.spans().chain(lines).chain(pairs).collect()
    }
}

/// The secrets that stand at places of a source, as they are looked for elsewhere.
pub(crate) fn texts(source: &Source, secrets: impl Iterator<Item = Span>) -> BTreeSet<&str> {
    secrets.map(|span| source.slice(span).trim_matches(['"', '\''])).filter(|secret| secret.len() >= 4).collect()
}

/// The places of a text that repeat a secret, such as a comment that quotes it; the text begins at `offset`.
pub(crate) fn repeated(secrets: &BTreeSet<&str>, text: &str, offset: u32) -> Vec<Span> {
    let places =
        |secret: &&str| text.match_indices(*secret).map(|(at, secret)| span(at..at + secret.len(), offset as usize)).collect::<Vec<_>>();
    secrets.iter().flat_map(places).collect()
}

/// Sorted spans, overlapping ones joined.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    joined
}

/// A text that is no artifact, such as a configuration, without what looks like a secret.
pub(crate) fn masked(secrets: &Secrets, source: &Source) -> MaskedText {
    let mut masks = FileSecrets::scan(secrets, source).masks(secrets, source);
    masks.extend(random_words(&source.text, 0));
    MaskedText::new(&source.text, &masks)
}

/// Words of prose that look drawn at random, such as a key quoted in the reason of a suppression; the text begins at
/// `offset`. What a suppression binds a secret with is left.
pub(crate) fn random_words(text: &str, offset: u32) -> Vec<Span> {
    let mut found = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || "\"'`()[]{},;=:<>|".contains(c)) {
        let start = (word.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        let mixed = word.bytes().any(|byte| byte.is_ascii_digit()) && word.bytes().any(|byte| byte.is_ascii_alphabetic());
        if mixed && secret::looks_random(word, 3.0, 12) && Binding::parse(word).is_none() {
            found.push(span(start..start + word.len(), offset as usize));
        }
    }
    found
}

fn span(range: std::ops::Range<usize>, offset: usize) -> Span {
    Span::new(range.start + offset, range.end + offset)
}

/// `scope` is that of the file; a variable may have one of its own.
fn verdict(secrets: &Secrets, scope: PathScope, variable: &Variable<'_>) -> Option<Verdict> {
    let value = &*variable.value;
    if variable.placement == Placement::SecretData {
        return secrets.judge.judge_secret_data(&variable.name, value);
    }
    let kind: Kind = secrets.judge.credential_name(&variable.name)?;
    let place = match variable.placement {
        Placement::HelmValue | Placement::Embedded => Place::Values,
        Placement::Setting | Placement::Annotation => Place::Setting,
        _ => Place::Direct,
    };
    let verdict = secrets.judge.judge(kind, value, place)?;
    match verdict {
        // `privateKeySecret: my-secret` names an object, however often the name is used as a password.
        Verdict::Default if place == Place::Values && variable.name.ends_with("Secret") && value.contains('-') => None,
        // A value of a chart that says its own name tells the reader what to put there.
        Verdict::Literal if variable.placement == Placement::HelmValue && says_its_name(&variable.name, value) => {
            Some(Verdict::Placeholder)
        }
        // An environment called dev is deployed like any other; a test folder is not.
        verdict if variable.placement == Placement::WranglerVar => Some(in_its_scope(verdict, value, scope)),
        verdict => Some(in_its_scope(verdict, value, variable.scope)),
    }
}

/// What a development file sets and anyone knows or can guess is a dummy.
fn in_its_scope(verdict: Verdict, value: &str, scope: PathScope) -> Verdict {
    match verdict {
        Verdict::Default if scope == PathScope::Development => Verdict::Placeholder,
        Verdict::Literal | Verdict::WeakKey if scope == PathScope::Development && !looks_drawn(value) => Verdict::Placeholder,
        verdict => verdict,
    }
}

fn says_its_name(name: &str, value: &str) -> bool {
    let flat = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    name.len() >= 8 && flat(value).contains(&flat(name)) && !value.ends_with(|last: char| last.is_ascii_digit())
}

/// Whether a value was drawn at random rather than thought of: letters, capitals and digits take turns.
fn looks_drawn(value: &str) -> bool {
    let class = |byte: u8| (byte.is_ascii_lowercase(), byte.is_ascii_uppercase(), byte.is_ascii_digit());
    let turns = value.as_bytes().windows(2).filter(|pair| matches!(pair, [a, b] if class(*a) != class(*b))).count();
    turns >= 4 && secret::looks_random(value, 3.0, 10)
}
