//! Artifacts: documents with a kind, and the targets that rules look at. The only place that knows where containers live.

mod compose;
mod dotenv;
mod embedded;
mod helm;
mod hosts;
mod interpolation;
pub(crate) mod kubernetes;
mod kustomize;
mod wrangler;

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use crate::check::Steps;
use crate::finding::Object;
use crate::rule::ArtifactKind;
use crate::secret::Verdict;
use crate::source::Span;
use crate::syntax::Node;

pub(crate) use compose::is_compose;
pub(crate) use embedded::{Inner, LineMap, inner_documents, json_pairs};
pub(crate) use helm::{merge_over, switched_off};
pub(crate) use hosts::{host_in, service_in};
pub(crate) use interpolation::{Form, Part, interpolated, name_at, parts};
pub(crate) use kubernetes::{is_kubernetes, objects};
pub(crate) use kustomize::{Kustomization, is_remote};
pub(crate) use wrangler::worker_entries;

/// What the words of a path (and of an environment) say about where an artifact is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathScope {
    Production,
    Development,
    Unscoped,
}

const DEVELOPMENT: &[&str] = &[
    "dev",
    "develop",
    "development",
    "local",
    "test",
    "tests",
    "testing",
    "testdata",
    "fixtures",
    "e2e",
    "ci",
    "sandbox",
    "preview",
    "override",
];
const EXAMPLE: &[&str] = &["example", "examples", "sample", "samples"];

impl PathScope {
    /// Judges a path below the root by its whole tokens.
    pub(crate) fn of_path(path: &str) -> Self {
        let (_, file) = path.rsplit_once('/').unwrap_or(("", path));
        // `.env.prod.example` is an example, whatever it is an example of.
        let file = file.to_ascii_lowercase();
        if tokens(&file).any(|token| matches!(token, "example" | "sample")) || file.ends_with(".template") || file.ends_with(".dist") {
            return Self::Development;
        }
        Self::of_words(path)
    }

    /// Judges words such as the name of an environment.
    pub(crate) fn of_words(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        if tokens(&lower).any(|token| DEVELOPMENT.contains(&token)) {
            Self::Development
        } else if tokens(&lower).any(|token| matches!(token, "prod" | "production")) {
            Self::Production
        } else {
            Self::Unscoped
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Development => "development",
            Self::Unscoped => "unscoped",
        }
    }
}

fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(['/', '-', '_', '.']).filter(|token| !token.is_empty())
}

/// Whether a folder on the path is called examples or samples.
pub(crate) fn in_example_folder(path: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(folders, _)| tokens(&folders.to_ascii_lowercase()).any(|token| EXAMPLE.contains(&token)))
}

/// Whether a path says that the file is merged into another one, whatever does that.
pub(crate) fn is_fragment_name(path: &str) -> bool {
    is_patch_name(path) || path.contains(".override.") || path.contains(".override-")
}

fn is_patch_name(path: &str) -> bool {
    tokens(&path.to_ascii_lowercase()).any(|token| matches!(token, "patch" | "patches"))
}

/// Kinds of targets that are nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetKind {
    Object,
    Workload,
    Pod,
    Container,
    Grant,
    Service,
    Worker,
    Entry,
    Resources,
    SecurityContext,
}

impl TargetKind {
    pub(crate) const WORDS: &'static [(&'static str, Self)] = &[
        ("object", Self::Object),
        ("workload", Self::Workload),
        ("pod", Self::Pod),
        ("container", Self::Container),
        ("grant", Self::Grant),
        ("service", Self::Service),
        ("worker", Self::Worker),
        ("entry", Self::Entry),
        ("resources", Self::Resources),
        ("security-context", Self::SecurityContext),
    ];
}

/// What a container is in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Main,
    /// An init container that restarts Always.
    Sidecar,
    /// A known agent of a service mesh or the like.
    Injected,
    Init,
    Ephemeral,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Sidecar => "sidecar",
            Self::Injected => "injected",
            Self::Init => "init",
            Self::Ephemeral => "ephemeral",
        }
    }
}

/// Further nodes where a path is looked up when the first has none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer<'d> {
    pub(crate) node: Node<'d>,
    /// Whether the path with this prefix is inherited from here.
    pub(crate) inherits: fn(&str) -> bool,
}

/// A target that is a node.
// Each flag is a field of the rule language.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug)]
pub(crate) struct Place<'d> {
    pub(crate) kind: TargetKind,
    pub(crate) node: Node<'d>,
    pub(crate) layers: Vec<Layer<'d>>,
    pub(crate) object: Object,
    pub(crate) role: Role,
    pub(crate) image: &'d str,
    /// Runs until it is stopped, unlike a Job.
    pub(crate) long_running: bool,
    /// Compose: ends by itself.
    pub(crate) one_shot: bool,
    /// Does nothing but wait, so that somebody can look around in it or its pod exists.
    pub(crate) idle: bool,
    /// Runs on Windows nodes, as the pod says.
    pub(crate) windows: bool,
    /// Replicas as declared; none for kinds that do not scale.
    pub(crate) replicas: Option<i64>,
    /// API group of the object.
    pub(crate) group: &'d str,
    /// Grants: of a role that Kubernetes itself makes.
    pub(crate) built_in: bool,
    /// Wrangler: the environment, empty at top level.
    pub(crate) environment: &'d str,
    /// What is deployed by default, or said to be production.
    pub(crate) production: bool,
    /// Wrangler: configures a Pages project.
    pub(crate) pages: bool,
    /// Wrangler: the table that an entry stands in, such as `queues.consumers`.
    pub(crate) list: String,
    pub(crate) scope: PathScope,
    /// Whether what is missing here is really missing: not a patch or fragment.
    pub(crate) complete: bool,
}

impl<'d> Place<'d> {
    pub(crate) fn new(kind: TargetKind, node: Node<'d>, object: Object, context: &Context) -> Self {
        Self {
            kind,
            node,
            layers: Vec::new(),
            object,
            role: Role::Main,
            image: "",
            long_running: true,
            one_shot: false,
            idle: false,
            windows: false,
            replicas: None,
            group: "",
            built_in: false,
            environment: "",
            production: context.scope == PathScope::Production,
            pages: false,
            list: String::new(),
            scope: context.scope,
            complete: context.complete,
        }
    }

    /// The effective node at nested keys.
    pub(crate) fn get(&self, keys: &[&str]) -> Option<Node<'d>> {
        let prefix = keys.join(".");
        self.node
            .at_path(keys)
            .filter(|node| !node.is_null())
            .or_else(|| self.layers.iter().filter(|layer| (layer.inherits)(&prefix)).find_map(|layer| layer.node.at_path(keys)))
    }

    /// Name for messages: the container or service, else the object; of an entry its own.
    pub(crate) fn name(&self) -> &str {
        if self.kind == TargetKind::Entry {
            return ["binding", "name"].into_iter().find_map(|key| self.node.text_of(key)).unwrap_or_default();
        }
        if self.object.container.is_empty() { &self.object.name } else { &self.object.container }
    }

    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        let known = |text: &'_ str| (!text.is_empty()).then(|| Cow::Owned(text.to_owned()));
        let flag = |value: bool| Some(Cow::Borrowed(if value { "true" } else { "false" }));
        match name {
            "scope" => Some(Cow::Borrowed(self.scope.word())),
            "file" => Some(Cow::Owned(self.node.doc.source.path.to_string())),
            "kind" => known(&self.object.kind),
            "group" => Some(Cow::Borrowed(self.group)),
            "name" => known(self.name()),
            "namespace" => known(&self.object.namespace),
            "role" if self.kind == TargetKind::Container => Some(Cow::Borrowed(self.role.word())),
            "image" => known(self.image),
            "long-running" => flag(self.long_running),
            "one-shot" => flag(self.one_shot),
            "idle" => flag(self.idle),
            "windows" => flag(self.windows),
            "replicas" => self.replicas.map(|replicas| Cow::Owned(replicas.to_string())),
            "environment" => Some(Cow::Borrowed(self.environment)),
            "production" => flag(self.production),
            "complete" => flag(self.complete),
            "built-in" => flag(self.built_in),
            "pages" => flag(self.pages),
            "list" => known(&self.list),
            "key" => Some(Cow::Owned(self.object.path.clone())),
            _ => None,
        }
    }
}

/// Fields that `@` may name on any target.
pub(crate) const FIELDS: &[&str] = &[
    "scope",
    "file",
    "kind",
    "group",
    "name",
    "namespace",
    "role",
    "image",
    "long-running",
    "one-shot",
    "idle",
    "windows",
    "replicas",
    "environment",
    "production",
    "complete",
    "built-in",
    "pages",
    "list",
    "key",
    "value",
    "placement",
    "secret",
    "signs",
    "bytes",
];

/// Whether a container only waits: a pause image, `sleep infinity`, `tail -f /dev/null`, a loop of these.
fn only_waits(image: &str, commands: &[Option<Node<'_>>]) -> bool {
    let name = image.rsplit('/').next().unwrap_or_default().split([':', '@']).next().unwrap_or_default();
    let is_shell = |word: &str| matches!(word.rsplit('/').next(), Some("sh" | "bash" | "ash" | "dash"));
    let mut words = Vec::new();
    for command in commands.iter().flatten() {
        match command.text() {
            // Compose splits a text like a shell; the script of a shell is its last word.
            Some(text) => match text.split_once(" -c ") {
                Some((shell, script)) if is_shell(shell) => words.extend([shell, "-c", script.trim().trim_matches(['"', '\''])]),
                _ => words.extend(text.split_whitespace()),
            },
            None => words.extend(command.items().filter_map(Node::text)),
        }
    }
    if words.is_empty() {
        return name == "pause" || name.starts_with("pause-");
    }
    let script = match words.as_slice() {
        [shell, option, script] if is_shell(shell) && option.starts_with('-') && option.ends_with('c') => (*script).to_owned(),
        words => words.join(" "),
    };
    let mut waits = false;
    let all = script.split([';', '&', '\n']).all(|statement| {
        let mut words = statement.split_whitespace().skip_while(|word| matches!(*word, "do" | "exec" | "while"));
        let first = words.next().map(|word| word.rsplit('/').next().unwrap_or(word));
        let waiting = match first {
            Some("sleep") => words.count() == 1,
            Some("tail") => words.last() == Some("/dev/null"),
            _ => false,
        };
        // A word now and then is no work, unless a command makes it.
        let said = statement.replace("$(date", "");
        let speaks = matches!(first, Some("echo" | "printf" | "date")) && !said.contains("$(") && !said.contains(['`', '|']);
        waits |= waiting;
        waiting || matches!(first, None | Some("true" | ":" | "done" | "wait" | "trap")) || speaks
    });
    all && waits
}

/// In which position a variable stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    ContainerEnv,
    ComposeEnvironment,
    ComposeBuildArg,
    HelmValue,
    WranglerVar,
    Dotenv,
    Configmap,
    Embedded,
    SecretData,
    Generator,
    Annotation,
    Argument,
    Setting,
}

impl Placement {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::ContainerEnv => "container-env",
            Self::ComposeEnvironment => "compose-environment",
            Self::ComposeBuildArg => "compose-build-arg",
            Self::HelmValue => "helm-value",
            Self::WranglerVar => "wrangler-var",
            Self::Dotenv => "dotenv",
            Self::Configmap => "configmap",
            Self::Embedded => "embedded",
            Self::SecretData => "secret-data",
            Self::Generator => "generator",
            Self::Annotation => "annotation",
            Self::Argument => "argument",
            Self::Setting => "setting",
        }
    }
}

/// A named literal in any position.
#[derive(Debug)]
pub(crate) struct Variable<'d> {
    pub(crate) name: Cow<'d, str>,
    /// The effective text: defaults of interpolations put in, base64 of Secrets decoded.
    pub(crate) value: Cow<'d, str>,
    /// The text to edit.
    pub(crate) span: Span,
    pub(crate) placement: Placement,
    /// The node that holds it.
    pub(crate) node: Node<'d>,
    /// Container or service that gets it; empty if none.
    pub(crate) container: &'d str,
    /// Variables with the same number stand in the same block (one environment, one nginx location).
    pub(crate) block: u32,
    pub(crate) scope: PathScope,
    /// What the secret detectors make of it, once asked.
    pub(crate) verdict: OnceCell<Option<Verdict>>,
    /// Whether it is a key that signs tokens or sessions.
    pub(crate) signs: Cell<bool>,
}

impl<'d> Variable<'d> {
    pub(crate) fn new(
        name: impl Into<Cow<'d, str>>,
        value: impl Into<Cow<'d, str>>,
        span: Span,
        placement: Placement,
        node: Node<'d>,
        scope: PathScope,
    ) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            span,
            placement,
            node,
            container: "",
            block: node.parent().map_or(0, |parent| parent.span().start),
            scope,
            verdict: OnceCell::new(),
            signs: Cell::new(false),
        }
    }

    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            "name" => Some(Cow::Borrowed(&self.name)),
            "value" => Some(Cow::Borrowed(&self.value)),
            "placement" => Some(Cow::Borrowed(self.placement.word())),
            "file" => Some(Cow::Borrowed(&self.node.doc.source.path)),
            "scope" => Some(Cow::Borrowed(self.scope.word())),
            "key" => Some(Cow::Owned(self.node.path())),
            "signs" => Some(Cow::Borrowed(if self.signs.get() { "true" } else { "false" })),
            "bytes" => Some(Cow::Owned(self.value.len().to_string())),
            "secret" => self.verdict.get().copied().flatten().map(|verdict| Cow::Borrowed(verdict.word())),
            _ => None,
        }
    }
}

/// A command with its arguments, or a script as its only word.
#[derive(Debug)]
pub(crate) struct Command<'d> {
    pub(crate) words: Vec<Node<'d>>,
    /// Container or service that runs it; empty if none.
    pub(crate) container: &'d str,
}

/// What a predicate looks at.
#[derive(Clone, Copy)]
pub(crate) enum Subject<'a, 'd> {
    Place(&'a Place<'d>),
    Variable(&'a Variable<'d>),
    /// An item of `each`; whether quantities are Compose's.
    Node(Node<'d>, bool),
}

impl<'a, 'd> Subject<'a, 'd> {
    /// Whether quantities and booleans are read as Compose does.
    pub(crate) fn compose(self) -> bool {
        match self {
            Self::Place(place) => place.kind == TargetKind::Service,
            Self::Variable(_) => false,
            Self::Node(_, compose) => compose,
        }
    }

    pub(crate) fn field(self, name: &str) -> Option<Cow<'a, str>> {
        match self {
            Self::Place(place) => place.field(name),
            Self::Variable(variable) => variable.field(name),
            Self::Node(..) => None,
        }
    }

    /// The node that paths start from.
    pub(crate) fn node(self) -> Option<Node<'d>> {
        match self {
            Self::Place(place) => Some(place.node),
            Self::Node(node, _) => Some(node),
            Self::Variable(_) => None,
        }
    }

    /// The effective nodes at a path.
    pub(crate) fn find(self, steps: &Steps) -> Vec<Node<'d>> {
        let Some(node) = self.node() else { return Vec::new() };
        let found = steps.find(node);
        if let (true, Self::Place(place)) = (found.iter().all(|node| node.is_null()), self) {
            let prefix = steps.prefix();
            for layer in place.layers.iter().filter(|layer| (layer.inherits)(&prefix)) {
                let inherited = steps.find(layer.node);
                if !inherited.is_empty() {
                    return inherited;
                }
            }
        }
        found
    }
}

/// What is known of a file before its documents are looked at.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) scope: PathScope,
    /// See `Place::complete`.
    pub(crate) complete: bool,
    /// The file stands in the folder `crds` of a chart.
    pub(crate) crds: bool,
}

/// A document, or an object of a List, with its kind, targets and variables.
#[derive(Debug)]
pub(crate) struct Artifact<'d> {
    pub(crate) kind: ArtifactKind,
    pub(crate) root: Node<'d>,
    pub(crate) object: Object,
    pub(crate) places: Vec<Place<'d>>,
    pub(crate) variables: Vec<Variable<'d>>,
    pub(crate) commands: Vec<Command<'d>>,
    pub(crate) complete: bool,
    /// See `Context`.
    pub(crate) crds: bool,
    pub(crate) scope: PathScope,
    /// Values files: the chart's own values, which these are merged over.
    pub(crate) base: Option<Node<'d>>,
}

impl<'d> Artifact<'d> {
    fn new(kind: ArtifactKind, root: Node<'d>, object: Object, context: &Context) -> Self {
        Self {
            kind,
            root,
            object,
            places: Vec::new(),
            variables: Vec::new(),
            commands: Vec::new(),
            complete: context.complete,
            crds: context.crds,
            scope: context.scope,
            base: None,
        }
    }

    pub(crate) fn targets(&self, kind: TargetKind) -> impl Iterator<Item = &Place<'d>> {
        self.places.iter().filter(move |place| place.kind == kind)
    }

    /// What a finding at a node is about.
    pub(crate) fn object_at(&self, node: Node<'_>, container: &str) -> Object {
        let path = node.path();
        if self.kind != ArtifactKind::Compose {
            return Object { path, container: container.to_owned(), ..self.object.clone() };
        }
        // What an anchor brings stands in another service, or in none.
        let name = match node.keys().as_slice() {
            _ if !container.is_empty() => container,
            ["services", name, ..] => name,
            _ => "",
        };
        let service = self.targets(TargetKind::Service).find(|service| service.name() == name);
        Object { path, ..service.map_or_else(|| self.object.clone(), |service| service.object.clone()) }
    }
}

/// The artifacts of a document that was found to be of a kind.
pub(crate) fn artifacts<'d>(kind: ArtifactKind, root: Node<'d>, context: &Context) -> Vec<Artifact<'d>> {
    match kind {
        ArtifactKind::Kubernetes => objects(root).into_iter().map(|object| kubernetes::artifact(object, context)).collect(),
        ArtifactKind::Compose => vec![compose::artifact(root, context)],
        ArtifactKind::Wrangler => vec![wrangler::artifact(root, context)],
        ArtifactKind::Dotenv => vec![dotenv::artifact(root, context)],
        ArtifactKind::HelmValues => vec![helm::values(root, context)],
        ArtifactKind::Kustomize => vec![kustomize::artifact(root, context)],
        kind => vec![Artifact::new(kind, root, Object::default(), context)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_whole_tokens_of_the_path() {
        for (path, scope) in [
            ("deploy/prod/web.yaml", PathScope::Production),
            ("values-production.yaml", PathScope::Production),
            ("test/prod/web.yaml", PathScope::Development),
            ("device/product.yaml", PathScope::Unscoped),
            (".env.example", PathScope::Development),
            ("examples/web.yaml", PathScope::Unscoped),
            ("docker-compose.override.yml", PathScope::Development),
            ("staging/web.yaml", PathScope::Unscoped),
        ] {
            assert_eq!(PathScope::of_path(path), scope, "{path}");
        }
        assert!(in_example_folder("examples/web.yaml"));
        assert!(!in_example_folder("example.yaml"));
        assert!(is_patch_name("kind/patches/scheduler.yaml"));
        assert!(!is_patch_name("dispatcher.yaml"));
    }
}
