//! The mutant catalogue: real kinds of bugs, kept as patches, each of which the testbed must catch.
//!
//! `cargo catalogue` applies each patch of `tests/mutants/` to a scratch copy of the repository,
//! builds the simulator there, runs the scenario or explores the configuration that the patch
//! names, and tells which invariant caught it. `cargo catalogue --check` only sees that every patch
//! still applies. Production code carries no switch for any of them.
//!
//! A patch begins with lines that say what it is:
//!
//! ```text
//! # kind: a watch lost
//! # scenario: service-tree
//! # seeds: 0..20
//! # caught-by: V3
//! ```
//!
//! For the explorer, the configuration stands in the place of scenario and seeds:
//!
//! ```text
//! # explore: tails
//! ```
//!
//! `caught-by: nothing` marks a harmless mutant, on which no checker may fire.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::Instant;

struct Mutant {
    name: String,
    patch: PathBuf,
    kind: String,
    trial: Trial,
    caught_by: String,
}

/// Where a mutant must be caught.
enum Trial {
    /// A scenario, played with these seeds.
    Scenario { name: String, seeds: String },
    /// A configuration of the explorer.
    Exploring { configuration: String },
}

impl Trial {
    /// What the simulator is asked for.
    fn arguments(&self) -> Vec<&str> {
        match self {
            Trial::Scenario { name, seeds } => vec!["run", name, "--seeds", seeds],
            Trial::Exploring { configuration } => vec!["explore", configuration],
        }
    }

    /// What the simulator prints before the name of a broken invariant.
    fn alarm(&self) -> &'static str {
        match self {
            Trial::Scenario { .. } => "FAIL ",
            Trial::Exploring { .. } => "BROKEN ",
        }
    }

    /// What it prints of this invariant.
    fn alarm_of(&self, invariant: &str) -> String {
        let end = match self {
            Trial::Scenario { .. } => ' ',
            Trial::Exploring { .. } => ':',
        };
        format!("{}{invariant}{end}", self.alarm())
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trial::Scenario { name, seeds } => write!(f, "{seeds} seeds of {name}"),
            Trial::Exploring { configuration } => write!(f, "configuration {configuration}"),
        }
    }
}

fn mutants(folder: &Path) -> Result<Vec<Mutant>, String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let patch = entry.map_err(|error| error.to_string())?.path();
        if patch
            .extension()
            .is_none_or(|extension| extension != "patch")
        {
            continue;
        }
        let text = fs::read_to_string(&patch).map_err(|error| error.to_string())?;
        let optional = |key: &str| {
            let prefix = format!("# {key}: ");
            let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
            line.map(str::to_owned)
        };
        let field = |key: &str| optional(key).ok_or(format!("{}: no `# {key}: `", patch.display()));
        let trial = match optional("explore") {
            Some(configuration) => Trial::Exploring { configuration },
            None => Trial::Scenario {
                name: field("scenario")?,
                seeds: field("seeds")?,
            },
        };
        found.push(Mutant {
            name: patch
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            kind: field("kind")?,
            trial,
            caught_by: field("caught-by")?,
            patch,
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn run(command: &mut Command) -> Result<Output, String> {
    command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let output = run(command)?;
    let text = String::from_utf8_lossy(&output.stderr);
    output
        .status
        .success()
        .then_some(())
        .ok_or(format!("{command:?} failed:\n{text}"))
}

/// Copies what git knows of the working tree, so that uncommitted changes are tried, too.
fn copy(root: &Path, scratch: &Path) -> Result<(), String> {
    let listed = run(Command::new("git").current_dir(root).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    for name in String::from_utf8_lossy(&listed.stdout).lines() {
        let (from, to) = (root.join(name), scratch.join(name));
        let Ok(bytes) = fs::read(&from) else {
            continue;
        };
        // What is equal keeps its time of change, so that the build can be used again.
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        let parent = to.parent().expect("a file lies in a folder");
        fs::create_dir_all(parent).map_err(|error| error.to_string())?;
        fs::write(&to, bytes).map_err(|error| format!("{}: {error}", to.display()))?;
    }
    Ok(())
}

fn apply(mutant: &Mutant, scratch: &Path) -> Result<(), String> {
    let mut git = Command::new("git");
    // The scratch copy lies inside the repository; without this git would apply to the outer one.
    git.current_dir(scratch).env(
        "GIT_CEILING_DIRECTORIES",
        scratch.parent().expect("a parent"),
    );
    succeed(git.args(["apply", "--unidiff-zero"]).arg(&mutant.patch))
}

/// Tries one mutant; `Ok` tells how it was caught.
fn try_mutant(mutant: &Mutant, root: &Path, scratch: &Path) -> Result<String, String> {
    copy(root, scratch)?;
    apply(mutant, scratch)?;
    let build = scratch.parent().expect("a parent").join("build");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(scratch).env("CARGO_TARGET_DIR", &build);
    // A mutant is built once and run for seconds: the build's time counts, not the run's.
    cargo
        .env("CARGO_INCREMENTAL", "1")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0");
    succeed(cargo.args(["build", "--quiet", "--release", "--package", "althing-sim"]))?;
    let began = Instant::now();
    let mut simulator = Command::new(build.join("release/althing-sim"));
    simulator
        .current_dir(scratch)
        .args(mutant.trial.arguments());
    let output = run(&mut simulator)?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let took = began.elapsed().as_secs_f64();
    let trial = &mutant.trial;
    let fails = |line: &&str| line.contains(trial.alarm());
    let failed: Vec<&str> = told.lines().filter(fails).collect();
    let named = |line: &&&str| {
        let mut names = mutant.caught_by.split(',');
        names.any(|name| line.contains(&trial.alarm_of(name.trim())))
    };
    match (failed.first(), failed.iter().find(named)) {
        (None, _) if mutant.caught_by == "nothing" => Ok(format!("rightly green, {took:.1} s")),
        (None, _) => Err(format!("green: {trial}")),
        (Some(line), _) if mutant.caught_by == "nothing" => Err(format!("a false alarm: {line}")),
        (Some(_), Some(line)) => Ok(format!("{took:.1} s: {}", line.trim())),
        (Some(line), None) => Err(format!("caught by another invariant than named: {line}")),
    }
}

fn catalogue(arguments: &[String]) -> Result<bool, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("no workspace")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let scratch = target.join("catalogue/copy");
    fs::create_dir_all(&scratch).map_err(|error| error.to_string())?;
    let check = arguments.iter().any(|argument| argument == "--check");
    let wanted: Vec<&String> = arguments
        .iter()
        .filter(|name| !name.starts_with("--"))
        .collect();
    let mut all_caught = true;
    let mut tried = 0;
    for mutant in mutants(&root.join("tests/mutants"))? {
        if !wanted.is_empty()
            && !wanted
                .iter()
                .any(|name| mutant.name.contains(name.as_str()))
        {
            continue;
        }
        tried += 1;
        let result = match check {
            true => copy(root, &scratch)
                .and_then(|()| apply(&mutant, &scratch))
                .map(|()| "applies".to_owned()),
            false => try_mutant(&mutant, root, &scratch),
        };
        let (verdict, text) = match &result {
            Ok(text) => ("ok    ", text),
            Err(text) => ("MISSED", text),
        };
        println!("{verdict} {:<28} {:<36} {text}", mutant.name, mutant.kind);
        all_caught &= result.is_ok();
    }
    copy(root, &scratch)?;
    if tried == 0 {
        return Err("no mutant has such a name".to_owned());
    }
    Ok(all_caught)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match catalogue(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("catalogue: {error}");
            ExitCode::from(2)
        }
    }
}
