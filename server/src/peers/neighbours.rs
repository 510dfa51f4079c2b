//! The servers with which this one keeps up links: those of its configuration, and whoever becomes
//! a member.

use std::sync::Arc;

use althing_core::ids::ServerId;
use althing_core::membership::Membership;
use althing_core::node::event::Event;
use althing_core::prng::Prng;

use crate::mail::Mailbox;
use crate::peers::dialer::Dialer;
use crate::peers::door::Door;
use crate::peers::introduction::Acquaintance;
use crate::shell::{Shell, Task};

/// Dials those that are to be dialled, and lets those in that dial.
pub struct Neighbours<S: Shell> {
    shell: S,
    mailbox: Mailbox,
    acquaintance: Arc<Acquaintance>,
    /// May the members be others than when they were looked at last?
    is_stale: bool,
}

impl<S: Shell> Neighbours<S> {
    /// Begins to dial the servers that this one dials, and to accept those that dial it.
    pub fn link(shell: &S, mailbox: &Mailbox, acquaintance: Acquaintance) -> Neighbours<S> {
        let neighbours = Neighbours {
            shell: shell.clone(),
            mailbox: mailbox.clone(),
            acquaintance: Arc::new(acquaintance),
            is_stale: true,
        };
        for server in neighbours.acquaintance.dialled() {
            neighbours.dial(server);
        }
        let door = Door {
            shell: shell.clone(),
            mailbox: mailbox.clone(),
            acquaintance: Arc::clone(&neighbours.acquaintance),
        };
        shell.spawn(Task::Peers, door.run());
        neighbours
    }

    /// Something happened that may bring other members.
    pub fn observe(&mut self, event: &Event) {
        if let Event::Reconfigured { .. } | Event::EpochOpened { .. } | Event::Installed { .. } =
            event
        {
            self.is_stale = true;
        }
    }

    /// Gets to know the members, if they may be others than the last time.
    pub fn attend(&mut self, membership: &Membership) {
        if !std::mem::take(&mut self.is_stale) {
            return;
        }
        self.shell.learn_addresses(membership);
        for server in membership.members() {
            if self.acquaintance.meet(server) {
                tracing::info!(%server, "another server has become a member");
                self.dial(server);
            }
        }
    }

    fn dial(&self, server: ServerId) {
        let dialer = Dialer {
            shell: self.shell.clone(),
            mailbox: self.mailbox.clone(),
            acquaintance: Arc::clone(&self.acquaintance),
            server,
            prng: Prng::new(self.shell.entropy()),
        };
        self.shell.spawn(Task::Link, dialer.run());
    }
}
