//! The command line: arguments in, data on standard output, messages on standard error, an exit code out.

mod adopt;
mod setup;

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand, ValueEnum};
use miette::{GraphicalReportHandler, GraphicalTheme};

use self::setup::{Setup, SetupArgs, below, load};
use crate::config::Settings;
use crate::error::SetupError;
use crate::finding::{Report, Severity};
use crate::report::{Format, Style};
use crate::rule::Rule;
use crate::scan::{self, Progress};
use crate::survey::Request;
use crate::tree::Tree;

/// Exit codes, a contract.
const CLEAN: u8 = 0;
const FINDINGS: u8 = 1;
const SETUP: u8 = 2;
const NOT_ANALYSED: u8 = 3;
const NO_INPUT: u8 = 4;

/// Checks what you deploy: Kubernetes, Helm values, Kustomize, Compose, wrangler and .env files.
#[derive(Parser)]
#[command(name = "preflint", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check files and folders
    ///
    /// Exit codes: 0 clean; 1 findings at or above --fail-on that nothing silences; 2 usage or setup error; 3 something was not
    /// analysed, under --strict-coverage; 4 nothing to check, under --require-input. Where several apply: the first of 2, 3, 4, 1.
    Check(Box<CheckArgs>),
    /// Write the configuration, a pre-commit hook, a workflow and a baseline for this repository, and show them first
    Init(adopt::InitArgs),
    /// Keep the findings that are there today from counting
    #[command(subcommand)]
    Baseline(adopt::BaselineCommand),
    /// Write a suppression of findings, with a reason, where they are
    Suppress(adopt::SuppressArgs),
    /// Look into the configuration
    #[command(subcommand)]
    Config(adopt::ConfigCommand),
    /// List what is deployed together, in which environments, and what is not analysed
    Project(adopt::ProjectArgs),
    /// List the rules
    Rules(RulesArgs),
    /// Explain a rule, by its id or by that of the same check in another tool
    Explain(ExplainArgs),
}

#[derive(Args)]
struct CheckArgs {
    /// Files and folders; a named file is judged together with what it is deployed with
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    /// Format of the report on standard output
    #[arg(long, value_name = "FORMAT", default_value = "pretty", value_parser = parse_format)]
    format: Format,
    /// Write a report to a file, too (may be repeated); `json=-` is standard output
    #[arg(short, long = "output", value_name = "FORMAT=FILE", value_parser = parse_output)]
    output: Vec<(Format, PathBuf)>,
    /// Exit with 1 from this severity on [default: low]
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<Severity>,
    /// Exit with 0 whatever is found
    #[arg(long)]
    exit_zero: bool,
    /// Exit with 3 when something could not be analysed
    #[arg(long)]
    strict_coverage: bool,
    /// Exit with 4 when there is nothing to check
    #[arg(long)]
    require_input: bool,
    /// Report only what is new since the work on this branch began: since the merge base of REF and HEAD
    #[arg(long, value_name = "REF")]
    base: Option<String>,
    /// Check what is staged in git's index, not the working tree
    #[arg(long, conflicts_with = "stdin_filename")]
    staged: bool,
    /// The baseline, whose findings do not count [default: preflint-baseline.json, where it exists]
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Do not read a baseline
    #[arg(long, conflicts_with = "baseline")]
    no_baseline: bool,
    /// Leave silenced findings out of the formats that list them (sarif, json, junit), for readers that do not know of silence, such as GitHub
    #[arg(long)]
    hide_suppressed: bool,
    /// Take files that .gitignore names, too
    #[arg(long)]
    no_ignore: bool,
    /// Show every finding with its snippet
    #[arg(long)]
    all: bool,
    /// Number of threads [default: one for each processor]
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,
    /// Read standard input as if it were this file
    #[arg(long, value_name = "PATH")]
    stdin_filename: Option<PathBuf>,
    #[command(flatten)]
    setup: SetupArgs,
    /// When to colour the output
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Args)]
struct RulesArgs {
    /// Rules, packs or tags to list [default: all]
    names: Vec<String>,
    /// Format of the list
    #[arg(long, default_value = "table")]
    format: ListFormat,
    /// Also load the rules of DIR/<pack>/<rule>.yaml
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    Table,
    Json,
}

#[derive(Args)]
struct ExplainArgs {
    /// Id of a rule (`limits/memory-limit-missing`), or of a check elsewhere (`CKV_K8S_13`, `kube-linter:unset-memory-requirements`)
    id: String,
    /// Also load the rules of DIR/<pack>/<rule>.yaml
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
}

fn parse_format(word: &str) -> Result<Format, String> {
    word.parse()
}

fn parse_output(text: &str) -> Result<(Format, PathBuf), String> {
    let (format, file) = text.split_once('=').ok_or_else(|| "write FORMAT=FILE, such as sarif=preflint.sarif".to_owned())?;
    if file.is_empty() {
        return Err("the file's name is missing behind `=`".to_owned());
    }
    Ok((format.parse()?, PathBuf::from(file)))
}

/// What ends a run early.
enum Stop {
    Setup(SetupError),
    Io(io::Error),
}

impl From<SetupError> for Stop {
    fn from(error: SetupError) -> Self {
        Self::Setup(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Runs the command with the process's arguments and streams.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { SETUP } else { CLEAN });
        }
    };
    let result = match cli.command {
        Command::Check(args) => run_check(&args),
        Command::Init(args) => adopt::init(&args),
        Command::Baseline(command) => adopt::baseline(&command),
        Command::Suppress(args) => adopt::suppress(&args),
        Command::Config(command) => adopt::config(&command),
        Command::Project(args) => adopt::project(&args),
        Command::Rules(args) => run_rules(&args),
        Command::Explain(args) => run_explain(&args),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        // A reader that closed the pipe has seen what it wanted.
        Err(Stop::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(CLEAN),
        Err(Stop::Io(error)) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(SETUP)
        }
        Err(Stop::Setup(error)) => {
            let theme = if io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
                GraphicalTheme::unicode()
            } else {
                GraphicalTheme::unicode_nocolor()
            };
            let mut text = String::new();
            let _ = GraphicalReportHandler::new_themed(theme).render_report(&mut text, &error);
            let _ = write!(io::stderr(), "{text}");
            ExitCode::from(SETUP)
        }
    }
}

fn run_check(args: &CheckArgs) -> Result<u8, Stop> {
    let started = Instant::now();
    let first = args.stdin_filename.as_ref().or(args.paths.first()).map_or(Path::new("."), PathBuf::as_path);
    let mut setup = Setup::new(first, &args.setup, |config, given| {
        if let Some(severity) = args.fail_on {
            config.fail_on = Some(severity);
            given.push(("fail-on", severity.to_string()));
        }
    })?;
    if !args.no_baseline {
        setup.read_baseline(args.baseline.as_deref())?;
    }
    let Setup { root, mut settings, .. } = setup;
    settings.line_hashes =
        std::iter::once(args.format).chain(args.output.iter().map(|(format, _)| *format)).any(|format| format == Format::Sarif);

    let mut tree = if args.staged { Tree::staged(&root)? } else { Tree::folder(&root) };
    let mut request = Request { paths: Vec::new(), no_ignore: args.no_ignore };
    if let Some(name) = &args.stdin_filename {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes)?;
        let path = below(&root, name)?;
        tree = tree.with(path.clone(), bytes);
        request.paths.push(path);
    } else {
        for path in &args.paths {
            if !path.exists() && !args.staged {
                return Err(SetupError::new(format!("there is no file or folder `{}`", path.display()))
                    .help("paths are relative to the current folder")
                    .into());
            }
            request.paths.push(below(&root, path)?);
        }
    }
    let base = args.base.as_deref().map(|base| Ok::<_, SetupError>((base, Tree::merge_base(&root, base)?))).transpose()?;
    let report = with_threads(args.jobs, || {
        with_progress(|progress| {
            let report = scan::check(&tree, &request, &settings, progress);
            match &base {
                Some((name, base)) => report.without(&scan::check_base(base, &tree, &request, &settings), name),
                None => report,
            }
        })
    })?;
    let without_silenced = args.hide_suppressed.then(|| Report { silenced: Vec::new(), ..report.clone() });
    // The formats that list silenced findings; the others only count them.
    let chosen = |format: Format| match &without_silenced {
        Some(report) if matches!(format, Format::Json | Format::Sarif | Format::Junit) => report,
        _ => &report,
    };

    for (format, file) in &args.output {
        let style = Style { color: false, width: 100, all: args.all, elapsed: None };
        if file.as_os_str() == "-" {
            chosen(*format).write(*format, &style, &mut BufWriter::new(io::stdout().lock()))?;
            continue;
        }
        let failed = |error: io::Error| SetupError::new(format!("{} cannot be written: {error}", file.display()));
        let mut out = BufWriter::new(File::create(file).map_err(failed)?);
        chosen(*format).write(*format, &style, &mut out).and_then(|()| out.flush()).map_err(failed)?;
    }
    // `-o json=-` takes the place of the report on standard output.
    if !args.output.iter().any(|(_, file)| file.as_os_str() == "-") {
        let mut out = BufWriter::new(io::stdout().lock());
        chosen(args.format).write(args.format, &style(args, started.elapsed()), &mut out)?;
        out.flush()?;
    }
    if args.format != Format::Pretty {
        for note in &report.notes {
            writeln!(io::stderr(), "note: {note}")?;
        }
    }
    Ok(exit_code(args, &settings, &report))
}

fn style(args: &CheckArgs, elapsed: Duration) -> Style {
    let terminal = io::stdout().is_terminal();
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let color = match args.color {
        Color::Auto => terminal && wanted,
        Color::Always => true,
        Color::Never => false,
    };
    let width = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok())
        .or_else(|| terminal.then(terminal_width).flatten())
        .unwrap_or(100);
    Style { color, width, all: args.all, elapsed: Some(elapsed) }
}

/// Columns of the terminal.
fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

fn exit_code(args: &CheckArgs, settings: &Settings, report: &Report) -> u8 {
    if args.strict_coverage && !report.coverage.not_analysed.is_empty() {
        return NOT_ANALYSED;
    }
    if args.require_input && report.coverage.artifacts.is_empty() && report.coverage.not_analysed.is_empty() {
        return NO_INPUT;
    }
    let failing = report.findings.iter().any(|finding| finding.severity >= settings.fail_on);
    if failing && !args.exit_zero { FINDINGS } else { CLEAN }
}

fn with_threads<T: Send>(jobs: Option<usize>, run: impl FnOnce() -> T + Send) -> Result<T, SetupError> {
    let Some(jobs) = jobs else { return Ok(run()) };
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(jobs).build().map_err(|error| SetupError::new(format!("`--jobs {jobs}`: {error}")))?;
    Ok(pool.install(run))
}

/// How long a scan runs before its progress is shown.
const PATIENCE: Duration = Duration::from_millis(800);

/// Shows progress on standard error while a long scan runs, where that is a terminal.
fn with_progress(scan: impl FnOnce(&Progress) -> Report) -> Report {
    let progress = Progress::default();
    if !io::stderr().is_terminal() {
        return scan(&progress);
    }
    let (done, ended) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let shown = &progress;
        scope.spawn(move || {
            let mut wait = PATIENCE;
            let mut drawn = false;
            while ended.recv_timeout(wait) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let (files, total) = (shown.done.load(Ordering::Relaxed), shown.total.load(Ordering::Relaxed));
                let filled = (files * 30).checked_div(total).unwrap_or_default();
                let _ = write!(io::stderr(), "\r[{}{}] {files}/{total} files", "=".repeat(filled), " ".repeat(30 - filled.min(30)));
                let _ = io::stderr().flush();
                drawn = true;
                wait = Duration::from_millis(100);
            }
            if drawn {
                let _ = write!(io::stderr(), "\r\x1b[2K");
            }
        });
        let report = scan(&progress);
        drop(done);
        report
    })
}

fn run_rules(args: &RulesArgs) -> Result<u8, Stop> {
    let rules = load(&args.rules)?;
    let selection = crate::rule::Selection { select: args.names.clone(), ..crate::rule::Selection::default() };
    let listed: Vec<&Rule> = if args.names.is_empty() {
        rules.rules().iter().collect()
    } else {
        let flags = selection.resolve(&rules).map_err(|error| SetupError::new(error.to_string()))?;
        let named = |rule: &Rule| !rule.is_scan() || args.names.iter().any(|name| name.starts_with("scan"));
        rules.rules().iter().zip(flags).filter(|(rule, on)| *on && named(rule)).map(|(rule, _)| rule).collect()
    };
    let mut out = BufWriter::new(io::stdout().lock());
    match args.format {
        ListFormat::Json => crate::explain::write_json(&listed, &mut out)?,
        ListFormat::Table => crate::explain::write_table(&listed, &mut out)?,
    }
    out.flush()?;
    Ok(CLEAN)
}

fn run_explain(args: &ExplainArgs) -> Result<u8, Stop> {
    let rules = load(&args.rules)?;
    let found = rules.find(&args.id);
    if found.is_empty() {
        let known = rules.rules().iter().flat_map(|rule| {
            let short = rule.id.split_once('/').map_or("", |(_, short)| short);
            let peers = rule.equivalents.iter().flat_map(|peer| [peer.as_str(), peer.split_once(':').map_or("", |(_, id)| id)]);
            [&*rule.id, short].into_iter().chain(peers)
        });
        let error = SetupError::new(format!("there is no rule `{}`, and no rule that stands for a check of this name", args.id));
        let error = match crate::rule::did_you_mean(&args.id, known) {
            Some(close) => error.help(format!("did you mean `{close}`?")),
            None => error.help("`preflint rules` lists all rules"),
        };
        return Err(error.into());
    }
    let mut out = BufWriter::new(io::stdout().lock());
    for (index, rule) in found.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        crate::explain::write_explanation(rule, &mut out)?;
    }
    out.flush()?;
    Ok(CLEAN)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn arguments_are_sound() {
        Cli::command().debug_assert();
    }
}
