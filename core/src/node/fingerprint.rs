//! A server's state as 128 bits, for those who ask whether they have seen it before.

use xxhash_rust::xxh3::Xxh3;

use crate::config::LocalSessions;
use crate::node::company::Company;
use crate::node::node::Node;

impl Node {
    /// A digest of the state that matters to the protocol: not the generator of time-outs, not how
    /// often clients have asked, and not the counters of events. How much was drawn from the other
    /// generator decides which passwords and snapshots come next. Of the clock there are the two
    /// readings that decide something; as long as time stands still they do not change.
    pub fn fingerprint(&self) -> u128 {
        let mut hash = Xxh3::new();
        self.replica.digest_into(|bytes| hash.update(bytes));
        hash.update(&self.store.digest().to_le_bytes());
        let mut hash_text = |text: &dyn core::fmt::Debug| {
            hash.update(alloc::format!("{text:?}").as_bytes());
        };
        for (id, connection) in &self.connections {
            hash_text(id);
            hash_text(connection);
        }
        hash_text(&self.arrivals);
        hash_text(&self.handed_to);
        hash_text(&self.outgoing);
        hash_text(&self.touched);
        hash_text(&self.pipelines);
        hash_text(&self.held);
        hash_text(&self.wishes);
        hash_text(&self.expiring);
        hash_text(&self.barriers);
        self.watches.all().for_each(|watch| hash_text(&watch));
        self.heartbeats
            .sessions()
            .for_each(|session| hash_text(&session));
        self.locals
            .beats
            .sessions()
            .for_each(|session| hash_text(&session));
        // Nothing goes in a lane otherwise, and its number tells nothing.
        if self.config.local_sessions != LocalSessions::Off {
            hash_text(&self.locals.lane);
        }
        self.lanes.iter().for_each(|lane| hash_text(&lane));
        hash_text(&(self.company == Company::Alone));
        let asks_again = self.executed_own == self.executed_own_before;
        hash.update(&[asks_again.into(), self.is_making_snapshot.into()]);
        let until_snapshot = self
            .snapshot_after
            .saturating_sub(self.executed_since_snapshot);
        hash.update(&until_snapshot.to_le_bytes());
        hash.update(&self.prng.position().to_le_bytes());
        hash.digest128()
    }
}
