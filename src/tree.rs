//! Where bytes come from: a folder on disk, or what git keeps of it, with an overlay of texts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::SetupError;
use crate::git::{self, Objects};

/// The files of a scan, and texts that stand in for some of them, such as standard input or unsaved buffers.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    ground: Ground,
    overlay: BTreeMap<String, Vec<u8>>,
}

/// What lies below the overlay.
#[derive(Clone, Debug, Default)]
enum Ground {
    #[default]
    Nothing,
    Folder(PathBuf),
    Git(Arc<Objects>),
}

impl Tree {
    /// The tree of a folder.
    #[must_use]
    pub fn folder(root: impl Into<PathBuf>) -> Self {
        Self { ground: Ground::Folder(root.into()), overlay: BTreeMap::new() }
    }

    /// A folder of a git repository as it was where the work since `base` (a branch, tag or commit) began: at the merge
    /// base of `base` and HEAD.
    pub fn merge_base(root: &Path, base: &str) -> Result<Self, SetupError> {
        Ok(Self { ground: Ground::Git(Arc::new(Objects::of_merge_base(root, base)?)), overlay: BTreeMap::new() })
    }

    /// A folder of a git repository as it stands in the index.
    pub fn staged(root: &Path) -> Result<Self, SetupError> {
        Ok(Self { ground: Ground::Git(Arc::new(Objects::of_index(root)?)), overlay: BTreeMap::new() })
    }

    /// Puts a text in the place of a file; the path is relative to the root and separated by `/`.
    #[must_use]
    pub fn with(mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.overlay.insert(path.into(), bytes.into());
        self
    }

    /// The bytes of a file.
    pub(crate) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        match (self.overlay.get(path), &self.ground) {
            (Some(bytes), _) => Ok(bytes.clone()),
            (None, Ground::Nothing) => Err(io::ErrorKind::NotFound.into()),
            (None, Ground::Folder(root)) => std::fs::read(root.join(path)),
            (None, Ground::Git(objects)) => objects.read(path),
        }
    }

    /// Up to `limit` bytes from the start of a file.
    pub(crate) fn read_start(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        use io::Read as _;
        if let (None, Ground::Folder(root)) = (self.overlay.get(path), &self.ground) {
            let mut bytes = Vec::with_capacity(limit);
            std::fs::File::open(root.join(path))?.take(limit as u64).read_to_end(&mut bytes)?;
            return Ok(bytes);
        }
        self.read(path).map(|mut bytes| {
            bytes.truncate(limit);
            bytes
        })
    }

    /// Whether a file exists.
    pub(crate) fn is_file(&self, path: &str) -> bool {
        self.overlay.contains_key(path)
            || match &self.ground {
                Ground::Nothing => false,
                Ground::Folder(root) => root.join(path).is_file(),
                Ground::Git(objects) => objects.files.contains_key(path),
            }
    }

    /// Whether a folder exists.
    pub(crate) fn is_folder(&self, path: &str) -> bool {
        let in_overlay = self.overlay.keys().any(|file| is_below(path, file));
        in_overlay
            || match &self.ground {
                Ground::Nothing => false,
                Ground::Folder(root) => root.join(path).is_dir(),
                Ground::Git(objects) => objects.files.range(format!("{path}/")..).next().is_some_and(|(file, _)| is_below(path, file)),
            }
    }

    /// Every file below a folder (empty: the root), sorted. `.git` is left out, and what ignore files name unless `ignored`.
    pub(crate) fn walk(&self, folder: &str, ignored: bool) -> Walk {
        let mut walk = Walk::default();
        match &self.ground {
            Ground::Nothing => {}
            Ground::Folder(root) => walk.add_folder(root, folder, ignored),
            // Git has nothing that is ignored but what it tracks all the same.
            Ground::Git(objects) => walk.files.extend(objects.files.keys().filter(|path| is_below(folder, path)).cloned()),
        }
        walk.files.extend(self.overlay.keys().filter(|path| is_below(folder, path)).cloned());
        walk.files.sort();
        walk.files.dedup();
        walk
    }

    /// Files that git tracks below the root; nothing without a repository.
    pub(crate) fn tracked(&self) -> Result<Vec<String>, String> {
        match &self.ground {
            Ground::Folder(root) if root.ancestors().any(|folder| folder.join(".git").exists()) => git::tracked(root),
            Ground::Git(objects) => Ok(objects.files.keys().cloned().collect()),
            _ => Ok(Vec::new()),
        }
    }
}

/// Whether a file is below a folder; the empty one is the root.
pub(crate) fn is_below(folder: &str, file: &str) -> bool {
    folder.is_empty() || file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(crate) files: Vec<String>,
    /// Path and what went wrong.
    pub(crate) errors: Vec<(String, String)>,
}

impl Walk {
    fn add_folder(&mut self, root: &Path, folder: &str, ignored: bool) {
        let start = if folder.is_empty() { root.to_path_buf() } else { root.join(folder) };
        if !start.is_dir() {
            return;
        }
        let mut builder = ignore::WalkBuilder::new(start);
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
                        self.files.push(path);
                    } else {
                        self.errors.push((entry.path().display().to_string(), "its name is not UTF-8".to_owned()));
                    }
                }
                Ok(_) => {}
                Err(error) => self.errors.push((folder.to_owned(), error.to_string())),
            }
        }
    }
}

/// A path relative to the root, separated by `/`; nothing where it is not UTF-8 or not below.
pub(crate) fn relative(root: &Path, path: &Path) -> Option<String> {
    let relative = path.strip_prefix(root).ok()?.to_str()?;
    Some(if std::path::MAIN_SEPARATOR == '/' { relative.to_owned() } else { relative.replace(std::path::MAIN_SEPARATOR, "/") })
}
