//! Which seeds a campaign plays: a range, or every so manieth seed of one, so that several machines
//! share a range without playing a seed twice.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Seeds in their order: the first, and then every so manieth.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seeds {
    /// The first.
    pub first: u64,
    /// From one to the next; at least 1.
    pub step: u64,
    /// How many.
    pub count: u64,
}

/// The seeds of one campaign, in the order in which they are begun.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// In their order.
    Range(Seeds),
    /// Single ones.
    List(Vec<u64>),
}

impl Selection {
    /// The seed at this place, from 0.
    pub fn get(&self, index: u64) -> Option<u64> {
        match self {
            Selection::Range(seeds) => seeds.get(index),
            Selection::List(seeds) => seeds.get(usize::try_from(index).ok()?).copied(),
        }
    }
}

/// One of several machines that share a range of seeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard {
    /// Which; counts from 1.
    pub number: u64,
    /// Of how many.
    pub of: u64,
}

impl Seeds {
    /// All from `first` up to `end`, which is not one of them.
    pub fn range(first: u64, end: u64) -> Seeds {
        Seeds {
            first,
            step: 1,
            count: end.saturating_sub(first),
        }
    }

    /// Those that fall to this machine.
    pub fn of_shard(self, shard: Shard) -> Seeds {
        let skipped = shard.number - 1;
        Seeds {
            first: self.first.saturating_add(self.step.saturating_mul(skipped)),
            step: self.step.saturating_mul(shard.of),
            count: self.count.saturating_sub(skipped).div_ceil(shard.of),
        }
    }

    /// The seed at this place, from 0.
    pub fn get(&self, index: u64) -> Option<u64> {
        if index >= self.count {
            return None;
        }
        self.first.checked_add(self.step.checked_mul(index)?)
    }

    /// The first `count` of them.
    pub fn begin(self, count: u64) -> Seeds {
        Seeds {
            count: self.count.min(count),
            ..self
        }
    }

    /// All but the first `count`.
    pub fn after(self, count: u64) -> Seeds {
        Seeds {
            first: self.first.saturating_add(self.step.saturating_mul(count)),
            count: self.count.saturating_sub(count),
            ..self
        }
    }

    /// Is it one of them?
    pub fn contains(&self, seed: u64) -> bool {
        let index = seed
            .checked_sub(self.first)
            .map(|far| (far % self.step, far / self.step));
        matches!(index, Some((0, index)) if index < self.count)
    }

    /// A seed that is in both, if there is one.
    pub fn overlap(&self, other: &Seeds) -> Option<u64> {
        let same_step = self.step == other.step;
        if same_step && self.first % self.step != other.first % self.step {
            return None;
        }
        let (few, many) = match self.count <= other.count {
            true => (self, other),
            false => (other, self),
        };
        (0..few.count)
            .map_while(|index| few.get(index))
            .find(|seed| many.contains(*seed))
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (
            self.count.checked_sub(1).and_then(|last| self.get(last)),
            self.step,
        ) {
            (None, _) => write!(f, "none"),
            (Some(last), 1) => write!(f, "{} to {last}", self.first),
            (Some(last), step) => write!(f, "every {step}th of {} to {last}", self.first),
        }
    }
}

/// A range of seeds as people write it: `A..B` without B, `A..=B` with it, or `A..` without an end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeedRange {
    /// The first.
    pub first: u64,
    /// The one after the last, if there is a last one.
    pub end: Option<u64>,
}

/// A seed, such as `7` or `0x7f`.
///
/// # Errors
/// What is wrong with it.
pub fn seed(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| format!("`{text}` is no seed: {error}"))
}

/// A range that has an end.
///
/// # Errors
/// What is wrong with it.
pub fn closed_range(text: &str) -> Result<Range<u64>, String> {
    let SeedRange { first, end } = text.parse()?;
    let end = end.ok_or("the range has no end")?;
    Ok(first..end)
}

impl FromStr for SeedRange {
    type Err = String;

    fn from_str(text: &str) -> Result<SeedRange, String> {
        let (first, end) = text
            .split_once("..")
            .ok_or("a range of seeds is written A..B")?;
        let first = seed(first)?;
        let end = match end.strip_prefix('=') {
            _ if end.trim().is_empty() => None,
            Some(last) => Some(
                seed(last)?
                    .checked_add(1)
                    .ok_or("the last seed is too large")?,
            ),
            None => Some(seed(end)?),
        };
        match end.is_some_and(|end| end <= first) {
            true => Err("the range is empty".to_owned()),
            false => Ok(SeedRange { first, end }),
        }
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let parse = |text: &str| text.parse::<u64>().ok();
        let parts = text.split_once('/');
        match parts.and_then(|(number, of)| Some((parse(number)?, parse(of)?))) {
            Some((number, of)) if 0 < number && number <= of => Ok(Shard { number, of }),
            Some(_) => Err("the shards of N are 1/N to N/N".to_owned()),
            None => Err("a shard is written K/N, such as 3/16".to_owned()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(seeds: Seeds) -> Vec<u64> {
        (0..seeds.count)
            .map(|index| seeds.get(index).unwrap())
            .collect()
    }

    proptest! {
        #[test]
        fn shards_have_every_seed_once(first in 0_u64..100, count in 0_u64..60, of in 1_u64..9) {
            let whole = Seeds::range(first, first + count);
            let shard = |number| whole.of_shard(Shard { number, of });
            let mut found: Vec<u64> = (1..=of).flat_map(|number| all(shard(number))).collect();
            found.sort_unstable();
            prop_assert_eq!(found, all(whole));
            for number in 2..=of {
                prop_assert_eq!(shard(number).overlap(&shard(1)), None);
            }
        }

        #[test]
        fn an_overlap_is_a_seed_of_both(
            a in (0_u64..30, 1_u64..6, 0_u64..12),
            b in (0_u64..30, 1_u64..6, 0_u64..12),
        ) {
            let seeds = |(first, step, count)| Seeds { first, step, count };
            let (a, b) = (seeds(a), seeds(b));
            let common = all(a).into_iter().find(|seed| all(b).contains(seed));
            prop_assert_eq!(a.overlap(&b).is_some(), common.is_some());
            if let Some(seed) = a.overlap(&b) {
                prop_assert!(all(a).contains(&seed) && all(b).contains(&seed));
            }
        }

        #[test]
        fn what_is_begun_and_what_is_left_are_the_whole(
            seeds in (0_u64..30, 1_u64..6, 0_u64..12),
            cut in 0_u64..20,
        ) {
            let whole = Seeds { first: seeds.0, step: seeds.1, count: seeds.2 };
            let parts = [all(whole.begin(cut)), all(whole.after(cut))].concat();
            prop_assert_eq!(parts, all(whole));
        }
    }

    #[test]
    fn ranges_are_written_with_two_dots() {
        let range = |text: &str| {
            let range = text.parse::<SeedRange>();
            range.map(|range| (range.first, range.end))
        };
        assert_eq!(range("3..10"), Ok((3, Some(10))));
        assert_eq!(range("3..=0x9"), Ok((3, Some(10))));
        assert_eq!(range("3.."), Ok((3, None)));
        assert_eq!(closed_range("0..2"), Ok(0..2));
        for (wrong, why) in [
            ("7", "written A..B"),
            ("7..7", "the range is empty"),
            ("0..=18446744073709551615", "the last seed is too large"),
            ("a..3", "`a` is no seed"),
        ] {
            let told = range(wrong).unwrap_err();
            assert!(told.contains(why), "{wrong}: {told}");
        }
        assert_eq!(closed_range("3.."), Err("the range has no end".to_owned()));
    }

    #[test]
    fn shards_are_written_with_a_stroke() {
        let shard: Shard = "3/16".parse().unwrap();
        assert_eq!((shard.to_string(), shard.of), ("3/16".to_owned(), 16));
        for wrong in ["0/4", "5/4", "3", "a/b", "3/0"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
        let open = Seeds::range(7, u64::MAX).of_shard(shard);
        assert_eq!((open.get(0), open.get(1)), (Some(9), Some(25)));
    }
}
