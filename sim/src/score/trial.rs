//! Trying a mutant in one way: its directed trigger, the swarm, or the explorer.
//!
//! A seed is played by a process of its own, in one thread, so that a mutant that hangs or dies
//! takes nothing with it, and the time until it is caught is that of a single processor.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::score::mutant::{Mutant, Trigger};
use crate::score::told::{self, Smaller, Told};
use crate::score::trouble::Trouble;

/// The scenarios of the swarm, in the order in which they have their turns: one seed of each, and
/// then the next seed of each. They are shipped stories, and not written for any mutant.
pub const PORTFOLIO: [&str; 20] = [
    "mix-of-everything",
    "leader-cut-off-mid-write",
    "power-cut",
    "leader-election-storm",
    "follower-far-behind",
    "lost-disk",
    "session-moves",
    "membership-change-under-fire",
    "lock-under-contention",
    "shard37-master-cut-off",
    "minority-dies",
    "dying-disk-full",
    "dying-disk-sync-error",
    "dying-disk-rot-middle",
    "whole-ensemble-power-cut",
    "split-brain-one-way",
    "split-brain-bridge",
    "slow-disk-leader",
    "service-tree",
    "holder-behind-isolated",
];

/// The first seed of the swarm: triggers begin at 0, and what they were tuned with is not shown
/// again.
pub const SWARM_SEED_FIRST: u64 = 1000;

/// A seed that takes longer than this, in real time, does not end: most take a second of a
/// processor, and the machine may have much else to do.
const SEED_REAL_MAX: Duration = Duration::from_secs(180);

/// An exploration may take so many times its processor time in real time: the machine may have much
/// else to do.
const EXPLORER_REAL_PER_BUSY: u32 = 10;

/// What an exploration may take beyond the time that it was given, to write down what it found.
const EXPLORER_GRACE: Duration = Duration::from_secs(120);

/// The most real time for shrinking a plan; the machine may have much else to do, and what is told
/// is processor time.
const SHRINKING_REAL_MAX: Duration = Duration::from_secs(240);

/// What shrinking may take beyond that: it plays the seed before, and others around it afterwards.
const SHRINKING_GRACE: Duration = Duration::from_secs(120);

/// The explorer's memory for states, in GiB.
const EXPLORER_GIB: u64 = 2;

/// How a mutant is tried.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The scenario that its patch names, with its seeds.
    Trigger,
    /// Seeds of shipped scenarios.
    Swarm,
    /// The configuration of the explorer that its patch names.
    Explorer,
}

impl Way {
    /// In the order in which they are tried.
    pub const ALL: [Way; 3] = [Way::Trigger, Way::Swarm, Way::Explorer];
}

/// What came of one way.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Where: a scenario, a configuration, or the swarm.
    pub place: String,
    /// The day.
    pub date: String,
    /// The commit that the mutant was planted into.
    pub commit: String,
    /// Seeds that were played; none by the explorer.
    #[serde(default)]
    pub seeds: u64,
    /// The processor time, in milliseconds.
    pub busy_ms: u64,
    /// The invariants that were broken in the seed that caught it; none if nothing did.
    #[serde(default)]
    pub broken: Vec<String>,
    /// The seed that caught it.
    #[serde(default)]
    pub seed: Option<u64>,
    /// What only an assertion inside of the core has seen, or the end of the process.
    #[serde(default)]
    pub inside: Option<String>,
    /// What shrinking the plan that caught it has come to.
    #[serde(default)]
    pub smaller: Option<Smaller>,
}

impl Trial {
    /// Was it caught from the outside?
    pub fn is_caught(&self) -> bool {
        !self.broken.is_empty()
    }

    fn add(&mut self, told: Told) {
        let busy_ms = told.busy.as_millis();
        self.busy_ms += u64::try_from(busy_ms).expect("some milliseconds");
        self.inside = self.inside.take().or(told.inside);
        self.broken = told.broken;
    }
}

/// A simulator with a mutant, and how long it may search.
#[derive(Clone, Debug)]
pub struct Tester<'a> {
    /// The program.
    pub simulator: PathBuf,
    /// The working tree, which has the scenarios.
    pub root: &'a Path,
    /// Where it may write.
    pub folder: PathBuf,
    /// The most processor time for one way.
    pub busy_max: Duration,
}

impl Tester<'_> {
    /// Tries a mutant in one way; `None` if its patch names nothing for it.
    ///
    /// # Errors
    /// If the simulator cannot be run.
    pub fn attempt(&self, mutant: &Mutant, way: Way) -> Result<Option<Trial>, Trouble> {
        match way {
            Way::Trigger => match &mutant.trigger {
                Some(trigger) => self.triggered(trigger).map(Some),
                None => Ok(None),
            },
            Way::Swarm => self.swarmed().map(Some),
            Way::Explorer => match &mutant.explore {
                Some(configuration) => self.explored(configuration).map(Some),
                None => Ok(None),
            },
        }
    }

    fn triggered(&self, trigger: &Trigger) -> Result<Trial, Trouble> {
        let Trigger { scenario, seeds } = trigger;
        let turns = seeds.clone().map(|seed| (scenario.as_str(), seed));
        self.seeds(scenario, turns)
    }

    fn swarmed(&self) -> Result<Trial, Trouble> {
        let seeds = SWARM_SEED_FIRST..u64::MAX;
        let turns = seeds.flat_map(|seed| PORTFOLIO.map(|scenario| (scenario, seed)));
        self.seeds("swarm", turns)
    }

    fn seeds<'a>(
        &self,
        place: &str,
        turns: impl Iterator<Item = (&'a str, u64)>,
    ) -> Result<Trial, Trouble> {
        let mut trial = Trial {
            place: place.to_owned(),
            ..Trial::default()
        };
        for (scenario, seed) in turns {
            if u128::from(trial.busy_ms) >= self.busy_max.as_millis() {
                break;
            }
            let number = seed.to_string();
            let mut command = self.command();
            command.args(["run", scenario, "--jobs", "1", "--seed", &number]);
            // Shrinking is measured by itself.
            command.arg("--no-shrink");
            let told = told_by(command, SEED_REAL_MAX, |text| {
                told::by_campaign(scenario, text)
            })?;
            trial.seeds += 1;
            let differs = told.differs;
            trial.add(told);
            if differs {
                let what = format!("two runs of {scenario} with seed {seed} differ");
                trial.inside.get_or_insert(what);
            }
            if trial.is_caught() {
                trial.seed = Some(seed);
                trial.place = scenario.to_owned();
                break;
            }
        }
        Ok(trial)
    }

    /// Makes the plan that caught a mutant as small as it can be, and notes what came of it.
    ///
    /// # Errors
    /// If the simulator cannot be run.
    ///
    /// # Panics
    /// If no seed has caught it.
    pub fn shrink(&self, trial: &mut Trial) -> Result<(), Trouble> {
        let seed = trial.seed.expect("a seed has caught it").to_string();
        let mut command = self.command();
        command.args(["shrink", &trial.place, "--jobs", "1", "--seed", &seed]);
        let most = format!("{}s", SHRINKING_REAL_MAX.as_secs());
        command.args(["--shrink-for", &most]);
        let real_max = SHRINKING_REAL_MAX + SHRINKING_GRACE;
        let heard = text_of(command, real_max)?;
        trial.smaller = heard.and_then(|(text, _)| told::by_shrinking(&text));
        Ok(())
    }

    fn explored(&self, configuration: &str) -> Result<Trial, Trouble> {
        let mut trial = Trial {
            place: configuration.to_owned(),
            ..Trial::default()
        };
        // Half of the time for every state in order, the other half for walks.
        let half = self.busy_max / 2;
        for walk in [None, Some("1")] {
            let mut command = self.command();
            command.args(["explore", configuration]);
            let real_max = half * EXPLORER_REAL_PER_BUSY;
            command.args(["--busy", &format!("{}ms", half.as_millis())]);
            command.args(["--for", &format!("{}ms", real_max.as_millis())]);
            command.args(["--memory", &EXPLORER_GIB.to_string(), "--into"]);
            command.arg(&self.folder);
            command.args(match walk {
                None => ["--search", "in-order"],
                Some(seed) => ["--walk", seed],
            });
            let real_max = real_max + EXPLORER_GRACE;
            trial.add(told_by(command, real_max, |text| {
                told::by_explorer(configuration, text)
            })?);
            if trial.is_caught() {
                break;
            }
        }
        Ok(trial)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.simulator);
        command.current_dir(self.root);
        // Red plans of mutants are nothing to keep beside those of the real thing.
        command.env("CARGO_TARGET_DIR", &self.folder);
        command
    }
}

/// Runs a simulator to its end, or to the end of the patience with it.
fn told_by(
    command: Command,
    real_max: Duration,
    read: impl Fn(&str) -> Told,
) -> Result<Told, Trouble> {
    let Some((text, status)) = text_of(command, real_max)? else {
        return Ok(Told {
            inside: Some("the simulator does not come to an end".to_owned()),
            busy: real_max,
            ..Told::default()
        });
    };
    let mut told = read(&text);
    if !matches!(status.code(), Some(0 | 1 | 3)) && told.broken.is_empty() {
        let what = format!("the simulator ended with {status}");
        told.inside.get_or_insert(what);
    }
    Ok(told)
}

/// What a simulator has written when it has ended, and how; `None` if it does not end in time, and
/// was ended.
fn text_of(
    mut command: Command,
    real_max: Duration,
) -> Result<Option<(String, ExitStatus)>, Trouble> {
    let failed = |error: std::io::Error, command: &Command| Trouble::Program {
        program: format!("{command:?}"),
        told: error.to_string(),
    };
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| failed(error, &command))?;
    let output = heard(&mut child);
    let text = match output.recv_timeout(real_max) {
        Ok(text) => Some(text),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            child.kill().map_err(|error| failed(error, &command))?;
            None
        }
    };
    let status = child.wait().map_err(|error| failed(error, &command))?;
    Ok(text.map(|text| (text, status)))
}

/// What a process writes, once it has written all of it.
fn heard(child: &mut Child) -> mpsc::Receiver<String> {
    let mut pipe = child.stdout.take().expect("its output is piped");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if pipe.read_to_end(&mut bytes).is_ok() {
            // Who waited may have lost patience.
            let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::library::Library;

    #[test]
    fn the_portfolio_is_shipped_and_has_none_twice() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let library = Library::at(root);
        for (index, name) in PORTFOLIO.iter().enumerate() {
            library.open(name).unwrap_or_else(|error| panic!("{error}"));
            assert!(!PORTFOLIO[..index].contains(name), "{name} twice");
        }
        let page = std::fs::read_to_string(root.join("docs/score.md")).unwrap();
        let told: Vec<String> = PORTFOLIO.iter().map(|name| format!("`{name}`")).collect();
        let page: Vec<&str> = page.split_whitespace().collect();
        assert!(
            page.join(" ").contains(&told.join(", ")),
            "docs/score.md names another one"
        );
        assert!(
            page.join(" ")
                .contains(&format!("seeds from {SWARM_SEED_FIRST}"))
        );
    }

    #[test]
    fn a_process_that_does_not_end_is_ended() {
        let mut command = Command::new("sleep");
        command.arg("600");
        let told = told_by(command, Duration::from_millis(50), |_| unreachable!()).unwrap();
        assert!(
            told.inside
                .is_some_and(|what| what.contains("does not come to an end"))
        );
    }

    #[test]
    fn a_process_that_dies_is_no_catch() {
        let mut command = Command::new("false");
        let told = told_by(command, Duration::from_secs(60), |_| Told::default()).unwrap();
        assert_eq!(told.inside, None, "1 is what a red campaign ends with");
        command = Command::new("sh");
        command.args(["-c", "kill -9 $$"]);
        let told = told_by(command, Duration::from_secs(60), |_| Told::default()).unwrap();
        assert!(told.broken.is_empty() && told.inside.is_some());
    }
}
