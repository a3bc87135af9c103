//! Files that the rules of SOPS say are encrypted, and that are not.

use regex::Regex;

use super::secrets::Sops;
use crate::artifact::{Artifact, Variable};
use crate::check::Run;
use crate::rule::ArtifactKind;
use crate::secret::Verdict;
use crate::survey::State;
use crate::syntax::{Node, Syntax};
use crate::tree::parent;

/// How a rule for creating files meets a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meets {
    /// Its pattern speaks of files like this one.
    Named,
    /// It takes whatever has this ending, or everything.
    Any,
}

/// How the first rule that meets a path does; the path is relative to the folder of the rules.
fn meets(rules: Node<'_>, path: &str) -> Option<Meets> {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    rules.items().find_map(|rule| {
        let Some(text) = rule.text_of("path_regex") else { return Some(Meets::Any) };
        let pattern = Regex::new(text).ok()?;
        let any = ["some/other/name", "name"].iter().any(|name| pattern.is_match(&format!("{name}.{ending}")));
        pattern.is_match(path).then_some(if any { Meets::Any } else { Meets::Named })
    })
}

/// What the nearest `.sops.yaml` above a file says of it.
fn asked(run: &Run<'_, '_>) -> Option<Meets> {
    let path = &*run.file.source.path;
    let folder = std::iter::successors(parent(path), |folder| parent(folder)).find(|folder| run.file.tree.is_file(&rules_in(folder)))?;
    let parsed = run.file.files.parsed(&rules_in(folder), Syntax::Yaml)?;
    let below = if folder.is_empty() { path } else { path.get(folder.len() + 1..)? };
    meets(parsed.documents.first()?.root().get("creation_rules")?, below)
}

fn rules_in(folder: &str) -> String {
    if folder.is_empty() { ".sops.yaml".to_owned() } else { format!("{folder}/.sops.yaml") }
}

fn is_readable(variable: &Variable<'_>) -> bool {
    let value = variable.value.trim();
    !value.is_empty() && !value.starts_with("ENC[") && !["{{", "${", "<%"].iter().any(|mark| value.contains(mark))
}

/// The first value of an artifact that should not be readable.
fn exposed<'a, 'd>(artifact: &'a Artifact<'d>, meets: Meets) -> Option<&'a Variable<'d>> {
    let credential = |variable: &&Variable<'_>| {
        matches!(variable.verdict.get().copied().flatten(), Some(Verdict::Token | Verdict::Literal | Verdict::WeakKey | Verdict::Default))
    };
    let secret_data = |variable: &&Variable<'_>| {
        let first = variable.node.keys().first().copied();
        artifact.object.kind == "Secret" && matches!(first, Some("data" | "stringData"))
    };
    let all = || artifact.variables.iter().filter(|variable| is_readable(variable));
    all().find(credential).or_else(|| match (meets, artifact.kind) {
        (Meets::Named, ArtifactKind::Kubernetes) => all().find(secret_data),
        (Meets::Named, ArtifactKind::Dotenv | ArtifactKind::HelmValues) => all().next(),
        _ => None,
    })
}

/// Reports files that SOPS should have encrypted.
pub(crate) fn sops_file_unencrypted(run: &mut Run<'_, '_>) {
    let file = run.file;
    let name = file.source.path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let shown = name.split(['.', '-', '_']).any(|word| matches!(word, "example" | "sample" | "template" | "readme" | "schema" | "dist"));
    let candidates: Vec<&Artifact<'_>> = run.artifacts().filter(|artifact| Sops::read(artifact).is_none()).collect();
    if shown || candidates.is_empty() || file.state == State::Ignored {
        return;
    }
    let Some(meets) = asked(run) else { return };
    let Some((artifact, variable)) = candidates.iter().find_map(|artifact| Some((*artifact, exposed(artifact, meets)?))) else { return };
    let at = variable.node.key().map_or(variable.span, Node::span);
    run.report(at, artifact.object_at(variable.node, ""), "a rule in .sops.yaml covers this file, which is not encrypted");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::Source;
    use crate::syntax;

    #[test]
    fn the_first_rule_that_fits_decides() {
        let text = "- path_regex: secrets/.*\\.ya?ml$\n- path_regex: .*\\.env$\n- age: x\n".to_owned();
        let parsed = syntax::parse(&Arc::new(Source { path: "a".into(), text, bom: false }), Syntax::Yaml);
        let Some(document) = parsed.documents.first() else { unreachable!("it parses") };
        assert_eq!(meets(document.root(), "secrets/a.yaml"), Some(Meets::Named));
        assert_eq!(meets(document.root(), "web.env"), Some(Meets::Any));
        assert_eq!(meets(document.root(), "b.yaml"), Some(Meets::Any));
    }
}
