//! Native checks of pack secrets.

use crate::artifact::{PathScope, Placement};
use crate::check::{Formats, Run, fill};
use crate::finding::Object;
use crate::rule::ArtifactKind;
use crate::secret::{Verdict, looks_random};
use crate::source::Span;

/// Reports the tokens that match the formats of a check.
pub(crate) fn formats(run: &mut Run<'_, '_>, number: usize, formats: &Formats) {
    let file = run.file;
    let known = &file.rules.data.secrets.formats;
    for token in &file.secrets.tokens {
        let Some((rule, check, format)) = known.get(token.format) else { continue };
        if **rule != *run.rule.id || *check != number || in_comment(run, token.span) {
            continue;
        }
        let name = formats.formats.get(*format).map(|format| format.name.clone()).unwrap_or_default();
        let message = fill(&formats.message, &run.active.params, |word| (word == "name").then(|| name.clone()));
        let object = object_of(run, token.span);
        run.report(token.span, object, message);
    }
}

/// What the variable or artifact at a place is about.
fn object_of(run: &Run<'_, '_>, span: Span) -> Object {
    let artifacts = run.file.artifacts;
    let holder = |artifact: &&crate::artifact::Artifact<'_>| artifact.root.span().overlaps(span);
    let Some(artifact) = artifacts.iter().find(holder).or(artifacts.first().filter(|_| artifacts.len() == 1)) else {
        return Object::default();
    };
    match artifact.variables.iter().find(|variable| variable.span.overlaps(span)) {
        Some(variable) => artifact.object_at(variable.node, variable.container),
        None => artifact.object.clone(),
    }
}

/// Comments are masked, but nobody deploys them.
fn in_comment(run: &Run<'_, '_>, span: Span) -> bool {
    run.file.parsed.documents.iter().any(|document| document.comments.iter().any(|comment| comment.overlaps(span)))
}

/// A password in a URL, or a `user:password` pair of a command.
pub(crate) fn credential_in_url(run: &mut Run<'_, '_>) {
    let file = run.file;
    for url in &file.secrets.url_passwords {
        let Some(artifact) = file.artifacts.get(url.at.0) else { continue };
        let Some(variable) = artifact.variables.get(url.at.1) else { continue };
        let inside = artifact.kind == ArtifactKind::Compose && file_has_service(artifact, variable.value.as_ref());
        let harmless = variable.scope == PathScope::Development && (url.local || inside || url.verdict == Verdict::Default);
        if url.verdict == Verdict::Placeholder || harmless {
            continue;
        }
        let object = artifact.object_at(variable.node, variable.container);
        let name = &variable.name;
        let message = if url.verdict == Verdict::Default {
            format!("the URL in `{name}` holds a published default password")
        } else {
            format!("the URL in `{name}` holds a password")
        };
        let draft = run.report(url.span, object, message);
        // A default of a service beside it is weak, but not a leak of something secret.
        if url.verdict == Verdict::Default {
            draft.severity = draft.severity.lower();
        }
    }
    for argument in file.secrets.arguments.iter().filter(|argument| argument.pair && argument.verdict != Verdict::Placeholder) {
        let Some((artifact, command)) =
            file.artifacts.get(argument.at.0).and_then(|artifact| Some((artifact, artifact.commands.get(argument.at.1)?)))
        else {
            continue;
        };
        let Some(word) = command.words.get(argument.at.2) else { continue };
        let object = artifact.object_at(*word, command.container);
        run.report(argument.span, object, "a command passes a user and a password");
    }
}

/// Whether the host of a URL is a service of the same Compose file.
fn file_has_service(artifact: &crate::artifact::Artifact<'_>, url: &str) -> bool {
    let host = url.rsplit_once('@').map_or("", |(_, rest)| rest.split([':', '/', '?']).next().unwrap_or_default());
    artifact.places.iter().any(|place| place.object.name == host)
}

/// A private key in the text.
pub(crate) fn private_key_material(run: &mut Run<'_, '_>) {
    let file = run.file;
    // A folder called dev or local is deployed; these only serve tests.
    let in_tests = file.source.path.split('/').any(|part| matches!(part, "testdata" | "fixtures" | "test" | "tests" | "e2e" | "ci"));
    for &span in &file.secrets.private_keys {
        if in_comment(run, span) {
            continue;
        }
        // The first line says what it is; the whole key would fill the screen.
        let text = file.source.slice(span);
        let first = text.find('\n').map_or(text.len(), |end| text.get(..end).unwrap_or(text).trim_end().len());
        let object = object_of(run, span);
        let draft =
            run.report(Span::new(span.start as usize, span.start as usize + first), object, "a private key stands here in clear text");
        if in_tests {
            draft.severity = draft.severity.lower();
        }
    }
}

/// A signed JSON Web Token.
pub(crate) fn json_web_token(run: &mut Run<'_, '_>) {
    let file = run.file;
    for &span in &file.secrets.signed_tokens {
        if in_comment(run, span) {
            continue;
        }
        let object = object_of(run, span);
        run.report(span, object, "a signed JSON Web Token stands here in clear text");
    }
}

/// A random value of a credential-named key where no other rule looks.
pub(crate) fn high_entropy_value(run: &mut Run<'_, '_>) {
    let file = run.file;
    let least = run.active.number("min-entropy").unwrap_or(3.5);
    let length = run.active.number("min-length").unwrap_or(20.0);
    for artifact in file.artifacts {
        for variable in &artifact.variables {
            let open = matches!(variable.placement, Placement::Annotation | Placement::Setting | Placement::Embedded | Placement::Argument);
            let verdict = variable.verdict.get().copied().flatten();
            let secret = matches!(verdict, Some(Verdict::Literal | Verdict::WeakKey | Verdict::Token));
            if open && secret && variable.value.len() as f64 >= length && looks_random(&variable.value, least, 0) {
                let object = artifact.object_at(variable.node, variable.container);
                run.report(variable.span, object, format!("`{}` is named like a credential and holds a random value", variable.name));
            }
        }
    }
}

/// A credential among the arguments of a command.
pub(crate) fn literal_in_args(run: &mut Run<'_, '_>) {
    let file = run.file;
    for argument in file.secrets.arguments.iter().filter(|argument| !argument.pair && argument.verdict != Verdict::Placeholder) {
        let Some(artifact) = file.artifacts.get(argument.at.0) else { continue };
        if !run.judges(artifact) {
            continue;
        }
        let Some(command) = artifact.commands.get(argument.at.1) else { continue };
        let Some(word) = command.words.get(argument.at.2) else { continue };
        let object = artifact.object_at(*word, command.container);
        run.report(argument.span, object, "a command is given a credential as a literal argument");
    }
}
