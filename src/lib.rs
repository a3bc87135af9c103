//! preflint checks what you deploy: Kubernetes manifests, Helm values, Kustomize overlays, Compose files,
//! wrangler configuration and `.env` files.
//!
//! [`check`] takes a [`Tree`] (where bytes come from), a [`Request`] (what is asked for) and [`Settings`] (how to
//! judge) and gives a [`Report`]. It reads files, nothing else: no network, no output, no exit.

mod artifact;
mod check;
pub mod cli;
mod config;
mod error;
mod explain;
mod finding;
mod line_hash;
mod project;
mod redact;
mod report;
mod rule;
mod scan;
mod secret;
mod source;
mod survey;
mod syntax;
mod tree;

pub use check::Version;
pub use config::{Config, Settings};
pub use error::SetupError;
pub use finding::{Confidence, Coverage, Finding, Location, NotAnalysed, Object, Related, Report, Severity};
pub use report::{Format, Style};
pub use rule::{ArtifactKind, Example, FixKind, Param, ParamType, ParamValue, Preset, Rule, RuleSet, Scope, Selection, SelectionError};
pub use scan::{Progress, check, check_source};
pub use source::{MaskedText, Position, Span};
pub use survey::Request;
pub use tree::Tree;
