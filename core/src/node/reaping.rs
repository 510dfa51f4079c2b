//! The leader's search for znodes whose time is over: it proposes that they go, in transactions of
//! bounded size, and looks at a bounded number of znodes in a step.

use alloc::sync::Arc;

use crate::node::effect::Outbox;
use crate::node::node::Node;
use crate::store::txn::{Action, Txn};
use crate::time::Now;

/// Most znodes that are looked at in one step: some milliseconds.
const LOOKED_AT_MAX: usize = 8192;

/// Most znodes that go in one transaction: all servers execute it in one step, and everybody who
/// watches them is told.
const REAPED_MAX: usize = 256;

/// Into how many parts the pause between two searches is divided for the pause between two parts of
/// one: with ZooKeeper's pause of a minute and this, 256 znodes go in a second at most; its own
/// limit is 10,000 in a minute.
const PAUSE_PARTS: u32 = 60;

impl Node {
    /// Looks at the next part of what may be over.
    pub(super) fn reap(&mut self, now: Now, out: &mut Outbox) {
        self.reap_at = now.clock.after(self.config.reap_interval);
        if !self.is_serving() || !self.replica.can_propose(now) {
            return;
        }
        let tree = self.store.tree();
        let found = tree.reapable(now.wall, self.reap_from, LOOKED_AT_MAX, REAPED_MAX);
        self.reap_from = found.next;
        if found.next > 0 {
            self.reap_at = now.clock.after(self.config.reap_interval / PAUSE_PARTS);
        }
        if !found.paths.is_empty() {
            let action = Action::Reap { paths: found.paths };
            self.append(now, Arc::new(Txn::of_servers(now.wall, action)), out);
        }
    }
}
