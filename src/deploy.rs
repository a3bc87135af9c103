//! Environments as they are deployed: composed, checked, and each finding taken back to the file that it is about.

use std::sync::Arc;

use crate::artifact::{self, Artifact, Context, PathScope, in_example_folder, is_fragment_name};
use crate::check::{Draft, File, Lazy, Part, check_file};
use crate::environment::compose::compose;
use crate::environment::helm::Release;
use crate::environment::{Composed, Origins, ProblemKind, kustomize};
use crate::finding::Location;
use crate::project::facts;
use crate::redact::FileSecrets;
use crate::rule::ArtifactKind;
use crate::scan::{Outcome, Scan, scan_draft};
use crate::secret;
use crate::source::Span;
use crate::survey::{State, Survey};
use crate::syntax::Parsed;

/// An environment that was composed.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    /// Path of the joined source, which facts and findings of rules over them refer to.
    pub(crate) name: Arc<str>,
    pub(crate) origins: Origins,
    /// See `Composed::open`.
    pub(crate) open: bool,
    pub(crate) kind: ArtifactKind,
    /// How many objects or services it deploys.
    pub(crate) objects: usize,
    /// What was not evaluated: where that is said, and why.
    pub(crate) missing: Vec<(Location, String)>,
}

impl Environment {
    /// A draft whose places are those of the files of the environment; none where it is about no file.
    pub(crate) fn taken_back(&self, mut draft: Draft) -> Option<Draft> {
        let back = |location: &Location| {
            if *location.path == *self.name { self.origins.locate(location.span) } else { Some(location.clone()) }
        };
        draft.location = back(&draft.location)?;
        draft.related = draft
            .related
            .into_iter()
            .filter_map(|mut related| {
                related.location = back(&related.location)?;
                Some(related)
            })
            .collect();
        Some(draft)
    }
}

/// Composes and checks the Compose files of one environment, in the order they are merged.
pub(crate) fn check_compose(scan: Scan<'_>, files: &[&str]) -> Outcome {
    // What `docker compose up` puts over the rest on a developer's machine does not make the rest one.
    let main = files.iter().rev().find(|file| !is_fragment_name(file)).or(files.first()).copied().unwrap_or_default();
    let complete = !files.first().is_some_and(|file| is_fragment_name(file));
    check_environment(scan, ArtifactKind::Compose, compose(scan.tree, files), scan.settings.scope(main), complete, &[])
}

/// Builds and checks the kustomization of a folder.
pub(crate) fn check_kustomization(scan: Scan<'_>, folder: &str, survey: &Survey) -> Outcome {
    let composed = kustomize::build(scan.tree, folder);
    let scope = scan.settings.scope(format!("{folder}/kustomization.yaml").trim_start_matches('/'));
    let mut images: Vec<String> = composed
        .origins
        .parts()
        .iter()
        .filter_map(|(_, path)| survey.entries.binary_search_by(|entry| entry.path.cmp(path)).ok())
        .filter_map(|index| survey.entries.get(index))
        .flat_map(|entry| entry.images.iter().cloned())
        .collect();
    images.sort_unstable();
    images.dedup();
    check_environment(scan, ArtifactKind::Kubernetes, composed, scope, true, &images)
}

/// Merges and checks the values of a release.
pub(crate) fn check_release(scan: Scan<'_>, release: &Release) -> Outcome {
    let composed = release.compose(scan.tree);
    let scope = scan.settings.scope(&composed.source.path);
    let mut outcome = check_environment(scan, ArtifactKind::HelmValues, composed, scope, true, &[]);
    for draft in &mut outcome.drafts {
        let object = &mut draft.object;
        (object.kind, object.namespace, object.name) = ("release".to_owned(), release.namespace.clone(), release.name.clone());
    }
    outcome
}

/// Checks what an environment deploys: artifacts of one kind. `complete`: see `Place::complete`.
fn check_environment(
    scan: Scan<'_>,
    kind: ArtifactKind,
    composed: Composed,
    scope: PathScope,
    complete: bool,
    images: &[String],
) -> Outcome {
    let Composed { source, origins, documents, incomplete, not_evaluated, open, problems } = composed;
    let Scan { tree, files: all, settings, profiles } = scan;
    let missing = not_evaluated.iter().filter_map(|(span, what)| Some((origins.locate(*span)?, what.clone()))).collect();
    let mut environment = Environment { name: Arc::clone(&source.path), origins, open, kind, objects: documents.len(), missing };
    if kind == ArtifactKind::Compose {
        let services = documents.iter().filter_map(|document| document.root().get("services"));
        environment.objects = services.map(|services| services.entries().len()).sum();
    }
    let origins = &environment.origins;
    let files: Vec<&str> = origins.parts().iter().map(|(_, path)| &**path).collect();
    let mut outcome = Outcome::default();
    let parsed = Parsed { documents, errors: Vec::new() };
    // A file that is for development says so of its own lines, whatever it is deployed with.
    let scope_of = |path: &str| match settings.scope(path) {
        PathScope::Development => PathScope::Development,
        _ => scope,
    };
    let scopes = [scope, PathScope::Development];
    let scopes = if scope == PathScope::Development || !files.iter().any(|path| scope_of(path) != scope) { &scopes[..1] } else { &scopes };
    for &scope in scopes {
        let artifacts: Vec<Artifact<'_>> = parsed
            .documents
            .iter()
            .enumerate()
            .flat_map(|(number, document)| {
                let context = Context { scope, complete: complete && !incomplete.contains(&number), crds: false };
                artifact::artifacts(kind, document.root(), &context)
            })
            .collect();
        let mut secrets = FileSecrets::scan(&settings.rules.data.secrets, &source);
        secrets.judge(&settings.rules.data.secrets, &artifacts);
        if outcome.facts.is_empty() {
            outcome.facts = artifacts.iter().filter_map(|artifact| facts(&source.path, artifact)).collect();
        }
        for profile in profiles.all() {
            let own = |path: &str| scope_of(path) == scope && std::ptr::eq(profiles.of(path), profile);
            if !files.iter().any(|path| own(path)) {
                continue;
            }
            let patched = patched(&artifacts, origins);
            let mut file = File {
                part: Part::Deployed,
                source: &source,
                parsed: &parsed,
                artifacts: &artifacts,
                secrets: &secrets,
                rules: &settings.rules,
                kubernetes_version: settings.kubernetes_version,
                today: settings.policy.today,
                tree,
                files: all,
                state: State::Tracked,
                images,
                problems: &problems,
                lazy: Lazy::default(),
            };
            let mut drafts = check_file(&file, &profile.active);
            if !patched.is_empty() {
                file.part = Part::Patched;
                let more = check_file(&file, &profile.active).into_iter();
                drafts.extend(more.filter(|draft| patched.iter().any(|span| span.contains(draft.location.span))));
            }
            for mut draft in drafts {
                if secrets.covers(draft.location.span) {
                    draft.secret = Some(secret::unquoted(source.slice(draft.location.span)).into());
                }
                outcome.drafts.extend(environment.taken_back(draft).filter(|draft| own(&draft.location.path)));
            }
        }
        outcome.masks.extend(secrets.spans().filter_map(|span| origins.locate(span)));
    }
    let reported = settings.rules.index("kustomize/reference-missing");
    for (span, what) in not_evaluated {
        let place = origins.locate(span);
        // One cause, one finding.
        let missing = problems.iter().any(|problem| problem.kind == ProblemKind::Path && problem.span == span);
        let runs = |path: &str| reported.is_some_and(|rule| profiles.of(path).runs(rule));
        let place = place.filter(|place| !missing || !runs(&place.path));
        outcome
            .drafts
            .extend(place.and_then(|place| scan_draft(settings, "scan/environment-not-evaluated", &place.path, place.span, what)));
    }
    for draft in &mut outcome.drafts {
        draft.environment = Some(source.path.to_string());
        if in_example_folder(&draft.location.path) {
            draft.confidence = draft.confidence.lower();
        }
    }
    outcome.environment = Some(environment);
    outcome
}

/// Variables that another file puts into an object than the one that holds it: where a patch is no object, nothing but
/// the environment tells what its texts are.
fn patched(artifacts: &[Artifact<'_>], origins: &Origins) -> Vec<Span> {
    let file = |span: Span| origins.locate(span).map(|place| place.path);
    artifacts
        .iter()
        .filter(|artifact| artifact.kind == ArtifactKind::Kubernetes)
        .flat_map(|artifact| {
            let own = file(artifact.root.span());
            artifact.variables.iter().map(|variable| variable.span).filter(move |span| file(*span) != own)
        })
        .collect()
}
