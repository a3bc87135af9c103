//! Commands to begin with and to live with: init, baseline, suppress, config.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::setup::{Setup, SetupArgs, below, load};
use super::{CLEAN, Stop};
use crate::baseline::Baseline;
use crate::config::explain;
use crate::error::SetupError;
use crate::finding::Report;
use crate::init::{self, Part, Plan};
use crate::scan::{self, Progress};
use crate::suppress::{Date, Wanted};
use crate::survey::Request;
use crate::tree::Tree;

#[derive(Args)]
pub(super) struct InitArgs {
    /// A folder of the repository
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Leave these out
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    without: Vec<PartWord>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PartWord {
    Config,
    Hook,
    Workflow,
    Baseline,
}

impl From<PartWord> for Part {
    fn from(word: PartWord) -> Self {
        match word {
            PartWord::Config => Self::Config,
            PartWord::Hook => Self::Hook,
            PartWord::Workflow => Self::Workflow,
            PartWord::Baseline => Self::Baseline,
        }
    }
}

#[derive(Subcommand)]
pub(super) enum BaselineCommand {
    /// Write a baseline with the findings of today
    Create {
        /// Replace a baseline that is there
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        place: BaselineArgs,
    },
    /// Add the findings that count today; nothing is taken out
    Update(BaselineArgs),
    /// Take out what is gone; nothing is added
    Prune(BaselineArgs),
}

#[derive(Args)]
pub(super) struct BaselineArgs {
    /// A folder of the repository; all of it is checked
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// The file [default: as in preflint.toml, else preflint-baseline.json]
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    #[command(flatten)]
    setup: SetupArgs,
}

#[derive(Args)]
pub(super) struct SuppressArgs {
    /// A file, or a line of it
    #[arg(value_name = "FILE[:LINE]")]
    place: String,
    /// Rules whose findings are meant [default: every one there]
    #[arg(value_name = "RULE")]
    names: Vec<String>,
    /// Why the findings may stay [default: the reason that an incomplete suppression there gives]
    #[arg(long)]
    reason: Option<String>,
    /// The last day on which they may
    #[arg(long, value_name = "YYYY-MM-DD")]
    until: Option<Date>,
    /// Show the change, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    setup: SetupArgs,
}

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Show what holds for a file, and where each setting comes from
    Explain {
        /// The file; it need not exist
        file: PathBuf,
        #[command(flatten)]
        setup: SetupArgs,
    },
    /// Write the JSON Schema of preflint.toml, for editors
    Schema {
        /// Also load the rules of DIR/<pack>/<rule>.yaml
        #[arg(long, value_name = "DIR")]
        rules: Vec<PathBuf>,
    },
}

#[derive(Args)]
pub(super) struct ProjectArgs {
    /// A folder of the repository
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Format of the list
    #[arg(long, default_value = "tree")]
    format: ProjectFormat,
    /// Name every file
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProjectFormat {
    Tree,
    Json,
}

fn say(text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(io::stderr(), "{text}")
}

/// Everything below the root.
fn check_all(setup: &Setup) -> Report {
    scan::check(&Tree::folder(&setup.root), &Request::default(), &setup.settings, &Progress::default())
}

pub(super) fn baseline(command: &BaselineCommand) -> Result<u8, Stop> {
    let (args, create, prune) = match command {
        BaselineCommand::Create { place, .. } => (place, true, false),
        BaselineCommand::Update(place) => (place, false, false),
        BaselineCommand::Prune(place) => (place, false, true),
    };
    let mut setup = Setup::new(&args.folder, &args.setup, |_, _| {})?;
    let (path, on_disk) = setup.baseline_path(args.baseline.as_deref())?;
    let force = matches!(command, BaselineCommand::Create { force: true, .. });
    let mut baseline = if create {
        if on_disk.exists() && !force {
            let error = SetupError::new(format!("the baseline `{path}` is there already"));
            return Err(error.help("`preflint baseline update` adds to it, `--force` writes it anew").into());
        }
        Baseline::empty(&path)?
    } else {
        if !on_disk.is_file() {
            return Err(SetupError::new(format!("there is no baseline `{path}`")).help("`preflint baseline create` writes it").into());
        }
        setup.read_baseline(args.baseline.as_deref())?;
        setup.settings.baseline.as_ref().map(|baseline| (**baseline).clone()).ok_or_else(|| SetupError::new("there is no baseline"))?
    };
    // The digests of the findings are made with the baseline's salt.
    setup.settings = setup.settings.clone().with_baseline(baseline.clone());
    let (added, removed) = baseline.updated(&check_all(&setup), prune);
    write_file(&on_disk, &baseline.to_text())?;
    let held = baseline.len();
    say(match (create, prune) {
        (true, _) => format!("{path}: {held} findings that do not count from now on; commit it"),
        (_, true) => format!("{path}: {removed} taken out, {held} left"),
        _ => format!("{path}: {added} added, {held} in all"),
    })?;
    Ok(CLEAN)
}

/// Writes a file whole or not at all.
fn write_file(path: &Path, text: &str) -> Result<(), SetupError> {
    let failed = |error: io::Error| SetupError::new(format!("{} cannot be written: {error}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, text).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)
}

pub(super) fn init(args: &InitArgs) -> Result<u8, Stop> {
    let mut setup = Setup::new(&args.folder, &SetupArgs::default(), |_, _| {})?;
    let without: Vec<Part> = args.without.iter().map(|word| Part::from(*word)).collect();
    let mut baseline = None;
    let (path, on_disk) = setup.baseline_path(None)?;
    if !without.contains(&Part::Baseline) && !on_disk.exists() {
        let mut new = Baseline::empty(&path)?;
        setup.settings = setup.settings.clone().with_baseline(new.clone());
        new.updated(&check_all(&setup), false);
        baseline = Some(new);
    }
    let read = |path: &str| std::fs::read_to_string(setup.root.join(path)).ok();
    let plan = Plan::new(&read, |path| setup.root.join(path).exists(), baseline.as_ref(), &without);
    let mut out = io::stdout().lock();
    write!(out, "{plan}")?;
    out.flush()?;
    if plan.is_empty() || args.dry_run {
        return Ok(CLEAN);
    }
    if !args.yes && io::stdin().is_terminal() {
        write!(io::stderr(), "Write this? [y/N] ")?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            say("nothing was written")?;
            return Ok(CLEAN);
        }
    }
    for step in plan.steps() {
        write_file(&setup.root.join(&step.path), &step.text)?;
    }
    say(format!("written; look at it with `git diff`, then commit it. {}", init::NEXT))?;
    Ok(CLEAN)
}

pub(super) fn suppress(args: &SuppressArgs) -> Result<u8, Stop> {
    let whole = Path::new(&args.place);
    // A colon may be a part of the file's name.
    let (file, line) = match args.place.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse::<u32>().ok()?))) {
        Some((file, line)) if !whole.is_file() => (PathBuf::from(file), Some(line)),
        _ => (whole.to_path_buf(), None),
    };
    if !file.is_file() {
        return Err(SetupError::new(format!("there is no file `{}`", file.display())).help("write FILE or FILE:LINE").into());
    }
    let mut setup = Setup::new(&file, &args.setup, |_, _| {})?;
    setup.read_baseline(None)?;
    let path = below(&setup.root, &file)?;
    let wanted = Wanted { path, line, rules: args.names.clone(), reason: args.reason.clone(), until: args.until };
    let edit = crate::suppress::write(&Tree::folder(&setup.root), &wanted, &setup.settings)?;
    let mut out = io::stdout().lock();
    for line in &edit.added {
        writeln!(out, "{}:{}: {}", edit.path, line.0, line.1)?;
    }
    if !args.dry_run {
        write_file(&setup.root.join(&edit.path), &edit.text)?;
    }
    Ok(CLEAN)
}

pub(super) fn project(args: &ProjectArgs) -> Result<u8, Stop> {
    let setup = Setup::new(&args.folder, &SetupArgs::default(), |_, _| {})?;
    let path = below(&setup.root, &args.folder)?;
    let tree = Tree::folder(&setup.root);
    let listing = scan::list(&tree, &Request { paths: vec![path], no_ignore: false }, &setup.settings);
    let mut out = BufWriter::new(io::stdout().lock());
    match args.format {
        ProjectFormat::Tree => listing.write_tree(&mut out, args.all)?,
        ProjectFormat::Json => listing.write_json(&mut out)?,
    }
    out.flush()?;
    Ok(CLEAN)
}

pub(super) fn config(command: &ConfigCommand) -> Result<u8, Stop> {
    let mut out = BufWriter::new(io::stdout().lock());
    match command {
        ConfigCommand::Explain { file, setup } => {
            let setup = Setup::new(file, setup, |_, _| {})?;
            let path = below(&setup.root, file)?;
            explain::write(&setup.config, &setup.given, &setup.settings, &path, &mut out)?;
        }
        ConfigCommand::Schema { rules } => {
            write!(out, "{}", crate::config::config_schema(&*load(rules)?))?;
        }
    }
    out.flush()?;
    Ok(CLEAN)
}
