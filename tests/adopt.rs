//! Living with findings: what is new since a commit, the baseline, init, suppress and config, as people call them.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn container(name: &str, extra: &str) -> String {
    format!("        - name: {name}\n          image: ghcr.io/acme/{name}:1.4\n{extra}")
}

/// A Deployment of two replicas whose containers have no memory limit.
fn deployment(name: &str, containers: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  replicas: 2\n  selector: {{matchLabels: {{app: {name}}}}}\n  \
         template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec:\n      containers:\n{containers}"
    )
}

fn budget(name: &str) -> String {
    format!(
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: {name}}}\nspec:\n  maxUnavailable: 1\n  selector: {{matchLabels: {{app: {name}}}}}\n"
    )
}

/// A folder for one test, a git repository if it is made one.
struct Project(tempfile::TempDir);

impl Project {
    fn new(files: &[(&str, &str)]) -> Result<Self> {
        let project = Self(tempfile::tempdir()?);
        for (path, text) in files {
            project.write(path, text)?;
        }
        Ok(project)
    }

    fn repository(files: &[(&str, &str)]) -> Result<Self> {
        let project = Self::new(files)?;
        project.git(&["init", "--quiet", "--initial-branch=main"])?;
        project.commit("first")?;
        Ok(project)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, path: &str, text: &str) -> Result {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or(self.path()))?;
        Ok(fs::write(path, text)?)
    }

    fn read(&self, path: &str) -> Result<String> {
        Ok(fs::read_to_string(self.path().join(path))?)
    }

    fn git(&self, args: &[&str]) -> Result<String> {
        let output = Command::new("git")
            .current_dir(self.path())
            .args(["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "protocol.file.allow=always"])
            .args(args)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdin(Stdio::null())
            .output()?;
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn commit(&self, message: &str) -> Result {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message])?;
        Ok(())
    }

    fn run(&self, args: &[&str]) -> Result<Output> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_preflint"));
        command.current_dir(self.path()).env("NO_COLOR", "1").stdin(Stdio::null());
        Ok(command.args(args).output()?)
    }

    /// Runs a command that has to go well, and gives what it writes.
    fn good(&self, args: &[&str]) -> Result<String> {
        let output = self.run(args)?;
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}{}", stdout(&output), stderr(&output));
        Ok(stdout(&output) + &stderr(&output))
    }

    /// The findings of a check as `path:line rule`.
    fn findings(&self, args: &[&str]) -> Result<Vec<String>> {
        let output = self.run(&[&["check", "--format", "concise"], args].concat())?;
        assert!(matches!(output.status.code(), Some(0 | 1)), "{args:?}: {}", stderr(&output));
        let short = |line: &str| {
            let mut parts = line.splitn(4, ':');
            let (path, line, rest) = (parts.next()?, parts.next()?, parts.nth(1)?);
            let rule = rest.trim().split(' ').nth(1)?.split('/').nth(1)?.trim_end_matches(':');
            Some(format!("{path}:{line} {rule}"))
        };
        Ok(stdout(&output).lines().filter_map(short).collect())
    }

    fn json(&self, args: &[&str]) -> Result<serde_json::Value> {
        Ok(serde_json::from_slice(&self.run(&[&["check", "--format", "json"], args].concat())?.stdout)?)
    }

    fn sarif(&self, args: &[&str]) -> Result<Vec<serde_json::Value>> {
        let log: serde_json::Value = serde_json::from_slice(&self.run(&[&["check", "--format", "sarif"], args].concat())?.stdout)?;
        Ok(log.pointer("/runs/0/results").and_then(|results| results.as_array()).cloned().unwrap_or_default())
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const LIMITS: &str = "          resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 64Mi}}\n";
/// Made for this test: it opens nothing.
const TOKEN: &str = "ghp_Zq7Rk2Xv9Lm4Wp81Zq7Rk2Xv9Lm4Wp81AbCd";

fn shop() -> Result<Project> {
    Project::repository(&[
        ("k8s/web.yaml", &deployment("web", &container("web", ""))),
        ("k8s/api.yaml", &deployment("api", &container("api", LIMITS))),
        ("pdbs/web.yaml", &budget("web")),
        ("pdbs/api.yaml", &budget("api")),
    ])
}

#[test]
fn base_reports_what_a_change_brought() -> Result {
    let shop = shop()?;
    assert_eq!(shop.findings(&[])?, ["k8s/web.yaml:12 cpu-request-missing", "k8s/web.yaml:12 memory-limit-missing"]);
    assert_eq!(shop.findings(&["--base", "main"])?, Vec::<String>::new());
    shop.git(&["switch", "--quiet", "--create", "work"])?;
    // The budget of a Deployment that is not touched goes, a bad container comes, and a file gets another name.
    fs::remove_file(shop.path().join("pdbs/api.yaml"))?;
    let helper = format!("          env: [{{name: A_TOKEN, value: {TOKEN}}}]\n");
    shop.write("k8s/api.yaml", &deployment("api", &(container("api", LIMITS) + &container("helper", &(LIMITS.to_owned() + &helper)))))?;
    fs::rename(shop.path().join("k8s/web.yaml"), shop.path().join("k8s/shop.yaml"))?;
    let expected = ["k8s/api.yaml:4 pdb-missing", "k8s/api.yaml:18 vcs-ci-token"];
    // The working tree, files that git does not know yet included.
    assert_eq!(shop.findings(&["--base", "main"])?, expected);
    shop.git(&["add", "--all"])?;
    assert_eq!(shop.findings(&["--base", "main", "--staged"])?, expected);
    shop.commit("change")?;
    assert_eq!(shop.findings(&["--base", "main"])?, expected);
    assert_eq!(shop.findings(&["--base", "HEAD"])?, Vec::<String>::new());
    // A named file is reported alone, a folder sees only itself.
    assert_eq!(shop.findings(&["--base", "main", "k8s/shop.yaml"])?, Vec::<String>::new());
    assert_eq!(shop.findings(&["--base", "main", "k8s/api.yaml"])?, expected);
    assert_eq!(shop.findings(&["--base", "main", "pdbs"])?, Vec::<String>::new());
    // What others did on the base since is not ours.
    shop.git(&["switch", "--quiet", "main"])?;
    fs::remove_file(shop.path().join("k8s/web.yaml"))?;
    shop.commit("theirs")?;
    shop.git(&["switch", "--quiet", "work"])?;
    assert_eq!(shop.findings(&["--base", "main"])?, expected);
    let report = shop.json(&["--base", "main"])?;
    assert_eq!(report.pointer("/compared/base"), Some(&"main".into()));
    assert_eq!(report.pointer("/compared/known"), Some(&2.into()));
    assert!(stdout(&shop.run(&["check", "--base", "main"])?).contains("compared with main: 2 known findings not shown"));
    Ok(())
}

#[test]
fn fingerprints_survive_lines_added_above() -> Result {
    let shop = shop()?;
    shop.git(&["switch", "--quiet", "--create", "work"])?;
    fs::remove_file(shop.path().join("pdbs/api.yaml"))?;
    shop.write("k8s/web.yaml", &deployment("web", &(container("web", "") + &container("helper", ""))))?;
    shop.commit("change")?;
    let prints = |results: Vec<serde_json::Value>| -> Vec<(String, String)> {
        let text = |result: &serde_json::Value, path: &str| result.pointer(path).map(ToString::to_string).unwrap_or_default();
        assert!(results.iter().all(|result| text(result, "/baselineState") == "\"new\""));
        results.iter().map(|result| (text(result, "/ruleId"), text(result, "/partialFingerprints"))).collect()
    };
    let before = prints(shop.sarif(&["--base", "main"])?);
    assert_eq!(before.len(), 3);
    for path in ["k8s/web.yaml", "k8s/api.yaml"] {
        let text = shop.read(path)?;
        shop.write(path, &("# a line\n".repeat(100) + &text))?;
    }
    assert_eq!(prints(shop.sarif(&["--base", "main"])?), before);
    // A container that comes before the others leaves them alone, too.
    shop.write("k8s/web.yaml", &deployment("web", &(container("first", LIMITS) + &container("web", "") + &container("helper", ""))))?;
    let rules = |prints: &[(String, String)]| prints.iter().map(|(rule, _)| rule.clone()).collect::<Vec<_>>();
    assert_eq!(rules(&prints(shop.sarif(&["--base", "main"])?)), rules(&before));
    Ok(())
}

#[test]
fn staged_is_what_the_index_holds() -> Result {
    let shop = shop()?;
    shop.write("k8s/web.yaml", &deployment("web", &container("web", LIMITS)))?;
    shop.write(".env", &format!("A_TOKEN={TOKEN}\n"))?;
    assert_eq!(shop.findings(&["--staged"])?, ["k8s/web.yaml:12 cpu-request-missing", "k8s/web.yaml:12 memory-limit-missing"]);
    shop.git(&["add", "--all"])?;
    shop.write("k8s/web.yaml", "nothing: here\n")?;
    assert_eq!(shop.findings(&["--staged"])?, [".env:1 env-file-committed", ".env:1 vcs-ci-token"]);
    // A hook is told where the index is; relative to its own folder.
    let output = Command::new(env!("CARGO_BIN_EXE_preflint"))
        .current_dir(shop.path())
        .args(["check", "--staged", "--format", "concise", "."])
        .env("GIT_INDEX_FILE", ".git/index")
        .output()?;
    assert!(output.status.code() == Some(1) && stdout(&output).starts_with(".env:1:"), "{}", stderr(&output));
    Ok(())
}

#[test]
fn a_base_that_is_not_there_says_what_to_do() -> Result {
    let shop = shop()?;
    for number in 0..3 {
        shop.commit(&format!("more {number}"))?;
    }
    let clone = tempfile::tempdir()?;
    let url = format!("file://{}", shop.path().display());
    let target = clone.path().display().to_string();
    shop.git(&["clone", "--quiet", "--depth", "1", &url, &target])?;
    let shallow = Project(clone);
    let plain = Project::new(&[("a.yaml", "a: 1\n")])?;
    let unborn = Project::new(&[])?;
    unborn.git(&["init", "--quiet"])?;
    for (project, base, message, help) in [
        (&shop, "nowhere", "there is no commit `nowhere` here", "git branch --all"),
        (&shop, "origin/main", "there is no commit `origin/main` here", "git fetch origin main"),
        (&shop, "--output=x", "there is no commit `--output=x` here", ""),
        (&shallow, "HEAD~2", "there is no commit `HEAD~2` here", "git fetch --unshallow"),
        (&plain, "main", "is in no git repository", "leave out `--base`"),
        (&unborn, "HEAD", "there is no commit `HEAD` here", ""),
    ] {
        let output = project.run(&["check", &format!("--base={base}")])?;
        let text = stderr(&output).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(2), "{base}: {text}");
        assert!(text.contains(message) && text.contains(help), "{base}: {text}");
    }
    // Two histories that never met, in a shallow clone as CI makes it.
    shallow.git(&["fetch", "--quiet", "--depth", "1", "origin", shop.git(&["rev-parse", "HEAD~2"])?.trim()])?;
    let output = shallow.run(&["check", "--base", "FETCH_HEAD"])?;
    assert!(stderr(&output).contains("no common ancestor") && stderr(&output).contains("--unshallow"), "{}", stderr(&output));
    shallow.git(&["fetch", "--quiet", "--unshallow"])?;
    assert_eq!(shallow.run(&["check", "--base", "HEAD~2"])?.status.code(), Some(0));
    Ok(())
}

#[test]
fn environment_files_are_judged_by_what_git_tracks() -> Result {
    let shop = shop()?;
    shop.write(".gitignore", ".env*\n!.env.public\n.dev.vars\n")?;
    for path in [".env", ".env.local", ".env.public", ".dev.vars", "deploy/.env"] {
        shop.write(path, "DB_PASSWORD=Tr0ub4dor-x7Q9-zz\n")?;
    }
    let select = ["--select", "dotenv/env-file-committed"];
    // No pattern covers the one that a negation leaves out; the others are ignored.
    assert_eq!(shop.findings(&select)?, [".env.public:1 env-file-committed"]);
    // What is tracked is published, whatever the patterns say.
    shop.git(&["add", "--force", ".env", "deploy/.env"])?;
    let output = stdout(&shop.run(&[&["check", "--format", "concise"][..], &select].concat())?);
    assert!(
        output.contains(".env:1:1: high dotenv/env-file-committed: git tracks this environment file, which holds a credential"),
        "{output}"
    );
    assert!(output.contains("deploy/.env:1:1: ") && output.contains(".env.public:1:1: ") && !output.contains(".env.local"), "{output}");
    // A file that is named is judged as in a scan of all.
    assert_eq!(shop.findings(&[&select[..], &[".env.local"]].concat())?, Vec::<String>::new());
    assert_eq!(shop.findings(&[&select[..], &[".env"]].concat())?, [".env:1 env-file-committed"]);
    Ok(())
}

#[test]
fn a_baseline_holds_what_was_there() -> Result {
    let shop = shop()?;
    shop.write("preflint.toml", "ignore = [\"dotenv/env-file-committed\"]\n")?;
    shop.write(".env", "DB_PASSWORD=Tr0ub4dor-x7Q9-zz\n")?;
    assert_eq!(shop.findings(&[])?.len(), 3);
    assert!(shop.good(&["baseline", "create"])?.contains("preflint-baseline.json: 3 findings"));
    assert_eq!(shop.findings(&[])?, Vec::<String>::new());
    assert_eq!(shop.findings(&["--no-baseline"])?.len(), 3);
    assert!(stdout(&shop.run(&["check"])?).contains("3 silenced: 3 in the baseline"));
    let text = shop.read("preflint-baseline.json")?;
    assert!(!text.contains("Tr0ub4dor") && text.lines().count() == 5, "{text}");
    // Moved code stays held: other lines, another file, another place in a list.
    shop.write("k8s/web.yaml", &("# a line\n".repeat(3) + &deployment("web", &(container("first", LIMITS) + &container("web", "")))))?;
    fs::rename(shop.path().join("k8s/web.yaml"), shop.path().join("web.yaml"))?;
    assert_eq!(shop.findings(&[])?, Vec::<String>::new());
    // Another secret under the same name is not.
    shop.write(".env", "DB_PASSWORD=0ther-9Qx7-zzTr\n")?;
    let held = shop.sarif(&[])?;
    let state = |result: &serde_json::Value| result.get("baselineState").map(ToString::to_string).unwrap_or_default();
    assert_eq!(
        held.iter().filter(|result| state(result) == "\"unchanged\"" && result.pointer("/suppressions/0/kind").is_some()).count(),
        2
    );
    assert_eq!(held.iter().filter(|result| state(result) == "\"new\"").count(), 2);
    assert_eq!(shop.sarif(&["--hide-suppressed"])?.len(), 2);
    // What is gone is said, where all of the repository is looked at.
    assert_eq!(shop.findings(&[])?, [".env:1 literal-in-dotenv", "preflint-baseline.json:2 baseline-entry-stale"]);
    assert_eq!(shop.findings(&["web.yaml"])?, Vec::<String>::new());
    assert_eq!(shop.findings(&["--select", "tls"])?, Vec::<String>::new());
    assert!(shop.good(&["baseline", "update"])?.contains("1 added, 4 in all"));
    // Which of the two entries for `.env` stands first depends on the random key.
    let gone = shop.findings(&[])?;
    assert!(gone.len() == 1 && gone.iter().all(|found| found.ends_with(" baseline-entry-stale")), "{gone:?}");
    assert!(shop.good(&["baseline", "prune"])?.contains("1 taken out, 3 left"));
    assert_eq!(shop.findings(&[])?, Vec::<String>::new());
    assert!(shop.read("preflint-baseline.json")?.contains("\"path\":\"web.yaml\""));
    // Equal findings are counted.
    let twin = container("web", "").repeat(2);
    shop.write("web.yaml", &deployment("web", &twin))?;
    assert_eq!(shop.findings(&["--select", "limits/memory-limit-missing"])?, ["web.yaml:14 memory-limit-missing"]);
    Ok(())
}

#[test]
fn mistakes_with_a_baseline_are_told() -> Result {
    let shop = shop()?;
    let failing = |args: &[&str], message: &str| -> Result {
        let output = shop.run(args)?;
        let text = stderr(&output).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(output.status.code() == Some(2) && text.contains(message), "{args:?}: {text}");
        Ok(())
    };
    failing(&["baseline", "prune"], "`preflint baseline create` writes it")?;
    failing(&["check", "--baseline", "old.json"], "there is no baseline `old.json`")?;
    shop.good(&["baseline", "create"])?;
    failing(&["baseline", "create"], "is there already")?;
    shop.good(&["baseline", "create", "--force"])?;
    let text = shop.read("preflint-baseline.json")?;
    for (from, to, message) in [
        ("\"version\":1", "\"version\":2", "this version"),
        ("\"salt\":\"", "\"salt\":\"x", "thirty-two hex digits"),
        ("\"rule\"", "\"rules\"", "unknown key `rules`"),
        ("]}", "]", "create --force"),
    ] {
        shop.write("preflint-baseline.json", &text.replace(from, to))?;
        failing(&["check"], message)?;
    }
    Ok(())
}

#[test]
fn init_writes_what_it_shows_and_nothing_twice() -> Result {
    let shop = shop()?;
    shop.write(".pre-commit-config.yaml", "repos:\n  - repo: local\n    hooks: []\n")?;
    shop.write(".kube-linter.yaml", "checks: {}\n")?;
    let shown = shop.good(&["init", "--dry-run"])?;
    for part in
        ["preflint.toml", "honor = [\"kube-linter\"]", ".pre-commit-config.yaml", ".github/workflows/preflint.yml", "2 findings of today"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shop.path().join("preflint.toml").exists());
    shop.good(&["init", "--yes"])?;
    assert_eq!(shop.findings(&[])?, Vec::<String>::new());
    assert!(shop.read(".pre-commit-config.yaml")?.starts_with("repos:\n  - repo: local\n    hooks: []\n  - repo: "));
    let files = ["preflint.toml", ".pre-commit-config.yaml", ".github/workflows/preflint.yml", "preflint-baseline.json"];
    let before: Vec<String> = files.iter().map(|file| shop.read(file)).collect::<Result<_>>()?;
    let again = shop.good(&["init", "--yes"])?;
    assert_eq!(again.lines().filter(|line| line.starts_with("note: ")).count(), 4, "{again}");
    assert_eq!(files.iter().map(|file| shop.read(file)).collect::<Result<Vec<_>>>()?, before);
    Ok(())
}

#[test]
fn suppress_writes_what_silences() -> Result {
    let env = format!("          env: [{{name: A_TOKEN, value: {TOKEN}}}]\n");
    let json = "{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"p\"}, \"spec\": {\"containers\": [{\"name\": \"c\", \"image\": \"x:1\"}]}}\n";
    let shop = Project::new(&[
        ("web.yaml", &deployment("web", &container("web", &env)).replace('\n', "\r\n")),
        (".env", &format!("A_TOKEN={TOKEN} # preflint: ignore[secrets/vcs-ci-token] -- shown in the docs\nB_TOKEN={TOKEN}\n")),
        ("wrangler.jsonc", &format!("{{\n  \"name\": \"w\",\n  \"vars\": {{\n    \"A_TOKEN\": \"{TOKEN}\"\n  }}\n}}\n")),
        ("wrangler.toml", &format!("name = \"w\"\n[vars]\nA_TOKEN = \"{TOKEN}\"\n")),
        ("p.json", json),
        ("preflint.toml", "ignore = [\"availability\", \"dotenv/env-file-committed\"]\n"),
    ])?;
    let shown = shop.good(&["suppress", "web.yaml:12", "--reason", "runs for a minute", "--until", "2100-01-31", "--dry-run"])?;
    assert_eq!(
        shown,
        "web.yaml:12:         # preflint: ignore[limits/cpu-request-missing, limits/memory-limit-missing] -- runs for a minute; until=2100-01-31\n"
    );
    shop.good(&["suppress", "web.yaml", "--reason", "a"])?;
    shop.good(&["suppress", ".env:1"])?;
    shop.good(&["suppress", ".env:2", "--reason", "b"])?;
    shop.good(&["suppress", "wrangler.jsonc", "--reason", "c"])?;
    shop.good(&["suppress", "wrangler.toml", "--reason", "d"])?;
    shop.good(&["suppress", "p.json", "--reason", "e \"f\""])?;
    assert_eq!(shop.findings(&[])?, Vec::<String>::new());
    let web = shop.read("web.yaml")?;
    assert!(web.lines().count() == web.matches("\r\n").count(), "{web:?}");
    assert!(
        shop.read(".env")?.starts_with(&format!("A_TOKEN={TOKEN} # preflint: ignore[secrets/vcs-ci-token] -- shown in the docs; value="))
    );
    assert!(shop.read("preflint.toml")?.starts_with("ignore = [\"availability\", \"dotenv/env-file-committed\"]\n\n[[suppressions]]\n"));
    // Another secret is reported, although all the rest is as it was.
    let other = TOKEN.replace("Zq7", "Yq7");
    for path in [".env", "wrangler.jsonc", "wrangler.toml", "web.yaml"] {
        let text = shop.read(path)?;
        shop.write(path, &text.replace(TOKEN, &other))?;
    }
    let reported = shop.findings(&["--select", "secrets"])?;
    assert_eq!(reported.iter().filter(|finding| finding.ends_with(" vcs-ci-token")).count(), 5, "{reported:?}");
    for (args, message) in [
        (&["suppress", "p.json", "--reason", "x"][..], "no such finding counts at p.json"),
        (&["suppress", ".env:9", "--reason", "x"], "there are findings in lines 1, 3"),
        (&["suppress", ".env"], "a suppression needs a reason"),
        (&["suppress", "none.yaml:1", "--reason", "x"], "there is no file `none.yaml`"),
        (&["suppress", ".env", "limits/none", "--reason", "x"], "there is no rule `limits/none`"),
    ] {
        let output = shop.run(args)?;
        let text = stderr(&output).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(output.status.code() == Some(2) && text.contains(message), "{args:?}: {text}");
    }
    Ok(())
}

#[test]
fn config_explain_tells_where_settings_come_from() -> Result {
    let project = Project::new(&[
        (
            "preflint.toml",
            "preset = \"strict\"\nexclude = [\"old\"]\n\n[severity]\n\"limits/cpu-request-missing\" = \"high\"\n\n\
             [environments.live]\npaths = [\"k8s\"]\nscope = \"production\"\n\n\
             [[overrides]]\npaths = [\"k8s\"]\nignore = [\"probes\"]\nextend-select = [\"limits/cpu-limit-missing\"]\n",
        ),
        ("k8s/web.yaml", &deployment("web", &container("web", ""))),
    ])?;
    let text = project.good(&["config", "explain", "k8s/web.yaml", "--min-severity", "medium"])?;
    for line in [
        "k8s/web.yaml",
        "  environment: live",
        "  scope: production (as `environments` says)",
        "  preset = strict  (preflint.toml:1)",
        "  min-severity = medium  (command line)",
        "  exclude = [old]  (preflint.toml:2)",
        "  preflint.toml:11",
        "  limits/cpu-limit-missing",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line}: {text}");
    }
    assert!(
        text.lines()
            .any(|line| line.contains("limits/cpu-request-missing") && line.contains("high") && line.contains("severity configured"))
    );
    assert!(!text.contains("probes/"), "{text}");
    let other = project.good(&["config", "explain", "old/new.yaml"])?;
    assert!(other.contains("not looked at: `exclude` matches it (preflint.toml:2)") && other.contains("probes/"), "{other}");
    let schema: serde_json::Value = serde_json::from_str(&project.good(&["config", "schema"])?)?;
    assert_eq!(schema.pointer("/additionalProperties"), Some(&false.into()));
    Ok(())
}

#[test]
fn documented_configurations_are_read() -> Result {
    let rules = std::sync::Arc::new(preflint::RuleSet::load(&[])?);
    for page in ["README.md", "docs/silencing.md", "docs/environments.md"] {
        let text = fs::read_to_string(page)?;
        let blocks: Vec<&str> = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!blocks.is_empty(), "{page}");
        for block in blocks {
            let config = preflint::Config::parse(page, block)?;
            preflint::Settings::new(std::sync::Arc::clone(&rules), &config)?;
        }
    }
    Ok(())
}
