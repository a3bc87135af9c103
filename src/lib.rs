//! preflint checks what you deploy: Kubernetes manifests, Helm values, Kustomize overlays, Compose files,
//! wrangler configuration and `.env` files.
//!
//! [`check`] takes a [`Tree`] (where bytes come from), a [`Request`] (what is asked for) and [`Settings`] (how to
//! judge) and gives a [`Report`]. It reads files, nothing else: no network, no output, no exit.

mod artifact;
mod baseline;
mod check;
pub mod cli;
mod config;
mod deploy;
mod digest;
mod environment;
mod error;
mod explain;
mod finding;
mod git;
mod init;
mod judge;
mod line_hash;
mod project;
mod redact;
mod report;
mod rule;
mod scan;
mod secret;
mod source;
mod suppress;
mod survey;
mod syntax;
mod tree;

pub use baseline::Baseline;
pub use check::Version;
pub use config::{Config, Settings, config_schema};
pub use error::SetupError;
pub use finding::{
    Compared, Confidence, Coverage, Finding, Location, NotAnalysed, Object, Related, Report, Severity, Status, Suppression, SuppressionKind,
};
pub use report::{Format, Style};
pub use rule::{ArtifactKind, Example, FixKind, Param, ParamType, ParamValue, Preset, Rule, RuleSet, Scope, Selection, SelectionError};
pub use scan::{Progress, check, check_source};
pub use source::{MaskedText, Position, Span};
pub use suppress::Date;
pub use survey::Request;
pub use tree::Tree;
