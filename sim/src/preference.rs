//! Which seeds of one scenario play next when time is limited. Under `--search coverage` every
//! other turn has the next seeds in their order; the turns between have seeds whose plans, drawn
//! before, promise to reach something new. What is chosen depends on what runs reached and never on
//! clocks, and every seed remains what it is: a function of code, scenario and its number.

use std::collections::{BTreeMap, BTreeSet};

use crate::coverage::Coverage;
use crate::plan::Plan;
use crate::portfolio::Search;
use crate::seeds::{Seeds, Selection};
use crate::swarm::Kind;

/// Seeds that are looked at begin so far behind the first one that is played in order, so that no
/// seed is played in both ways.
pub const LOOKED_AT_FROM: u64 = 1_000_000_000;

/// Of so many seeds whose plans are looked at one is played.
const LOOKED_AT: u64 = 4;

/// What a plan has: a kind of fault, a number of servers.
type Feature = String;
/// Two of them in one plan, the lesser first; or one with itself.
type Pair = (Feature, Feature);

/// What came of one run: its plan's pairs, and how much it reached that was not reached before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reached {
    pairs: BTreeSet<Pair>,
    new: usize,
}

impl Reached {
    /// Of a run of `plan` with these counts, when `known` had been reached.
    pub fn of(plan: &Plan, counts: &BTreeMap<String, u64>, known: &Coverage) -> Reached {
        Reached {
            pairs: pairs(plan),
            new: known.new_in(counts),
        }
    }
}

/// One scenario's seeds.
#[derive(Clone, Debug)]
pub struct Preference {
    search: Search,
    /// Those that are still to be played in their order.
    ordered: Seeds,
    /// Those that are still to be looked at.
    others: Seeds,
    turns: u64,
    /// What runs whose plans had a pair reached of late, on average.
    yields: BTreeMap<Pair, f64>,
    /// What was played.
    played: Vec<Seeds>,
}

impl Preference {
    /// For these seeds.
    pub fn new(search: Search, seeds: Seeds) -> Preference {
        Preference {
            search,
            ordered: seeds.begin(LOOKED_AT_FROM),
            others: seeds.after(LOOKED_AT_FROM),
            turns: 0,
            yields: BTreeMap::new(),
            played: Vec::new(),
        }
    }

    /// The seeds of the next turn; none if there are none left. `draw` gives a seed's plan.
    pub fn take_turn(&mut self, count: u64, draw: &dyn Fn(u64) -> Plan) -> Selection {
        self.turns += 1;
        let prefers = self.search == Search::Coverage && self.turns.is_multiple_of(2);
        if !prefers || self.others.count == 0 {
            return Selection::Range(self.ordered.begin(count));
        }
        let looked_at = self.others.begin(count.saturating_mul(LOOKED_AT));
        self.others = self.others.after(looked_at.count);
        let seeds = (0..looked_at.count).filter_map(|index| looked_at.get(index));
        let mut promising: Vec<(f64, u64)> = seeds
            .map(|seed| (self.promise(&pairs(&draw(seed))), seed))
            .collect();
        // The lower seed of two that promise the same.
        promising.sort_by(|(a, seed), (b, other)| b.total_cmp(a).then(seed.cmp(other)));
        let chosen = promising.into_iter().take(count as usize);
        Selection::List(chosen.map(|(_, seed)| seed).collect())
    }

    /// How much a plan with these pairs promises: what runs with its pairs came to, on average. A
    /// pair that was never played promises as much as the best that was.
    fn promise(&self, pairs: &BTreeSet<Pair>) -> f64 {
        let best = self.yields.values().copied().fold(0.0, f64::max);
        let known = |pair: &Pair| self.yields.get(pair).copied().unwrap_or(best);
        match pairs.len() {
            0 => 0.0,
            count => pairs.iter().map(known).sum::<f64>() / count as f64,
        }
    }

    /// The first `count` of the turn's seeds were played; this came of each.
    pub fn note(&mut self, turn: &Selection, count: u64, reached: &BTreeMap<u64, Reached>) {
        match turn {
            Selection::Range(seeds) => {
                self.ordered = self.ordered.after(count);
                match self.played.first_mut() {
                    Some(first) => first.count += count,
                    None => self.played.push(seeds.begin(count)),
                }
            }
            Selection::List(seeds) => {
                let one = |seed: &u64| Seeds::range(*seed, *seed + 1);
                self.played
                    .extend(seeds.iter().take(count as usize).map(one));
            }
        }
        // In the order of the seeds, whichever ended first.
        for run in reached.values() {
            for pair in &run.pairs {
                let new = run.new as f64;
                let known = self.yields.entry(pair.clone()).or_insert(new);
                *known = (*known + new) / 2.0;
            }
        }
    }

    /// Is nothing left to be played in order?
    pub fn is_exhausted(&self) -> bool {
        self.ordered.count == 0
    }

    /// What was played: first what was in order, then single seeds.
    pub fn into_played(self) -> Vec<Seeds> {
        self.played
    }
}

fn pairs(plan: &Plan) -> BTreeSet<Pair> {
    let faults = plan.faults.iter();
    let mut features: BTreeSet<Feature> = faults
        .map(|fault| Kind::of(&fault.what).name().to_owned())
        .collect();
    features.insert(format!("{} servers", plan.servers));
    let features: Vec<Feature> = features.into_iter().collect();
    let from = |at: usize| features[at..].iter().map(move |other| (at, other));
    let all = (0..features.len()).flat_map(from);
    all.map(|(at, other)| (features[at].clone(), other.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::draw;
    use crate::scenario::Scenario;

    fn scenario() -> Scenario {
        let text = "lasts = \"60s\"\nsettles = \"30s\"\n[workload.mix]\nclients = 3\nrest = \"1s\"\n\
                    znodes = 9\nsession = \"5s\"\n[swarm.faults.crash]\nchance = 0.5\n\
                    [swarm.faults.pause]\nchance = 0.2\n[swarm.faults.reset]\nchance = 0.5\n";
        Scenario::parse(text, "x.toml", "x").unwrap()
    }

    fn pauses(seed: u64) -> bool {
        pairs(&draw(&scenario(), seed))
            .iter()
            .any(|(a, _)| a == "pause")
    }

    /// Plays turns of five in a world in which only runs with a pause reach something new; the
    /// seeds of the turns.
    fn play(search: Search, turns: usize) -> (Vec<Selection>, Vec<Seeds>) {
        let mut preference = Preference::new(search, Seeds::range(0, u64::MAX));
        let mut seen = Vec::new();
        for _ in 0..turns {
            let turn = preference.take_turn(5, &|seed| draw(&scenario(), seed));
            let seeds = (0..5).map(|index| turn.get(index).expect("seeds are left"));
            let reached = seeds.map(|seed| {
                let plan = draw(&scenario(), seed);
                let new = if pauses(seed) { 10 } else { 0 };
                let pairs = pairs(&plan);
                (seed, Reached { pairs, new })
            });
            let reached = reached.collect();
            preference.note(&turn, 5, &reached);
            seen.push(turn);
        }
        (seen, preference.into_played())
    }

    fn share_of_pauses(seeds: &[u64]) -> f64 {
        seeds.iter().filter(|seed| pauses(**seed)).count() as f64 / seeds.len() as f64
    }

    #[test]
    fn half_are_in_order_and_half_are_what_reaches_something_new() {
        let (turns, played) = play(Search::Coverage, 40);
        let (mut ordered, mut preferred) = (Vec::new(), Vec::new());
        for turn in &turns {
            match turn {
                Selection::Range(seeds) => ordered.extend((0..5).filter_map(|at| seeds.get(at))),
                Selection::List(seeds) => preferred.extend(seeds.iter().copied()),
            }
        }
        assert_eq!(ordered, (0..100).collect::<Vec<u64>>());
        assert_eq!(preferred.len(), 100);
        assert!(preferred.iter().all(|seed| *seed >= LOOKED_AT_FROM));
        let (plain, guided) = (share_of_pauses(&ordered), share_of_pauses(&preferred));
        assert!(
            guided > 2.0 * plain,
            "{guided} of the preferred, {plain} of the others"
        );
        assert_eq!(played[0], Seeds::range(0, 100));
        let single: Vec<u64> = played[1..].iter().map(|seeds| seeds.first).collect();
        assert_eq!(single, preferred);
    }

    #[test]
    fn what_is_chosen_is_the_same_every_time() {
        assert_eq!(play(Search::Coverage, 10), play(Search::Coverage, 10));
    }

    #[test]
    fn a_uniform_search_leaves_none_out() {
        let (_, played) = play(Search::Uniform, 10);
        assert_eq!(played, [Seeds::range(0, 50)]);
    }

    #[test]
    fn shards_prefer_seeds_of_their_own() {
        let shard = |text: &str| Seeds::range(0, u64::MAX).of_shard(text.parse().unwrap());
        let others = |text| Preference::new(Search::Coverage, shard(text)).others;
        assert_eq!(others("1/2").overlap(&others("2/2")), None);
        let (ours, theirs) = (
            shard("1/2").begin(LOOKED_AT_FROM),
            others("1/2").begin(1_000),
        );
        assert_eq!(ours.get(0), Some(0));
        assert_eq!(theirs.first, 2 * LOOKED_AT_FROM);
    }
}
