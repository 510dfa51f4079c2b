//! What all explored worlds share: notes, snapshots by what they stand for, and what is known to
//! come of one thing that happens to one server.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::explore::disk::Snapshot;
use crate::explore::notes::Notes;
use crate::explore::played::Played;
use crate::explore::visited::AsItIs;

/// Servers that are remembered; each takes some kilobytes. When there are so many, all are
/// forgotten.
const KNOWN_MAX: usize = 200_000;

/// Shared by all worlds of a search.
#[derive(Clone, Debug, Default)]
pub struct Lab {
    /// What happened.
    pub notes: Notes,
    /// Snapshots that were read.
    snapshots: BTreeMap<u128, Snapshot>,
    known: HashMap<u128, Arc<Played>, AsItIs>,
    forgets: Forgets,
}

/// Is what came of a step remembered?
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Forgets {
    /// It is.
    #[default]
    No,
    /// It is not.
    Yes,
}

impl Lab {
    /// For a search: counts, and remembers.
    pub fn counting() -> Lab {
        Lab::default()
    }

    /// For a story: tells everything anew.
    pub fn telling() -> Lab {
        Lab {
            notes: Notes::telling(),
            forgets: Forgets::Yes,
            ..Lab::default()
        }
    }

    /// For a way that is gone once: remembers nothing, so that what is counted goes on.
    pub fn forgetful() -> Lab {
        Lab {
            forgets: Forgets::Yes,
            ..Lab::default()
        }
    }

    /// The snapshot that stands for this log.
    pub fn snapshot(&self, chain: u128) -> Option<Snapshot> {
        self.snapshots.get(&chain).cloned()
    }

    /// Others may ask for this snapshot.
    pub fn publish(&mut self, snapshot: Snapshot) {
        self.snapshots.insert(snapshot.mark.chain, snapshot);
    }

    /// What came of it before.
    pub fn recall(&self, key: u128) -> Option<Arc<Played>> {
        self.known.get(&key).cloned()
    }

    /// Remembers what came of it, unless somebody wants to be told every time.
    pub fn remember(&mut self, key: u128, played: Played) -> Arc<Played> {
        let played = Arc::new(played);
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        if self.forgets == Forgets::No {
            self.known.insert(key, Arc::clone(&played));
        }
        played
    }
}
