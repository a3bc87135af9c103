//! Where bytes come from: a folder on disk, or what git keeps of it, with an overlay of texts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::GitignoreBuilder;

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
        path.is_empty()
            || in_overlay
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

    /// The names of the files that lie in a folder itself, sorted.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let own = |path: &String| path.strip_prefix(&prefix).filter(|name| !name.is_empty() && !name.contains('/')).map(str::to_owned);
        let mut names: Vec<String> = match &self.ground {
            Ground::Nothing => Vec::new(),
            Ground::Folder(root) => {
                let files = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten().filter(|entry| entry.path().is_file());
                files.filter_map(|entry| entry.file_name().into_string().ok()).collect()
            }
            Ground::Git(objects) => objects
                .files
                .range(prefix.clone()..)
                .map(|(path, _)| path)
                .take_while(|path| path.starts_with(&prefix))
                .filter_map(own)
                .collect(),
        };
        names.extend(self.overlay.keys().filter_map(own));
        names.sort();
        names.dedup();
        names
    }

    /// Whether ignore files of git cover a path, whether anything is there or not.
    pub(crate) fn ignores(&self, path: &str, is_folder: bool) -> bool {
        // What lies in an ignored folder is ignored, whatever is said of it there.
        let folders = path.match_indices('/').filter_map(|(end, _)| path.get(..end)).map(|folder| (folder, true));
        folders.chain([(path, is_folder)]).any(|(part, is_folder)| self.ignores_itself(part, is_folder))
    }

    fn ignores_itself(&self, path: &str, is_folder: bool) -> bool {
        let said = |text: &[u8], path: &Path| {
            let mut builder = GitignoreBuilder::new("");
            for line in String::from_utf8_lossy(text).lines() {
                // A pattern that git does not understand says nothing.
                let _ = builder.add_line(None, line);
            }
            match builder.build().map(|rules| rules.matched(path, is_folder).map(|_| ())) {
                Ok(Match::Ignore(())) => Some(true),
                Ok(Match::Whitelist(())) => Some(false),
                _ => None,
            }
        };
        let mut folder = path;
        while let Some(parent) = parent(folder) {
            folder = parent;
            let (list, below) = match folder {
                "" => (".gitignore".to_owned(), path),
                folder => (format!("{folder}/.gitignore"), path.get(folder.len() + 1..).unwrap_or_default()),
            };
            if let Some(said) = self.read(&list).ok().and_then(|text| said(&text, Path::new(below))) {
                return said;
            }
        }
        let Ground::Folder(root) = &self.ground else { return false };
        // The root may be a part of a repository.
        for above in root.ancestors() {
            let below = root.strip_prefix(above).unwrap_or(Path::new("")).join(path);
            let lists = [(above != root).then(|| above.join(".gitignore")), Some(above.join(".git/info/exclude"))];
            for list in lists.into_iter().flatten() {
                if let Some(said) = std::fs::read(list).ok().and_then(|text| said(&text, &below)) {
                    return said;
                }
            }
            if above.join(".git").exists() {
                break;
            }
        }
        false
    }

    /// Whether the files belong to a git repository.
    pub(crate) fn is_repository(&self) -> bool {
        match &self.ground {
            Ground::Nothing => false,
            Ground::Folder(root) => root.ancestors().any(|folder| folder.join(".git").exists()),
            Ground::Git(_) => true,
        }
    }

    /// Files that git tracks below the root; nothing without a repository.
    pub(crate) fn tracked(&self) -> Result<Vec<String>, String> {
        match &self.ground {
            Ground::Folder(root) if self.is_repository() => git::tracked(root),
            Ground::Git(objects) => Ok(objects.files.keys().cloned().collect()),
            _ => Ok(Vec::new()),
        }
    }
}

/// The folder that a path lies in; nothing for the root.
pub(crate) fn parent(path: &str) -> Option<&str> {
    (!path.is_empty()).then(|| path.rsplit_once('/').map_or("", |(folder, _)| folder))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignore_files_are_read_as_git_does() {
        let tree = Tree::default()
            .with(".gitignore", "*.env\n!app/public.env\n/build/\nsecrets\n")
            .with("app/.gitignore", "/local.txt\n!kept.env\n")
            .with("build/.gitignore", "!*\n");
        for path in [".env", "app/.env", "deep/in/a.env", "build/x", "build/sub/y", "app/local.txt", "secrets", "app/secrets/key"] {
            assert!(tree.ignores(path, false), "{path}");
        }
        for path in ["app/public.env", "app/kept.env", "app/sub/local.txt", "x/build", "local.txt"] {
            assert!(!tree.ignores(path, false), "{path}");
        }
        assert!(tree.ignores("build", true) && !tree.ignores("build", false));
    }

    #[test]
    fn ignore_files_above_the_root_count() -> io::Result<()> {
        let repository = tempfile::tempdir()?;
        std::fs::create_dir_all(repository.path().join(".git/info"))?;
        std::fs::create_dir_all(repository.path().join("deploy"))?;
        std::fs::write(repository.path().join(".gitignore"), "*.key\n/deploy/local\n")?;
        std::fs::write(repository.path().join(".git/info/exclude"), "private\n")?;
        let tree = Tree::folder(repository.path().join("deploy"));
        assert!(tree.is_repository());
        assert!(tree.ignores("a.key", false) && tree.ignores("local", false) && tree.ignores("private", true));
        assert!(!tree.ignores("deploy", true) && !tree.ignores("x/local", false));
        Ok(())
    }

    #[test]
    fn a_folder_names_its_own_files() {
        let tree = Tree::default().with("a/x", "").with("a/b/y", "").with("z", "");
        assert_eq!(tree.names("a"), ["x"]);
        assert_eq!(tree.names(""), ["z"]);
        assert_eq!((parent("a/x"), parent("a"), parent("")), (Some("a"), Some(""), None));
    }
}
