//! A seeded script of faults for a real ensemble: kill -9, SIGSTOP, full disks, polite restarts,
//! of the leader and of followers, of any minority and in any order; now and then of all at once.

use std::thread::sleep;
use std::time::{Duration, Instant};

use althing_sim::random::Stream;

use crate::process::wait_for;
use crate::real::ensemble::Ensemble;
use crate::real::process::Life;

/// How long a fault lasts, at least and at most.
const LASTS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(1500));

/// The same for a pause that outlasts sessions, one of so many.
const LONG: Duration = Duration::from_secs(4);
const LONG_ONE_IN: u64 = 6;

/// The rest between two faults: often too short for the ensemble to find its feet.
const RESTS: (Duration, Duration) = (Duration::ZERO, Duration::from_millis(700));

/// How much a starved server may still write beyond what it has.
const SPARE_BYTES: u64 = 16 * 1024;

/// What happens to one server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blow {
    /// `kill -9`.
    Kill,
    /// SIGSTOP.
    Stop,
    /// Its disk is full.
    Starve,
}

/// The script.
pub struct Script {
    random: Stream,
    began: Instant,
}

impl Script {
    /// That of a seed.
    pub fn new(seed: u64) -> Script {
        Script {
            random: Stream::named(seed, "faults"),
            began: Instant::now(),
        }
    }

    /// Tells what was done: a test that fails shows it.
    fn tell(&self, what: &str) {
        println!("{:.3}s {what}", self.began.elapsed().as_secs_f64());
    }

    /// Plays faults for so long, and leaves all servers running.
    pub fn play(&mut self, ensemble: &mut Ensemble, lasts: Duration) {
        let end = Instant::now() + lasts;
        while Instant::now() < end {
            match self.random.below(10) {
                0 => self.all_at_once(ensemble),
                1 => self.roll(ensemble),
                _ => self.minority(ensemble),
            }
            let rest = self.random.between(RESTS.0, RESTS.1);
            sleep(rest);
        }
    }

    /// Some of a minority, each struck in a way of its own, and back in any order.
    fn minority(&mut self, ensemble: &mut Ensemble) {
        let most = ensemble.minority() as u64;
        let count = 1 + self.random.below(most.max(1));
        let mut struck = Vec::new();
        for _ in 0..count {
            let Some(victim) = self.victim(ensemble, &struck) else {
                break;
            };
            let blow = match self.random.below(5) {
                0 | 1 => Blow::Kill,
                2 | 3 => Blow::Stop,
                _ => Blow::Starve,
            };
            self.strike(ensemble, victim, blow);
            struck.push(victim);
            sleep(self.random.between(Duration::ZERO, LASTS.0));
        }
        let long = self.random.below(LONG_ONE_IN) == 0;
        let lasts = match long {
            true => LONG,
            false => self.random.between(LASTS.0, LASTS.1),
        };
        sleep(lasts);
        while !struck.is_empty() {
            let victim = struck.swap_remove(self.random.index(struck.len()));
            self.revive(ensemble, victim);
        }
    }

    /// The leader, or any other, as the seed says; none that is struck already.
    fn victim(&mut self, ensemble: &Ensemble, struck: &[u8]) -> Option<u8> {
        let leader = match self.random.chance(0.5) {
            true => ensemble.leader(),
            false => None,
        };
        let all = ensemble.members.iter().map(|member| member.server);
        let well: Vec<u8> = all.filter(|server| !struck.contains(server)).collect();
        match leader.filter(|leader| well.contains(leader)) {
            Some(leader) => Some(leader),
            None if well.is_empty() => None,
            None => Some(well[self.random.index(well.len())]),
        }
    }

    /// Strikes one server.
    pub fn strike(&mut self, ensemble: &mut Ensemble, server: u8, blow: Blow) {
        let member = ensemble.member(server);
        match blow {
            Blow::Kill => member.kill(),
            Blow::Stop => member.stop(),
            Blow::Starve => {
                let size = member.largest_file();
                member.limit_files(Some(size + SPARE_BYTES));
            }
        }
        self.tell(&format!("{blow:?} {server}"));
    }

    /// Takes back what was done to a server.
    pub fn revive(&mut self, ensemble: &mut Ensemble, server: u8) {
        let member = ensemble.member(server);
        match member.life() {
            // Half of those that hang are switched off in the end.
            Life::Stopped if self.random.chance(0.3) => {
                member.kill();
                member.start_well();
            }
            Life::Stopped => member.go_on(),
            Life::Dead => member.start_well(),
            Life::Runs => member.limit_files(None),
        }
        self.tell(&format!("{server} is back"));
    }

    /// Every server at once: as when the power goes, but that the system keeps what was written.
    fn all_at_once(&mut self, ensemble: &mut Ensemble) {
        for member in &mut ensemble.members {
            member.kill();
        }
        self.tell("Kill all");
        let mut dead: Vec<u8> = ensemble.members.iter().map(|one| one.server).collect();
        while !dead.is_empty() {
            let server = dead.swap_remove(self.random.index(dead.len()));
            ensemble.member(server).start_well();
        }
        self.tell("all are back");
    }

    /// Every server in turn, asked politely; the next when the one before serves again.
    fn roll(&mut self, ensemble: &mut Ensemble) {
        self.tell("rolling restart");
        for server in 1..=ensemble.members.len() as u8 {
            ensemble.member(server).terminate();
            ensemble.member(server).start_well();
            let member = ensemble.member(server);
            wait_for("the restarted server serves", || {
                let told = member.word("srvr")?;
                told.contains("Mode: ").then_some(())
            });
        }
        self.tell("all are restarted");
    }
}
