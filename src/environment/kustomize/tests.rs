//! Compositions against what kustomize itself made of the same folders (`tests/kustomize`), and the places of values.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use super::build;
use crate::environment::{Composed, ProblemKind};
use crate::syntax::{Node, Reading, Scalar};
use crate::tree::Tree;

/// A node as JSON, for comparing.
fn json(node: Node<'_>) -> Json {
    if node.is_mapping() {
        let entries = node.entries().into_iter().map(|(key, value)| (key.text().unwrap_or_default().to_owned(), json(value)));
        return Json::Object(entries.collect::<Map<_, _>>());
    }
    if node.is_sequence() {
        return Json::Array(node.items().map(json).collect());
    }
    match node.scalar(Reading::Yaml11) {
        Some(Scalar::Bool(value)) => Json::Bool(value),
        Some(Scalar::Number(value)) => serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number),
        Some(Scalar::Text(text)) => Json::String(text.to_owned()),
        Some(Scalar::Null) | None => Json::Null,
    }
}

/// The objects of a composition, in an order that does not depend on how they came about.
fn objects(documents: impl Iterator<Item = Json>) -> Vec<Json> {
    let mut all: Vec<Json> = documents.filter(|document| !document.is_null()).collect();
    let name = |object: &Json| {
        let text = |value: Option<&Json>| value.and_then(Json::as_str).unwrap_or_default().to_owned();
        let metadata = object.get("metadata");
        (
            text(object.get("kind")),
            text(metadata.and_then(|metadata| metadata.get("namespace"))),
            text(metadata.and_then(|metadata| metadata.get("name"))),
            text(object.get("apiVersion")),
        )
    };
    all.sort_by_key(name);
    all
}

fn composed(tree: &Tree, folder: &str) -> (Composed, Vec<Json>) {
    let composed = build(tree, folder);
    let all = objects(composed.documents.iter().map(|document| json(document.root())));
    (composed, all)
}

/// The folders below a root that are kustomizations.
fn kustomizations(tree: &Tree) -> Vec<String> {
    let files = tree.walk("", true).files;
    let mut found: Vec<String> = files
        .iter()
        .filter_map(|file| super::NAMES.iter().find_map(|name| file.strip_suffix(name)))
        .filter(|folder| folder.is_empty() || folder.ends_with('/'))
        .map(|folder| folder.trim_end_matches('/').to_owned())
        .collect();
    found.dedup();
    found
}

/// For `scripts/compare-kustomize.py`, which says in the environment what to compose and where to write it.
#[test]
#[ignore = "writes what the comparison with kustomize reads"]
fn writes_compositions() -> Result<(), String> {
    let (Ok(root), Ok(output)) = (std::env::var("COMPOSE_ROOT"), std::env::var("COMPOSE_OUTPUT")) else {
        return Err("COMPOSE_ROOT and COMPOSE_OUTPUT are not set".to_owned());
    };
    let tree = Tree::folder(root);
    let mut all = Map::new();
    for folder in kustomizations(&tree) {
        let start = std::time::Instant::now();
        let (composed, objects) = composed(&tree, &folder);
        let place = |span| composed.origins.locate(span).map_or_else(String::new, |place| place.path.to_string());
        let not_evaluated: Vec<String> =
            composed.not_evaluated.iter().map(|(span, reason)| format!("{}: {reason}", place(*span))).collect();
        let problems: Vec<String> =
            composed.problems.iter().map(|problem| format!("{}: {:?} {}", place(problem.span), problem.kind, problem.name)).collect();
        let seconds = start.elapsed().as_secs_f64();
        let result = serde_json::json!({
            "objects": objects, "not_evaluated": not_evaluated, "problems": problems, "open": composed.open, "seconds": seconds,
        });
        all.insert(folder, result);
    }
    std::fs::write(output, Json::Object(all).to_string()).map_err(|error| error.to_string())
}

/// The cases of `tests/kustomize`; what is built is their folder `overlay`, or they themselves where there is none.
fn cases() -> Result<Vec<PathBuf>, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kustomize");
    let entries = std::fs::read_dir(root).map_err(|error| error.to_string())?;
    let mut cases: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    Ok(cases)
}

#[test]
fn composes_as_kustomize_does() -> Result<(), String> {
    let mut different = Vec::new();
    for case in cases()? {
        let tree = Tree::folder(&case);
        let (composed, ours) = composed(&tree, if case.join("overlay").is_dir() { "overlay" } else { "" });
        let expected = std::fs::read_to_string(case.join("expected.yaml")).map_err(|error| format!("{}: {error}", case.display()))?;
        let source = std::sync::Arc::new(crate::source::Source { path: "expected.yaml".into(), text: expected, bom: false });
        let parsed = crate::syntax::parse(&source, crate::syntax::Syntax::Yaml);
        let theirs = objects(parsed.documents.iter().map(|document| json(document.root())));
        if !composed.not_evaluated.is_empty() || !composed.problems.is_empty() {
            different.push(format!("{}: {:?} {:?}", case.display(), composed.not_evaluated, composed.problems));
        }
        let count = ours.len().max(theirs.len());
        for (ours, theirs) in (0..count).map(|at| (ours.get(at), theirs.get(at))).filter(|(ours, theirs)| ours != theirs) {
            let text = |object: Option<&Json>| object.map_or_else(|| "nothing".to_owned(), |object| format!("{object:#}"));
            different.push(format!("{}\nours: {}\nkustomize: {}", case.display(), text(ours), text(theirs)));
        }
    }
    if different.is_empty() { Ok(()) } else { Err(different.join("\n\n")) }
}

/// Where a value of a composed object is written: `file:line` and the text.
fn place(composed: &Composed, kind: &str, path: &[&str]) -> String {
    let root = composed.documents.iter().map(crate::syntax::Document::root).find(|root| root.text_of("kind") == Some(kind));
    let node = path.iter().try_fold(root, |node, step| {
        let node = node?;
        Some(match step.parse::<usize>() {
            Ok(at) if node.is_sequence() => node.items().nth(at),
            _ => node.get(step),
        })
    });
    let Some(node) = node.flatten() else { return "nothing".to_owned() };
    let Some(place) = composed.origins.locate(node.span()) else { return "nowhere".to_owned() };
    let part = composed.origins.parts().iter().find(|(_, path)| *path == place.path).map_or(0, |(start, _)| *start);
    let before = composed.source.text.get(part as usize..node.span().start as usize).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let text = composed.source.slice(node.span()).lines().next().unwrap_or_default();
    format!("{}:{line} {text}", place.path)
}

fn case(name: &str) -> Composed {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kustomize").join(name);
    let folder = if path.join("overlay").is_dir() { "overlay" } else { "" };
    build(&Tree::folder(path), folder)
}

/// Asserts the places of values in a case of `tests/kustomize`.
fn assert_places(name: &str, expected: &[(&str, &[&str], &str)]) {
    let composed = case(name);
    for (kind, path, expected) in expected {
        assert_eq!(place(&composed, kind, path), *expected, "{name}: {kind} {path:?}");
    }
}

#[test]
fn values_of_patches_stand_in_the_patch() {
    assert_places(
        "strategic-merge",
        &[
            ("Deployment", &["spec", "replicas"], "overlay/web.yaml:8 3"),
            ("Deployment", &["spec", "template", "spec", "containers", "0", "name"], "overlay/web.yaml:15 web"),
            (
                "Deployment",
                &["spec", "template", "spec", "containers", "0", "image"],
                "base/deployment.yaml:19 registry.example.com:5000/shop/web:1.0",
            ),
            ("Deployment", &["spec", "template", "spec", "containers", "0", "env", "1", "value"], "overlay/web.yaml:20 debug"),
            ("Deployment", &["spec", "template", "spec", "containers", "1", "image"], "overlay/web.yaml:30 busybox:1.36"),
            ("Deployment", &["spec", "template", "spec", "containers", "2", "image"], "base/deployment.yaml:28 envoy:1.30"),
            ("Deployment", &["metadata", "name"], "base/deployment.yaml:4 web"),
            // Inline patches are read where they stand.
            ("Service", &["spec", "type"], "overlay/kustomization.yaml:13 NodePort"),
            ("Service", &["spec", "ports", "0", "nodePort"], "overlay/kustomization.yaml:16 30080"),
            ("Service", &["spec", "selector", "app"], "base/service.yaml:7 web"),
        ],
    );
    assert_places(
        "json-patch",
        &[
            ("Deployment", &["metadata", "annotations", "example.com/a~b"], "operations.yaml:6 \"1\""),
            ("Deployment", &["spec", "template", "spec", "containers", "0", "image"], "operations.yaml:11 other/web:2"),
            ("Deployment", &["spec", "template", "spec", "containers", "2", "name"], "operations.yaml:19 last"),
            ("Service", &["spec", "ports", "1", "name"], "kustomization.yaml:10 \"https\""),
            ("Service", &["spec", "ports", "1", "targetPort"], "service.yaml:10 8080"),
        ],
    );
}

#[test]
fn values_of_transformers_stand_in_the_kustomization() {
    let container = |at, field| ["spec", "template", "spec", "containers", at, field];
    assert_places(
        "images",
        &[
            ("Deployment", &container("0", "image"), "kustomization.yaml:6 \"2.0\""),
            ("Deployment", &container("1", "image"), "kustomization.yaml:9 v1.31"),
        ],
    );
    assert_places("replicas", &[("Deployment", &["spec", "replicas"], "overlay/kustomization.yaml:6 5")]);
    assert_places("namespace", &[("Service", &["metadata", "namespace"], "overlay/kustomization.yaml:4 prod")]);
    assert_places(
        "roles",
        &[
            ("RoleBinding", &["subjects", "1", "namespace"], "kustomization.yaml:5 team"),
            ("RoleBinding", &["roleRef", "name"], "roles.yaml:26 reader"),
        ],
    );
    assert_places("names", &[("Service", &["metadata", "name"], "base/all.yaml:16 store")]);
    assert_places(
        "labels",
        &[
            ("Service", &["metadata", "labels", "team"], "kustomization.yaml:6 shop"),
            ("Service", &["spec", "selector", "tier"], "kustomization.yaml:8 front"),
            ("Service", &["spec", "selector", "app"], "service.yaml:7 web"),
        ],
    );
    assert_places(
        "common-labels",
        &[
            ("Deployment", &["spec", "template", "metadata", "labels", "env"], "overlay/kustomization.yaml:5 prod"),
            ("Deployment", &["metadata", "annotations", "example.com/note"], "overlay/kustomization.yaml:8 \"a: b\""),
        ],
    );
    assert_places(
        "replacements",
        &[
            ("Deployment", &["spec", "template", "spec", "containers", "0", "env", "0", "value"], "source.yaml:5 shop.example.com"),
            ("Deployment", &["spec", "replicas"], "source.yaml:7 \"6\""),
            ("Service", &["spec", "externalName"], "more.yaml:15 fixed"),
        ],
    );
    assert_places("variables", &[("Deployment", &container("1", "args"), "base/deployment.yaml:29 [\"--to=$(SERVICE)\", \"$(IMAGE)\"]")]);
    assert_places("components", &[("Deployment", &["spec", "replicas"], "overlay/kustomization.yaml:10 9")]);
}

#[test]
fn generated_values_stand_where_they_come_from() {
    assert_places(
        "generators",
        &[
            ("ConfigMap", &["metadata", "name"], "kustomization.yaml:5 settings"),
            ("ConfigMap", &["data", "level"], "kustomization.yaml:7 debug"),
            ("ConfigMap", &["data", "quoted"], "kustomization.yaml:8 with = sign"),
            ("ConfigMap", &["data", "application.properties"], "application.properties:1 color=blue"),
            ("ConfigMap", &["data", "other.txt"], "files/notes.txt:1 no newline at the end"),
            ("ConfigMap", &["data", "INDENTED"], "service.env:3  spaced value "),
            ("Secret", &["type"], "kustomization.yaml:28 kubernetes.io/basic-auth"),
            ("Secret", &["data", "password"], "kustomization.yaml:31 not-a-secret"),
            ("Deployment", &["spec", "template", "spec", "volumes", "0", "configMap", "name"], "deployment.yaml:32 settings"),
        ],
    );
    assert_places(
        "generator-options",
        &[
            ("Secret", &["metadata", "name"], "base/kustomization.yaml:13 key"),
            ("Secret", &["metadata", "labels", "base"], "base/kustomization.yaml:5 \"1\""),
            ("Secret", &["metadata", "labels", "from"], "overlay/kustomization.yaml:5 overlay"),
            ("Secret", &["data", "a"], "base/kustomization.yaml:14 1"),
            ("Secret", &["data", "b"], "overlay/kustomization.yaml:19 2"),
        ],
    );
}

#[test]
fn every_place_is_in_a_file() -> Result<(), String> {
    for path in cases()? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let tree = Tree::folder(&path);
        let composed = case(&name);
        for node in composed.documents.iter().flat_map(crate::syntax::Document::entries) {
            let place = composed.origins.locate(node.span()).ok_or_else(|| format!("{name}: {} is nowhere", node.path()))?;
            let length = tree.read(&place.path).map_err(|error| error.to_string())?.len();
            assert!(place.span.end as usize <= length + 1, "{name}: {} goes beyond {}", node.path(), place.path);
        }
    }
    Ok(())
}

#[test]
fn damaged_folders_are_built_all_the_same() -> Result<(), String> {
    for path in cases()? {
        let tree = Tree::folder(&path);
        let folder = if path.join("overlay").is_dir() { "overlay" } else { "" };
        for file in tree.walk("", true).files.iter().filter(|file| *file != "expected.yaml") {
            let text = std::fs::read_to_string(path.join(file)).map_err(|error| error.to_string())?;
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            for at in 0..lines.len() {
                let (before, after) = lines.split_at(at);
                // Without a line, or cut off there.
                let rest = if at % 2 == 0 { after.get(1..).unwrap_or_default() } else { &[] };
                let composed = build(&tree.clone().with(file.clone(), [before, rest].concat().concat()), folder);
                for node in composed.documents.iter().flat_map(crate::syntax::Document::entries) {
                    assert!(composed.origins.locate(node.span()).is_some(), "{}: line {at} of {file}", path.display());
                }
            }
        }
    }
    Ok(())
}

#[test]
fn bytes_that_are_no_text_are_encoded() {
    let tree = Tree::default()
        .with("kustomization.yaml", "configMapGenerator:\n- name: a\n  files: [wide.txt, raw.bin, mark.txt, long.bin]\n")
        .with("wide.txt", b"\xff\xfeh\x00i\x00".as_slice())
        .with("raw.bin", b"\x00\x01\xfe\xff".as_slice())
        .with("mark.txt", b"\xef\xbb\xbfmark".as_slice())
        .with("long.bin", vec![0x80; 100]);
    let (_, objects) = composed(&tree, "");
    // As kustomize builds it.
    let long = [
        "gICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI",
        "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgA==",
        "",
    ];
    let expected = serde_json::json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a-hggbcmc45b"},
        "data": {"mark.txt": "\u{feff}mark"},
        "binaryData": {"wide.txt": "//5oAGkA", "raw.bin": "AAH+/w==", "long.bin": long.join("\n")},
    });
    assert_eq!(objects, [expected]);
}

#[test]
fn the_manager_is_a_label() {
    let composed = built(&[("kustomization.yaml", "resources: [a.yaml]\nbuildMetadata: [managedByLabel]\n"), ("a.yaml", CONFIG_MAP)], "");
    let root = composed.documents.first().map(crate::syntax::Document::root);
    let label = root.and_then(|root| root.at_path(&["metadata", "labels", "app.kubernetes.io/managed-by"]));
    assert_eq!(label.map(|label| composed.source.slice(label.span())), Some("managedByLabel"));
}

fn built(files: &[(&str, &str)], folder: &str) -> Composed {
    let tree = files.iter().fold(Tree::default(), |tree, (path, text)| tree.with(*path, *text));
    build(&tree, folder)
}

fn said(composed: &Composed) -> Vec<String> {
    composed
        .not_evaluated
        .iter()
        .map(|(span, reason)| {
            let place = composed.origins.locate(*span);
            format!("{}: {}: {reason}", place.map_or_else(String::new, |place| place.path.to_string()), composed.source.slice(*span))
        })
        .collect()
}

#[test]
fn what_is_not_evaluated_is_said() {
    let composed = built(
        &[
            (
                "a/kustomization.yaml",
                "resources:\n- https://user:word@example.com/x.yaml\n- github.com/example/repo//base?ref=v1\n- gone.yaml\n- ../../up\n- ../b\n- broken.yaml\n- half.yaml\n\
                 helmCharts:\n- name: redis\ngenerators:\n- plugin.yaml\npatches:\n- path: lost.yaml\n",
            ),
            ("a/broken.yaml", "a: [\n"),
            ("a/half.yaml", "kind: ConfigMap\n"),
            ("a/plugin.yaml", "apiVersion: example.com/v1\nkind: Maker\nmetadata: {name: x}\n"),
            ("b/kustomization.yaml", "resources: [../a, ../c]\n"),
            ("c/other.yaml", ""),
        ],
        "a",
    );
    let said = said(&composed);
    let expected = [
        "a/kustomization.yaml: https://user:word@example.com/x.yaml: `example.com/x.yaml` is remote",
        "a/kustomization.yaml: github.com/example/repo//base?ref=v1: `github.com/example/repo//base?ref=v1` is remote",
        "a/kustomization.yaml: gone.yaml: `gone.yaml` does not exist",
        "a/kustomization.yaml: ../../up: `../../up` lies outside of what is checked",
        "b/kustomization.yaml: ../a: it leads back to a kustomization that it is part of",
        "b/kustomization.yaml: ../c: `c` holds no kustomization",
        "a/kustomization.yaml: broken.yaml: `a/broken.yaml` cannot be parsed",
        "a/kustomization.yaml: half.yaml: it holds something without `kind` or `metadata.name`",
        "a/kustomization.yaml: redis: the chart `redis` is not rendered",
        "a/kustomization.yaml: plugin.yaml: the plugin `Maker` is not run",
        "a/kustomization.yaml: lost.yaml: `lost.yaml` does not exist",
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.starts_with(expected), "{said} is not {expected}");
    }
    assert!(composed.open);
    let patch = built(&[("kustomization.yaml", "resources: [a.yaml]\npatches: [{path: lost.yaml}]\n"), ("a.yaml", CONFIG_MAP)], "");
    assert!(!patch.open && patch.documents.len() == 1 && patch.problems.len() == 1);
}

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n";

#[test]
fn what_is_meant_for_nothing_is_a_problem() {
    let composed = built(
        &[
            (
                "kustomization.yaml",
                "resources: [a.yaml]\n\
                 patches:\n\
                 - target: {kind: Deployment, name: none}\n  patch: '[{\"op\": \"remove\", \"path\": \"/a\"}]'\n\
                 - target: {kind: ConfigMap}\n  patch: '[{\"op\": \"remove\", \"path\": \"/data/x\"}]'\n\
                 - patch: '{apiVersion: v1, kind: Secret, metadata: {name: s}}'\n\
                 replicas: [{name: nobody, count: 2}]\n\
                 images: [{name: unused, newTag: '1'}]\n\
                 replacements:\n\
                 - source: {kind: ConfigMap, name: a, fieldPath: data.none}\n  targets: [{select: {kind: ConfigMap}}]\n\
                 - sourceValue: x\n  targets: [{select: {kind: Nothing}}, {select: {kind: ConfigMap}, fieldPaths: [data.lost]}]\n\
                 vars: [{name: V, objref: {apiVersion: v1, kind: Service, name: absent}}]\n",
            ),
            ("a.yaml", CONFIG_MAP),
        ],
        "",
    );
    let found: Vec<String> = composed
        .problems
        .iter()
        .map(|problem| format!("{:?} {} at {}", problem.kind, problem.name, composed.source.slice(problem.span)))
        .collect();
    assert_eq!(
        found,
        [
            "Target Deployment none at none",
            "Field /data/x at \"/data/x\"",
            "Target Secret s at s",
            "Target nobody at nobody",
            "Image unused at unused",
            "Field data.none at data.none",
            "Target Nothing at Nothing",
            "Field data.lost at data.lost",
            "Target V at absent",
        ]
    );
    assert!(composed.not_evaluated.is_empty() && !composed.open);
    // Where objects are missing, or the one to change them, nothing is known of that.
    let patch = "patches: [{patch: '{apiVersion: v1, kind: Secret, metadata: {name: s}}'}]\n";
    for more in ["resources: [https://example.com/a.yaml]\n", "configurations: [gone.yaml]\n", "kind: Component\n"] {
        let composed = built(&[("kustomization.yaml", &format!("{patch}{more}"))], "");
        assert!(composed.problems.iter().all(|problem| problem.kind != ProblemKind::Target), "{more}");
    }
}

#[test]
fn hostile_folders_end() {
    // Each folder uses the next one twice, so that the number of builds doubles.
    let mut files: Vec<(String, String)> = Vec::new();
    for level in 0..30 {
        for side in ["a", "b"] {
            let next = level + 1;
            files.push((format!("{side}{level}/kustomization.yaml"), format!("resources: [../a{next}, ../b{next}]\n")));
        }
    }
    let doubling: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    assert!(built(&doubling, "a0").open);
    // A field that doubles each time.
    let mut text = "resources: [a.yaml]\nreplacements:\n".to_owned();
    for _ in 0..60 {
        text.push_str("- source: {kind: ConfigMap, fieldPath: data}\n  targets: [{select: {kind: ConfigMap}, fieldPaths: [data.k], options: {create: true}}, {select: {kind: ConfigMap}, fieldPaths: [data.n], options: {create: true}}]\n");
    }
    let composed = built(
        &[("kustomization.yaml", &text), ("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {l: {m: 1}}\n")],
        "",
    );
    assert!(composed.open && composed.documents.is_empty());
    // Aliases that stand for more than can be read.
    let levels: Vec<String> =
        (1..12).map(|level| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 5].join(", "))).collect();
    let aliases = format!("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n{}", levels.concat());
    assert!(built(&[("kustomization.yaml", "resources: [a.yaml]\n"), ("a.yaml", &aliases)], "").open);
    // Aliases, and copies into themselves, that nest deeper than any text could.
    let chain: Vec<String> = (1..5000).map(|level| format!("a{level}: &a{level} [*a{}]\n", level - 1)).collect();
    let chain = format!("a0: &a0 [x]\n{}", chain.concat());
    assert!(built(&[("kustomization.yaml", "resources: [a.yaml]\n"), ("a.yaml", &chain)], "").open);
    let copies = "  {op: copy, from: /data, path: /data/k},".repeat(300);
    let copying =
        format!("resources: [a.yaml]\npatches:\n- target: {{kind: ConfigMap}}\n  patch: |\n    [{}]\n", copies.trim_end_matches(','));
    assert!(built(&[("kustomization.yaml", &copying), ("a.yaml", CONFIG_MAP)], "").open);
    // The deepest values that are read are merged.
    let deep = format!("{CONFIG_MAP}deep: {}1{}\n", "{a: ".repeat(150), "}".repeat(150));
    let patch = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndeep: {}2{}\n", "{a: ".repeat(150), "}".repeat(150));
    let composed =
        built(&[("kustomization.yaml", "resources: [a.yaml]\npatches: [{path: b.yaml}]\n"), ("a.yaml", &deep), ("b.yaml", &patch)], "");
    assert!(composed.not_evaluated.is_empty() && composed.documents.len() == 1, "{:?}", composed.not_evaluated);
    for broken in ["", "- a\n", "resources: x\n", "resources: [[]]\npatches: [1]\nimages: {a: b}\n", "resources: [.]\n", "\u{0}"] {
        let composed = built(&[("kustomization.yaml", broken)], "");
        assert!(composed.documents.is_empty(), "{broken}");
    }
}
