//! Result files: what a campaign has learnt, as JSON, so that several machines' shards can be
//! joined afterwards. Written as a whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::campaign::{Flaky, Red, Tally};
use crate::check::findings::INVARIANTS;
use crate::coverage::Coverage;
use crate::history::Violation;
use crate::scenario::{self, Scenario};
use crate::seeds::Seeds;

/// The version of the format; files of others are refused.
pub const VERSION: u32 = 1;

/// What a campaign over several scenarios has learnt.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// [`VERSION`].
    pub version: u32,
    /// The state of the code, if git knows it.
    pub commit: Option<String>,
    /// Was it stopped before its end?
    pub stopped: bool,
    /// What was played.
    pub scenarios: Vec<Played>,
}

/// What was learnt of one scenario.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Played {
    /// Its name.
    pub name: String,
    /// Its file, as the user wrote it.
    pub file: String,
    /// The file's text: shards of other texts are not of the same scenario.
    pub text: String,
    /// The seeds that were played, shard by shard, each first those in order.
    pub seeds: Vec<Seeds>,
    figures: Figures,
    counts: BTreeMap<String, u64>,
    coverage: Coverage,
    reds: Vec<RedSeed>,
    flaky: Vec<FlakySeed>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Figures {
    seeds: u64,
    events: u64,
    simulated_ns: u64,
    busy_ns: u64,
    real_ns: u64,
    unavailable_ns: u64,
    unavailable_max_ns: u64,
    leaderless_ns: u64,
    leaderless_max_ns: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RedSeed {
    seed: u64,
    violations: Vec<Broken>,
    /// The plan, as a scenario file.
    plan: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kept: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Broken {
    invariant: String,
    at_ns: u64,
    detail: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FlakySeed {
    seed: u64,
    /// Hexadecimal.
    digests: [String; 2],
}

/// Why a result file is not read or not joined.
#[derive(Debug, Error)]
pub enum Unjoined {
    /// It cannot be read.
    #[error("{file}: {error}")]
    Unreadable {
        /// Which.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// It is no result file of this version.
    #[error("{file}: is no result file: {error}")]
    Malformed {
        /// Which.
        file: String,
        /// Why.
        error: String,
    },
    /// It has another version.
    #[error("{file}: has version {version} of the format; this program joins version {VERSION}")]
    Version {
        /// Which.
        file: String,
        /// Its version.
        version: u64,
    },
    /// It tells of other code.
    #[error("{file}: is of commit {commit}, and the files before it are of {other}")]
    Commit {
        /// Which.
        file: String,
        /// Its commit.
        commit: String,
        /// That of the others.
        other: String,
    },
    /// It tells of another scenario with the same name.
    #[error("{file}: the text of scenario {name} is not that of the files before it")]
    Text {
        /// Which.
        file: String,
        /// The scenario.
        name: String,
    },
    /// It tells of seeds that were played elsewhere, too.
    #[error("{file}: seed {seed} of scenario {name} is in a file before it, too")]
    Overlap {
        /// Which.
        file: String,
        /// The scenario.
        name: String,
        /// The lowest such seed, or one of them.
        seed: u64,
    },
}

impl Played {
    /// What `tally` tells of these seeds of a scenario.
    pub fn new(
        scenario: &Scenario,
        file: &str,
        text: &str,
        seeds: Vec<Seeds>,
        tally: &Tally,
    ) -> Played {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Played {
            name: scenario.plan.name.clone(),
            file: file.to_owned(),
            text: text.to_owned(),
            seeds,
            figures: Figures {
                seeds: tally.seeds,
                events: tally.events,
                simulated_ns: ns(tally.simulated),
                busy_ns: ns(tally.busy),
                real_ns: ns(tally.real),
                unavailable_ns: ns(tally.unavailable),
                unavailable_max_ns: ns(tally.unavailable_max),
                leaderless_ns: ns(tally.leaderless),
                leaderless_max_ns: ns(tally.leaderless_max),
            },
            counts: tally.counts.clone(),
            coverage: tally.coverage.clone(),
            reds: tally.reds.iter().map(RedSeed::new).collect(),
            flaky: tally.flaky.iter().map(FlakySeed::new).collect(),
        }
    }

    /// The scenario and what was learnt of it.
    ///
    /// # Errors
    /// What is wrong with the scenario or with a plan in it.
    pub fn tally(&self) -> Result<(Scenario, Tally), String> {
        let parse = |text: &str| {
            Scenario::parse(text, &self.file, &self.name).map_err(|refused| refused.to_string())
        };
        let red = |red: &RedSeed| {
            let violation = |broken: &Broken| Violation {
                invariant: interned(&broken.invariant),
                at: Duration::from_nanos(broken.at_ns),
                detail: broken.detail.clone(),
                session: None,
            };
            Ok::<Red, String>(Red {
                seed: red.seed,
                violations: red.violations.iter().map(violation).collect(),
                plan: parse(&red.plan)?.plan,
                kept: red.kept.clone(),
            })
        };
        let flaky = |flaky: &FlakySeed| {
            let digest = |text: &String| {
                u128::from_str_radix(text, 16).map_err(|error| format!("`{text}`: {error}"))
            };
            let [a, b] = &flaky.digests;
            Ok::<Flaky, String>(Flaky {
                seed: flaky.seed,
                digests: [digest(a)?, digest(b)?],
            })
        };
        let figures = &self.figures;
        let tally = Tally {
            seeds: figures.seeds,
            events: figures.events,
            simulated: Duration::from_nanos(figures.simulated_ns),
            busy: Duration::from_nanos(figures.busy_ns),
            real: Duration::from_nanos(figures.real_ns),
            unavailable: Duration::from_nanos(figures.unavailable_ns),
            unavailable_max: Duration::from_nanos(figures.unavailable_max_ns),
            leaderless: Duration::from_nanos(figures.leaderless_ns),
            leaderless_max: Duration::from_nanos(figures.leaderless_max_ns),
            counts: self.counts.clone(),
            coverage: self.coverage.clone(),
            reds: self.reds.iter().map(red).collect::<Result<_, _>>()?,
            flaky: self.flaky.iter().map(flaky).collect::<Result<_, _>>()?,
        };
        Ok((parse(&self.text)?, tally))
    }

    fn join(&mut self, other: Played) -> Result<(), String> {
        let (scenario, mut tally) = self.tally()?;
        let (_, theirs) = other.tally()?;
        let real = tally.real.max(theirs.real);
        tally.merge(theirs);
        // The shards were played side by side.
        tally.real = real;
        let seeds = [std::mem::take(&mut self.seeds), other.seeds].concat();
        *self = Played::new(&scenario, &self.file, &self.text, seeds, &tally);
        Ok(())
    }
}

impl RedSeed {
    fn new(red: &Red) -> RedSeed {
        let broken = |violation: &Violation| Broken {
            invariant: violation.invariant.to_owned(),
            at_ns: u64::try_from(violation.at.as_nanos()).expect("acts are short"),
            detail: violation.detail.clone(),
        };
        RedSeed {
            seed: red.seed,
            violations: red.violations.iter().map(broken).collect(),
            plan: scenario::print(&red.plan),
            kept: red.kept.clone(),
        }
    }
}

impl FlakySeed {
    fn new(flaky: &Flaky) -> FlakySeed {
        FlakySeed {
            seed: flaky.seed,
            digests: flaky.digests.map(|digest| format!("{digest:032x}")),
        }
    }
}

/// The name of an invariant, for as long as the program runs: ours are known, and those of users
/// are few, and are read once.
fn interned(name: &str) -> &'static str {
    let known = INVARIANTS.iter().find(|(known, _)| *known == name);
    match known {
        Some((known, _)) => known,
        None => String::leak(name.to_owned()),
    }
}

impl Results {
    /// Reads a result file.
    ///
    /// # Errors
    /// If it cannot be read, or is no result file of this version.
    pub fn read(file: &Path) -> Result<Results, Unjoined> {
        let name = file.display().to_string();
        let text = fs::read_to_string(file).map_err(|error| Unjoined::Unreadable {
            file: name.clone(),
            error,
        })?;
        Results::parse(&text, &name)
    }

    /// Reads the text of the result file with this name.
    ///
    /// # Errors
    /// If it is no result file of this version.
    pub fn parse(text: &str, name: &str) -> Result<Results, Unjoined> {
        let malformed = |error: serde_json::Error| Unjoined::Malformed {
            file: name.to_owned(),
            error: error.to_string(),
        };
        let value: serde_json::Value = serde_json::from_str(text).map_err(malformed)?;
        let version = value.get("version").and_then(serde_json::Value::as_u64);
        if let Some(version) = version.filter(|version| *version != u64::from(VERSION)) {
            return Err(Unjoined::Version {
                file: name.to_owned(),
                version,
            });
        }
        serde_json::from_value(value).map_err(malformed)
    }

    /// Writes the file, in one piece: whoever reads it sees the old one or the new one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        text.push('\n');
        let mut beside = file.as_os_str().to_owned();
        beside.push(".part");
        fs::write(&beside, text)?;
        fs::rename(&beside, file)
    }

    /// Adds what another machine has learnt; `file` is where it stands, for what is refused.
    ///
    /// # Errors
    /// If it is of other code, of other scenarios, or of seeds that are here already.
    pub fn join(&mut self, other: Results, file: &str) -> Result<(), Unjoined> {
        let file = file.to_owned();
        if self.commit != other.commit {
            let told = |commit: &Option<String>| commit.clone().unwrap_or("unknown".to_owned());
            return Err(Unjoined::Commit {
                file,
                commit: told(&other.commit),
                other: told(&self.commit),
            });
        }
        self.stopped |= other.stopped;
        for theirs in other.scenarios {
            let name = theirs.name.clone();
            let known = self.scenarios.iter_mut().find(|ours| ours.name == name);
            let Some(ours) = known else {
                self.scenarios.push(theirs);
                continue;
            };
            if ours.text != theirs.text {
                return Err(Unjoined::Text { file, name });
            }
            let mut pairs =
                (ours.seeds.iter()).flat_map(|a| theirs.seeds.iter().map(move |b| (a, b)));
            if let Some(seed) = pairs.find_map(|(a, b)| a.overlap(b)) {
                return Err(Unjoined::Overlap { file, name, seed });
            }
            ours.join(theirs).map_err(|error| Unjoined::Malformed {
                file: file.clone(),
                error,
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw;
    use crate::verdict;

    const TEXT: &str = "lasts = \"60s\"\nsettles = \"30s\"\nreaches = [\"elected\"]\n\
                        [workload.mix]\nclients = 3\nrest = \"1s\"\nznodes = 9\nsession = \"5s\"\n\
                        [swarm.faults.crash]\nchance = 1.0\n";

    fn scenario() -> Scenario {
        Scenario::parse(TEXT, "x.toml", "x").unwrap()
    }

    /// What these seeds would have told: 5 is red, 6 is flaky.
    fn tally(seeds: Seeds) -> Tally {
        let mut tally = Tally::default();
        for seed in (0..seeds.count).filter_map(|index| seeds.get(index)) {
            let counts = BTreeMap::from([("elected".to_owned(), seed), ("crash".to_owned(), 2)]);
            let mut one = Tally {
                seeds: 1,
                events: 100 + seed,
                simulated: Duration::from_secs(60),
                busy: Duration::from_millis(20),
                unavailable: Duration::from_millis(seed),
                unavailable_max: Duration::from_millis(seed),
                ..Tally::default()
            };
            one.coverage.add(&counts);
            one.counts = counts;
            if seed == 5 {
                one.reds.push(Red {
                    seed,
                    violations: Vec::from([Violation {
                        invariant: "W2 result",
                        at: Duration::from_millis(12_345),
                        detail: "expected \"1\"".to_owned(),
                        session: None,
                    }]),
                    plan: draw::draw(&scenario(), seed),
                    kept: None,
                });
            }
            if seed == 6 {
                let digests = [1, u128::MAX];
                one.flaky.push(Flaky { seed, digests });
            }
            tally.merge(one);
        }
        tally
    }

    fn results(seeds: Seeds) -> Results {
        Results {
            version: VERSION,
            commit: Some("0123456789ab".to_owned()),
            stopped: false,
            scenarios: Vec::from([Played::new(
                &scenario(),
                "x.toml",
                TEXT,
                Vec::from([seeds]),
                &tally(seeds),
            )]),
        }
    }

    fn shard(number: u64) -> Seeds {
        Seeds::range(0, 12).of_shard(format!("{number}/3").parse().unwrap())
    }

    #[test]
    fn shards_that_are_joined_are_the_whole() {
        let mut joined = results(shard(2));
        joined.join(results(shard(3)), "three").unwrap();
        joined.join(results(shard(1)), "one").unwrap();
        let (_, tally) = joined.scenarios[0].tally().unwrap();
        let (scenario, whole) = results(Seeds::range(0, 12)).scenarios[0].tally().unwrap();
        assert_eq!(tally, whole);
        let line = |tally| verdict::line(&scenario.plan, tally, 0);
        assert_eq!(line(&tally), line(&whole));
        assert!(line(&whole).starts_with("NON-DETERMINISTIC"));
    }

    #[test]
    fn what_is_written_can_be_read() {
        let results = results(shard(3));
        let folder = std::env::temp_dir().join(format!("althing-results-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("results.json");
        results.write(&file).unwrap();
        assert_eq!(Results::read(&file).unwrap(), results);
        let left: Vec<_> = fs::read_dir(&folder).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing is left beside it");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let refused = |other: Results| {
            let error = results(shard(1)).join(other, "other.json").unwrap_err();
            error.to_string()
        };
        assert_eq!(
            refused(results(Seeds::range(9, 11))),
            "other.json: seed 9 of scenario x is in a file before it, too"
        );
        let mut other = results(shard(2));
        other.scenarios[0].text.push_str("# changed\n");
        assert_eq!(
            refused(other),
            "other.json: the text of scenario x is not that of the files before it"
        );
        let mut other = results(shard(2));
        other.commit = None;
        assert_eq!(
            refused(other),
            "other.json: is of commit unknown, and the files before it are of 0123456789ab"
        );
        let parse = |text: &str| Results::parse(text, "other.json").unwrap_err().to_string();
        assert_eq!(
            parse("{\"version\": 2, \"more\": []}"),
            "other.json: has version 2 of the format; this program joins version 1"
        );
        assert!(parse("{\"version\": 1}").starts_with("other.json: is no result file: missing"));
        assert!(parse("red").starts_with("other.json: is no result file: "));
    }
}
