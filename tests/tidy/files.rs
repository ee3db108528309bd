//! The files that the rules look at, and how a rule is run over them.

use std::fs;
use std::path::Path as FilePath;
use std::process::Command;

/// A file of the project, its path relative to the root with forward slashes.
pub struct File {
    pub path: String,
    pub text: String,
}

impl File {
    /// The room that a file under `src/` belongs to.
    pub fn room(&self) -> Option<&str> {
        let inner = self.path.strip_prefix("src/")?;
        let first = inner.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first))
    }

    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// A file of `src/` that holds only tests, which its name says: `tests.rs`, `handshake_tests/`.
    pub fn is_tests(&self) -> bool {
        let mut parts = self.path.trim_end_matches(".rs").split('/');
        parts.any(|part| part == "tests" || part.ends_with("_tests"))
    }

    /// The modules that lead to the file, outermost first.
    pub fn module(&self) -> Vec<String> {
        let inner = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            module.pop();
        }
        module
    }

    pub fn fault(&self, line: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, line + 1)
    }
}

/// The files that git tracks or would track; without git, all files outside `target`.
pub fn project_files() -> Vec<File> {
    let root = env!("CARGO_MANIFEST_DIR");
    let listing = Command::new("git")
        .args(["-C", root, "ls-files", "--cached", "--others", "--exclude-standard"])
        .output();
    let paths: Vec<String> = match listing {
        Ok(listing) if listing.status.success() => String::from_utf8_lossy(&listing.stdout)
            .lines()
            .map(str::to_owned)
            .collect(),
        _ => walk(FilePath::new(root), ""),
    };
    let files: Vec<File> = paths
        .into_iter()
        // Tables of suffixes and pictures are not text; neither is a file that was just removed.
        .filter_map(|path| Some((fs::read_to_string(FilePath::new(root).join(&path)).ok()?, path)))
        .map(|(text, path)| File { path, text })
        .collect();
    assert!(
        files.iter().any(|file| file.path == "src/lib.rs"),
        "the listing of files is broken"
    );
    files
}

fn walk(folder: &FilePath, prefix: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.file_type().unwrap().is_dir() {
            true if prefix.is_empty() && matches!(name.as_str(), "target" | ".git" | "hub") => {}
            true => paths.extend(walk(&entry.path(), &format!("{prefix}{name}/"))),
            false => paths.push(format!("{prefix}{name}")),
        }
    }
    paths
}

/// Runs a rule over the files and shows all faults at once.
pub fn check(rule: fn(&File) -> Vec<String>) {
    let faults: Vec<String> = project_files().iter().flat_map(rule).collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// The faults that a rule finds in a made-up file.
pub fn faults_in(rule: fn(&File) -> Vec<String>, path: &str, text: &str) -> Vec<String> {
    rule(&File {
        path: path.to_owned(),
        text: text.to_owned(),
    })
}

/// A rule's control: how many faults it must find in a made-up file.
pub fn expect_faults(rule: fn(&File) -> Vec<String>, path: &str, text: &str, count: usize) {
    let faults = faults_in(rule, path, text);
    assert_eq!(faults.len(), count, "{path}: {text}: {faults:?}");
}
