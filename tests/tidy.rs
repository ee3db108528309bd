//! The rules of the house that the compiler does not hold: which room may name which, what stays pure, and what may not stand in
//! the tree at all. Each rule is a function from a file to its faults, a test over all files, and a negative control. It refuses
//! to judge style that `rustfmt` and `clippy` already hold.

#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tree.rs"]
mod tree;

use files::{File, check, expect_faults, faults_in};
use source::Source;

/// Each room with the rooms that it may name besides itself. Calls go down only; in one crate Cargo cannot guard that.
const ROOMS: [(&str, &[&str]); 13] = [
    ("domain", &[]),
    ("import", &["domain"]),
    ("config", &["domain"]),
    ("log", &["domain"]),
    ("pki", &["domain"]),
    ("hub", &["domain", "log", "pki"]),
    ("grpc", &["domain", "hub", "pki"]),
    ("taxii", &["domain", "hub", "pki"]),
    ("console", &["domain", "hub", "pki"]),
    (
        "serve",
        // `import` for warning lists, which are files of a format like the others.
        &[
            "config", "grpc", "taxii", "console", "hub", "log", "pki", "import", "domain",
        ],
    ),
    ("cli", &["serve", "config", "grpc", "pki", "log", "domain", "import"]),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// Rooms without async, IO, clock, randomness or formats.
const PURE: [&str; 2] = ["domain", "import"];

/// Crates that a pure room may not name.
const IMPURE_CRATES: [&str; 18] = [
    "tokio",
    "tokio_util",
    "tokio_stream",
    "tower",
    "tonic",
    "axum",
    "hyper",
    "rustls",
    "serde",
    "serde_json",
    "prost",
    "prost_types",
    "rand",
    "sled",
    "tracing",
    "metrics",
    "libc",
    "governor",
];

/// Paths of the standard library that a pure room may not name.
const IMPURE_PATHS: [&str; 7] = [
    "std::fs",
    "std::net",
    "std::io",
    "std::env",
    "std::process",
    "std::thread",
    "std::os",
];
/// Values and traits beside them that touch nothing outside the process: addresses, and reading from bytes in memory.
const PURE_PATHS: [&str; 5] = [
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::net::AddrParseError",
    "std::io::Read",
];

/// `import` reads files of JSON that others wrote, so it has their parser; what it makes of them is `domain`'s.
const PARSERS: [(&str, &str); 1] = [("import", "serde_json")];

/// Words that read a clock or draw a number, whichever crate they come from.
const IMPURE_WORDS: [&str; 10] = [
    "SystemTime",
    "Instant",
    "now",
    "now_v1",
    "now_v6",
    "now_v7",
    "new_v4",
    "thread_rng",
    "async",
    "await",
];

const FILE_LINES_MAX: usize = 500;

/// File names that say nothing of what the file owns.
const EMPTY_NAMES: [&str; 6] = ["util", "utils", "common", "helper", "helpers", "misc"];

// ---- which room may name which ----

fn forbidden_arrows(file: &File) -> Vec<String> {
    let (Some(room), true) = (file.room(), file.is_rust()) else {
        return Vec::new();
    };
    let Some((_, permitted)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![file.fault(0, &format!("the room `{room}` is not in the table"))];
    };
    let mut faults = Vec::new();
    for path in Source::read(&file.text).paths() {
        let Some(target) = target_room(file, &path) else {
            continue;
        };
        if target != room && !permitted.contains(&target.as_str()) {
            let what = format!("`{room}` may not name `{target}` ({})", path.segments.join("::"));
            faults.push(file.fault(path.line, &what));
        }
    }
    faults
}

/// What a path names at the root of the crate, if it goes there.
fn target_room(file: &File, path: &source::Path) -> Option<String> {
    let climbs = path.segments.iter().take_while(|segment| *segment == "super").count();
    let skipped = match path.segments.first().map(String::as_str) {
        Some("crate" | "clearinghouse") => 1,
        Some("super") if climbs >= file.module().len() + path.inside.len() => climbs,
        _ => return None,
    };
    path.segments.get(skipped).cloned()
}

#[test]
fn rooms_name_only_rooms_below() {
    check(forbidden_arrows);
}

#[test]
fn forbidden_arrow_is_reported() {
    let forbidden = [
        ("src/domain/policy.rs", "use crate::log::Log;"),
        ("src/log/mod.rs", "use crate::{domain::id::Seq, hub};"),
        ("src/grpc/publish.rs", "fn f() { crate::log::append(); }"),
        ("src/hub/feed.rs", "use super::super::grpc::wire;"),
        ("src/hub/mod.rs", "use super::grpc;"),
        ("src/hub/feed.rs", "mod tests { use super::super::super::serve; }"),
        ("src/main.rs", "clearinghouse::serve::run()"),
        (
            "src/cli/publish.rs",
            "use crate::domain::id as i; use crate::{pki, hub::{feed, query}};",
        ),
        ("src/hub/mod.rs", "use crate::*;"),
        ("src/gossip/mod.rs", ""),
    ];
    for (path, text) in forbidden {
        let faults = faults_in(forbidden_arrows, path, text);
        assert!(
            faults.len() == 1 || path == "src/cli/publish.rs" && faults.len() == 2,
            "{path}: {text}: {faults:?}"
        );
    }
}

#[test]
fn permitted_arrow_is_not_reported() {
    let permitted = [
        (
            "src/hub/feed.rs",
            "use crate::{domain::id::{self, Seq}, log::Log}; use super::roster; mod tests { use super::*; }",
        ),
        (
            "src/log/mod.rs",
            "// use crate::hub;\nconst S: &str = \"crate::hub\"; const R: &str = r#\"crate::hub \" \"#;",
        ),
        (
            "src/domain/id.rs",
            "fn f<'a>(c: &'a char) -> bool { *c == '\"' } /* crate::log::x */",
        ),
        ("src/main.rs", "clearinghouse::cli::run()"),
        ("tests/any.rs", "use clearinghouse::hub;"),
    ];
    for (path, text) in permitted {
        expect_faults(forbidden_arrows, path, text, 0);
    }
}

// ---- what stays pure, and where sled stays ----

fn impure_code(file: &File) -> Vec<String> {
    let Some(room) = file.room().filter(|room| PURE.contains(room)) else {
        return Vec::new();
    };
    if file.is_tests() || !file.is_rust() {
        return Vec::new();
    }
    let source = Source::read(&file.text).without_tests();
    let mut faults = Vec::new();
    for path in source.paths() {
        let name = path.segments.join("::");
        let within = |outer: &&str| name == **outer || name.starts_with(&format!("{outer}::"));
        let krate = path.segments[0].as_str();
        let permitted = PURE_PATHS.iter().any(within) || PARSERS.contains(&(room, krate));
        let impure = IMPURE_CRATES.contains(&krate)
            || IMPURE_PATHS.iter().any(within)
            || path
                .segments
                .iter()
                .any(|segment| IMPURE_WORDS.contains(&segment.as_str()));
        if impure && !permitted {
            faults.push(file.fault(path.line, &format!("a pure room may not name `{name}`")));
        }
    }
    for token in source.tokens() {
        if matches!(
            token.text.as_str(),
            "async" | "await" | "println" | "eprintln" | "print" | "eprint"
        ) {
            faults.push(file.fault(token.line, &format!("a pure room may not use `{}`", token.text)));
        }
    }
    faults
}

fn sled_outside_log(file: &File) -> Vec<String> {
    if !file.is_rust() || file.room().is_none_or(|room| room == "log") {
        return Vec::new();
    }
    let paths = Source::read(&file.text).paths();
    let sled = paths.iter().filter(|path| path.segments[0] == "sled");
    sled.map(|path| file.fault(path.line, "only the room `log` may name sled"))
        .collect()
}

#[test]
fn pure_rooms_stay_pure() {
    check(impure_code);
}

#[test]
fn only_the_log_names_sled() {
    check(sled_outside_log);
}

#[test]
fn impurity_is_reported() {
    let impure = [
        "use serde::Serialize;",
        "use std::{fmt, fs::File};",
        "use std::net::{IpAddr, TcpStream};",
        "fn f() { let t = std::time::Instant::now(); }",
        "fn f() { let id = Uuid::now_v7(); }",
        "async fn f() {}",
        "fn f() { println!(\"x\"); }",
    ];
    for text in impure {
        expect_faults(impure_code, "src/domain/id.rs", text, 1);
        expect_faults(impure_code, "src/hub/feed.rs", text, 0);
    }
    let pure = "use std::net::{IpAddr, Ipv4Addr};\n#[cfg(test)]\nmod tests { use std::fs; }";
    expect_faults(impure_code, "src/import/csv.rs", pure, 0);
    expect_faults(impure_code, "src/import/json.rs", "use serde_json::Value;", 0);
    expect_faults(impure_code, "src/domain/id.rs", "use serde_json::Value;", 1);
    expect_faults(sled_outside_log, "src/hub/feed.rs", "use sled::Db;", 1);
    expect_faults(sled_outside_log, "src/log/epoch.rs", "use sled::Db;", 0);
}

// ---- what each file must have, and may not have ----

fn shape(file: &File) -> Vec<String> {
    let mut faults = Vec::new();
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    if file.path.split('/').any(|part| EMPTY_NAMES.contains(&part)) || EMPTY_NAMES.contains(&stem) {
        faults.push(file.fault(0, "the name says nothing of what the file owns"));
    }
    if file.room().is_some() && file.is_rust() {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            faults.push(file.fault(
                lines,
                &format!("{lines} lines, at most {FILE_LINES_MAX}: it holds two ideas"),
            ));
        }
        if !file.text.starts_with("//! ") {
            faults.push(file.fault(0, "a file opens with `//!`: what it owns and what it refuses to do"));
        }
    }
    faults
}

/// How the reason begins where `ignore` marks no test, but the process that another test starts from its own binary and kills.
const CHILD_PROCESS: &str = "#[ignore = \"the process that the ";

/// Unfinished work and tests that are switched off.
fn unfinished(file: &File) -> Vec<String> {
    if !file.is_rust() {
        return Vec::new();
    }
    let tokens = Source::read(&file.text).tokens();
    let mut faults = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).map_or("", |token| token.text.as_str());
        let before = at.checked_sub(1).map_or("", |at| tokens[at].text.as_str());
        match token.text.as_str() {
            "todo" | "unimplemented" | "dbg" if next == "!" => {
                faults.push(file.fault(token.line, &format!("`{}!` is unfinished work", token.text)));
            }
            "ignore" if before == "[" && matches!(next, "]" | "=") && !is_child(file, token.line) => {
                faults.push(file.fault(token.line, "a test that is switched off"));
            }
            _ => {}
        }
    }
    faults
}

fn is_child(file: &File, line: usize) -> bool {
    let text = file.text.lines().nth(line).unwrap_or_default();
    text.trim_start().starts_with(CHILD_PROCESS)
}

/// A panic on a broken invariant says why the invariant holds.
fn unexplained_panics(file: &File) -> Vec<String> {
    if file.room().is_none() || !file.is_rust() || file.is_tests() {
        return Vec::new();
    }
    let source = Source::read(&file.text).without_tests();
    let tokens = source.tokens();
    let mut faults = Vec::new();
    for window in tokens.windows(3) {
        let [dot, method, open] = window else { continue };
        let panics = dot.text == "." && matches!(method.text.as_str(), "unwrap" | "expect") && open.text == "(";
        if panics && !source.is_explained(method.line) {
            let what = "it may panic, and no comment on this line or the one before proves that it does not";
            faults.push(file.fault(method.line, what));
        }
    }
    faults
}

/// Imports name what they bring.
fn glob_imports(file: &File) -> Vec<String> {
    if file.room().is_none() || !file.is_rust() || file.is_tests() {
        return Vec::new();
    }
    let paths = Source::read(&file.text).without_tests().paths();
    let globs = paths
        .iter()
        .filter(|path| path.segments.last().is_some_and(|last| last == "*"));
    globs
        .map(|path| file.fault(path.line, "a glob import hides where names come from"))
        .collect()
}

#[test]
fn files_have_their_shape() {
    check(shape);
}

#[test]
fn nothing_is_unfinished() {
    check(unfinished);
}

#[test]
fn panics_are_explained() {
    check(unexplained_panics);
}

#[test]
fn imports_are_named() {
    check(glob_imports);
}

#[test]
fn shapeless_file_is_reported() {
    let long = format!("//! Owns it.\n{}", "\n".repeat(FILE_LINES_MAX));
    for (path, text) in [
        ("src/hub/util.rs", "//! x"),
        ("src/hub/feed.rs", "use std::fmt;"),
        ("src/hub/feed.rs", &long),
    ] {
        expect_faults(shape, path, text, 1);
    }
    expect_faults(shape, "src/hub/feed.rs", &long[..long.len() - 1], 0);
}

#[test]
fn unfinished_work_is_reported() {
    for text in [
        "fn f() { todo!() }",
        "fn f() { unimplemented!(\"x\") }",
        "dbg!(1);",
        "#[test]\n#[ignore = \"slow\"]\nfn f() {}",
    ] {
        expect_faults(unfinished, "tests/any.rs", text, 1);
    }
    expect_faults(unfinished, "src/hub/feed.rs", "// todo!()\nlet s = \"dbg!(1)\";", 0);
    let child = "#[test]\n#[ignore = \"the process that the harness kills\"]\nfn append_as_child() {}";
    expect_faults(unfinished, "tests/any.rs", child, 0);
}

#[test]
fn unexplained_panic_is_reported() {
    let reported = [
        "x.unwrap();",
        "x\n    .expect(\"y\");",
        "// Why.\nlet a = 1;\nx.unwrap();",
    ];
    let explained = [
        "x.unwrap(); // Held by new().",
        "// Held by new().\nx.expect(\"y\");",
        "x.unwrap_or(1);",
    ];
    for text in reported {
        expect_faults(unexplained_panics, "src/hub/feed.rs", text, 1);
    }
    for text in explained {
        expect_faults(unexplained_panics, "src/hub/feed.rs", text, 0);
    }
    let test = "#[cfg(test)]\nmod tests {\n    fn f() { x.unwrap(); }\n}\nfn g() { y.unwrap(); }";
    expect_faults(unexplained_panics, "src/hub/feed.rs", test, 1);
}
