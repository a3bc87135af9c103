//! `preflint init`: what a repository needs to begin with, as a plan that can be shown before it is carried out.

use std::fmt::{self, Write as _};

use crate::baseline::Baseline;
use crate::config;
use crate::source::Source;
use crate::syntax::{self, Style, Syntax};

/// Said when the files are written.
pub(crate) const NEXT: &str = "`preflint check` shows what counts.";

/// Parts of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Config,
    Hook,
    Workflow,
    Baseline,
}

/// A file to write.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Path from the root.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
    /// What is shown of it.
    shown: String,
    what: String,
}

/// Files to write, and remarks on those that are not written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    steps: Vec<Step>,
    remarks: Vec<String>,
}

const HOOKS: &str = ".pre-commit-config.yaml";
const WORKFLOW: &str = ".github/workflows/preflint.yml";

/// Configuration files of tools whose suppressions can be honoured.
const PEER_FILES: &[(&str, &[&str])] = &[
    ("kube-linter", &[".kube-linter.yaml", ".kube-linter.yml"]),
    ("checkov", &[".checkov.yaml", ".checkov.yml", ".checkov.baseline"]),
    ("trivy", &["trivy.yaml", ".trivyignore", ".trivyignore.yaml"]),
    ("polaris", &["polaris.yaml", "polaris.yml"]),
    ("kics", &["kics.config", "kics.yaml", "kics.yml"]),
    ("dclint", &[".dclintrc", ".dclintrc.yaml", ".dclintrc.yml", ".dclintrc.json"]),
];

impl Plan {
    /// Plans for a repository: `read` gives the text of a file, `exists` whether there is one.
    pub(crate) fn new(
        read: &dyn Fn(&str) -> Option<String>,
        exists: impl Fn(&str) -> bool,
        baseline: Option<&Baseline>,
        without: &[Part],
    ) -> Self {
        let mut plan = Self::default();
        let wants = |part: Part| !without.contains(&part);
        if wants(Part::Config) {
            if exists(config::FILE) {
                plan.remarks.push(format!("{} is there already and stays as it is", config::FILE));
            } else {
                let peers = PEER_FILES.iter().filter(|(_, files)| files.iter().any(|file| exists(file))).map(|(peer, _)| *peer);
                plan.write(config::FILE, configuration(&peers.collect::<Vec<_>>()), "the configuration");
            }
        }
        if wants(Part::Hook) {
            plan.hook(read(HOOKS));
        }
        if wants(Part::Workflow) {
            if exists(WORKFLOW) {
                plan.remarks.push(format!("{WORKFLOW} is there already and stays as it is"));
            } else if exists(".gitlab-ci.yml") && !exists(".github") {
                let job = "`preflint check --format gitlab > gl-code-quality-report.json`";
                plan.remarks
                    .push(format!("this looks like a GitLab project: add a job with {job} and the artifact `reports: codequality`"));
            } else {
                plan.write(WORKFLOW, workflow(), "the workflow that checks pull requests");
                if env!("CARGO_PKG_REPOSITORY").is_empty() {
                    plan.remarks.push(format!("in {WORKFLOW}, put the account that hosts preflint in the place of OWNER"));
                }
            }
        }
        if wants(Part::Baseline) {
            match baseline {
                Some(baseline) if baseline.is_empty() => {
                    plan.remarks.push("nothing is found today, so there is no baseline to write".to_owned());
                }
                Some(baseline) => plan.steps.push(Step {
                    path: baseline.path.to_string(),
                    text: baseline.to_text(),
                    shown: String::new(),
                    what: format!("the baseline: {} findings of today, which do not count from now on", baseline.len()),
                }),
                None => plan.remarks.push("the baseline is there already; `preflint baseline update` adds to it".to_owned()),
            }
        }
        plan
    }

    fn write(&mut self, path: &str, text: String, what: &str) {
        self.steps.push(Step { path: path.to_owned(), shown: text.clone(), text, what: what.to_owned() });
    }

    fn hook(&mut self, text: Option<String>) {
        let Some(text) = text else {
            self.write(HOOKS, format!("repos:\n{}", hook("  ")), "the pre-commit hook; run `pre-commit install` once");
            return;
        };
        if text.contains("preflint") {
            self.remarks.push(format!("{HOOKS} has preflint already"));
            return;
        }
        match with_hook(&text) {
            Some((text, shown)) => {
                self.steps.push(Step { path: HOOKS.to_owned(), text, shown, what: "one more pre-commit hook, at the end".to_owned() });
            }
            None => self.remarks.push(format!("{HOOKS} has no block list `repos` to add to; put this into it:\n{}", hook("  "))),
        }
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(formatter, "{}: {}", step.path, step.what)?;
            for line in step.shown.lines() {
                writeln!(formatter, "  + {line}")?;
            }
            writeln!(formatter)?;
        }
        for remark in &self.remarks {
            writeln!(formatter, "note: {remark}")?;
        }
        Ok(())
    }
}

fn configuration(peers: &[&str]) -> String {
    let mut text = "\
# `preflint config explain FILE` shows what holds for a file, `preflint rules` lists the rules.
preset = \"default\"   # default, strict or pedantic
# exclude = [\"vendor\"]
"
    .to_owned();
    if !peers.is_empty() {
        let list: Vec<String> = peers.iter().map(|peer| format!("\"{peer}\"")).collect();
        text.push_str("\n# Comments and annotations that silence these tools count here, too.\n");
        let _ = writeln!(text, "[migrate]\nhonor = [{}]", list.join(", "));
    }
    text
}

/// The hook's entry for a list whose items are indented so far.
fn hook(indent: &str) -> String {
    let home = env!("CARGO_PKG_REPOSITORY");
    let lines: Vec<String> = if home.is_empty() {
        vec![
            "- repo: local".to_owned(),
            "  hooks:".to_owned(),
            "    - id: preflint".to_owned(),
            "      name: preflint".to_owned(),
            "      entry: preflint check".to_owned(),
            "      language: system".to_owned(),
            "      require_serial: true".to_owned(),
            format!("      files: {}", files()),
        ]
    } else {
        vec![
            format!("- repo: {home}"),
            format!("  rev: v{}", env!("CARGO_PKG_VERSION")),
            "  hooks:".to_owned(),
            "    - id: preflint".to_owned(),
        ]
    };
    lines.iter().fold(String::new(), |text, line| text + indent + line + "\n")
}

/// The pattern of files that the hook is run for, as the hooks of this repository have it.
fn files() -> &'static str {
    let hooks = include_str!("../.pre-commit-hooks.yaml");
    hooks.lines().find_map(|line| line.trim().strip_prefix("files: ")).unwrap_or("''")
}

/// The text with the hook as the last of `repos`, and the lines that are new.
fn with_hook(text: &str) -> Option<(String, String)> {
    let source = std::sync::Arc::new(Source { path: HOOKS.into(), text: text.to_owned(), bom: false });
    let parsed = syntax::parse(&source, Syntax::Yaml);
    let document = parsed.documents.first().filter(|_| parsed.errors.is_empty())?;
    let repos = document.root().get("repos").filter(|repos| repos.is_sequence() && repos.style() == Style::Block)?;
    let last = repos.items().last()?;
    // The last value of the last item ends the list, and not what the parser has read before it knew.
    let values = last.values().into_iter().filter(|node| node.is_scalar() || node.style() == Style::Flow);
    let end = values.map(|node| node.span().end).max()? as usize;
    let end = text.get(..end)?.trim_end().len();
    let first = repos.items().next()?.span().start as usize;
    let line = text.get(..first)?.rfind('\n').map_or(0, |at| at + 1);
    let indent: String = text.get(line..first)?.chars().take_while(|c| *c == ' ').collect();
    let line_end = text.get(end..)?.find('\n').map_or(text.len(), |length| end + length + 1);
    let new = hook(&indent);
    let (before, after) = text.split_at_checked(line_end)?;
    let separator = if before.ends_with('\n') { "" } else { "\n" };
    Some((format!("{before}{separator}{new}{after}"), new))
}

fn workflow() -> String {
    let home = env!("CARGO_PKG_REPOSITORY");
    let action = home.rsplitn(3, '/').take(2).collect::<Vec<_>>();
    let action = match action.as_slice() {
        [name, owner] => format!("{owner}/{name}"),
        _ => "OWNER/preflint".to_owned(),
    };
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "\
name: preflint
on:
  pull_request:
  push:
    branches: [main]
permissions:
  contents: read
jobs:
  preflint:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2
        with:
          persist-credentials: false
      # On pull requests only what is new counts.
      - uses: {action}@v{version}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_the_hook_to_what_is_there() {
        let text = "# ours\nrepos:\n- repo: https://example.com/a\n  rev: v1\n  hooks:\n  - id: a\n    args: [x] # why\n\n# the end\nci: {skip: [a]}\n";
        let (new, shown) = with_hook(text).unwrap_or_default();
        assert_eq!(shown, hook(""));
        assert_eq!(new, text.replace("# why\n", &format!("# why\n{}", hook(""))));
        let deeper = "repos:\n  - repo: local\n    hooks: []";
        let (new, _) = with_hook(deeper).unwrap_or_default();
        assert_eq!(new, format!("{deeper}\n{}", hook("  ")));
        assert_eq!(with_hook("repos: []\n"), None);
        assert_eq!(with_hook("repos: [\n"), None);
    }

    #[test]
    fn never_touches_what_is_there() {
        let read = |_: &str| Some("repos: [] # preflint\n".to_owned());
        let plan = Plan::new(&read, |_| true, None, &[]);
        assert!(plan.is_empty(), "{plan}");
        assert_eq!(plan.to_string().lines().count(), 4);
        let plan = Plan::new(&|_| None, |path| path == ".kube-linter.yaml", None, &[Part::Baseline]);
        let paths: Vec<&str> = plan.steps().iter().map(|step| step.path.as_str()).collect();
        assert_eq!(paths, [config::FILE, HOOKS, WORKFLOW]);
        assert!(plan.to_string().contains("honor = [\"kube-linter\"]"));
        for step in plan.steps() {
            if step.path == config::FILE {
                assert!(config::Config::parse(&step.path, &step.text).is_ok());
            } else {
                let source = Source { path: step.path.as_str().into(), text: step.text.clone(), bom: false };
                assert!(syntax::parse(&std::sync::Arc::new(source), Syntax::Yaml).errors.is_empty(), "{}", step.text);
            }
        }
    }
}
