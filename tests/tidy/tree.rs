//! Rules for every file of the tree, whatever its language: what may not stand there at all, and what must be tied up.

use std::path::Path as FilePath;

use super::files::{File, check, expect_faults, project_files};

/// Split, so that this file does not report itself.
const KEY_MARKERS: [&str; 2] = [concat!("BEGIN PRIV", "ATE KEY"), concat!("PRIV", "ATE KEY-----")];
const MACHINE_PATHS: [&str; 5] = [
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/fa", "rm/"),
];

fn private_keys(file: &File) -> Vec<String> {
    let lines = file.text.lines().enumerate();
    let keys = lines.filter(|(_, line)| KEY_MARKERS.iter().any(|marker| line.contains(marker)));
    keys.map(|(line, _)| file.fault(line, "a private key in the tree"))
        .collect()
}

fn machine_paths(file: &File) -> Vec<String> {
    let mut faults = Vec::new();
    for (line, text) in file.text.lines().enumerate() {
        for marker in MACHINE_PATHS {
            // A path starts there; inside a URL or a longer path it does not.
            let starts = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || "./_-}".contains(c));
            if text.match_indices(marker).any(|(at, _)| starts(at)) {
                faults.push(file.fault(line, "a path of one machine"));
            }
        }
    }
    faults
}

/// A relative link of a document leads to a file of the project.
fn broken_links(file: &File) -> Vec<String> {
    if !file.path.ends_with(".md") {
        return Vec::new();
    }
    let folder = FilePath::new(env!("CARGO_MANIFEST_DIR")).join(&file.path);
    let folder = folder.parent().unwrap_or(&folder);
    let mut faults = Vec::new();
    for (line, text) in file.text.lines().enumerate() {
        for (at, _) in text.match_indices("](") {
            let link = text[at + 2..].split([')', ' ', '#']).next().unwrap_or_default();
            let outside = link.is_empty() || link.contains("://") || link.starts_with("mailto:");
            if !outside && !folder.join(link).exists() {
                faults.push(file.fault(line, &format!("the link to `{link}` leads nowhere")));
            }
        }
    }
    faults
}

#[test]
fn no_private_key_is_tracked() {
    check(private_keys);
}

#[test]
fn no_path_of_one_machine() {
    check(machine_paths);
}

#[test]
fn links_lead_somewhere() {
    check(broken_links);
}

#[test]
fn stray_content_is_reported() {
    let key = format!("-----BEGIN {}-----", "PRIVATE KEY");
    let old_key = format!("-----BEGIN RSA {}-----", "PRIVATE KEY");
    let home = format!("see {}alice/x", MACHINE_PATHS[1]);
    expect_faults(private_keys, "certs/a.pem", &key, 1);
    expect_faults(private_keys, "certs/a.pem", &old_key, 1);
    expect_faults(machine_paths, "docs/a.md", &home, 1);
    expect_faults(
        machine_paths,
        "docs/a.md",
        &format!("https://a.example{}b", MACHINE_PATHS[0]),
        0,
    );
    expect_faults(broken_links, "docs/a.md", "[x](no-such-file.md)", 1);
    expect_faults(
        broken_links,
        "tests/a.md",
        "[x](../Cargo.toml), [y](https://example.org)",
        0,
    );
}

/// A proto file that the build does not name would be documentation only.
#[test]
fn every_proto_is_compiled() {
    let files = project_files();
    let build = files.iter().find(|file| file.path == "build.rs").unwrap();
    for file in files
        .iter()
        .filter(|file| file.path.starts_with("proto/") && file.path.ends_with(".proto"))
    {
        assert!(
            build.text.contains(&format!("\"{}\"", file.path)),
            "{} is not compiled by build.rs",
            file.path
        );
    }
}
