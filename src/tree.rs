//! Where bytes come from: a folder on disk with an overlay of texts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// A folder, or none, and texts that stand in for files of it, such as standard input or unsaved buffers.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    root: Option<PathBuf>,
    overlay: BTreeMap<String, Vec<u8>>,
}

impl Tree {
    /// The tree of a folder.
    #[must_use]
    pub fn folder(root: impl Into<PathBuf>) -> Self {
        Self { root: Some(root.into()), overlay: BTreeMap::new() }
    }

    /// Puts a text in the place of a file; the path is relative to the root and separated by `/`.
    #[must_use]
    pub fn with(mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.overlay.insert(path.into(), bytes.into());
        self
    }

    fn on_disk(&self, path: &str) -> Option<PathBuf> {
        self.root.as_ref().map(|root| root.join(path))
    }

    /// The bytes of a file.
    pub(crate) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        match self.overlay.get(path) {
            Some(bytes) => Ok(bytes.clone()),
            None => std::fs::read(self.on_disk(path).ok_or(io::ErrorKind::NotFound)?),
        }
    }

    /// Up to `limit` bytes from the start of a file.
    pub(crate) fn read_start(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        use io::Read as _;
        if let Some(bytes) = self.overlay.get(path) {
            return Ok(bytes.iter().copied().take(limit).collect());
        }
        let mut bytes = Vec::with_capacity(limit);
        std::fs::File::open(self.on_disk(path).ok_or(io::ErrorKind::NotFound)?)?.take(limit as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Whether a file exists.
    pub(crate) fn is_file(&self, path: &str) -> bool {
        self.overlay.contains_key(path) || self.on_disk(path).is_some_and(|path| path.is_file())
    }

    /// Whether a folder exists.
    pub(crate) fn is_folder(&self, path: &str) -> bool {
        self.on_disk(path).is_some_and(|path| path.is_dir())
            || self.overlay.keys().any(|file| file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    }

    /// Every file below a folder (empty: the root), sorted. `.git` is left out, and what ignore files name unless `ignored`.
    pub(crate) fn walk(&self, folder: &str, ignored: bool) -> Walk {
        let mut walk = Walk::default();
        if let Some(root) = self.root.as_deref().filter(|root| root.join(folder).is_dir()) {
            let mut builder = ignore::WalkBuilder::new(if folder.is_empty() { root.to_path_buf() } else { root.join(folder) });
            builder
                .hidden(false)
                .ignore(false)
                .git_global(false)
                .git_ignore(!ignored)
                .git_exclude(!ignored)
                .parents(!ignored)
                .require_git(false)
                .filter_entry(|entry| entry.file_name() != ".git");
            for entry in builder.build() {
                match entry {
                    Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                        if let Some(path) = relative(root, entry.path()) {
                            walk.files.push(path);
                        } else {
                            walk.errors.push((entry.path().display().to_string(), "its name is not UTF-8".to_owned()));
                        }
                    }
                    Ok(_) => {}
                    Err(error) => walk.errors.push((folder.to_owned(), error.to_string())),
                }
            }
        }
        let below = |path: &str| folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        walk.files.extend(self.overlay.keys().filter(|path| below(path)).cloned());
        walk.files.sort();
        walk.files.dedup();
        walk
    }

    /// Files that git tracks below the root; nothing without a repository.
    pub(crate) fn tracked(&self) -> Result<Vec<String>, String> {
        let Some(root) = self.root.as_deref().filter(|root| root.ancestors().any(|folder| folder.join(".git").exists())) else {
            return Ok(Vec::new());
        };
        // A repository may name a program as its file monitor; reading must not run it.
        let output = std::process::Command::new("git")
            .arg("-C")
            .arg(root)
            .args(["-c", "core.fsmonitor=false", "ls-files", "-z", "--cached"])
            .output();
        match output {
            Ok(output) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
            }
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(crate) files: Vec<String>,
    /// Path and what went wrong.
    pub(crate) errors: Vec<(String, String)>,
}

/// A path relative to the root, separated by `/`; nothing where it is not UTF-8 or not below.
pub(crate) fn relative(root: &Path, path: &Path) -> Option<String> {
    let relative = path.strip_prefix(root).ok()?.to_str()?;
    Some(if std::path::MAIN_SEPARATOR == '/' { relative.to_owned() } else { relative.replace(std::path::MAIN_SEPARATOR, "/") })
}
