//! The rules of the house, as far as a program can judge them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A file past this many lines has two subjects; the aim is 500.
const FILE_LINES_MAX: usize = 700;

/// The crates, each with those of ours that it may depend on: every arrow points down.
const CRATES: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("server", &["core"]),
    ("client", &["core"]),
    ("sim/macros", &[]),
    ("sim", &["core", "server", "client", "sim/macros"]),
    ("program", &["core", "server", "client"]),
    ("tests", &["core", "server", "client", "program", "sim"]),
    ("bench", &["core", "client", "program"]),
];

/// The floors of core, from the bottom; a file imports from lower floors or its own folder.
const FLOORS: &[&[&str]] = &[
    &["code", "ids", "time"],
    &["listed"],
    &["voters"],
    &["config", "membership", "prng"],
    &["digest_md5"],
    &["tree"],
    &["store"],
    &["session", "watch"],
    &["quorum"],
    &["node"],
    &["strategies"],
    &["codec"],
    &["gossip"],
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_path_buf()
}

/// Every Rust file below `folder`, with its text, in the order of the paths.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).expect("a readable file");
                found.push((path, text));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no sources below {}", folder.display());
    found
}

/// The files below `folder` that ship: not those that are declared as modules of tests.
fn shipped_sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let all = sources(folder);
    let mut test_modules = BTreeSet::new();
    for (_, text) in &all {
        for declared in text.split("#[cfg(test)]\n").skip(1) {
            let line = declared.lines().next().unwrap_or_default();
            if let Some((_, name)) = line.trim_end_matches(';').split_once("mod ")
                && line.ends_with(';')
            {
                test_modules.insert(name.to_owned());
            }
        }
    }
    let is_test = |path: &Path| {
        let relative = path
            .strip_prefix(folder)
            .expect("below the folder")
            .with_extension("");
        relative
            .iter()
            .any(|part| test_modules.contains(&*part.to_string_lossy()))
    };
    all.into_iter().filter(|(path, _)| !is_test(path)).collect()
}

fn report(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

/// The text before a file's tests: what ships.
fn shipped(text: &str) -> &str {
    text.find("\n#[cfg(test)]\nmod ")
        .map_or(text, |tests| &text[..tests])
}

#[test]
fn arrows_between_crates_point_down() {
    let mut broken = Vec::new();
    for (name, allowed) in CRATES {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).expect("manifest");
        for (other, _) in CRATES {
            let package = match *other {
                "server" => "althing".to_owned(),
                other => format!("althing-{}", other.replace('/', "-")),
            };
            let depends = manifest.lines().any(|line| {
                let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
                dependency == package
            });
            if depends && !allowed.contains(other) {
                broken.push(format!("{name} depends on {other}"));
            }
        }
    }
    report("every arrow between crates points down", &broken);
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

#[test]
fn arrows_between_the_floors_of_core_point_down() {
    let source = root().join("core/src");
    let mut broken = Vec::new();
    for (path, text) in shipped_sources(&source) {
        let relative = path.strip_prefix(&source).expect("below core/src");
        let own = relative.iter().next().expect("a name").to_string_lossy();
        let own = own.trim_end_matches(".rs");
        let Some(floor) = floor_of(own) else {
            continue;
        };
        for line in shipped(&text).lines() {
            let Some(import) = line.trim_start().split("use crate::").nth(1) else {
                continue;
            };
            let module = import.split([':', ';']).next().expect("a module");
            let other = floor_of(module).unwrap_or_else(|| panic!("{module} stands on no floor"));
            if module != own && other >= floor {
                broken.push(format!("{} imports {module}", relative.display()));
            }
        }
    }
    report(
        "a file of core imports from lower floors or its own folder",
        &broken,
    );
}

/// For each file of a crate the files that it imports, by module path.
fn imports(source: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let module_of = |path: &Path| {
        let relative = path
            .strip_prefix(source)
            .expect("below the source")
            .with_extension("");
        let parts: Vec<String> = relative
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        parts.join("::")
    };
    let files = shipped_sources(source);
    let modules: BTreeSet<String> = files.iter().map(|(path, _)| module_of(path)).collect();
    let mut graph = BTreeMap::new();
    for (path, text) in &files {
        let mut targets = BTreeSet::new();
        for part in shipped(text).split("use crate::").skip(1) {
            let names: Vec<&str> = part
                .split([':', ';', '{', ' '])
                .filter(|name| !name.is_empty())
                .take(3)
                .collect();
            // The longest prefix that is a file.
            let longest = (1..=names.len())
                .rev()
                .map(|length| names[..length].join("::"))
                .find(|name| modules.contains(name));
            targets.extend(longest);
        }
        let own = module_of(path);
        targets.remove(&own);
        graph.insert(own, targets);
    }
    graph
}

fn circle<'a>(
    graph: &'a BTreeMap<String, BTreeSet<String>>,
    at: &'a str,
    path: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Option<String> {
    if let Some(start) = path.iter().position(|passed| *passed == at) {
        return Some([&path[start..], &[at]].concat().join(" -> "));
    }
    if !done.insert(at) {
        return None;
    }
    path.push(at);
    for next in graph.get(at).into_iter().flatten() {
        if let Some(found) = circle(graph, next, path, done) {
            return Some(found);
        }
    }
    path.pop();
    None
}

#[test]
fn there_are_no_circles_between_the_files_of_a_crate() {
    let mut broken = Vec::new();
    for name in ["core", "server", "client", "program", "sim"] {
        let graph = imports(&root().join(name).join("src"));
        let mut done = BTreeSet::new();
        for file in graph.keys() {
            if let Some(found) = circle(&graph, file, &mut Vec::new(), &mut done) {
                broken.push(format!("{name}: {found}"));
            }
        }
    }
    report(
        "the files of a crate import each other in no circle",
        &broken,
    );
}

#[test]
fn a_file_says_what_it_is_and_has_one_subject() {
    let mut broken = Vec::new();
    for (path, text) in sources(&root()) {
        let name = path
            .strip_prefix(root())
            .expect("below the root")
            .display()
            .to_string();
        if !text.starts_with("//!") {
            broken.push(format!("{name} does not begin by saying what it is"));
        }
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            broken.push(format!("{name} has {lines} lines"));
        }
        // Code is the formatter's; tables cannot be wrapped.
        let is_long = |line: &str| {
            let text = line.trim_start();
            let is_prose = text.starts_with("//") && !text.contains('|');
            is_prose && line.chars().count() > 100
        };
        if let Some(line) = text.lines().position(is_long) {
            broken.push(format!("{name}:{} is longer than 100 columns", line + 1));
        }
        let stem = path.file_stem().expect("a name").to_string_lossy();
        if matches!(
            &*stem,
            "util" | "utils" | "common" | "helpers" | "manager" | "misc"
        ) {
            broken.push(format!("{name} is named for nothing in particular"));
        }
    }
    report("a file says what it is and has one subject", &broken);
}

/// What would let time, threads or the order of a hash table into code that must be a pure
/// function of its seed. The simulator's own campaign (threads, progress) and the server's
/// production shell stand outside of the simulation.
#[test]
fn simulated_code_has_no_clock_and_no_hash_order() {
    let outside = [
        "sim/src/bin",
        "sim/src/campaign",
        "sim/src/command",
        "sim/src/run.rs",
        "sim/src/stopwatch.rs",
        "server/src/tls",
        "server/src/tokio_clients",
        "server/src/tokio_shell",
        "server/src/tokio_peers",
        "server/src/local_ensemble",
        "server/src/program",
        "server/src/os_disk",
    ];
    let forbidden = [
        "std::time::Instant",
        "std::time::SystemTime",
        "Instant::now(",
        "SystemTime::now(",
        "std::collections::HashMap",
        "std::collections::HashSet",
        "collections::{HashMap",
        "tokio::time::",
        "tokio::spawn",
        "std::thread::spawn",
        "rand::rng()",
    ];
    let mut broken = Vec::new();
    for folder in ["core/src", "client/src", "sim/src", "server/src"] {
        for (path, text) in shipped_sources(&root().join(folder)) {
            let name = path
                .strip_prefix(root())
                .expect("below the root")
                .display()
                .to_string();
            if outside.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            for (number, line) in shipped(&text).lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                let allowed = name == "client/src/runtime.rs" && code.contains("tokio::");
                if !allowed && forbidden.iter().any(|word| code.contains(word)) {
                    broken.push(format!("{name}:{}: {}", number + 1, line.trim()));
                }
            }
        }
    }
    report(
        "simulated code has no clock, no threads and no hash order",
        &broken,
    );
}
