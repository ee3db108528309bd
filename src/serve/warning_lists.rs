//! Reads the folder of warning lists: every `.json` file in it and below. A file that cannot be read is reported and left out: a hub
//! with fewer warnings is better than none.

use std::path::{Path, PathBuf};

use crate::domain::warning::WarningLists;
use crate::import::read_warning_list;

/// Folders below the folder that are looked into.
const DEPTH_MAX: usize = 3;

/// The lists of the folder, none where there is no folder.
pub(super) fn load(folder: Option<&Path>) -> WarningLists {
    let Some(folder) = folder else {
        return WarningLists::default();
    };
    let mut paths = Vec::new();
    find(folder, DEPTH_MAX, &mut paths);
    paths.sort();
    let mut lists = Vec::new();
    for path in paths {
        let read = std::fs::read(&path).map_err(|error| error.to_string());
        match read.and_then(|bytes| read_warning_list(&bytes).map_err(|error| error.to_string())) {
            Ok(list) => lists.push(list),
            Err(error) => tracing::warn!(path = %path.display(), error, "a file is no warning list and is left out"),
        }
    }
    let lists = WarningLists::new(lists);
    tracing::info!(lists = lists.len(), entries_ignored = lists.ignored(), "warning lists");
    lists
}

fn find(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return tracing::warn!(path = %folder.display(), %error, "warning lists cannot be read"),
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() && depth > 0 {
            find(&path, depth - 1, paths);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
}
