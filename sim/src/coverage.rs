//! What seeds reached: names of events, marks and faults, how often by order of magnitude, and
//! which of them came together in one run. What is new in this sense is what a search prefers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What the seeds of a campaign have reached.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Coverage {
    /// Of each name, the binary orders of magnitude of its counts in single runs.
    magnitudes: BTreeMap<String, BTreeSet<u32>>,
    /// Names that were reached in the same run, the lesser first.
    together: BTreeMap<String, BTreeSet<String>>,
}

impl Coverage {
    /// Adds one run's counts.
    pub fn add(&mut self, counts: &BTreeMap<String, u64>) {
        for (place, (name, count)) in counts.iter().enumerate() {
            let magnitude = count.checked_ilog2().unwrap_or(0);
            match self.magnitudes.get_mut(name) {
                Some(known) => drop(known.insert(magnitude)),
                None => drop(self.magnitudes.insert(name.clone(), [magnitude].into())),
            }
            let others = counts.keys().skip(place + 1);
            match self.together.get_mut(name) {
                Some(known) => {
                    for other in others {
                        if !known.contains(other) {
                            known.insert(other.clone());
                        }
                    }
                }
                None => drop(
                    self.together
                        .insert(name.clone(), others.cloned().collect()),
                ),
            }
        }
    }

    /// How many different things a run with these counts would add.
    pub fn new_in(&self, counts: &BTreeMap<String, u64>) -> usize {
        let of_name = |(place, (name, count)): (usize, (&String, &u64))| {
            let magnitude = count.checked_ilog2().unwrap_or(0);
            let magnitudes = self.magnitudes.get(name);
            let is_new = !magnitudes.is_some_and(|known| known.contains(&magnitude));
            let together = self.together.get(name);
            let others = counts.keys().skip(place + 1);
            let unknown = |other: &&String| !together.is_some_and(|known| known.contains(*other));
            usize::from(is_new) + others.filter(unknown).count()
        };
        counts.iter().enumerate().map(of_name).sum()
    }

    /// Adds what other seeds have reached.
    pub fn merge(&mut self, other: &Coverage) {
        for (name, magnitudes) in &other.magnitudes {
            let known = self.magnitudes.entry(name.clone()).or_default();
            known.extend(magnitudes);
        }
        for (name, others) in &other.together {
            let known = self.together.entry(name.clone()).or_default();
            known.extend(others.iter().cloned());
        }
    }

    /// How many different things were reached.
    pub fn size(&self) -> usize {
        let magnitudes = self.magnitudes.values().map(BTreeSet::len).sum::<usize>();
        magnitudes + self.together.values().map(BTreeSet::len).sum::<usize>()
    }

    /// The names that were reached.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.magnitudes.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
        let owned = counts
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count));
        owned.collect()
    }

    #[test]
    fn names_magnitudes_and_pairs_are_new_once() {
        let mut coverage = Coverage::default();
        assert_eq!(coverage.new_in(&counts(&[("crash", 1), ("elected", 9)])), 3);
        coverage.add(&counts(&[("crash", 1), ("elected", 9)]));
        assert_eq!(coverage.size(), 3);
        assert_eq!(coverage.new_in(&counts(&[("crash", 1), ("elected", 9)])), 0);
        assert_eq!(coverage.new_in(&counts(&[("crash", 2), ("pause", 1)])), 3);
        coverage.add(&counts(&[("crash", 1), ("elected", 15)]));
        assert_eq!(coverage.size(), 3, "9 and 15 are of one magnitude");
        coverage.add(&counts(&[("crash", 2)]));
        assert_eq!(coverage.size(), 4, "another magnitude");
        coverage.add(&counts(&[("elected", 8), ("pause", 1)]));
        assert_eq!(coverage.size(), 6, "a name, and its company");
        assert_eq!(
            coverage.names().collect::<Vec<_>>(),
            ["crash", "elected", "pause"]
        );
    }

    #[test]
    fn the_order_of_runs_does_not_matter() {
        let runs = [
            counts(&[("a", 1), ("b", 4)]),
            counts(&[("b", 1), ("c", 70)]),
            counts(&[("a", 5), ("c", 70)]),
        ];
        let mut forwards = Coverage::default();
        runs.iter().for_each(|run| forwards.add(run));
        let mut merged = Coverage::default();
        for run in runs.iter().rev() {
            let mut alone = Coverage::default();
            alone.add(run);
            merged.merge(&alone);
        }
        assert_eq!(forwards, merged);
    }
}
