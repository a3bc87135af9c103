//! Objects that the scripts and documents of a project create by a command, and what other tools of it install.

use std::cell::OnceCell;
use std::collections::HashSet;

use crate::source::Source;
use crate::tree::Tree;

/// Endings of the files in which such commands stand.
const ENDINGS: &[&str] =
    &[".md", ".sh", ".txt", ".adoc", ".rst", ".bash", ".ps1", ".mk", "makefile", "justfile", "taskfile.yml", "taskfile.yaml"];

/// Endings of the files that tell another tool which releases and objects to make.
const OTHER_TOOLS: &[&str] = &["helmfile.yaml", "helmfile.yaml.gotmpl", ".tf"];

/// How commands call the kinds.
const WORDS: &[(&str, &str)] = &[
    ("secret", "Secret"),
    ("secrets", "Secret"),
    ("configmap", "ConfigMap"),
    ("cm", "ConfigMap"),
    ("serviceaccount", "ServiceAccount"),
    ("sa", "ServiceAccount"),
    ("namespace", "Namespace"),
    ("ns", "Namespace"),
];

/// The commands of a project, read when they are first asked for.
pub(crate) struct Commands<'t> {
    tree: &'t Tree,
    known: OnceCell<Known>,
}

#[derive(Default)]
struct Known {
    created: HashSet<(&'static str, String)>,
    /// Names of releases, and of what other tools make; a release puts its name before those of its objects.
    installed: HashSet<String>,
}

impl<'t> Commands<'t> {
    pub(crate) fn new(tree: &'t Tree) -> Self {
        Self { tree, known: OnceCell::new() }
    }

    /// Whether a command creates an object of a kind and a name.
    pub(crate) fn create(&self, kind: &'static str, name: &str) -> bool {
        let known = WORDS.iter().any(|(_, known)| *known == kind);
        known && self.known.get_or_init(|| self.read()).created.contains(&(kind, name.to_owned()))
    }

    /// Whether an object of a name may belong to what Helm or another tool installs.
    pub(crate) fn install(&self, name: &str) -> bool {
        let installed = &self.known.get_or_init(|| self.read()).installed;
        let ends = name.match_indices('-').map(|(end, _)| end).chain([name.len()]);
        ends.filter_map(|end| name.get(..end)).any(|part| installed.contains(part))
    }

    fn read(&self) -> Known {
        let mut known = Known::default();
        for path in self.tree.walk("", false).files {
            let lower = path.to_ascii_lowercase();
            let script = ENDINGS.iter().any(|ending| lower.ends_with(ending)) || lower.starts_with(".github/workflows/");
            let other = OTHER_TOOLS.iter().any(|ending| lower.ends_with(ending));
            let Some(source) = (script || other).then(|| self.tree.read(&path).ok()).flatten() else { continue };
            let Ok(source) = Source::decode(path.as_str().into(), source) else { continue };
            if other {
                let named = source.text.lines().filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("name"));
                let values = named.filter_map(|rest| rest.trim_start().strip_prefix([':', '=']));
                known.installed.extend(values.map(|value| value.trim_matches([' ', '"', '\'']).to_owned()));
            } else {
                collect(&source.text, &mut known);
            }
        }
        known
    }
}

/// Every word of a `create KIND …` or `helm install …` command may be the name.
fn collect(text: &str, known: &mut Known) {
    for (start, _) in text.match_indices("create ") {
        let mut words = command(text, start).skip(1);
        if let Some((_, kind)) = words.next().and_then(|word| WORDS.iter().find(|(known, _)| *known == word)) {
            known.created.extend(words.map(|word| (*kind, bare(word))));
        }
    }
    for start in ["helm install", "helm upgrade"].iter().flat_map(|verb| text.match_indices(verb)).map(|(start, _)| start) {
        known.installed.extend(command(text, start).skip(2).filter(|word| !word.contains(['/', '='])).map(bare));
    }
}

fn bare(word: &str) -> String {
    word.trim_matches(['`', '"', '\'', ',', ';', ')', '.']).to_owned()
}

/// The words of a command from a place on, over lines that a backslash ends.
fn command(text: &str, start: usize) -> impl Iterator<Item = &str> {
    let rest = text.get(start..).unwrap_or_default();
    let mut goes_on = true;
    let lines = rest.lines().take_while(move |line| std::mem::replace(&mut goes_on, line.trim_end().ends_with('\\')));
    lines.flat_map(str::split_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_may_go_over_several_lines() {
        let tree = Tree::default()
            .with("README.md", "Run `kubectl create secret generic login -n shop`.\n")
            .with("deploy/setup.sh", "kubectl -n shop create configmap \\\n  settings \\\n  --from-file=a\nother\n")
            .with("install.sh", "helm upgrade --install \\\n  cache oci://charts.example.com/redis\n")
            .with("main.tf", "resource \"helm_release\" \"db\" {\n  name = \"database\"\n}\n")
            .with("a.yaml", "# create secret generic other\n");
        let commands = Commands::new(&tree);
        assert!(commands.create("Secret", "login"));
        assert!(commands.create("ConfigMap", "settings"));
        assert!(!commands.create("ConfigMap", "other"));
        assert!(!commands.create("Secret", "other"));
        assert!(!commands.create("Service", "login"));
        assert!(commands.install("cache-redis-master"));
        assert!(commands.install("database"));
        assert!(!commands.install("redis"));
    }
}
