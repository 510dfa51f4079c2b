//! Where scenario files are: found by path or by bare name, from anywhere within the workspace.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use thiserror::Error;

use crate::scenario::{Refused, Scenario};

/// The folder of the scenarios, below the workspace's root.
const FOLDER: &str = "scenarios";
/// Below that: what once went wrong.
const REGRESSIONS: &str = "regressions";
/// And what leads to planted bugs: found by name, and no part of [`Library::all`].
const TRIGGERS: &str = "triggers";

/// Why there is no scenario.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// The file cannot be read.
    #[error("{}: {error}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is not a scenario.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// There is no file and no scenario of that name.
    #[error("there is no file `{name}`, and no scenario of that name; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// No folder with scenarios was found.
    #[error("there is no folder `scenarios` here or above")]
    NoFolder,
}

/// One scenario and its file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The file, as short as it can be written in the working directory.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
    /// What it says.
    pub scenario: Scenario,
}

/// The workspace's root, as seen from `here`.
#[derive(Clone, Debug)]
pub struct Library {
    root: PathBuf,
    here: PathBuf,
}

impl Library {
    /// The library of the nearest folder above the working directory that has scenarios, or else of
    /// the workspace from which cargo runs this program.
    pub fn find() -> Result<Library, Unreadable> {
        let here = env::current_dir().map_err(|error| Unreadable::File {
            file: PathBuf::from("."),
            error,
        })?;
        let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let starts = [Some(here.clone()), package];
        let above = |start: &PathBuf| {
            let mut folders = start.ancestors();
            folders
                .find(|folder| folder.join(FOLDER).is_dir())
                .map(Path::to_owned)
        };
        let root = starts
            .iter()
            .flatten()
            .find_map(above)
            .ok_or(Unreadable::NoFolder)?;
        Ok(Library { root, here })
    }

    /// The library with this root, seen from there.
    pub fn at(root: &Path) -> Library {
        Library {
            root: root.to_owned(),
            here: root.to_owned(),
        }
    }

    /// Every scenario: the stories in the order of their names, then the regressions.
    pub fn all(&self) -> Result<Vec<Entry>, Unreadable> {
        self.files()?.iter().map(|file| self.read(file)).collect()
    }

    /// The scenarios that lead to planted bugs, in the order of their names.
    pub fn triggers(&self) -> Result<Vec<Entry>, Unreadable> {
        let files = self.trigger_files()?;
        files.iter().map(|file| self.read(file)).collect()
    }

    /// The scenario in this file, or with this name.
    pub fn open(&self, name: &str) -> Result<Entry, Unreadable> {
        let file = self.here.join(name);
        if file.is_file() {
            return self.read(&file);
        }
        let mut files = self.files()?;
        files.extend(self.trigger_files()?);
        let named = files.iter().find(|file| stem(file) == name);
        match named {
            Some(file) => self.read(file),
            None => Err(Unreadable::Unknown {
                name: name.to_owned(),
                known: files
                    .iter()
                    .map(|file| stem(file))
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        }
    }

    /// The workspace's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the folders of red seeds are kept.
    pub fn red_folder(&self) -> PathBuf {
        let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let target = target.unwrap_or_else(|| self.root.join("target"));
        target.join("althing-sim").join("red")
    }

    /// The path as the user would write it.
    pub fn short(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.here).unwrap_or(path).to_owned()
    }

    fn files(&self) -> Result<Vec<PathBuf>, Unreadable> {
        let stories = self.root.join(FOLDER);
        let regressions = stories.join(REGRESSIONS);
        let mut files = files_in(&stories)?;
        if regressions.is_dir() {
            files.extend(files_in(&regressions)?);
        }
        Ok(files)
    }

    fn trigger_files(&self) -> Result<Vec<PathBuf>, Unreadable> {
        let triggers = self.root.join(FOLDER).join(TRIGGERS);
        match triggers.is_dir() {
            true => files_in(&triggers),
            false => Ok(Vec::new()),
        }
    }

    fn read(&self, file: &Path) -> Result<Entry, Unreadable> {
        let text = fs::read_to_string(file).map_err(|error| Unreadable::File {
            file: self.short(file),
            error,
        })?;
        let short = self.short(file);
        let scenario = Scenario::parse(&text, &short.display().to_string(), &stem(file))?;
        Ok(Entry {
            file: short,
            text,
            scenario,
        })
    }
}

fn stem(file: &Path) -> String {
    file.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>, Unreadable> {
    let failed = |error| Unreadable::File {
        file: folder.to_owned(),
        error,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cast;
    use crate::mix::Mix;
    use crate::plan::Workload;
    use crate::span::Span;

    fn ours() -> Library {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        Library::at(package.parent().expect("the package lies in the workspace"))
    }

    #[test]
    fn every_shipped_scenario_is_read_and_says_what_it_is_about() {
        let all = ours().all().unwrap_or_else(|error| panic!("{error}"));
        assert!(all.len() > 10, "{}", all.len());
        for entry in all {
            let plan = &entry.scenario.plan;
            assert_eq!(plan.name, stem(&entry.file));
            assert!(!plan.reaches.is_empty(), "{} could be vacuous", plan.name);
            let text = fs::read_to_string(ours().root.join(&entry.file)).unwrap();
            assert!(text.starts_with("# "), "{} tells no story", plan.name);
        }
    }

    #[test]
    fn scenarios_are_found_by_name_and_by_path() {
        let by_name = ours().open("power-cut").unwrap();
        let by_path = ours().open("scenarios/power-cut.toml").unwrap();
        assert_eq!(by_name.file, Path::new("scenarios/power-cut.toml"));
        assert_eq!(by_name.file, by_path.file);
        assert_eq!(by_name.scenario, by_path.scenario);
    }

    #[test]
    fn what_is_not_there_is_named_beside_what_is() {
        let error = ours().open("power-cat").unwrap_err().to_string();
        assert!(
            error.starts_with("there is no file `power-cat`, and no scenario"),
            "{error}"
        );
        assert!(error.contains("power-cut"), "{error}");
    }

    #[test]
    fn the_reference_is_true() {
        let page = fs::read_to_string(ours().root.join("docs/scenarios.md")).unwrap();
        let (_, example) = page.split_once("```toml\n").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        let plan = Scenario::parse(example, "example", "lock").unwrap().plan;
        let mix = Workload::Mix(Mix {
            clients: 1,
            rest: Span::secs(1),
            znodes: 1,
            session: Span::secs(1),
            rare: 1,
            wishes: Some(Span::secs(1)),
            quotas: Some(Span::secs(1)),
            readers: 1,
            proven: 1,
            thief: Some(Span::secs(1)),
        });
        let rollout = Workload::Rollout {
            files: 1,
            readers: 1,
            every: Span::secs(1),
        };
        let shard = Workload::Shard {
            slaves: 1,
            session: Span::secs(1),
            write_every: Span::secs(1),
        };
        let tree = Workload::ServiceTree {
            readers: 2,
            change_every: Span::secs(1),
        };
        for workload in [plan.workload, mix, rollout, shard, tree] {
            let parts = cast::parts(&workload).into_iter().map(str::to_owned);
            let names = cast::names(&workload).into_iter().map(str::to_owned);
            let clients = cast::clients(&workload).into_iter();
            // The first of many stands for the others.
            let clients = clients.filter(|name| !["-2", "-3"].iter().any(|n| name.ends_with(n)));
            for name in clients.chain(parts).chain(names) {
                assert!(page.contains(&format!("`{name}`")), "{name} is not told of");
            }
        }
    }
}
