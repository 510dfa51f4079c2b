//! A scratch copy of the working tree, into which one mutant after the other is patched, and in
//! which the simulator is built with it.
//!
//! The copy's build shares the directory of the working tree's own, and its quick profile (`dev`),
//! so that the crates of others are built once, and of ours what a patch touches. Of our own crates
//! nothing is shared: what a mutant was compiled to must never come into the real programs. A
//! simulator that was built is kept, under a name that says of which patch and which sources it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use xxhash_rust::xxh3::Xxh3;

use crate::score::mutant::Mutant;
use crate::score::trouble::Trouble;

/// What the simulator is built of.
const SOURCES: [&str; 6] = ["core/", "server/", "client/", "sim/", "Cargo.", ".cargo/"];

/// The crates of this workspace that a simulator is linked of.
const OWN: [&str; 4] = ["althing-core", "althing", "althing-client", "althing-sim"];

/// How our own crates are compiled in the copy. Cargo calls what it has compiled by the name of the
/// crate, its place in its workspace and its profile. The copy is a workspace of the same layout,
/// so it is by a profile of its own, which no other build has, that nothing of it is ever taken for
/// the real thing. Backtraces of mutants interest nobody, so they go without lines.
const OWN_PROFILE: [&str; 3] = ["codegen-units=250", "debug=false", "strip=\"symbols\""];

/// Simulators that are kept, each of some dozen megabytes.
const KEPT_MAX: usize = 150;

/// How the simulators are built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Build {
    /// In the quick profile: times are of this one.
    Quick,
    /// So that the build is over soonest, for who only wants to know whether a mutant is caught:
    /// the simulator's own crate, the largest, is not optimised.
    Hasty,
}

/// The scratch copy.
#[derive(Debug)]
pub struct Scratch {
    build: Build,
    root: PathBuf,
    target: PathBuf,
    copy: PathBuf,
    /// Of the sources.
    digest: u64,
}

impl Scratch {
    /// Makes the copy what the working tree at `root` is.
    ///
    /// # Errors
    /// If git or the file system fails.
    pub fn of(root: &Path, target: &Path, build: Build) -> Result<Scratch, Trouble> {
        let mut scratch = Scratch {
            build,
            root: root.to_owned(),
            target: target.to_owned(),
            copy: target.join("score/copy"),
            digest: 0,
        };
        fs::create_dir_all(&scratch.copy).map_err(Trouble::file(&scratch.copy))?;
        scratch.refresh()?;
        Ok(scratch)
    }

    /// Copies what git knows of the working tree, so that uncommitted changes are tried, too, and
    /// whatever a patch has changed or added is as it was.
    ///
    /// # Errors
    /// If git or the file system fails.
    pub fn refresh(&mut self) -> Result<(), Trouble> {
        let known = ["ls-files", "--cached", "--others", "--exclude-standard"];
        let listed = run(Command::new("git").current_dir(&self.root).args(known))?;
        let mut digest = Xxh3::new();
        let mut copied = BTreeSet::new();
        for name in String::from_utf8_lossy(&listed.stdout).lines() {
            let (from, to) = (self.root.join(name), self.copy.join(name));
            let Ok(bytes) = fs::read(&from) else {
                // It was removed and git has not been told.
                continue;
            };
            if SOURCES.iter().any(|source| name.starts_with(source)) {
                digest.update(name.as_bytes());
                digest.update(&bytes);
            }
            copied.insert(to.clone());
            // What is equal keeps its time of change, so that the build can be used again.
            if fs::read(&to).is_ok_and(|there| there == bytes) {
                continue;
            }
            let folder = to.parent().expect("a file lies in a folder");
            fs::create_dir_all(folder).map_err(Trouble::file(folder))?;
            fs::write(&to, bytes).map_err(Trouble::file(&to))?;
        }
        self.digest = digest.digest();
        keep_only(&self.copy, &copied)
    }

    /// Patches the mutant into the copy.
    ///
    /// # Errors
    /// If its patch does not apply.
    pub fn apply(&self, mutant: &Mutant) -> Result<(), Trouble> {
        let mut git = Command::new("git");
        // The copy lies inside the repository; without this git would apply to the outer one.
        let ceiling = self.copy.parent().expect("a folder below another");
        git.current_dir(&self.copy)
            .env("GIT_CEILING_DIRECTORIES", ceiling)
            .args(["apply", "--unidiff-zero"])
            .arg(&mutant.patch);
        run(&mut git).map(drop)
    }

    /// The simulator with the mutant in it.
    ///
    /// # Errors
    /// If the patch does not apply, or what it makes cannot be built.
    pub fn simulator(&mut self, mutant: &Mutant) -> Result<PathBuf, Trouble> {
        let kept = self.target.join("score/simulators");
        let (name, patch, sources) = (&mutant.name, &mutant.digest, self.digest);
        let haste = match self.build {
            Build::Quick => "",
            Build::Hasty => "-hasty",
        };
        let simulator = kept.join(format!("{name}-{patch}-{sources:016x}{haste}"));
        if simulator.exists() {
            return Ok(simulator);
        }
        fs::create_dir_all(&kept).map_err(Trouble::file(&kept))?;
        make_room(&kept)?;
        self.apply(mutant)?;
        let built = self.build();
        self.refresh()?;
        built?;
        let from = self.outcome().join("debug/althing-sim");
        let arriving = simulator.with_extension("arriving");
        fs::copy(&from, &arriving).map_err(Trouble::file(&from))?;
        fs::rename(&arriving, &simulator).map_err(Trouble::file(&arriving))?;
        Ok(simulator)
    }

    /// Where cargo puts the finished program: not where the real one is.
    fn outcome(&self) -> PathBuf {
        self.target.join("score/built")
    }

    fn build(&self) -> Result<(), Trouble> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo
            .current_dir(&self.copy)
            .env("CARGO_TARGET_DIR", self.outcome())
            .env("CARGO_BUILD_BUILD_DIR", &self.target)
            .env("CARGO_INCREMENTAL", "1")
            .args(["build", "--quiet", "--package", "althing-sim"])
            .args(["--bin", "althing-sim"]);
        for package in OWN {
            for setting in OWN_PROFILE {
                let setting = format!("profile.dev.package.{package}.{setting}");
                cargo.args(["--config", &setting]);
            }
        }
        if self.build == Build::Hasty {
            cargo.args(["--config", "profile.dev.package.althing-sim.opt-level=0"]);
        }
        run(&mut cargo).map(drop)
    }

    /// The working tree.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// Removes all files below a folder but these. What moved within the working tree would be there
/// twice.
fn keep_only(folder: &Path, wanted: &BTreeSet<PathBuf>) -> Result<(), Trouble> {
    for entry in fs::read_dir(folder).map_err(Trouble::file(folder))? {
        let path = entry.map_err(Trouble::file(folder))?.path();
        if path.is_dir() {
            keep_only(&path, wanted)?;
        } else if !wanted.contains(&path) {
            fs::remove_file(&path).map_err(Trouble::file(&path))?;
        }
    }
    Ok(())
}

/// Removes the simulators that were built the longest time ago.
fn make_room(folder: &Path) -> Result<(), Trouble> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(folder).map_err(Trouble::file(folder))? {
        let entry = entry.map_err(Trouble::file(folder))?;
        let built = entry.metadata().and_then(|data| data.modified());
        kept.push((built.map_err(Trouble::file(&entry.path()))?, entry.path()));
    }
    kept.sort();
    let needless = (kept.len() + 1).saturating_sub(KEPT_MAX);
    for (_, path) in kept.into_iter().take(needless) {
        fs::remove_file(&path).map_err(Trouble::file(&path))?;
    }
    Ok(())
}

/// Runs a program to its end, which must be a good one.
pub fn run(command: &mut Command) -> Result<Output, Trouble> {
    let output = command.output();
    let failed = |told: String| Trouble::Program {
        program: format!("{command:?}"),
        told,
    };
    let output = output.map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(output),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}
