//! The drive's view of the links: which of them speaks for a server, and what goes there.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use althing_core::ids::ServerId;
use althing_core::quorum::message::Message;

use crate::peers::outgoing::{Outgoing, Pushed};

/// One link.
#[derive(Debug)]
struct Linked {
    outgoing: Arc<Outgoing>,
    /// In the list of those to hand over to.
    listed: bool,
}

/// Did a link speak for its server when it ended?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// It did: no link to that server is left.
    Last,
    /// A newer one does.
    Replaced,
}

/// The links that are up; of those to one server, the newest.
#[derive(Debug, Default)]
pub struct Links {
    all: BTreeMap<ServerId, Linked>,
    /// Those that have something to be handed over.
    touched: Vec<ServerId>,
    /// Messages for which a link had no room.
    dropped: u64,
}

impl Links {
    /// How many servers a link is up to.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Is there one to this server?
    pub fn has(&self, server: ServerId) -> bool {
        self.all.contains_key(&server)
    }

    /// How many messages found no room in their link since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// A new link is up; an older one to the same server is cut.
    pub fn add(&mut self, server: ServerId, outgoing: Arc<Outgoing>) {
        let linked = Linked {
            outgoing,
            listed: false,
        };
        if let Some(older) = self.all.insert(server, linked) {
            older.outgoing.cut();
        }
    }

    /// A link has ended.
    pub fn remove(&mut self, server: ServerId, outgoing: &Arc<Outgoing>) -> Loss {
        match self.all.get(&server) {
            Some(linked) if Arc::ptr_eq(&linked.outgoing, outgoing) => {
                self.all.remove(&server);
                Loss::Last
            }
            _ => Loss::Replaced,
        }
    }

    /// Gives `message` to the link to `server`; drops it if there is none, or no room in it.
    pub fn send(&mut self, server: ServerId, message: &Message) {
        let Some(linked) = self.all.get_mut(&server) else {
            return;
        };
        if linked.outgoing.push(message) == Pushed::Dropped {
            self.dropped += 1;
        }
        if !mem::replace(&mut linked.listed, true) {
            self.touched.push(server);
        }
    }

    /// Has written what was sent since the last time.
    pub fn hand_over(&mut self) {
        for server in self.touched.drain(..) {
            if let Some(linked) = self.all.get_mut(&server) {
                linked.listed = false;
                linked.outgoing.hand_over();
            }
        }
    }
}

impl Drop for Links {
    /// However the drive ends, no link outlives it.
    fn drop(&mut self) {
        for linked in self.all.values() {
            linked.outgoing.cut();
        }
    }
}
