//! Which files are read, in which order, and how: bounded in length, links inside directories not followed.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Failure;
use crate::import::{self, FILE_BYTES_MAX, Format, ReadError, Report};

/// Deepest nesting of directories.
const DEPTH_MAX: usize = 32;

/// A file to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    path: PathBuf,
    /// Named by the person, not found in a directory: then it must be readable.
    named: bool,
}

/// The files named, and those of the directories named, each directory in order of names.
pub fn collect(paths: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => walk(path, 0, &mut sources).map_err(|error| Failure::of(path.display(), error))?,
            false => sources.push(Source {
                path: path.clone(),
                named: true,
            }),
        }
    }
    match sources.is_empty() {
        true => Err(Failure::Failed("no files there".to_owned())),
        false => Ok(sources),
    }
}

fn walk(dir: &Path, depth: usize, sources: &mut Vec<Source>) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::other(format!(
            "{} is nested deeper than {DEPTH_MAX}",
            dir.display()
        )));
    }
    let mut entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type()?;
        // Hidden files are the editor's and the version control's, and a link could lead anywhere.
        if entry.file_name().to_string_lossy().starts_with('.') || kind.is_symlink() {
            continue;
        }
        match kind.is_dir() {
            true => walk(&entry.path(), depth + 1, sources)?,
            false if kind.is_file() => sources.push(Source {
                path: entry.path(),
                named: false,
            }),
            false => {}
        }
    }
    Ok(())
}

impl Source {
    /// As it is called in the output.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Reads it. Nothing is a file found in a directory that is no report; an error says why the file cannot be read.
    pub fn read(&self, format: Option<Format>) -> Result<Option<Report>, String> {
        let bytes = self.bytes().map_err(|error| error.to_string())?;
        let file_name = self
            .path
            .file_name()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default();
        let report = match format {
            Some(format) => import::read(format, &file_name, &bytes),
            None => import::read_any(&file_name, &bytes),
        };
        match report {
            Ok(report) => Ok(Some(report)),
            Err(ReadError::UnknownFormat) if !self.named => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        // One byte more than is allowed: the reader then refuses the file by its own limit.
        let limit = FILE_BYTES_MAX as u64 + 1;
        let mut bytes = Vec::new();
        match self.path == Path::new("-") {
            true => io::stdin().lock().take(limit).read_to_end(&mut bytes)?,
            false => File::open(&self.path)?.take(limit).read_to_end(&mut bytes)?,
        };
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_read_in_order_of_names_without_links_and_hidden_files() {
        let home = tempfile::tempdir().unwrap();
        for name in ["b/2.csv", "b/1.csv", "a.txt", ".hidden", "c/.git/x.txt"] {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "a.example\n").unwrap();
        }
        std::os::unix::fs::symlink("/", home.path().join("link")).unwrap();
        let sources = collect(&[home.path().to_owned(), home.path().join("a.txt")]).unwrap();
        let names: Vec<_> = sources
            .iter()
            .map(|source| source.path.strip_prefix(home.path()).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["a.txt", "b/1.csv", "b/2.csv", "a.txt"]);
        assert_eq!(
            sources.iter().map(|source| source.named).collect::<Vec<_>>(),
            [false, false, false, true]
        );
    }

    #[test]
    fn a_named_file_must_be_a_report_and_a_found_one_may_be_anything() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("README");
        fs::write(&path, "prose, not a report\nat all").unwrap();
        assert!(matches!(
            Source {
                path: path.clone(),
                named: false
            }
            .read(None),
            Ok(None)
        ));
        assert!(Source { path, named: true }.read(None).is_err());
        assert!(
            Source {
                path: home.path().join("absent"),
                named: true
            }
            .read(None)
            .is_err()
        );
        assert!(
            collect(&[tempfile::tempdir().unwrap().path().to_owned()]).is_err(),
            "an empty directory is a mistake"
        );
    }
}
