//! What `#[althing_sim::test]` calls.

use std::path::Path;
use std::time::Duration;

use crate::testbed::bed::Bed;
use crate::testbed::ending::Ending;
use crate::testbed::trial::Trial;
use crate::testbed::wishes::Wishes;

/// How long a red seed is shrunk: who waits for a test has some patience once it is red.
const SHRINKS_FOR: Duration = Duration::from_secs(20);

/// Where a test stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The function's name.
    pub name: &'static str,
    /// Its file.
    pub source: &'static str,
    /// The folder of its package.
    pub folder: &'static str,
}

/// The trial of the test at `place`, with the settings of an attribute without arguments.
pub fn trial(place: &Place) -> Trial {
    let name = place.name;
    Trial::new(name)
        .source(place.source)
        .folder(Path::new(place.folder))
        .shrinks_for(SHRINKS_FOR)
        .played_by(move |seed| format!("ALTHING_SEED={seed} cargo test {name}"))
}

/// Plays the test as the environment wishes.
///
/// # Panics
/// If it is not green, which is how a test fails.
pub fn play<F>(place: &Place, trial: Trial, story: impl Fn(Bed) -> F + Sync)
where
    F: Future + 'static,
    F::Output: Ending,
{
    let played = match Wishes::of_environment() {
        Ok(wishes) => trial.wishes(&wishes).play(story),
        Err(senseless) => panic!("{senseless}"),
    };
    match played {
        Ok(report) => report.must_be_green(),
        Err(unplayable) => panic!("{} cannot be played: {unplayable}", place.name),
    }
}
