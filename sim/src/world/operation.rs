//! The operations of clients: what shrinking can leave out. Each has a number and a stream of
//! randomness of its own, so that the others stay what they are without it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use crate::numbers::Numbers;
use crate::plan::Plan;
use crate::random::{Stream, Streams};

/// The pause after an operation that was left out, or between two: at least, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Does the client do it?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// It does.
    Does,
    /// The plan leaves it out.
    Rests,
}

/// The next thing that a client may do.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The how manieth of this client; counts from 1 through all its lives.
    pub number: u32,
    /// Does the client do it?
    pub turn: Turn,
    /// Whatever is random about it.
    pub random: Stream,
}

impl Operation {
    /// Is it done?
    pub fn is_done(&self) -> bool {
        self.turn == Turn::Does
    }

    /// A short pause of random length.
    pub fn pause(&mut self) -> Duration {
        self.random.between(PAUSE_MIN, PAUSE_MAX)
    }
}

/// In which act an operation begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InAct {
    /// The first: the plan may leave it out.
    First,
    /// The second, in which nothing is left out: what is owed is due.
    Second,
}

/// Who comes, and who does what.
#[derive(Debug)]
pub struct Programme {
    absent: BTreeSet<String>,
    /// Of some clients, the only operations that they do.
    only: BTreeMap<String, Numbers>,
    /// How many operations each client has come to, in each act.
    counts: Mutex<BTreeMap<String, [u32; 2]>>,
}

impl Programme {
    /// That of the plan.
    pub fn new(plan: &Plan) -> Programme {
        Programme {
            absent: plan.absent.iter().cloned().collect(),
            only: plan.operations.clone(),
            counts: Mutex::default(),
        }
    }

    /// Does this client not come?
    pub fn is_absent(&self, client: &str) -> bool {
        self.absent.contains(client)
    }

    /// The next operation of this client.
    pub fn next(&self, client: &str, act: InAct, streams: Streams) -> Operation {
        let number = {
            let mut counts = self.counts.lock().expect("no panic within");
            let [first, second] = counts.entry(client.to_owned()).or_default();
            let count = match act {
                InAct::First => first,
                InAct::Second => second,
            };
            *count += 1;
            *count
        };
        let only = self.only.get(client);
        let (stream, turn) = match act {
            InAct::First if only.is_some_and(|only| !only.0.contains(&number)) => {
                ("operation", Turn::Rests)
            }
            InAct::First => ("operation", Turn::Does),
            InAct::Second => ("operation-of-second-act", Turn::Does),
        };
        Operation {
            number,
            turn,
            random: streams.fork(&format!("{stream}.{client}.{number}")),
        }
    }

    /// How many operations each client has come to in the first act.
    pub fn counts(&self) -> BTreeMap<String, u32> {
        let counts = self.counts.lock().expect("no panic within");
        let in_first = counts
            .iter()
            .map(|(name, [first, _])| (name.clone(), *first));
        in_first.collect()
    }
}
