//! What most commands begin with: the root, its configuration, and the options that change it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::baseline::{self, Baseline};
use crate::check::Version;
use crate::config::explain::Given;
use crate::config::{self, Config, Settings};
use crate::error::SetupError;
use crate::finding::{Confidence, Severity};
use crate::rule::{Preset, RuleSet};
use crate::suppress::Date;
use crate::tree::relative;

/// Options that stand for keys of the configuration, and where rules come from.
#[derive(Args, Default)]
pub(super) struct SetupArgs {
    /// Run these rules, packs or tags instead of the preset's; `all` is every rule
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    select: Vec<String>,
    /// Run these rules, packs or tags, too
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    extend_select: Vec<String>,
    /// Never run these rules, packs or tags
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    ignore: Vec<String>,
    /// Which rules run unless named, and which defaults their parameters have
    #[arg(long, value_name = "PRESET", value_parser = parse_preset)]
    preset: Option<Preset>,
    /// Leave out findings below this severity
    #[arg(long, value_name = "SEVERITY")]
    min_severity: Option<Severity>,
    /// Leave out findings below this confidence
    #[arg(long, value_name = "CONFIDENCE")]
    min_confidence: Option<Confidence>,
    /// Kubernetes version to judge by [default: the newest known]
    #[arg(long, value_name = "VERSION")]
    kubernetes_version: Option<Version>,
    /// Also load the rules of DIR/<pack>/<rule>.yaml (may be repeated)
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
    /// Do not read preflint.toml
    #[arg(long)]
    no_config: bool,
    /// Let no comment and no annotation silence a finding
    #[arg(long)]
    no_inline_suppressions: bool,
    /// The day by which suppressions end [default: today in UTC]
    #[arg(long, value_name = "YYYY-MM-DD")]
    today: Option<Date>,
}

fn parse_preset(word: &str) -> Result<Preset, String> {
    Preset::from_word(word).filter(|preset| *preset != Preset::OptIn).ok_or_else(|| "use default, strict or pedantic".to_owned())
}

/// A root with its settings.
pub(super) struct Setup {
    pub(super) root: PathBuf,
    pub(super) config: Config,
    /// What the command line sets, by key.
    pub(super) given: Given,
    pub(super) settings: Settings,
}

pub(super) fn load(folders: &[PathBuf]) -> Result<Arc<RuleSet>, SetupError> {
    let folders: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    RuleSet::load(&folders).map(Arc::new)
}

impl Setup {
    /// Finds the root from a path and settles on the settings; `more` adds options of the command's own.
    pub(super) fn new(from: &Path, args: &SetupArgs, more: impl FnOnce(&mut Config, &mut Given)) -> Result<Self, SetupError> {
        let (root, config_path) = find_root(from, args.no_config)?;
        let rules = load(&args.rules)?;
        let masked = |error: SetupError| error.masked(&rules);
        let mut config = match config_path {
            Some(path) => {
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| SetupError::new(format!("{} cannot be read: {error}", path.display())))?;
                Config::parse(config::FILE, &text).map_err(masked)?
            }
            None => Config::default(),
        };
        let mut given = Given::new();
        if !args.select.is_empty() {
            config.select.clone_from(&args.select);
            given.push(("select", args.select.join(", ")));
        }
        for (key, list, more) in
            [("extend-select", &mut config.extend_select, &args.extend_select), ("ignore", &mut config.ignore, &args.ignore)]
        {
            if !more.is_empty() {
                list.extend(more.iter().cloned());
                given.push((key, list.join(", ")));
            }
        }
        set(&mut given, "preset", &mut config.preset, args.preset, |preset| preset.word().to_owned());
        set(&mut given, "min-severity", &mut config.min_severity, args.min_severity, Severity::to_string);
        set(&mut given, "min-confidence", &mut config.min_confidence, args.min_confidence, Confidence::to_string);
        set(&mut given, "kubernetes-version", &mut config.kubernetes_version, args.kubernetes_version, Version::to_string);
        let inline = args.no_inline_suppressions.then_some(false);
        set(&mut given, "inline-suppressions", &mut config.inline_suppressions, inline, bool::to_string);
        config.today = Some(args.today.unwrap_or_else(Date::today));
        more(&mut config, &mut given);
        let mut settings = Settings::new(Arc::clone(&rules), &config).map_err(masked)?;
        settings.narrowed = !args.select.is_empty();
        Ok(Self { root, config, given, settings })
    }

    /// Path of the baseline from the root, and on disk. `named` is an option, relative to the current folder.
    pub(super) fn baseline_path(&self, named: Option<&Path>) -> Result<(String, PathBuf), SetupError> {
        let path = match named {
            Some(named) => below(&self.root, named)?,
            None => self.config.baseline.clone().unwrap_or_else(|| baseline::FILE.to_owned()),
        };
        let on_disk = self.root.join(&path);
        Ok((path, on_disk))
    }

    /// Reads the baseline into the settings, if there is one; one that is named has to be there.
    pub(super) fn read_baseline(&mut self, named: Option<&Path>) -> Result<bool, SetupError> {
        let (path, on_disk) = self.baseline_path(named)?;
        if !on_disk.is_file() {
            if named.is_none() && self.config.baseline.is_none() {
                return Ok(false);
            }
            return Err(SetupError::new(format!("there is no baseline `{path}`")).help("`preflint baseline create` writes it"));
        }
        let text = std::fs::read_to_string(&on_disk).map_err(|error| SetupError::new(format!("{path} cannot be read: {error}")))?;
        let baseline = Baseline::parse(&path, &text).map_err(|error| error.masked(self.settings.rules()))?;
        let settings = self.settings.clone().with_baseline(baseline);
        self.settings = settings;
        Ok(true)
    }
}

/// Puts an option in the place of a key, if it is given.
fn set<T: Copy>(given: &mut Given, key: &'static str, value: &mut Option<T>, option: Option<T>, text: impl Fn(&T) -> String) {
    if let Some(option) = option {
        *value = Some(option);
        given.push((key, text(&option)));
    }
}

/// The root: the nearest folder above with a configuration, else the nearest with `.git`, else the folder itself.
fn find_root(from: &Path, no_config: bool) -> Result<(PathBuf, Option<PathBuf>), SetupError> {
    let absolute = absolute(from)?;
    let start = if absolute.is_dir() { absolute } else { absolute.parent().map_or(absolute.clone(), Path::to_path_buf) };
    if !no_config && let Some(root) = start.ancestors().find(|folder| folder.join(config::FILE).is_file()) {
        return Ok((root.to_path_buf(), Some(root.join(config::FILE))));
    }
    let root = start.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(&start);
    Ok((root.to_path_buf(), None))
}

/// The path from the root of the file system. Links are followed, as far as it exists: results are shown at real paths only.
fn absolute(path: &Path) -> Result<PathBuf, SetupError> {
    let failed = |error: std::io::Error| SetupError::new(format!("`{}`: {error}", path.display()));
    let whole = std::path::absolute(path).map_err(failed)?;
    for there in whole.ancestors() {
        if let (Ok(real), Ok(rest)) = (std::fs::canonicalize(there), whole.strip_prefix(there)) {
            return Ok(if rest.as_os_str().is_empty() { real } else { real.join(rest) });
        }
    }
    Ok(whole)
}

/// A path relative to the root.
pub(super) fn below(root: &Path, path: &Path) -> Result<String, SetupError> {
    let absolute = absolute(path)?;
    relative(root, &absolute).ok_or_else(|| {
        SetupError::new(format!("`{}` is not below the root `{}`", path.display(), root.display())).help("check one repository at a time")
    })
}
