//! The observers that the configuration lists: whoever leads takes them in as learners.
//!
//! The founders of an ensemble are its voters, and the membership beats every file, so a server
//! that only learns has to be admitted. It has no vote, so this can be done without asking anybody.

use std::collections::BTreeSet;

use althing_core::config::Reconfiguring;
use althing_core::ids::ServerId;
use althing_core::node::event::Event;
use althing_core::node::input::Input;
use althing_core::node::node::Node;
use althing_core::node::status::Role;

use crate::peers::links::Links;

/// Is there something to look after?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    /// Perhaps.
    Look,
    /// Not before something happens.
    Rest,
}

/// Those that are listed, and whether all that can be admitted are.
#[derive(Debug)]
pub struct Observers {
    listed: BTreeSet<ServerId>,
    reconfiguring: Reconfiguring,
    turn: Turn,
}

impl Observers {
    /// Looks after those that are listed, where clients may change the members or not.
    pub fn new(listed: BTreeSet<ServerId>, reconfiguring: Reconfiguring) -> Observers {
        Observers {
            listed,
            reconfiguring,
            turn: Turn::Look,
        }
    }

    /// A link has come up: it may be to one of them.
    pub fn linked(&mut self) {
        self.turn = Turn::Look;
    }

    /// This server may lead from here on.
    pub fn observe(&mut self, event: &Event) {
        if let Event::EpochOpened { .. } = event {
            self.turn = Turn::Look;
        }
    }

    /// What the node is to be told, if one is to be admitted.
    pub fn wish(&mut self, node: &Node, links: &Links) -> Option<Input> {
        if self.listed.is_empty() || self.turn == Turn::Rest {
            return None;
        }
        let leads = matches!(node.status().role, Role::Leader | Role::Standalone);
        let membership = node.store().membership();
        let members = membership.members();
        // Whom a client has removed, who was a member and is none, stays so.
        let stays_out = |server: &ServerId| match self.reconfiguring {
            Reconfiguring::On => membership.directories.contains_key(server),
            Reconfiguring::Off => false,
        };
        let missing = |server: &&ServerId| {
            !members.contains(*server) && !stays_out(server) && links.has(**server)
        };
        let new: BTreeSet<ServerId> = self.listed.iter().filter(missing).copied().collect();
        if !leads || membership.is_empty() || new.is_empty() {
            self.turn = Turn::Rest;
            return None;
        }
        // Until it is executed this is said again: a change that is under way goes first.
        Some(Input::Reconfigured {
            voters: membership.voters.clone(),
            learners: membership.learners.union(&new).copied().collect(),
        })
    }
}
