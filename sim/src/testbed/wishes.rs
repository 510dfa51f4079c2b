//! What the environment wants of a trial: other seeds, more time, a plan that was saved.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::seeds::{closed_range, seed};

/// Only this seed.
pub const SEED: &str = "ALTHING_SEED";
/// These seeds, `A..B`.
pub const SEEDS: &str = "ALTHING_SEEDS";
/// As many seeds as there is time for.
pub const FOR: &str = "ALTHING_FOR";
/// This plan, which was saved, with the seed.
pub const PLAN: &str = "ALTHING_PLAN";
/// On so many threads.
pub const JOBS: &str = "ALTHING_JOBS";
/// The whole timeline of the one seed that is played.
pub const TIMELINE: &str = "ALTHING_TIMELINE";

/// What the environment wants; nothing by default.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wishes {
    /// Other seeds than those of the test.
    pub seeds: Option<Range<u64>>,
    /// New seeds for about this long.
    pub lasts: Option<Duration>,
    /// This plan in place of what the seeds draw.
    pub plan: Option<PathBuf>,
    /// On so many threads.
    pub jobs: Option<usize>,
    /// The whole timeline too.
    pub timeline: Timeline,
}

/// How much of the timeline is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Timeline {
    /// What happened around a violation.
    #[default]
    Around,
    /// Everything, whether the run is red or not.
    Whole,
}

/// A wish that makes no sense.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{variable}={value}: {why}")]
pub struct Senseless {
    /// Which variable.
    pub variable: &'static str,
    /// What it says.
    pub value: String,
    /// Why it makes no sense.
    pub why: String,
}

impl Wishes {
    /// Those of this process's environment.
    ///
    /// # Errors
    /// [`Senseless`].
    pub fn of_environment() -> Result<Wishes, Senseless> {
        Wishes::read(&|name| std::env::var(name).ok())
    }

    /// Those that `look_up` finds by the names of the variables.
    ///
    /// # Errors
    /// [`Senseless`].
    pub fn read(look_up: &dyn Fn(&str) -> Option<String>) -> Result<Wishes, Senseless> {
        let lasts = wish(look_up, FOR, |text| {
            humantime::parse_duration(text).map_err(|error| error.to_string())
        })?;
        let single = wish(look_up, SEED, |text| {
            let seed = seed(text)?;
            let end = seed.checked_add(1).ok_or("the seed is too large")?;
            Ok(seed..end)
        })?;
        let several = wish(look_up, SEEDS, closed_range)?;
        let jobs = wish(look_up, JOBS, |text| match text.parse() {
            Ok(0) | Err(_) => Err("is a number of threads, at least 1".to_owned()),
            Ok(jobs) => Ok(jobs),
        })?;
        let timeline = match look_up(TIMELINE) {
            Some(_) => Timeline::Whole,
            None => Timeline::Around,
        };
        Ok(Wishes {
            seeds: single.or(several),
            lasts,
            plan: look_up(PLAN).map(PathBuf::from),
            jobs,
            timeline,
        })
    }
}

fn wish<T>(
    look_up: &dyn Fn(&str) -> Option<String>,
    variable: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Senseless> {
    let Some(value) = look_up(variable) else {
        return Ok(None);
    };
    match parse(&value) {
        Ok(wish) => Ok(Some(wish)),
        Err(why) => Err(Senseless {
            variable,
            value,
            why,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Wishes, String> {
        let look_up = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Wishes::read(&look_up).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_wanted_unless_it_is_said() {
        assert_eq!(read(&[]), Ok(Wishes::default()));
    }

    #[test]
    fn everything_that_can_be_wanted() {
        let wishes = read(&[(SEEDS, "3..=9"), (FOR, "1m"), (JOBS, "2"), (TIMELINE, "1")]).unwrap();
        assert_eq!(wishes.seeds, Some(3..10));
        assert_eq!(wishes.lasts, Some(Duration::from_secs(60)));
        assert_eq!(wishes.jobs, Some(2));
        assert_eq!(wishes.timeline, Timeline::Whole);
        let one = read(&[(SEED, "7"), (SEEDS, "0..100"), (PLAN, "red.toml")]).unwrap();
        assert_eq!(one.seeds, Some(7..8));
        assert_eq!(one.plan, Some(PathBuf::from("red.toml")));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_name() {
        let cases = [
            ((SEED, "x"), "ALTHING_SEED=x: `x` is no seed"),
            ((SEED, "18446744073709551615"), "the seed is too large"),
            (
                (SEEDS, "7"),
                "ALTHING_SEEDS=7: a range of seeds is written A..B",
            ),
            ((SEEDS, "7..7"), "the range is empty"),
            ((FOR, "soon"), "ALTHING_FOR=soon"),
            ((JOBS, "0"), "is a number of threads, at least 1"),
        ];
        for (variable, expected) in cases {
            let why = read(&[variable]).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }
}
