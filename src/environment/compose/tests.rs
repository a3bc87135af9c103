//! Golden cases in `tests/compose`: a folder with the files of a project and what they are together.
//!
//! `files.txt` lists the files in the order they are merged, where that is not `compose.yaml` alone.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::{Composed, Value};
use super::{compose, merge};
use crate::finding::Location;
use crate::source::Source;
use crate::syntax::{self, Node, Syntax};
use crate::tree::Tree;

fn parse(text: &str) -> Result<Value, Box<dyn Error>> {
    let source = Source { path: "expected.yaml".into(), text: text.to_owned(), bom: false };
    let parsed = syntax::parse(&source.into(), Syntax::Yaml);
    Ok(Value::read(parsed.documents.first().ok_or("no document")?.root(), 0)?)
}

fn root(composed: &Composed) -> Result<Node<'_>, Box<dyn Error>> {
    Ok(composed.documents.first().ok_or("no document")?.root())
}

fn names(case: &Path) -> Vec<String> {
    let listed = fs::read_to_string(case.join("files.txt")).unwrap_or_else(|_| "compose.yaml".to_owned());
    listed.split_whitespace().map(str::to_owned).collect()
}

/// A value as YAML in flow style; a plain text stays plain.
fn flow(node: Node<'_>) -> String {
    if node.is_mapping() {
        let pairs = node.entries().into_iter().map(|(key, value)| format!("{:?}: {}", key.text().unwrap_or_default(), flow(value)));
        return format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "));
    }
    if node.is_sequence() {
        return format!("[{}]", node.items().map(flow).collect::<Vec<_>>().join(", "));
    }
    let text = node.text().unwrap_or_default();
    let simple = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '+' | '-');
    if node.is_null() {
        "null".to_owned()
    } else if node.style() == syntax::Style::Plain && text.chars().all(simple) && !text.is_empty() {
        text.to_owned()
    } else {
        let mut quoted = String::from('"');
        for character in text.chars() {
            match character {
                '"' | '\\' => quoted.extend(['\\', character]),
                character if character.is_control() => {
                    let _ = write!(quoted, "\\u{:04x}", u32::from(character));
                }
                character => quoted.push(character),
            }
        }
        quoted.push('"');
        quoted
    }
}

#[test]
fn golden_cases_are_composed_as_expected() -> Result<(), Box<dyn Error>> {
    let mut cases: Vec<PathBuf> = fs::read_dir("tests/compose")?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    cases.sort();
    let mut wrong = Vec::new();
    for case in &cases {
        let files = names(case);
        let composed = compose(&Tree::folder(case), &files.iter().map(String::as_str).collect::<Vec<_>>());
        let expected = parse(&fs::read_to_string(case.join("expected.yaml"))?)?;
        if !merge::same(&Value::read(root(&composed)?, 0)?, &expected) {
            wrong.push(format!("{}:\n{}", case.display(), flow(root(&composed)?)));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    Ok(())
}

/// Writes environments for a comparison with Docker: each line of the file that `COMPOSE_LIST` names is a root, a tab, the
/// files joined by commas, a tab, and where the result goes.
#[test]
#[ignore = "writes files for a comparison with another tool"]
fn writes_listed_environments() -> Result<(), Box<dyn Error>> {
    for line in fs::read_to_string(std::env::var("COMPOSE_LIST")?)?.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [folder, files, target] = fields.as_slice() else { return Err(line.into()) };
        let composed = compose(&Tree::folder(*folder), &files.split(',').collect::<Vec<_>>());
        fs::write(target, flow(root(&composed)?))?;
    }
    Ok(())
}

/// The places of a value: path, line and text of each node along a path of keys and numbers.
fn place(composed: &Composed, path: &[&str]) -> Option<(String, Location)> {
    let mut node = composed.documents.first()?.root();
    for step in path {
        node = match step.parse::<usize>() {
            Ok(index) => node.items().nth(index)?,
            Err(_) => node.get(step)?,
        };
    }
    Some((composed.source.slice(node.place()).to_owned(), composed.origins.locate(node.place())?))
}

#[test]
fn every_value_keeps_the_place_that_set_it() -> Result<(), Box<dyn Error>> {
    let base = "services:\n  web:\n    image: acme/web:1\n    environment: [A=1, B=2]\n    ports: [\"80:80\"]\n    extends: {file: lib/base.yaml, service: app}\n";
    let over = "services:\n  web:\n    environment:\n      B: three\n    ports: ['8080:8080']\n    restart: always\n";
    let lib = "services:\n  app:\n    image: acme/app:1\n    init: true\n    volumes: [./data:/data]\n";
    let tree = Tree::default().with("p/compose.yaml", base).with("p/compose.prod.yaml", over).with("p/lib/base.yaml", lib);
    let composed = compose(&tree, &["p/compose.yaml", "p/compose.prod.yaml"]);
    assert_eq!(&*composed.source.path, "p/compose.yaml+compose.prod.yaml");
    let at = |path: &[&str]| {
        let (text, location) = place(&composed, path)?;
        Some((text, location.path.rsplit('/').next()?.to_owned()))
    };
    for (path, text, file) in [
        (&["image"][..], "acme/web:1", "compose.yaml"),
        (&["environment", "A"], "1", "compose.yaml"),
        (&["environment", "B"], "three", "compose.prod.yaml"),
        (&["ports", "0"], "\"80:80\"", "compose.yaml"),
        (&["ports", "1"], "'8080:8080'", "compose.prod.yaml"),
        (&["restart"], "always", "compose.prod.yaml"),
        (&["init"], "true", "base.yaml"),
        (&["volumes", "0"], "./data:/data", "base.yaml"),
    ] {
        let path: Vec<&str> = ["services", "web"].into_iter().chain(path.iter().copied()).collect();
        assert_eq!(at(&path), Some((text.to_owned(), file.to_owned())), "{path:?}");
    }
    let web = root(&composed)?.at_path(&["services", "web"]).ok_or("no service")?;
    assert_eq!(web.get("volumes").and_then(|volumes| volumes.items().next()).and_then(Node::text), Some("./lib/data:/data"));
    assert!(!composed.open && web.get("extends").is_none());
    Ok(())
}

#[test]
fn what_cannot_be_followed_is_said() {
    let text = "include: [gone.yaml, 'https://example.com/x.yaml', loop.yaml]\nservices:\n  a: {extends: b}\n  b: {extends: a}\n  c: {extends: {file: gone.yaml, service: x}}\n  d: {extends: nobody}\n  e: {extends: {file: ../../x.yaml, service: x}}\n";
    let tree = Tree::default().with("compose.yaml", text).with("loop.yaml", "include: [compose.yaml]\nservices: {x: {image: x}}\n");
    let composed = compose(&tree, &["compose.yaml"]);
    let said: Vec<&str> = composed.not_evaluated.iter().map(|(_, what)| what.as_str()).collect();
    let expected = [
        "is not there; what it brings",
        "stands in another repository",
        "includes itself by a circle",
        "service `b` extends one that extends it in turn",
        "service `c` extends one of a file that is not there",
        "service `d` extends one that the file does not have",
        "service `e` extends one of a file that lies outside",
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.contains(expected), "{said}");
    }
    assert!(composed.open);
}

#[test]
fn hostile_projects_stay_small() {
    let services: Vec<String> = (0..2000).map(|number| format!("  s{number}: {{image: x, extends: s{}}}\n", number + 1)).collect();
    let tree = Tree::default().with("compose.yaml", format!("services:\n{}  s2000: {{image: y}}\n", services.concat()));
    assert!(!compose(&tree, &["compose.yaml"]).documents.is_empty());
    let circle = compose(&Tree::default().with("compose.yaml", "services: &all {a: {image: x, b: *all}}\n"), &["compose.yaml"]);
    assert!(circle.open);
    let mut tree = Tree::default();
    for number in 0..40 {
        let next = number + 1;
        let text = format!("include: [a{next}.yaml, b{next}.yaml]\nservices: {{s{number}: {{image: x}}}}\n");
        tree = tree.with(format!("a{number}.yaml"), text.clone()).with(format!("b{number}.yaml"), text);
    }
    assert!(!compose(&tree, &["a0.yaml"]).documents.is_empty());
}
