//! The git program, asked about a repository: what it tracks, and what commits and the index hold. Nothing is changed
//! and nothing is fetched.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::error::SetupError;

/// A git command below a folder.
fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    // A repository may name a program as its file monitor; reading must not run it.
    command.arg("-C").arg(folder).args(["-c", "core.fsmonitor=false"]);
    // A partial clone would fetch what it lacks.
    command.env("GIT_NO_LAZY_FETCH", "1").env("GIT_ALLOW_PROTOCOL", "none").env("GIT_TERMINAL_PROMPT", "0");
    // Hooks are told these relative to their own folder.
    for name in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY"] {
        if let Some(path) = std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_relative())
            && let Ok(path) = std::path::absolute(&path)
        {
            command.env(name, path);
        }
    }
    command
}

/// What a git command writes, or the first line of what it complains about.
fn output(folder: &Path, args: &[&str]) -> Result<Vec<u8>, String> {
    match git(folder).args(args).stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(output.stdout),
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr);
            Err(error.lines().next().unwrap_or("it failed without a word").trim_start_matches("fatal: ").to_owned())
        }
        Err(error) => Err(format!("git cannot be run: {error}")),
    }
}

fn line(folder: &Path, args: &[&str]) -> Result<String, String> {
    output(folder, args).map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// Files that git tracks below a folder.
pub(crate) fn tracked(folder: &Path) -> Result<Vec<String>, String> {
    let list = output(folder, &["ls-files", "-z", "--cached"])?;
    Ok(String::from_utf8_lossy(&list).split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

/// The commit from which the work since `base` began: the best common ancestor of `base` and HEAD.
fn merge_base(folder: &Path, base: &str) -> Result<String, SetupError> {
    let commit = |name: &str| line(folder, &["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{name}^{{commit}}")]);
    if let Err(error) = line(folder, &["rev-parse", "--git-dir"]) {
        return Err(SetupError::new(format!("`--base` compares commits, and `{}` is in no git repository ({error})", folder.display()))
            .help("leave out `--base`, or run it in a clone"));
    }
    let shallow = line(folder, &["rev-parse", "--is-shallow-repository"]).is_ok_and(|answer| answer == "true");
    let deepen = "this clone is shallow: run `git fetch --unshallow`, or set `fetch-depth: 0` for actions/checkout";
    let Ok(theirs) = commit(base) else {
        let fetch = match base.strip_prefix("origin/") {
            Some(branch) => format!("run `git fetch origin {branch}`"),
            None => "`git branch --all` lists the known ones".to_owned(),
        };
        return Err(SetupError::new(format!("there is no commit `{base}` here")).help(if shallow { deepen.to_owned() } else { fetch }));
    };
    let Ok(ours) = commit("HEAD") else {
        return Err(SetupError::new("this repository has no commit yet, so there is nothing to compare with").help("leave out `--base`"));
    };
    line(folder, &["merge-base", &theirs, &ours]).map_err(|_| {
        let error = SetupError::new(format!("`{base}` and HEAD have no common ancestor here"));
        error.help(if shallow { deepen } else { "compare with a revision that HEAD comes from" })
    })
}

/// Files of a commit or of the index, read from git's object store.
pub(crate) struct Objects {
    /// Object names by path from the folder.
    pub(crate) files: BTreeMap<String, String>,
    reader: Mutex<Reader>,
}

impl fmt::Debug for Objects {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Objects({} files)", self.files.len())
    }
}

/// `git cat-file --batch`, which answers one name after the other.
struct Reader {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.input = None;
        let _ = self.child.wait();
    }
}

impl Objects {
    /// The files below a folder as they were where the work since `base` began.
    pub(crate) fn of_merge_base(folder: &Path, base: &str) -> Result<Self, SetupError> {
        let commit = merge_base(folder, base)?;
        let list = output(folder, &["ls-tree", "-r", "-z", &commit]).map_err(|error| unreadable(&error))?;
        // `100644 blob <name>\t<path>`
        Self::new(folder, &list, |head| {
            let mut words = head.split(' ');
            let (mode, _, name) = (words.next()?, words.next()?, words.next()?);
            Some((mode.to_owned(), name.to_owned()))
        })
    }

    /// The files below a folder as they stand in the index, ready to be committed.
    pub(crate) fn of_index(folder: &Path) -> Result<Self, SetupError> {
        let list = output(folder, &["ls-files", "-z", "--stage"]).map_err(|error| {
            SetupError::new(format!("`--staged` reads git's index, and that failed: {error}"))
                .help("run it in a clone, or leave out `--staged`")
        })?;
        // `100644 <name> <stage>\t<path>`
        Self::new(folder, &list, |head| {
            let mut words = head.split(' ');
            let (mode, name) = (words.next()?, words.next()?);
            Some((mode.to_owned(), name.to_owned()))
        })
    }

    fn new(folder: &Path, list: &[u8], head: impl Fn(&str) -> Option<(String, String)>) -> Result<Self, SetupError> {
        let mut files = BTreeMap::new();
        for entry in String::from_utf8_lossy(list).split('\0') {
            let Some((before, path)) = entry.split_once('\t') else { continue };
            // Links and submodules are no files.
            if let Some((_, name)) = head(before).filter(|(mode, _)| mode.starts_with("100")) {
                files.insert(path.to_owned(), name);
            }
        }
        let failed = |error: io::Error| unreadable(&error.to_string());
        let mut child = git(folder)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(unreadable("git has no pipes"));
        };
        Ok(Self { files, reader: Mutex::new(Reader { child, input: Some(input), output: BufReader::new(output) }) })
    }

    /// The bytes of a file.
    pub(crate) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let name = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let input = reader.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(input, "{name}")?;
        input.flush()?;
        // `<name> blob <size>`, the bytes, a line break; or `<name> missing`.
        let mut head = String::new();
        reader.output.read_line(&mut head)?;
        let size = head.trim_end().rsplit(' ').next().and_then(|size| size.parse::<usize>().ok());
        let size = size.ok_or_else(|| io::Error::other("git does not have this object; a partial clone lacks some"))?;
        let mut bytes = vec![0; size + 1];
        reader.output.read_exact(&mut bytes)?;
        bytes.truncate(size);
        Ok(bytes)
    }
}

fn unreadable(error: &str) -> SetupError {
    SetupError::new(format!("git's objects cannot be read: {error}")).help("check the repository with `git fsck`")
}
