//! The binary as people call it: streams, exit codes, options and their errors.

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

type Result = std::result::Result<(), Box<dyn Error>>;

const BAD: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 1\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n        - name: web\n          image: web:1\n";
const GOOD: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  clusterIP: None\n  selector: {app: web}\n";

fn preflint(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_preflint"));
    command.current_dir(folder).env_remove("NO_COLOR").env_remove("COLUMNS").stdin(Stdio::null());
    command
}

fn run(folder: &Path, args: &[&str]) -> std::io::Result<Output> {
    preflint(folder).args(args).output()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn project(files: &[(&str, &str)]) -> std::result::Result<tempfile::TempDir, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    for (path, text) in files {
        let path = folder.path().join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)?;
    }
    Ok(folder)
}

#[test]
fn exit_codes() -> Result {
    let bad = project(&[("web.yaml", BAD)])?;
    let good = project(&[("web.yaml", GOOD)])?;
    let chart = project(&[("Chart.yaml", "apiVersion: v2\nname: a\nversion: 1.0.0\n"), ("templates/a.yaml", "{{ .Values.a }}\n")])?;
    let empty = project(&[("README.md", "hello\n")])?;
    for (folder, args, code) in [
        (&good, &["check"][..], 0),
        (&bad, &["check"], 1),
        (&bad, &["check", "--exit-zero"], 0),
        (&bad, &["check", "--fail-on", "critical"], 0),
        (&bad, &["check", "--min-severity", "critical"], 0),
        (&bad, &["check", "--select", "limits/nothing"], 2),
        (&bad, &["check", "nowhere"], 2),
        (&bad, &["check", "--preset", "strictest"], 2),
        (&chart, &["check"], 0),
        (&chart, &["check", "--strict-coverage"], 3),
        (&empty, &["check"], 0),
        (&empty, &["check", "--require-input"], 4),
        (&good, &["check", "--require-input", "--strict-coverage"], 0),
        (&good, &["rules"], 0),
        (&good, &["explain", "nothing"], 2),
        (&good, &["--help"], 0),
        (&good, &["chekc"], 2),
    ] {
        let output = run(folder.path(), args)?;
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{}{}", out(&output), err(&output));
    }
    Ok(())
}

#[test]
fn data_goes_to_stdout_and_messages_to_stderr() -> Result {
    let folder = project(&[("web.yaml", BAD)])?;
    for format in ["json", "sarif"] {
        let output = run(folder.path(), &["check", "--format", format])?;
        serde_json::from_str::<serde_json::Value>(&out(&output))?;
        assert_eq!(err(&output), "", "{format}");
    }
    let output = run(folder.path(), &["check", "--format", "concise"])?;
    assert!(out(&output).lines().all(|line| line.starts_with("web.yaml:")), "{}", out(&output));
    assert!(!out(&output).contains('\u{1b}'));
    Ok(())
}

#[test]
fn one_scan_writes_several_reports() -> Result {
    let folder = project(&[("web.yaml", BAD)])?;
    let output = run(folder.path(), &["check", "-o", "sarif=out.sarif", "-o", "json=out.json"])?;
    assert!(out(&output).contains("limits/memory-limit-missing"));
    for file in ["out.sarif", "out.json"] {
        serde_json::from_str::<serde_json::Value>(&fs::read_to_string(folder.path().join(file))?)?;
    }
    let output = run(folder.path(), &["check", "-o", "json=no/such/folder.json"])?;
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("no/such/folder.json"));
    Ok(())
}

#[test]
fn mistakes_get_a_suggestion() -> Result {
    let folder = project(&[("web.yaml", BAD)])?;
    for (args, text) in [
        (&["check", "--select", "limits/memory-limt-missing"][..], "did you mean `limits/memory-limit-missing`?"),
        (&["check", "--ignore", "secrts"], "did you mean `secrets`?"),
        (&["explain", "CKV_K8S_133"], "did you mean"),
        (&["check", "--formt", "json"], "--format"),
        (&["check", "--format", "jsn"], "json"),
    ] {
        let output = run(folder.path(), args)?;
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(err(&output).contains(text), "{args:?}: {}", err(&output));
    }
    Ok(())
}

#[test]
fn configuration_is_read_at_the_root_and_its_errors_are_underlined() -> Result {
    let folder = project(&[("preflint.toml", "ignore = [\"limits\", \"probes\"]\n"), ("deploy/web.yaml", BAD), (".git/HEAD", "")])?;
    let output = run(&folder.path().join("deploy"), &["check", ".", "--format", "concise"])?;
    assert!(!out(&output).contains("limits/"), "{}", out(&output));
    let output = run(&folder.path().join("deploy"), &["check", ".", "--format", "concise", "--no-config"])?;
    assert!(out(&output).contains("deploy/web.yaml:11:"), "{}", out(&output));
    for (text, message, mark) in [
        ("presett = \"strict\"\n", "unknown key `presett`", "did you mean `preset`?"),
        ("preset = \"strct\"\n", "`strct` is not known here", "did you mean `strict`?"),
        ("ignore = [\"limts\"]\n", "no rule, pack or tag `limts`", "did you mean `limits`?"),
        (
            "[params.\"limits/memory-limit-missing\"]\ncompose-fils = \"all\"\n",
            "no parameter `compose-fils`",
            "did you mean `compose-files`?",
        ),
        ("[params.\"limits/memory-limit-missing\"]\ncompose-files = \"some\"\n", "does not take `some`", "production, all"),
        ("preset = \n", "preflint.toml", "1"),
    ] {
        fs::write(folder.path().join("preflint.toml"), text)?;
        let output = run(folder.path(), &["check"])?;
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(err(&output).contains(message) && err(&output).contains(mark), "{text}: {}", err(&output));
        assert!(err(&output).contains("preflint.toml:"), "{text}: {}", err(&output));
    }
    Ok(())
}

#[test]
fn parameters_and_excludes_apply() -> Result {
    let compose = "services:\n  a:\n    image: a:1\n";
    let folder = project(&[("compose.yaml", compose), ("vendor/compose.yaml", compose)])?;
    let output = run(folder.path(), &["check", "--format", "concise", "--select", "limits/memory-limit-missing"])?;
    assert_eq!(out(&output), "");
    fs::write(
        folder.path().join("preflint.toml"),
        "exclude = [\"vendor\"]\n[params.\"limits/memory-limit-missing\"]\ncompose-files = \"all\"\n",
    )?;
    let output = run(folder.path(), &["check", "--format", "concise", "--select", "limits/memory-limit-missing"])?;
    assert_eq!(out(&output).lines().count(), 1, "{}", out(&output));
    assert!(out(&output).starts_with("compose.yaml:2:3:"), "{}", out(&output));
    Ok(())
}

#[test]
fn standard_input_stands_for_a_file() -> Result {
    let folder = project(&[("deploy/other.yaml", GOOD)])?;
    let mut child = preflint(folder.path())
        .args(["check", "--stdin-filename", "deploy/web.yaml", "--format", "concise", "--select", "limits/memory-limit-missing"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child.stdin.take().ok_or("no standard input")?.write_all(BAD.as_bytes())?;
    let output = child.wait_with_output()?;
    assert!(out(&output).starts_with("web.yaml:11:") || out(&output).starts_with("deploy/web.yaml:11:"), "{}", out(&output));
    Ok(())
}

#[test]
fn a_named_file_is_judged_with_what_it_is_deployed_with() -> Result {
    let two = BAD.replace("replicas: 1", "replicas: 2");
    let budget = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: web}\nspec:\n  maxUnavailable: 1\n  selector: {matchLabels: {app: web}}\n";
    let folder = project(&[("deployments/web.yaml", &two), ("pdbs/web.yaml", budget), (".git/HEAD", "ref: refs/heads/main\n")])?;
    let args = ["check", "deployments/web.yaml", "--select", "availability/pdb-missing,limits/memory-limit-missing", "--format", "concise"];
    let output = run(folder.path(), &args)?;
    assert!(!out(&output).contains("pdb-missing"), "{}", out(&output));
    assert!(out(&output).contains("deployments/web.yaml:11:"), "{}", out(&output));
    fs::remove_file(folder.path().join("pdbs/web.yaml"))?;
    assert!(out(&run(folder.path(), &args)?).contains("pdb-missing"));
    Ok(())
}

#[test]
fn tracked_files_are_read_though_ignored_and_ignored_ones_are_not() -> Result {
    let folder = project(&[
        (".gitignore", ".env\n.env.local\n"),
        (".env", "DB_PASSWORD=wq7Rk2Xv9Lm4\n"),
        (".env.local", "DB_PASSWORD=wq7Rk2Xv9Lm4\n"),
    ])?;
    let git = |args: &[&str]| Command::new("git").current_dir(folder.path()).args(args).output();
    if git(&["init", "-q"]).is_err() {
        return Ok(());
    }
    git(&["add", "-f", ".env"])?;
    let args = ["check", "--format", "concise", "--select", "secrets"];
    let output = run(folder.path(), &args)?;
    assert_eq!(out(&output).lines().filter(|line| line.starts_with(".env:1:")).count(), 1, "{}", out(&output));
    assert!(!out(&output).contains(".env.local"), "{}", out(&output));
    Ok(())
}

#[test]
fn rules_of_ones_own() -> Result {
    let rule = "name: Service without an owner\nartifacts: [kubernetes]\nseverity: low\nrationale: Nobody knows whom to call when it breaks at night, and everybody is called.\nremediation: Write the team into the label owner, such as owner with the value payments.\ncheck:\n  target: object\n  when: {path: \"@kind\", equals: Service}\n  require: {path: metadata.labels.owner, exists: true}\n  message: Service `{name}` has no owner\n";
    let folder = project(&[
        ("web.yaml", GOOD),
        ("policy/team/owner-missing.yaml", rule),
        ("broken/team/owner-missing.yaml", &rule.replace("target: object", "target: objct")),
    ])?;
    let output = run(folder.path(), &["check", "web.yaml", "--rules", "policy", "--format", "concise"])?;
    assert!(out(&output).contains("team/owner-missing: Service `web` has no owner"), "{}{}", out(&output), err(&output));
    let output = run(folder.path(), &["check", "--rules", "broken"])?;
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("did you mean `object`?") && err(&output).contains("owner-missing.yaml:7"), "{}", err(&output));
    Ok(())
}

#[test]
fn explain_speaks_of_rules_and_of_peers() -> Result {
    let folder = project(&[])?;
    for id in ["limits/memory-limit-missing", "CKV_K8S_13", "kube-linter:unset-memory-requirements"] {
        let output = run(folder.path(), &["explain", id])?;
        assert!(out(&output).contains("limits/memory-limit-missing: Container has no memory limit"), "{id}: {}", out(&output));
        assert!(out(&output).contains("Mended"), "{id}");
    }
    let output = run(folder.path(), &["rules", "limits", "--format", "json"])?;
    let rules: serde_json::Value = serde_json::from_str(&out(&output))?;
    assert!(rules.pointer("/rules").and_then(serde_json::Value::as_array).is_some_and(|rules| rules.len() >= 8));
    Ok(())
}

#[test]
fn reports_do_not_depend_on_threads() -> Result {
    let files: Vec<(String, String)> =
        (0..40).map(|number| (format!("app{number}/web.yaml"), BAD.replace("web", &format!("web{}", number % 7)))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let folder = project(&files)?;
    let one = run(folder.path(), &["check", "--format", "sarif", "--preset", "pedantic", "--jobs", "1"])?;
    for jobs in ["2", "7"] {
        let many = run(folder.path(), &["check", "--format", "sarif", "--preset", "pedantic", "--jobs", jobs])?;
        assert!(out(&one) == out(&many), "--jobs {jobs} differs");
    }
    Ok(())
}

#[test]
fn project_lists_what_is_deployed_together() -> Result {
    let folder = project(&[
        ("web/base/kustomization.yaml", "resources: [web.yaml]\n"),
        ("web/base/web.yaml", BAD),
        ("web/overlays/dev/kustomization.yaml", "resources: [../../base]\n"),
        ("web/overlays/prod/kustomization.yaml", "resources:\n  - ../../base\n  - https://example.com/more.yaml\n"),
        ("compose.yaml", "services: {web: {image: web:1}}\n"),
        ("compose.override.yaml", "services: {web: {init: true}}\n"),
        ("edge/wrangler.toml", "name = \"edge\"\nmain = \"a.js\"\ncompatibility_date = \"2026-01-01\"\n[env.live]\n"),
        ("a/web.yaml", GOOD),
        ("b/web.yaml", GOOD),
        (".env", "A=1\n"),
        ("chart/Chart.yaml", "apiVersion: v2\nname: a\nversion: 1.0.0\n"),
        ("chart/templates/a.yaml", "{{ .Values.a }}\n"),
        ("readme.txt", "Hello.\n"),
    ])?;
    let output = run(folder.path(), &["project"])?;
    let expected = "\
kustomize web/overlays
  dev   1 object from 3 files
  prod  1 object from 3 files, and more that is not here
    not evaluated: web/overlays/prod/kustomization.yaml:3 `https://example.com/more.yaml` is remote, so the objects that it brings are not judged

compose .
  compose.yaml+compose.override.yaml  1 service from 2 files

wrangler edge/wrangler.toml
  top level  1 file
  live       1 file

plain manifests
  a  1 object from 1 file
  b  1 object from 1 file

chart files, each by itself
  1 file

dotenv files, each by itself
  1 file

not analysed
  chart template: 1 file, all below chart/templates
  remote base of a kustomization: 1 file, all below web/overlays/prod

13 files, of which 1 holds nothing that is deployed
";
    assert_eq!(out(&output), expected);
    assert_eq!(output.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_slice(&run(folder.path(), &["project", "--format", "json"])?.stdout)?;
    let groups = json.pointer("/groups").and_then(|groups| groups.as_array()).ok_or("no groups")?;
    let kinds: Vec<&str> = groups.iter().filter_map(|group| group.pointer("/kind")?.as_str()).collect();
    assert_eq!(kinds, ["kustomize", "compose", "wrangler", "kubernetes", "chart", "dotenv"]);
    let line = json.pointer("/groups/0/environments/1/not_evaluated/0/line");
    assert_eq!(line.and_then(serde_json::Value::as_u64), Some(3));
    Ok(())
}
