//! The director of mishaps: lets the plan's faults fall at their cues, ends them when their time is
//! over, and heals everything for the second act.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::cue::Cue;
use crate::history::What;
use crate::plan::{Fault, FaultKind, Plan};
use crate::quorums::Quorums;
use crate::random::Stream;
use crate::world::blows::{Blow, Means, Remedy};
use crate::world::net::Death;

/// A fault of which something is in force or still to fall.
#[derive(Default)]
struct Ongoing {
    remedies: BTreeMap<u32, Remedy>,
    /// How many remedies there have been.
    struck: u32,
    /// How many of its parts are still to fall.
    awaited: usize,
}

struct Shared {
    means: Means,
    faults: Vec<Fault>,
    /// The randomness of each.
    random: Vec<Mutex<Stream>>,
    voters: Vec<u8>,
    quorums: Quorums,
    /// `None` once the first act is over: then nothing falls any more.
    in_force: Mutex<Option<BTreeMap<usize, Ongoing>>>,
}

/// A handle: all clones are the same director.
#[derive(Clone)]
pub struct Director(Arc<Shared>);

impl Director {
    /// A director of the plan's faults.
    pub fn new(means: Means, plan: &Plan) -> Director {
        Director(Arc::new(Shared {
            random: (0..plan.faults.len())
                .map(|place| Mutex::new(means.random(plan.fault_id(place))))
                .collect(),
            means,
            faults: plan.faults.clone(),
            voters: plan.voters(),
            quorums: Quorums::of_plan(plan),
            in_force: Mutex::new(Some(BTreeMap::new())),
        }))
    }

    /// From now on faults fall.
    pub fn begin(&self) {
        for index in 0..self.0.faults.len() {
            match &self.0.faults[index].when {
                Cue::At { at } => self.strike_at(at.0, index),
                Cue::On { on, nth, after } => {
                    let director = self.clone();
                    let recorder = &self.0.means.world.recorder;
                    recorder.cue(on, *nth, after.0, move || director.strike(index));
                }
                // Cued by the fault before it; the first has none, so it falls at its time.
                Cue::Then { then } if index == 0 => self.strike_at(then.0, index),
                Cue::Then { .. } => {}
            }
        }
    }

    /// Ends every fault; none falls any more.
    pub fn heal_all(&self) {
        let in_force = self.in_force().take().unwrap_or_default();
        for (index, ongoing) in in_force {
            for remedy in ongoing.remedies.into_values() {
                remedy(&self.0.means);
            }
            self.record_end(index);
        }
        self.0.means.house.heal();
    }

    /// Takes all servers but a quorum away for good: one of whose disks none was destroyed, if
    /// there is one.
    pub fn retire_minority(&self) {
        let means = &self.0.means;
        let damaged = means.damaged();
        let mut random = means.world.streams.fork("faults.retired");
        let mut candidates = self.0.voters.clone();
        candidates.retain(|voter| !damaged.contains(voter));
        let mut core: BTreeSet<u8> = candidates.iter().copied().collect();
        let decide = |core: &BTreeSet<u8>| self.0.quorums.has(|server| core.contains(&server.0));
        if !decide(&core) {
            return;
        }
        // One after the other goes, as long as the rest is a quorum.
        while !candidates.is_empty() {
            let mut smaller = core.clone();
            smaller.remove(&candidates.swap_remove(random.index(candidates.len())));
            if decide(&smaller) {
                core = smaller;
            }
        }
        for number in (1..=means.house.count()).filter(|number| !core.contains(number)) {
            means.house.take_down(number, Death::Killed);
            means.bed.mark("retired", format!("server-{number}"));
        }
    }

    fn strike_at(&self, hour: Duration, index: usize) {
        let director = self.clone();
        let agenda = &self.0.means.world.agenda;
        agenda.at(hour, move || director.strike(index));
    }

    fn strike(&self, index: usize) {
        if self.in_force().is_none() {
            return;
        }
        let kind = &self.0.faults[index].what;
        let parts = self.0.means.parts(kind, &mut self.random(index));
        if parts.is_empty() {
            self.strike_whole(index, kind);
        } else {
            self.strike_in_parts(index, parts);
        }
        let next = index + 1;
        if let Some(Cue::Then { then }) = self.0.faults.get(next).map(|fault| &fault.when) {
            self.strike_at(self.0.means.world.agenda.now() + then.0, next);
        }
    }

    fn strike_whole(&self, index: usize, kind: &FaultKind) {
        let blow = self.0.means.strike(kind, &mut self.random(index));
        if let Blow::Fell {
            detail,
            lasts,
            remedy,
        } = blow
        {
            self.record_blow(index, detail);
            if let Some(remedy) = remedy {
                self.keep(index, lasts, remedy);
            }
        }
    }

    fn strike_in_parts(&self, index: usize, parts: Vec<(Duration, FaultKind)>) {
        self.record_blow(index, format!("{} servers", parts.len()));
        if let Some(in_force) = &mut *self.in_force() {
            in_force.entry(index).or_default().awaited += parts.len();
        }
        let agenda = &self.0.means.world.agenda;
        for (after, kind) in parts {
            let director = self.clone();
            agenda.at(agenda.now() + after, move || {
                director.strike_part(index, &kind);
            });
        }
    }

    fn strike_part(&self, index: usize, kind: &FaultKind) {
        match &mut *self.in_force() {
            Some(in_force) => in_force.entry(index).or_default().awaited -= 1,
            None => return,
        }
        let blow = self.0.means.strike(kind, &mut self.random(index));
        if let Blow::Fell {
            lasts,
            remedy: Some(remedy),
            ..
        } = blow
        {
            self.keep(index, lasts, remedy);
        }
    }

    /// Keeps a remedy until its hour.
    fn keep(&self, index: usize, lasts: Option<Duration>, remedy: Remedy) {
        let number = {
            let mut in_force = self.in_force();
            let Some(in_force) = &mut *in_force else {
                return;
            };
            let ongoing = in_force.entry(index).or_default();
            ongoing.struck += 1;
            ongoing.remedies.insert(ongoing.struck, remedy);
            ongoing.struck
        };
        if let Some(lasts) = lasts {
            let director = self.clone();
            let agenda = &self.0.means.world.agenda;
            agenda.at(agenda.now() + lasts, move || director.end(index, number));
        }
    }

    fn end(&self, index: usize, number: u32) {
        let ended = {
            let mut in_force = self.in_force();
            let Some(in_force) = &mut *in_force else {
                return;
            };
            let Some(ongoing) = in_force.get_mut(&index) else {
                return;
            };
            let remedy = ongoing.remedies.remove(&number);
            let over = ongoing.remedies.is_empty() && ongoing.awaited == 0;
            if over {
                in_force.remove(&index);
            }
            remedy.map(|remedy| (remedy, over))
        };
        if let Some((remedy, over)) = ended {
            remedy(&self.0.means);
            if over {
                self.record_end(index);
            }
        }
    }

    fn record_blow(&self, index: usize, detail: String) {
        let kind = self.name(index);
        let recorder = &self.0.means.world.recorder;
        recorder.record(What::Struck {
            index,
            kind,
            detail,
        });
    }

    fn record_end(&self, index: usize) {
        let kind = self.name(index);
        let recorder = &self.0.means.world.recorder;
        recorder.record(What::Healed { index, kind });
    }

    /// By which name the record knows a fault.
    fn name(&self, index: usize) -> &'static str {
        let kind = &self.0.faults[index].what;
        match kind {
            FaultKind::Own { name, .. } => {
                let own = self.0.means.bed.own_fault(name);
                own.map_or(kind.name(), |fault| fault.name)
            }
            _ => kind.name(),
        }
    }

    fn random(&self, index: usize) -> MutexGuard<'_, Stream> {
        self.0.random[index].lock().expect("drawing does not panic")
    }

    fn in_force(&self) -> MutexGuard<'_, Option<BTreeMap<usize, Ongoing>>> {
        self.0.in_force.lock().expect("no panic within")
    }
}
