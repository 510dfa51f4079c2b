//! What everything in a simulated world shares: time, network, randomness, and the record.

use crate::backstage::Recording;
use crate::plan::Plan;
use crate::random::Streams;
use crate::world::agenda::Agenda;
use crate::world::net::Net;
use crate::world::poison::Poison;
use crate::world::record::Recorder;
use crate::world::reign::Reign;
use crate::world::wiretap::Wiretap;

/// A handle; all clones are the same world.
#[derive(Clone)]
pub struct World {
    /// Time, and what shall happen when.
    pub agenda: Agenda,
    /// What happened.
    pub recorder: Recorder,
    /// What follows the messages between servers, if anybody wants to know.
    pub wiretap: Option<Wiretap>,
    /// The network.
    pub net: Net,
    /// What is done to the gossip.
    pub poison: Poison,
    /// Randomness.
    pub streams: Streams,
    /// Who leads.
    pub reign: Reign,
    /// The share of the messages between servers that go astray.
    pub shuffle: f64,
}

impl World {
    /// An empty world with the weather of `plan`. Must be called inside the runtime.
    pub fn new(plan: &Plan, seed: u64, recording: Recording) -> World {
        let agenda = Agenda::new();
        let streams = Streams::new(seed);
        let recorder = Recorder::new(agenda.clone(), recording);
        let tapped = recording == Recording::Backstage;
        World {
            wiretap: tapped.then(|| Wiretap::new(recorder.clone())),
            recorder,
            net: Net::new(agenda.clone(), streams, &plan.network),
            poison: Poison::new(streams),
            agenda,
            streams,
            reign: Reign::default(),
            shuffle: plan.network.shuffle,
        }
    }
}
