//! What must agree with `Cargo.toml` and with the survey: hooks, the shim for pre-commit, the Action.

#![allow(clippy::expect_used, missing_docs)]

use regex::Regex;

const HOOKS: &str = include_str!("../.pre-commit-hooks.yaml");
const SHIM: &str = include_str!("../pyproject.toml");
const ACTION: &str = include_str!("../action.yml");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The values of a key, wherever a line has it.
fn values<'text>(text: &'text str, key: &str) -> Vec<&'text str> {
    let begin = format!("{key}:");
    text.lines().filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix(&begin)).map(str::trim).collect()
}

#[test]
fn one_version_everywhere() {
    assert!(SHIM.contains(&format!("version = \"{VERSION}\"")), "the version in pyproject.toml is not {VERSION}");
    assert!(SHIM.contains(&format!("dependencies = [\"preflint=={VERSION}\"]")), "the wheel in pyproject.toml is not {VERSION}");
    let version = ACTION.split("\n  version:\n").nth(1).expect("action.yml has the input `version`");
    let default = values(version, "default").first().copied();
    assert_eq!(default, Some(format!("v{VERSION}").as_str()), "the default version in action.yml");
}

#[test]
fn hooks_are_alike() {
    assert_eq!(values(HOOKS, "id"), ["preflint", "preflint-py", "preflint-system"]);
    assert_eq!(values(HOOKS, "language"), ["rust", "python", "system"]);
    assert_eq!(values(HOOKS, "entry"), ["preflint check"; 3]);
    assert_eq!(values(HOOKS, "require_serial"), ["true"; 3]);
    assert_eq!(values(HOOKS, "stages"), ["[pre-commit, pre-merge-commit, pre-push, manual]"; 3]);
    assert_eq!(values(HOOKS, "minimum_pre_commit_version"), ["'3.2.0'"; 3]);
    // Most of the names have no type in pre-commit.
    for key in ["types", "types_or", "exclude_types"] {
        assert!(values(HOOKS, key).is_empty(), "{key} would leave files out");
    }
}

#[test]
fn hooks_take_the_names_that_the_survey_knows() {
    let patterns = values(HOOKS, "files");
    let [first, rest @ ..] = patterns.as_slice() else { panic!("no `files:`") };
    assert_eq!(rest, [*first; 2], "the hooks take different files");
    let files = Regex::new(first.trim_matches('\'')).expect("a regular expression");
    for name in [
        ".env",
        "app/.env",
        ".env.production",
        ".env-local",
        ".env_test",
        "deploy/prod.env",
        ".dev.vars",
        "worker/.dev.vars.example",
        "wrangler.toml",
        "edge/wrangler.jsonc",
        "wrangler.staging.json",
        "wrangler-api.toml",
        "k8s/api.yaml",
        "compose.yml",
        "Docker-Compose.YML",
        "Kustomization",
        "overlays/prod/kustomization.yaml",
        "manifest.json",
        "charts/web/templates/_helpers.tpl",
        "a b/ü.yaml",
    ] {
        assert!(files.is_match(name), "{name} is not handed to preflint");
    }
    for name in [
        ".envrc",
        "README.md",
        "Cargo.toml",
        "environment",
        "src/env.rs",
        "yaml",
        "a.yaml.bak",
        "wrangler_toml",
        "wranglers.toml",
        "wrangler.ts",
        "xkustomization",
        ".dev.varsity",
        "config.jsonl",
        ".env/settings.py",
    ] {
        assert!(!files.is_match(name), "{name} is handed to preflint");
    }
}
