//! Native checks of pack datastores.

use std::sync::OnceLock;

use regex::Regex;

use crate::artifact::{Artifact, PathScope, Placement, Role, TargetKind, Variable};
use crate::check::Run;
use crate::finding::Severity;
use crate::rule::ArtifactKind;
use crate::source::Span;

/// Whether the rule judges a variable where it stands; embedded configuration counts wherever it does.
pub(super) fn judges(run: &Run<'_, '_>, artifact: &Artifact<'_>, variable: &Variable<'_>) -> bool {
    let kind = if variable.placement == Placement::Embedded { ArtifactKind::Embedded } else { artifact.kind };
    run.rule.artifacts.contains(&kind)
}

pub(super) fn span_of(variable: &Variable<'_>) -> Span {
    if variable.span.is_empty() { variable.node.place() } else { variable.span }
}

/// Reports settings with which `PostgreSQL` acknowledges what it may lose.
pub(crate) fn postgres_durability_off(run: &mut Run<'_, '_>) {
    for artifact in run.file.artifacts {
        // Copies for reports can be made again.
        let object = artifact.object.name.to_ascii_lowercase();
        let copy = |name: &str| name.split(['-', '_', '.', '/']).any(|word| matches!(word, "analytics" | "reporting" | "reports" | "olap"));
        if copy(&object) || copy(&run.file.source.path.to_ascii_lowercase()) {
            continue;
        }
        for variable in artifact.variables.iter().filter(|variable| variable.scope != PathScope::Development) {
            let name = variable.name.to_ascii_lowercase();
            let value = variable.value.trim().trim_matches(['\'', '"']).to_ascii_lowercase();
            let off = match name.as_str() {
                "synchronous_commit" | "full_page_writes" => matches!(value.as_str(), "off" | "false" | "no" | "0"),
                // Other programs have an `fsync` of their own.
                "fsync" => value == "off",
                _ => false,
            };
            if off && judges(run, artifact, variable) && !copy(variable.container) {
                let object = artifact.object_at(variable.node, variable.container);
                let loses = if name == "synchronous_commit" {
                    "acknowledges commits that a crash can lose"
                } else {
                    "can lose the whole database in a crash"
                };
                let draft = run.report(span_of(variable), object, format!("with `{name}` off PostgreSQL {loses}"));
                if name == "synchronous_commit" {
                    draft.severity = Severity::Medium;
                }
            }
        }
    }
}

/// A line of `pg_hba.conf` that lets anyone in from any address; its method is the group.
fn open_line() -> Option<&'static Regex> {
    static LINE: OnceLock<Option<Regex>> = OnceLock::new();
    LINE.get_or_init(|| {
        Regex::new(
            r"(?m)^[ \t]*(?:- )?(?:host|hostssl|hostnossl|hostgssenc|hostnogssenc)[ \t]+\S+[ \t]+\S+[ \t]+(?:0\.0\.0\.0/0|::/0|::0/0|all|0\.0\.0\.0[ \t]+0\.0\.0\.0)[ \t]+(trust|md5|password)[ \t]*(?:$|#|\r)",
        )
        .ok()
    })
    .as_ref()
}

/// Reports `PostgreSQL` that lets everyone in, or an application in as superuser.
pub(crate) fn postgres_trust_authentication(run: &mut Run<'_, '_>) {
    for artifact in run.file.artifacts.iter().filter(|artifact| artifact.scope != PathScope::Development) {
        for variable in artifact.variables.iter().filter(|variable| variable.name == "POSTGRES_HOST_AUTH_METHOD") {
            let init = artifact.targets(TargetKind::Container).any(|place| place.role == Role::Init && place.name() == variable.container);
            if variable.value.trim() == "trust" && variable.scope != PathScope::Development && !init && judges(run, artifact, variable) {
                let object = artifact.object_at(variable.node, variable.container);
                run.report(span_of(variable), object, "PostgreSQL lets everyone in without a password");
            }
        }
        if run.judges(artifact) || run.rule.artifacts.contains(&ArtifactKind::Embedded) {
            lines(run, artifact);
        }
        let superusers = artifact.root.at_path(&["spec", "managed", "roles"]).into_iter().flat_map(crate::syntax::Node::items);
        for role in superusers.filter(|_| artifact.object.kind == "Cluster") {
            let Some(node) = role.get("superuser").filter(|node| node.as_bool() == Some(true)) else { continue };
            let name = role.text_of("name").unwrap_or_default();
            if name != "postgres" && role.text_of("ensure") != Some("absent") {
                run.report(node.place(), artifact.object_at(node, ""), format!("role `{name}` is a superuser"));
            }
        }
    }
}

fn lines(run: &mut Run<'_, '_>, artifact: &Artifact<'_>) {
    let Some(pattern) = open_line() else { return };
    for node in artifact.root.values() {
        let span = node.value_span();
        let text = run.file.source.slice(span);
        if !node.is_scalar() || node.is_alias() || !text.contains("host") {
            continue;
        }
        for found in pattern.captures_iter(text) {
            let Some(method) = found.get(1) else { continue };
            let start = span.start as usize + method.start();
            let message = match method.as_str() {
                "trust" => "PostgreSQL lets everyone in from any address without a password",
                "md5" => "PostgreSQL takes MD5 hashes of passwords from any address",
                _ => "PostgreSQL takes passwords in clear text from any address",
            };
            let draft = run.report(Span::new(start, start + method.len()), artifact.object_at(node, ""), message);
            if method.as_str() != "trust" {
                draft.severity = Severity::Medium;
            }
        }
    }
}
