//! Who leads, as the servers themselves say: what faults that strike `leader` go by.

use std::sync::{Arc, Mutex, MutexGuard};

use althing_core::ids::{Epoch, ServerId};
use althing_core::node::event::Event;

#[derive(Default)]
struct State {
    newest: Epoch,
    leader: Option<ServerId>,
}

/// A handle; all clones are the same.
#[derive(Clone, Default)]
pub struct Reign(Arc<Mutex<State>>);

impl Reign {
    /// A server let know.
    pub fn said(&self, server: ServerId, event: &Event) {
        match event {
            Event::Elected { epoch, leader } if *leader == server => {
                let mut state = self.state();
                if *epoch >= state.newest {
                    state.newest = *epoch;
                    state.leader = Some(server);
                }
            }
            Event::Deposed { .. } => self.ended(server),
            _ => {}
        }
    }

    /// A server's process has ended, or leads no more.
    pub fn ended(&self, server: ServerId) {
        let mut state = self.state();
        if state.leader == Some(server) {
            state.leader = None;
        }
    }

    /// Who was elected last, unless it has ended or was deposed.
    pub fn leader(&self) -> Option<ServerId> {
        self.state().leader
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic within")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_leader_counts_until_it_ends() {
        let reign = Reign::default();
        let elected = |epoch, server| {
            let leader = ServerId(server);
            let epoch = Epoch(epoch);
            reign.said(leader, &Event::Elected { epoch, leader });
        };
        assert_eq!(reign.leader(), None);
        elected(2, 3);
        elected(1, 1);
        assert_eq!(reign.leader(), Some(ServerId(3)));
        reign.ended(ServerId(1));
        assert_eq!(reign.leader(), Some(ServerId(3)));
        elected(3, 1);
        reign.said(ServerId(3), &Event::Deposed { epoch: Epoch(2) });
        assert_eq!(reign.leader(), Some(ServerId(1)));
        reign.ended(ServerId(1));
        assert_eq!(reign.leader(), None);
    }
}
