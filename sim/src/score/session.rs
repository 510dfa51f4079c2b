//! One run of the command: mutants are built one after the other, and tried beside that, several at
//! a time. The times that are told are of one processor, so they do not depend on how many.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use crate::score::mutant::Mutant;
use crate::score::results::Tried;
use crate::score::scratch::{Scratch, run};
use crate::score::trial::{Tester, Trial, Way};
use crate::score::trouble::Trouble;

/// When, and of what.
#[derive(Clone, Debug)]
pub struct Stamp {
    date: String,
    commit: String,
}

impl Stamp {
    /// Today, and the commit of the working tree at `root`.
    ///
    /// # Errors
    /// If git fails.
    pub fn now(root: &Path) -> Result<Stamp, Trouble> {
        let mut git = Command::new("git");
        git.current_dir(root)
            .args(["describe", "--always", "--dirty"]);
        let (date, commit) = (
            run(Command::new("date").args(["-u", "+%F"]))?,
            run(&mut git)?,
        );
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Ok(Stamp {
            date: text(&date.stdout),
            commit: text(&commit.stdout),
        })
    }

    fn sign(&self, trial: &mut Trial) {
        (trial.date, trial.commit) = (self.date.clone(), self.commit.clone());
    }
}

/// What is wanted of a mutant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Breadth {
    /// The ways in order, until one has caught it as its patch says.
    UntilCaught,
    /// Every way.
    EveryWay,
    /// Every way, and how few faults the plan needs that caught it soonest.
    EveryWayAndSmaller,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Task<'a> {
    /// With this mutant.
    pub mutant: &'a Mutant,
    /// In these ways.
    pub ways: Vec<Way>,
}

/// What came of a mutant.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Of which.
    pub mutant: &'a Mutant,
    /// What came of the ways in which it was tried.
    pub tried: Tried,
    /// Did what its patch names fire, or is it a harmless one?
    pub is_as_named: bool,
}

/// One run of the command.
#[derive(Debug)]
pub struct Session<'a> {
    /// Where the simulators write.
    pub tester_folder: PathBuf,
    /// The working tree.
    pub root: &'a Path,
    /// There is one, so there is one build at a time.
    pub scratch: Mutex<Scratch>,
    /// What the results are signed with.
    pub stamp: Stamp,
    /// The most processor time for each way of each mutant.
    pub busy_max: Duration,
    /// What is wanted.
    pub breadth: Breadth,
}

impl Session<'_> {
    /// Does the tasks, so many at a time; `note` is told of each as it ends. Ends early when `stop`
    /// is set, or when there is trouble.
    ///
    /// # Errors
    /// The first trouble.
    pub fn work<'a>(
        &self,
        tasks: Vec<Task<'a>>,
        jobs: usize,
        stop: &AtomicBool,
        mut note: impl FnMut(Report<'a>) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let tasks = Mutex::new(tasks.into_iter());
        let next = || tasks.lock().unwrap_or_else(PoisonError::into_inner).next();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let (reporter, reports) = mpsc::channel();
            for _ in 0..jobs {
                let (reporter, is_over, next) = (reporter.clone(), &is_over, &next);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed)
                        && !is_over.load(Ordering::Relaxed)
                        && let Some(task) = next()
                        && reporter.send(self.attempt(&task)).is_ok()
                    {}
                });
            }
            drop(reporter);
            for report in reports {
                if let Err(trouble) = report.and_then(&mut note) {
                    // What is under way comes to its end, and nobody listens any more.
                    is_over.store(true, Ordering::Relaxed);
                    return Err(trouble);
                }
            }
            Ok(())
        })
    }

    /// Builds a mutant, and tries it.
    fn attempt<'a>(&self, task: &Task<'a>) -> Result<Report<'a>, Trouble> {
        let mutant = task.mutant;
        let simulator = {
            let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
            scratch.simulator(mutant)?
        };
        let tester = Tester {
            simulator,
            root: self.root,
            folder: self.tester_folder.join(&mutant.name),
            busy_max: self.busy_max,
        };
        let mut tried = Tried {
            digest: mutant.digest.clone(),
            ..Tried::default()
        };
        let mut is_as_named = mutant.is_harmless();
        for way in &task.ways {
            let mut trial = tester.attempt(mutant, *way)?;
            if let Some(trial) = &mut trial {
                self.stamp.sign(trial);
            }
            let broken = trial.as_ref().map_or(&[][..], |trial| &trial.broken);
            is_as_named |= mutant.is_named_among(broken);
            tried.set(*way, trial);
            let is_enough = self.breadth == Breadth::UntilCaught;
            if is_enough && is_as_named && !mutant.is_harmless() {
                break;
            }
        }
        if self.breadth == Breadth::EveryWayAndSmaller
            && let Some(soonest) = tried.soonest_with_a_plan()
        {
            tester.shrink(soonest)?;
        }
        Ok(Report {
            mutant,
            tried,
            is_as_named,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::mutant::Expected;
    use crate::score::scratch::Build;

    fn mutant(name: &str) -> Mutant {
        Mutant {
            name: name.to_owned(),
            // There is no such file, so it does not apply.
            patch: PathBuf::from("/nowhere").join(name),
            digest: "1".to_owned(),
            kind: "a bug".to_owned(),
            source: "D01".to_owned(),
            trigger: None,
            explore: Some("tails".to_owned()),
            caught_by: Expected::Nothing,
        }
    }

    fn session(target: &Path) -> Session<'static> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        Session {
            tester_folder: target.join("red"),
            root,
            scratch: Mutex::new(Scratch::of(root, target, Build::Quick).unwrap()),
            stamp: Stamp::now(root).unwrap(),
            busy_max: Duration::from_secs(1),
            breadth: Breadth::EveryWay,
        }
    }

    #[test]
    fn trouble_with_one_ends_the_run_and_a_stopped_run_does_nothing() {
        let target = std::env::temp_dir().join(format!("althing-session-{}", std::process::id()));
        let session = session(&target);
        let mutants = ["a", "b", "c", "d"].map(mutant);
        let tasks = || {
            let task = |mutant| Task {
                mutant,
                ways: vec![Way::Explorer],
            };
            mutants.iter().map(task).collect::<Vec<_>>()
        };
        let going = AtomicBool::new(false);
        let mut heard = 0;
        let worked = session.work(tasks(), 2, &going, |_| {
            heard += 1;
            Ok(())
        });
        let trouble = worked.unwrap_err().to_string();
        assert!(trouble.contains("apply") && heard == 0, "{trouble}");
        let stopped = AtomicBool::new(true);
        let worked = session.work(tasks(), 2, &stopped, |_| unreachable!());
        assert!(worked.is_ok());
        std::fs::remove_dir_all(&target).unwrap();
    }
}
