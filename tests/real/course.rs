//! The course of a run of real processes: clients at work, faults that fall, the demand for service
//! after them, and the judgement.

use std::env;
use std::time::Duration;

use crate::real::clients::{Crowd, Player, read_everything};
use crate::real::ensemble::Ensemble;
use crate::real::judge::judge;
use crate::real::witness::Witness;
use althing_sim::traces::judge::Figures;

/// What a person may choose of a run.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// What the faults and the clients' requests are drawn from: `ALTHING_ENSEMBLE_SEED`.
    pub seed: u64,
    /// How long faults fall: `ALTHING_ENSEMBLE_SECONDS`.
    pub lasts: Duration,
}

impl Course {
    /// As the environment has it, else as given here.
    ///
    /// # Panics
    /// If a variable is no number.
    pub fn chosen_or(seed: u64, seconds: u64) -> Course {
        Course {
            seed: number("ALTHING_ENSEMBLE_SEED", seed),
            lasts: Duration::from_secs(number("ALTHING_ENSEMBLE_SECONDS", seconds)),
        }
    }

    /// Runs `players` against an ensemble that serves, while `faults` fall; leaves all servers
    /// stopped.
    ///
    /// # Panics
    /// If there is no service after the faults, or a rule was broken: data and logs are kept, and
    /// the panic tells where.
    pub fn run(
        self,
        ensemble: &mut Ensemble,
        players: Vec<Player>,
        faults: impl FnOnce(&mut Ensemble),
    ) -> Figures {
        println!(
            "seed {}, {} servers, faults for {:?}",
            self.seed,
            ensemble.members.len(),
            self.lasts
        );
        let witness = Witness::new(ensemble.home());
        let crowd = Crowd::start(players, self.seed, &witness);
        faults(ensemble);
        if let Err(failed) = crowd.finish() {
            let (kept, words) = (ensemble.keep(), ensemble.last_words());
            panic!("{failed}: no service after the faults; data and logs are in {kept}\n{words}");
        }
        for (address, server) in ensemble.addresses() {
            read_everything(&format!("reader-{server}"), address.to_string(), &witness);
        }
        for member in &mut ensemble.members {
            member.terminate();
        }
        let figures = judge(ensemble, &witness);
        println!("{figures:?}");
        figures
    }
}

fn number(variable: &str, or: u64) -> u64 {
    match env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is no number")),
        Err(_) => or,
    }
}
