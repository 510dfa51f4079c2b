//! A campaign: one scenario over many seeds, on several threads, and what it has learnt. Every seed
//! that is red is played twice before it is reported, since a run that is not a function of its
//! seed is a defect of the simulator and no finding.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::coverage::Coverage;
use crate::draw;
use crate::history::Violation;
use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::seeds::Selection;
use crate::stopwatch::Stopwatch;
use crate::swarm::Kind;

/// A campaign ends early after this many red seeds: more of them rarely tell more.
pub const RED_SEEDS_MAX: usize = 10;

/// What came of one run, without its history.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    /// Of everything that happened.
    pub digest: u128,
    /// How many things happened.
    pub events: u64,
    /// How much time passed in the world.
    pub simulated: Duration,
    /// How often what happened, by name of event, mark or fault.
    pub counts: BTreeMap<String, u64>,
    /// How many operations each client came to in the first act.
    pub operations: BTreeMap<String, u32>,
    /// The rules that were broken, the first first.
    pub violations: Vec<Violation>,
    /// How long clients were without service.
    pub unavailable: Duration,
    /// How long nobody led.
    pub leaderless: Duration,
}

/// Plays one plan with one seed.
pub type Play<'a> = dyn Fn(&Plan, u64) -> Outcome + Sync + 'a;

/// How often each seed is played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeat {
    /// Twice only if it is red.
    IfRed,
    /// Every seed twice: to prove that runs are functions of their seeds.
    Always,
}

/// What a campaign is to do.
pub struct Orders<'a> {
    /// The seeds, begun in their order.
    pub seeds: Selection,
    /// How many threads play.
    pub jobs: usize,
    /// How often each seed is played.
    pub repeat: Repeat,
    /// After this no further seed is begun.
    pub real_time_max: Option<Duration>,
    /// After so many findings no further seed is begun; [`RED_SEEDS_MAX`] unless it is told
    /// otherwise.
    pub findings_max: usize,
    /// When it is set no further seed is begun.
    pub stop: &'a AtomicBool,
}

/// One red seed.
#[derive(Clone, PartialEq, Debug)]
pub struct Red {
    /// Which.
    pub seed: u64,
    /// What was broken, the first first; never empty.
    pub violations: Vec<Violation>,
    /// The plan that the seed drew.
    pub plan: Plan,
    /// The file of the plan itself, if it was not drawn now but kept from an earlier campaign.
    pub kept: Option<String>,
}

/// One seed with two different runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flaky {
    /// Which.
    pub seed: u64,
    /// The digests of its two runs.
    pub digests: [u128; 2],
}

/// What a campaign has learnt.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Tally {
    /// How many seeds were played.
    pub seeds: u64,
    /// How much time passed in the worlds.
    pub simulated: Duration,
    /// How many things happened.
    pub events: u64,
    /// How much processor time that took.
    pub busy: Duration,
    /// How much real time that took.
    pub real: Duration,
    /// How often what happened, by name of event, mark or fault.
    pub counts: BTreeMap<String, u64>,
    /// What of it came how often and together in single runs.
    pub coverage: Coverage,
    /// How long clients were without service: the sum over the seeds, and the worst seed.
    pub unavailable: Duration,
    /// The worst seed's.
    pub unavailable_max: Duration,
    /// How long nobody led: the sum over the seeds, and the worst seed.
    pub leaderless: Duration,
    /// The worst seed's.
    pub leaderless_max: Duration,
    /// The red seeds, the lowest first.
    pub reds: Vec<Red>,
    /// The seeds whose two runs differed, the lowest first.
    pub flaky: Vec<Flaky>,
}

impl Tally {
    /// The faults that fell, by kind.
    pub fn faults(&self) -> Vec<(&'static str, u64)> {
        let count = |kind: Kind| (kind.name(), self.counts.get(kind.name()).copied());
        let counted = Kind::ALL.into_iter().map(count);
        counted
            .filter_map(|(name, count)| Some((name, count?)))
            .collect()
    }

    /// How often each of these names was reached.
    pub fn reached<'a>(&self, names: &'a [String]) -> Vec<(&'a str, u64)> {
        let count = |name: &'a String| (name.as_str(), self.counts.get(name).copied().unwrap_or(0));
        names.iter().map(count).collect()
    }

    fn add(&mut self, played: Played) {
        self.seeds += 1;
        self.add_run(&played.first);
        if let Some(second) = &played.second {
            // Work that was done, but nothing that happened once more.
            self.simulated += second.simulated;
            self.events += second.events;
            if !played.is_same_again() {
                self.flaky.push(Flaky {
                    seed: played.seed,
                    digests: [played.first.digest, second.digest],
                });
                return;
            }
        }
        if !played.first.violations.is_empty() {
            self.reds.push(Red {
                seed: played.seed,
                violations: played.first.violations,
                plan: played.plan,
                kept: None,
            });
        }
    }

    fn add_run(&mut self, run: &Outcome) {
        self.simulated += run.simulated;
        self.events += run.events;
        self.unavailable += run.unavailable;
        self.unavailable_max = self.unavailable_max.max(run.unavailable);
        self.leaderless += run.leaderless;
        self.leaderless_max = self.leaderless_max.max(run.leaderless);
        for (name, count) in &run.counts {
            *self.counts.entry(name.clone()).or_default() += count;
        }
        self.coverage.add(&run.counts);
    }

    /// Adds what other seeds of the same scenario have told, with their findings. The time that
    /// passed is that of the two one after the other.
    pub fn merge(&mut self, other: Tally) {
        self.add_figures(&other);
        for (name, count) in other.counts {
            *self.counts.entry(name).or_default() += count;
        }
        self.coverage.merge(&other.coverage);
        self.unavailable += other.unavailable;
        self.unavailable_max = self.unavailable_max.max(other.unavailable_max);
        self.leaderless += other.leaderless;
        self.leaderless_max = self.leaderless_max.max(other.leaderless_max);
        self.reds.extend(other.reds);
        self.flaky.extend(other.flaky);
        self.sort();
    }

    /// How many seeds are red or flaky.
    pub fn findings(&self) -> usize {
        self.reds.len() + self.flaky.len()
    }

    fn sort(&mut self) {
        // Kept ones first: they were tried first.
        self.reds.sort_by_key(|red| (red.kept.is_none(), red.seed));
        self.flaky.sort_by_key(|flaky| flaky.seed);
    }

    /// Adds another campaign's figures; not its findings.
    pub fn add_figures(&mut self, other: &Tally) {
        self.seeds += other.seeds;
        self.simulated += other.simulated;
        self.events += other.events;
        self.busy += other.busy;
        self.real += other.real;
    }
}

struct Played {
    seed: u64,
    plan: Plan,
    first: Outcome,
    second: Option<Outcome>,
}

impl Played {
    fn is_same_again(&self) -> bool {
        let Some(second) = &self.second else {
            return true;
        };
        second.digest == self.first.digest && second.violations == self.first.violations
    }

    fn is_finding(&self) -> bool {
        !self.first.violations.is_empty() || !self.is_same_again()
    }
}

fn play_seed(scenario: &Scenario, seed: u64, repeat: Repeat, play: &Play<'_>) -> Played {
    let plan = draw::draw(scenario, seed);
    let first = play(&plan, seed);
    let again = repeat == Repeat::Always || !first.violations.is_empty();
    let second = again.then(|| play(&plan, seed));
    Played {
        seed,
        plan,
        first,
        second,
    }
}

/// Plays the seeds; calls `progress` in this thread whenever one is done.
pub fn campaign(
    scenario: &Scenario,
    orders: &Orders<'_>,
    play: &Play<'_>,
    progress: &mut dyn FnMut(&Tally),
) -> Tally {
    assert!(orders.jobs > 0, "somebody has to play");
    let stopwatch = Stopwatch::start();
    let next = AtomicU64::new(0);
    let findings = AtomicUsize::new(0);
    let over = || {
        let late = orders
            .real_time_max
            .is_some_and(|most| stopwatch.real() >= most);
        let enough = findings.load(Ordering::Relaxed) >= orders.findings_max;
        late || enough || orders.stop.load(Ordering::Relaxed)
    };
    let (results, done) = mpsc::channel();
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        for _ in 0..orders.jobs {
            let results = results.clone();
            let (next, findings, over) = (&next, &findings, &over);
            scope.spawn(move || {
                while !over() {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(seed) = orders.seeds.get(index) else {
                        break;
                    };
                    let played = play_seed(scenario, seed, orders.repeat, play);
                    findings.fetch_add(usize::from(played.is_finding()), Ordering::Relaxed);
                    results
                        .send(played)
                        .expect("the campaign listens to its end");
                }
            });
        }
        drop(results);
        for played in done {
            tally.add(played);
            progress(&tally);
        }
    });
    tally.sort();
    tally.busy = stopwatch.busy();
    tally.real = stopwatch.real();
    tally
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::seeds::Seeds;

    fn scenario() -> Scenario {
        let text = "lasts = \"60s\"\nsettles = \"30s\"\n[workload.mix]\nclients = 3\nrest = \"1s\"\n\
                    znodes = 9\nsession = \"5s\"\n[swarm.faults.crash]\nchance = 1.0\n";
        Scenario::parse(text, "x.toml", "x").unwrap()
    }

    fn violation() -> Violation {
        Violation {
            invariant: "W2 result",
            at: Duration::from_millis(12_345),
            detail: "expected 1, saw 2".to_owned(),
            session: None,
        }
    }

    fn orders(stop: &AtomicBool, seeds: Range<u64>, jobs: usize) -> Orders<'_> {
        Orders {
            seeds: Selection::Range(Seeds::range(seeds.start, seeds.end)),
            jobs,
            repeat: Repeat::IfRed,
            real_time_max: None,
            findings_max: RED_SEEDS_MAX,
            stop,
        }
    }

    fn fake(plan: &Plan, seed: u64) -> Outcome {
        Outcome {
            digest: u128::from(seed),
            events: 100,
            simulated: plan.lasts.0,
            counts: BTreeMap::from([("crash".to_owned(), 2), ("elected".to_owned(), seed)]),
            operations: BTreeMap::new(),
            violations: Vec::new(),
            unavailable: Duration::from_secs(seed),
            leaderless: Duration::from_secs(2 * seed),
        }
    }

    #[test]
    fn figures_are_summed_whatever_the_number_of_jobs() {
        let stop = AtomicBool::new(false);
        let mut seen = 0;
        let mut tallies = [1, 2, 7].map(|jobs| {
            let mut tally = campaign(&scenario(), &orders(&stop, 0..20, jobs), &fake, &mut |_| {
                seen += 1
            });
            (tally.busy, tally.real) = Default::default();
            tally
        });
        assert_eq!(seen, 60);
        assert_eq!(tallies[0], tallies[1]);
        assert_eq!(tallies[0], tallies[2]);
        let tally = std::mem::take(&mut tallies[0]);
        assert_eq!(tally.seeds, 20);
        assert_eq!(tally.events, 2_000);
        assert_eq!(tally.simulated, Duration::from_secs(20 * 60));
        assert_eq!(tally.faults(), [("crash", 40)]);
        let names = ["elected".to_owned(), "paused".to_owned()];
        assert_eq!(tally.reached(&names), [("elected", 190), ("paused", 0)]);
        assert_eq!(tally.unavailable_max, Duration::from_secs(19));
        assert_eq!(tally.leaderless_max, Duration::from_secs(38));
        assert!(tally.reds.is_empty() && tally.flaky.is_empty());
    }

    #[test]
    fn red_seeds_are_played_twice_and_come_in_order() {
        let stop = AtomicBool::new(false);
        let runs = AtomicUsize::new(0);
        let play = |plan: &Plan, seed: u64| {
            runs.fetch_add(1, Ordering::Relaxed);
            let red = seed % 5 == 3;
            Outcome {
                violations: red.then(violation).into_iter().collect(),
                ..fake(plan, seed)
            }
        };
        let tally = campaign(&scenario(), &orders(&stop, 0..20, 3), &play, &mut |_| ());
        let seeds: Vec<u64> = tally.reds.iter().map(|red| red.seed).collect();
        assert_eq!(seeds, [3, 8, 13, 18]);
        assert_eq!(runs.into_inner(), 24);
        assert_eq!(tally.reds[0].plan, draw::draw(&scenario(), 3));
    }

    #[test]
    fn runs_that_differ_are_no_findings() {
        let stop = AtomicBool::new(false);
        let runs = AtomicUsize::new(0);
        let play = |plan: &Plan, seed: u64| Outcome {
            digest: runs.fetch_add(1, Ordering::Relaxed) as u128,
            violations: vec![violation()],
            ..fake(plan, seed)
        };
        let tally = campaign(&scenario(), &orders(&stop, 0..1, 1), &play, &mut |_| ());
        assert!(tally.reds.is_empty());
        let expected = Flaky {
            seed: 0,
            digests: [0, 1],
        };
        assert_eq!(tally.flaky, [expected]);
    }

    #[test]
    fn every_seed_is_played_twice_on_demand() {
        let stop = AtomicBool::new(false);
        let runs = AtomicUsize::new(0);
        let play = |plan: &Plan, seed: u64| {
            runs.fetch_add(1, Ordering::Relaxed);
            fake(plan, seed)
        };
        let twice = Orders {
            repeat: Repeat::Always,
            ..orders(&stop, 0..5, 2)
        };
        let tally = campaign(&scenario(), &twice, &play, &mut |_| ());
        assert_eq!((tally.seeds, runs.into_inner()), (5, 10));
    }

    #[test]
    fn a_campaign_stops_when_it_is_told_to_or_has_seen_enough() {
        let stop = AtomicBool::new(false);
        let play = |plan: &Plan, seed: u64| {
            if seed == 4 {
                stop.store(true, Ordering::Relaxed);
            }
            fake(plan, seed)
        };
        let tally = campaign(&scenario(), &orders(&stop, 0..100, 1), &play, &mut |_| ());
        assert_eq!(tally.seeds, 5);

        let stop = AtomicBool::new(false);
        let late = Orders {
            real_time_max: Some(Duration::ZERO),
            ..orders(&stop, 0..100, 1)
        };
        assert_eq!(campaign(&scenario(), &late, &fake, &mut |_| ()).seeds, 0);

        let red = |plan: &Plan, seed: u64| Outcome {
            violations: vec![violation()],
            ..fake(plan, seed)
        };
        let tally = campaign(&scenario(), &orders(&stop, 0..1_000, 1), &red, &mut |_| ());
        assert_eq!(tally.reds.len(), RED_SEEDS_MAX);
    }
}
