//! What the mutants have come to, kept between runs of the command: a file beside the page.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::score::mutant::Mutant;
use crate::score::told::Smaller;
use crate::score::trial::{Trial, Way};
use crate::score::trouble::Trouble;

/// What all mutants have come to, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// Each with what it has come to.
    #[serde(default)]
    pub mutant: BTreeMap<String, Tried>,
}

/// What one mutant has come to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    /// Of the patch that was tried.
    pub digest: String,
    /// By its directed trigger.
    #[serde(default)]
    pub trigger: Option<Trial>,
    /// By the swarm.
    #[serde(default)]
    pub swarm: Option<Trial>,
    /// By the explorer.
    #[serde(default)]
    pub explorer: Option<Trial>,
}

/// What it all means.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Standing {
    /// Not tried, or its patch is another one since.
    Untried,
    /// Caught from the outside by at least one way.
    Caught,
    /// Only an assertion inside of the core has seen it, or the end of the process.
    Inside,
    /// Nothing has seen it.
    Missed,
    /// Harmless, and no checker has fired.
    RightlyGreen,
    /// Harmless, and a checker has fired.
    FalseAlarm,
}

impl Standing {
    /// For the table.
    pub fn words(self) -> &'static str {
        match self {
            Standing::Untried => "not tried yet",
            Standing::Caught => "caught",
            Standing::Inside => "**seen inside only**",
            Standing::Missed => "**missed**",
            Standing::RightlyGreen => "rightly green",
            Standing::FalseAlarm => "**false alarm**",
        }
    }
}

impl Tried {
    /// What came of one way, if it was tried.
    pub fn by(&self, way: Way) -> Option<&Trial> {
        match way {
            Way::Trigger => self.trigger.as_ref(),
            Way::Swarm => self.swarm.as_ref(),
            Way::Explorer => self.explorer.as_ref(),
        }
    }

    /// Keeps what came of one way.
    pub fn set(&mut self, way: Way, trial: Option<Trial>) {
        match way {
            Way::Trigger => self.trigger = trial,
            Way::Swarm => self.swarm = trial,
            Way::Explorer => self.explorer = trial,
        }
    }

    /// What came of every way that was tried.
    pub fn trials(&self) -> impl Iterator<Item = &Trial> {
        Way::ALL.into_iter().filter_map(|way| self.by(way))
    }

    /// The least processor time in which a way caught it, in milliseconds.
    pub fn caught_in_ms(&self) -> Option<u64> {
        let caught = self.trials().filter(|trial| trial.is_caught());
        caught.map(|trial| trial.busy_ms).min()
    }

    /// What came of the way that caught it soonest, of those that play plans.
    pub fn soonest_with_a_plan(&mut self) -> Option<&mut Trial> {
        let trials = [&mut self.trigger, &mut self.swarm];
        let caught = trials.into_iter().flatten();
        let caught = caught.filter(|trial| trial.is_caught() && trial.seed.is_some());
        caught.min_by_key(|trial| trial.busy_ms)
    }

    /// What shrinking has come to.
    pub fn smaller(&self) -> Option<Smaller> {
        self.trials().find_map(|trial| trial.smaller)
    }

    fn standing(&self, mutant: &Mutant) -> Standing {
        let caught = self.trials().any(Trial::is_caught);
        let inside = self.trials().any(|trial| trial.inside.is_some());
        match (mutant.is_harmless(), caught, inside) {
            _ if self.trials().next().is_none() => Standing::Untried,
            (true, false, false) => Standing::RightlyGreen,
            (true, _, _) => Standing::FalseAlarm,
            (false, true, _) => Standing::Caught,
            (false, false, true) => Standing::Inside,
            (false, false, false) => Standing::Missed,
        }
    }
}

impl Results {
    /// Reads what is known; nothing if there is no such file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(path: &Path) -> Result<Results, Trouble> {
        match fs::read_to_string(path) {
            Ok(text) => {
                toml::from_str(&text).map_err(|error| Trouble::nonsense(path, error.to_string()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Results::default()),
            Err(error) => Err(Trouble::file(path)(error)),
        }
    }

    /// Writes what is known.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Trouble> {
        let head = "# What `cargo sim score` has found: docs/score.md is made of it.\n\n";
        let text = toml::to_string(self).expect("plain values");
        fs::write(path, format!("{head}{text}")).map_err(Trouble::file(path))
    }

    /// What is known of this mutant, as its patch is now.
    pub fn of(&self, mutant: &Mutant) -> Option<&Tried> {
        let tried = self.mutant.get(&mutant.name)?;
        (tried.digest == mutant.digest).then_some(tried)
    }

    /// What this mutant has come to.
    pub fn standing(&self, mutant: &Mutant) -> Standing {
        self.of(mutant)
            .map_or(Standing::Untried, |tried| tried.standing(mutant))
    }

    /// Keeps what came of trying a mutant in some ways; what came of others stays, if its patch is
    /// the same.
    pub fn keep(&mut self, mutant: &Mutant, fresh: Tried) {
        let mut kept = self.of(mutant).cloned().unwrap_or_default();
        for way in Way::ALL {
            if let Some(trial) = fresh.by(way) {
                kept.set(way, Some(trial.clone()));
            }
        }
        kept.digest = fresh.digest;
        self.mutant.insert(mutant.name.clone(), kept);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::score::mutant::Expected;

    fn mutant(caught_by: Expected) -> Mutant {
        Mutant {
            name: "d01".to_owned(),
            patch: PathBuf::from("d01.patch"),
            digest: "1".to_owned(),
            kind: "a bug".to_owned(),
            source: "D01".to_owned(),
            trigger: None,
            explore: Some("tails".to_owned()),
            caught_by,
        }
    }

    fn tried(broken: &[&str], inside: Option<&str>) -> Tried {
        Tried {
            digest: "1".to_owned(),
            swarm: Some(Trial {
                place: "swarm".to_owned(),
                date: "2026-11-23".to_owned(),
                commit: "be0734a".to_owned(),
                seeds: 7,
                busy_ms: 900,
                broken: broken.iter().map(|name| (*name).to_owned()).collect(),
                seed: Some(1003),
                inside: inside.map(str::to_owned),
                smaller: Some(Smaller {
                    faults_drawn: 9,
                    faults_left: 2,
                    busy_ms: 8100,
                    is_least: true,
                }),
            }),
            ..Tried::default()
        }
    }

    #[test]
    fn an_assertion_inside_is_no_catch() {
        let real = mutant(Expected::Any(vec!["W1 linearizable".to_owned()]));
        let mut results = Results::default();
        assert_eq!(results.standing(&real), Standing::Untried);
        for (broken, inside, standing) in [
            (&[][..], Some("FAIL A1 assertion"), Standing::Inside),
            (&[], None, Standing::Missed),
            (
                &["W1 linearizable"],
                Some("FAIL A1 assertion"),
                Standing::Caught,
            ),
        ] {
            results.keep(&real, tried(broken, inside));
            assert_eq!(results.standing(&real), standing);
        }
        let harmless = mutant(Expected::Nothing);
        assert_eq!(results.standing(&harmless), Standing::FalseAlarm);
        results.keep(&harmless, tried(&[], None));
        assert_eq!(results.standing(&harmless), Standing::RightlyGreen);
    }

    #[test]
    fn what_other_ways_came_to_stays_as_long_as_the_patch_does() {
        let mut real = mutant(Expected::Any(vec!["W1 linearizable".to_owned()]));
        let mut results = Results::default();
        results.keep(&real, tried(&["W1 linearizable"], None));
        let explored = Tried {
            digest: "1".to_owned(),
            explorer: Some(Trial::default()),
            ..Tried::default()
        };
        results.keep(&real, explored.clone());
        assert_eq!(results.of(&real).unwrap().trials().count(), 2);
        assert_eq!(results.of(&real).unwrap().caught_in_ms(), Some(900));
        real.digest = "2".to_owned();
        assert_eq!(results.standing(&real), Standing::Untried);
        results.keep(
            &real,
            Tried {
                digest: "2".to_owned(),
                ..explored
            },
        );
        assert_eq!(results.standing(&real), Standing::Missed);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut results = Results::default();
        let real = mutant(Expected::Nothing);
        results.keep(&real, tried(&["W1 linearizable"], Some("x")));
        let folder = std::env::temp_dir().join(format!("althing-results-{}", std::process::id()));
        results.write(&folder).unwrap();
        assert_eq!(Results::read(&folder).unwrap(), results);
        fs::remove_file(&folder).unwrap();
        assert_eq!(Results::read(&folder).unwrap(), Results::default());
    }
}
