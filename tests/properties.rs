//! What holds for any input: no panic, spans inside the text, and findings that do not depend on line ends, order or moved lines.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use preflint::{Config, Finding, Progress, Report, Request, RuleSet, Settings, Status, Tree, check, check_source};

fn settings() -> Result<Settings, Box<dyn Error>> {
    let mut config = Config::parse("preflint.toml", "")?;
    config.select = vec!["all".to_owned()];
    let mut settings = Settings::new(Arc::new(RuleSet::load(&[])?), &config)?;
    settings.line_hashes = true;
    Ok(settings)
}

/// Every fixture file, as path and text.
fn fixtures() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("fixtures")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A small generator of numbers, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap_or_default()
    }
}

fn sound(report: &Report) -> Result<(), String> {
    for finding in report.findings.iter().chain(&report.silenced) {
        if let Status::Suppressed(by) = &finding.status
            && report.sources.get(&by.location.path).is_some_and(|text| text.text().get(by.location.span.range()).is_none())
        {
            return Err(format!("{}: what silences it is no part of the text", finding.rule));
        }
        if &*finding.rule == "scan/internal-error" {
            return Err(format!("the scanner failed: {}", finding.message));
        }
        let Some(text) = report.sources.get(&finding.location.path) else { return Err(format!("{} has no source", finding.rule)) };
        let span = finding.location.span.range();
        if text.text().get(span.clone()).is_none() {
            return Err(format!("{}: {span:?} is no part of {} bytes", finding.rule, text.text().len()));
        }
    }
    Ok(())
}

#[test]
fn any_bytes_are_survived() -> Result<(), Box<dyn Error>> {
    let settings = settings()?;
    let mut random = Random(0x5eed);
    let files = fixtures();
    for (path, text) in &files {
        for round in 0..4 {
            let mut bytes = text.clone().into_bytes();
            for _ in 0..=round * 3 {
                let at = random.below(bytes.len());
                match random.below(5) {
                    0 => bytes.truncate(at),
                    1 => bytes.insert(at, b"{}[]:#&*!|>'\"%@`-?,\t\n\r\0\xff $".get(random.below(26)).copied().unwrap_or(b'x')),
                    2 if at < bytes.len() => drop(bytes.remove(at)),
                    3 => {
                        let other = files.get(random.below(files.len())).map(|(_, text)| text.as_bytes()).unwrap_or_default();
                        bytes.splice(at..at, other.iter().copied().skip(random.below(other.len())).take(40));
                    }
                    _ => {
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte = u8::try_from(random.below(256))?;
                        }
                    }
                }
            }
            let tree = Tree::default().with(name(path), bytes.clone());
            let report = check(&tree, &Request::default(), &settings, &Progress::default());
            sound(&report).map_err(|error| format!("{} after mutation: {error}\n{}", path.display(), String::from_utf8_lossy(&bytes)))?;
        }
    }
    Ok(())
}

#[test]
fn any_suppression_is_survived() -> Result<(), Box<dyn Error>> {
    const PARTS: &[&str] = &[
        "preflint:",
        "preflint",
        " ",
        "\t",
        "ignore",
        "-file",
        "[",
        "]",
        "limits/*",
        "limits/memory-limit-missing",
        "secrets/*",
        ",",
        "--",
        ";",
        "=",
        "until",
        "2026-12-31",
        "value",
        "0102030405060708",
        "reason",
        "ä",
        "\u{2028}",
        "\u{feff}",
        "#",
        "//",
        "*/",
        "/*",
        "}}",
        "{{/*",
        "\"",
        "'",
        "\\",
        "\r",
        "\n",
        "\n\n    ",
        ":",
        "- ",
        "kics-scan ",
        "checkov:skip=",
        "CKV_K8S_13",
        "trivy:ignore:",
        "KSV-0018",
        ":exp:",
        "dclint disable",
        "dotenv-linter:off",
    ];
    let pod = |annotation: &str, comment: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n    preflint.dev/ignore: {annotation}\nspec:\n  containers:\n    {comment}\n    - name: api\n      image: api:1 {comment}\n"
        )
    };
    let mut config = Config::parse(
        "preflint.toml",
        "[migrate]\nhonor = [\"kube-linter\", \"checkov\", \"trivy\", \"kube-score\", \"polaris\", \"kics\", \"dclint\", \"dotenv-linter\"]\n",
    )?;
    config.today = Some("2026-06-15".parse()?);
    let settings = Settings::new(Arc::new(RuleSet::load(&[])?), &config)?;
    let mut random = Random(0x5a1e);
    for _ in 0..600 {
        let said: String = (0..random.below(14)).map(|_| PARTS.get(random.below(PARTS.len())).copied().unwrap_or_default()).collect();
        let sign = if random.below(3) == 0 { "" } else { "preflint: " };
        let files = [
            ("a.yaml", pod(&said, "")),
            ("b.yaml", pod(&format!("'{}'", said.replace('\'', "''")), &format!("# {sign}{said}"))),
            ("chart/Chart.yaml", "apiVersion: v2\nname: c\nversion: 0.1.0\n".to_owned()),
            ("chart/templates/a.yaml", format!("{{{{/* {sign}{said} */}}}}\na: b # {sign}{said}\n")),
            ("wrangler.toml", format!("# {sign}{said}\nname = \"a\" # {sign}{said}\nvars = {{ ALLOWED_ORIGINS = \"*\" }}\n")),
            ("wrangler.jsonc", format!("/* {sign}{said} */ {{ // {sign}{said}\n\"name\": \"a\"}}\n")),
            (".env", format!("# {sign}{said}\nA=b # {sign}{said}\n")),
        ];
        let tree = files.iter().fold(Tree::default(), |tree, (path, text)| tree.with(*path, text.clone()));
        sound(&check(&tree, &Request::default(), &settings, &Progress::default())).map_err(|error| format!("{error}: {said:?}"))?;
    }
    Ok(())
}

/// What a finding says, without where its bytes are.
fn statement(report: &Report, finding: &Finding) -> (String, u32, String, String) {
    let line = report.sources.get(&finding.location.path).map_or(0, |text| text.position(finding.location.span.start).line);
    (finding.rule.to_string(), line, finding.object.path.clone(), finding.fingerprint.clone())
}

#[test]
fn line_ends_do_not_matter() -> Result<(), Box<dyn Error>> {
    let settings = settings()?;
    for (path, text) in fixtures().into_iter().filter(|(_, text)| !text.contains('\r')) {
        let unix = check_source(&name(&path), &text, &settings);
        let dos = check_source(&name(&path), &text.replace('\n', "\r\n"), &settings);
        // One rule is about the line ends themselves.
        let others = |finding: &&Finding| &*finding.rule != "dotenv/crlf-line-ending";
        let statements =
            |report: &Report| report.findings.iter().filter(others).map(|finding| statement(report, finding)).collect::<BTreeSet<_>>();
        let (a, b) = (statements(&unix), statements(&dos));
        assert!(
            a == b,
            "{}\nonly with LF: {:?}\nonly with CRLF: {:?}",
            path.display(),
            a.difference(&b).collect::<Vec<_>>(),
            b.difference(&a).collect::<Vec<_>>()
        );
    }
    Ok(())
}

#[test]
fn fingerprints_survive_lines_added_above() -> Result<(), Box<dyn Error>> {
    let settings = settings()?;
    for (path, text) in fixtures() {
        let yaml = path.extension().is_some_and(|extension| extension == "yaml");
        if !yaml || text.starts_with('%') {
            continue;
        }
        let prints = |text: &str| {
            check_source(&name(&path), text, &settings).findings.iter().map(|finding| finding.fingerprint.clone()).collect::<BTreeSet<_>>()
        };
        let moved = format!("{}{text}", "# a line above\n".repeat(100));
        assert!(prints(&text) == prints(&moved), "{}", path.display());
    }
    Ok(())
}

#[test]
fn the_order_of_arguments_does_not_matter() -> Result<(), Box<dyn Error>> {
    let settings = settings()?;
    let tree = fixtures()
        .into_iter()
        .enumerate()
        .fold(Tree::default(), |tree, (index, (path, text))| tree.with(format!("d{}/{}", index % 9, name(&path)), text));
    let mut paths: Vec<String> = (0..9).map(|index| format!("d{index}")).collect();
    let forward = check(&tree, &Request { paths: paths.clone(), no_ignore: false }, &settings, &Progress::default());
    paths.reverse();
    let backward = check(&tree, &Request { paths, no_ignore: false }, &settings, &Progress::default());
    assert!(forward.findings == backward.findings);
    Ok(())
}
