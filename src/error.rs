//! Errors of the setup: a bad option, configuration or rule file. They end a run before anything is checked.

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

use crate::redact::masked;
use crate::rule::RuleSet;
use crate::source::{Source, Span};

/// A setup that cannot be used: what is wrong, where, and what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SetupError {
    message: String,
    help: Option<String>,
    place: Option<Box<(NamedSource<String>, Span)>>,
}

impl SetupError {
    /// An error that no file shows.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, place: None }
    }

    /// An error in a file's text.
    pub(crate) fn at(path: &str, text: &str, span: Span, message: impl Into<String>) -> Self {
        let source = NamedSource::new(path, text.to_owned());
        Self { message: message.into(), help: None, place: Some(Box::new((source, span))) }
    }

    /// The same with nothing in the shown text that looks like a secret.
    #[must_use]
    pub(crate) fn masked(mut self, rules: &RuleSet) -> Self {
        if let Some(place) = &mut self.place {
            let path = place.0.name().to_owned();
            let source = Source { path: path.as_str().into(), text: place.0.inner().clone(), bom: false };
            place.0 = NamedSource::new(path, masked(&rules.data.secrets, &source).text().to_owned());
        }
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds "did you mean", where a known word is close.
    #[must_use]
    pub(crate) fn suggest<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match crate::rule::did_you_mean(word, known.iter().copied()) {
            Some(close) => self.help(format!("did you mean `{close}`?")),
            None => self.help(format!("known here: {}", known.join(", "))),
        }
    }
}

impl Diagnostic for SetupError {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn std::fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.place.as_ref().map(|place| &place.0 as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.place.as_ref()?;
        let label = LabeledSpan::at(place.1.range(), "here");
        Some(Box::new(std::iter::once(label)))
    }
}
