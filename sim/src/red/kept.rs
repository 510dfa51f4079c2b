//! Red seeds that earlier campaigns kept: later campaigns of the same scenario try them first.

use std::fs;
use std::path::{Path, PathBuf};

use crate::plan::Plan;
use crate::red::folder::{PLAN, stem};
use crate::scenario::Scenario;

/// Of one scenario so many are tried at most, the lowest seeds first: each costs a run.
pub const KEPT_MAX: usize = 20;

/// One red seed of an earlier campaign.
#[derive(Clone, PartialEq, Debug)]
pub struct Kept {
    /// The file of its plan.
    pub file: PathBuf,
    /// The seed.
    pub seed: u64,
    /// What it drew at that time.
    pub plan: Plan,
}

/// What `folder` keeps of the scenario with this name, and what is to be said of what cannot be
/// read any more.
pub fn kept(folder: &Path, name: &str) -> (Vec<Kept>, Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else {
        // Nothing was ever red.
        return (Vec::new(), Vec::new());
    };
    let seed = |path: &Path| {
        let own = path.file_name()?.to_str()?.strip_prefix(name)?;
        own.strip_prefix('-')?.parse::<u64>().ok()
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut found: Vec<(u64, PathBuf)> = paths
        .filter(|path| path.is_dir())
        .filter_map(|path| Some((seed(&path)?, path.join(PLAN))))
        .collect();
    found.sort();
    let (mut kept, mut warnings) = (Vec::new(), Vec::new());
    for (seed, file) in found.into_iter().take(KEPT_MAX) {
        let text = fs::read_to_string(&file).map_err(|error| error.to_string());
        let short = file.display().to_string();
        let read = text.and_then(|text| {
            Scenario::parse(&text, &short, name).map_err(|refused| refused.to_string())
        });
        match read {
            Ok(scenario) => kept.push(Kept {
                file,
                seed,
                plan: scenario.plan,
            }),
            Err(error) => warnings.push(format!(
                "the kept {} of seed {seed} is not tried: {error}",
                stem(name, seed)
            )),
        }
    }
    (kept, warnings)
}
