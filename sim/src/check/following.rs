//! Whom a leader hears from: the members that follow it, as servers say of themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use althing_core::ids::{Epoch, ServerId, Zxid};
use althing_core::node::event::Event;

use crate::history::{History, What};

/// Which epoch each server followed, and who was a member, when.
#[derive(Clone, Debug, Default)]
pub struct Following {
    /// Of each server, in order: since when it follows in this epoch, or in none.
    turns: BTreeMap<ServerId, Vec<(Duration, Option<Epoch>)>>,
    /// In order: since when these are the members. Empty where nobody tells of any.
    members: Vec<(Duration, BTreeSet<ServerId>)>,
}

impl Following {
    /// As a run tells.
    pub fn of(history: &History) -> Following {
        let mut following = Following::default();
        let mut newest: Option<Zxid> = None;
        for moment in &history.moments {
            let (server, epoch) = match &moment.what {
                What::Said { server, event } => match event {
                    Event::Followed { epoch, leader } if leader != server => (server, Some(*epoch)),
                    // It lost its leader, or it leads.
                    Event::Canvassed { .. } | Event::Campaigned { .. } | Event::Elected { .. } => {
                        (server, None)
                    }
                    // Each server tells of each change when it executes it; the first one counts.
                    Event::Reconfigured { zxid, membership } if Some(*zxid) > newest => {
                        newest = Some(*zxid);
                        let members = membership.members();
                        following.members.push((moment.at, members));
                        continue;
                    }
                    _ => continue,
                },
                What::Killed { server } | What::Stopped { server, .. } => (server, None),
                _ => continue,
            };
            let turns = following.turns.entry(*server).or_default();
            turns.push((moment.at, epoch));
        }
        following
    }

    /// Was this server a member that followed in this epoch, all the time between these two?
    pub fn holds(&self, server: ServerId, epoch: Epoch, from: Duration, to: Duration) -> bool {
        let Some(turns) = self.turns.get(&server) else {
            return false;
        };
        let knows = turns.first().is_some_and(|(since, _)| *since <= from);
        knows
            && lasting(turns, from, to).all(|of| *of == Some(epoch))
            && lasting(&self.members, from, to).all(|of| of.contains(&server))
    }
}

/// What was true at some time between these two, of what is true until the next.
fn lasting<T>(turns: &[(Duration, T)], from: Duration, to: Duration) -> impl Iterator<Item = &T> {
    let begun = turns.partition_point(|(since, _)| *since <= from);
    let meanwhile = turns[begun.saturating_sub(1)..].iter();
    meanwhile
        .take_while(move |(since, _)| *since <= to)
        .map(|(_, what)| what)
}

#[cfg(test)]
mod tests {
    use althing_core::membership::Membership;

    use super::*;
    use crate::history::Moment;

    const LEADER: ServerId = ServerId(1);
    const TWO: ServerId = ServerId(2);
    const EPOCH: Epoch = Epoch(1);

    fn said(at_ms: u64, server: ServerId, event: Event) -> (u64, What) {
        (at_ms, What::Said { server, event })
    }

    fn followed(at_ms: u64, epoch: Epoch) -> (u64, What) {
        let leader = LEADER;
        said(at_ms, TWO, Event::Followed { epoch, leader })
    }

    /// A change of the members to these, under this position.
    fn reconfigured(at_ms: u64, by: ServerId, count: u32, voters: &[ServerId]) -> (u64, What) {
        let membership = Membership {
            voters: voters.iter().copied().collect(),
            ..Membership::default()
        };
        let zxid = Zxid::new(EPOCH, count);
        said(at_ms, by, Event::Reconfigured { zxid, membership })
    }

    /// Of these, did server 2 follow from 100 ms to 200 ms?
    fn holds(told: Vec<(u64, What)>) -> bool {
        let moments = told.into_iter().map(|(at_ms, what)| Moment {
            at: Duration::from_millis(at_ms),
            what,
        });
        let history = History {
            moments: moments.collect(),
        };
        let (from, to) = (Duration::from_millis(100), Duration::from_millis(200));
        Following::of(&history).holds(TWO, EPOCH, from, to)
    }

    #[test]
    fn who_follows_before_and_goes_on_is_heard() {
        assert!(holds(vec![followed(50, EPOCH)]));
        assert!(holds(vec![followed(50, EPOCH), followed(250, Epoch(2))]));
        assert!(!holds(vec![followed(50, Epoch(2))]));
        assert!(!holds(vec![followed(150, EPOCH)]));
        assert!(!holds(vec![]));
    }

    #[test]
    fn who_begins_or_ends_meanwhile_may_not_be_heard() {
        assert!(!holds(vec![followed(50, Epoch(0)), followed(150, EPOCH)]));
        let canvassed = said(150, TWO, Event::Canvassed { epoch: Epoch(2) });
        assert!(!holds(vec![followed(50, EPOCH), canvassed]));
        let killed = (90, What::Killed { server: TWO });
        assert!(!holds(vec![followed(50, EPOCH), killed]));
    }

    #[test]
    fn who_is_no_member_any_more_is_not_heard() {
        let both = || reconfigured(40, LEADER, 1, &[LEADER, TWO]);
        let alone = || reconfigured(150, LEADER, 2, &[LEADER]);
        assert!(holds(vec![both(), followed(50, EPOCH)]));
        assert!(!holds(vec![both(), followed(50, EPOCH), alone()]));
        // It tells late, what others have told long ago.
        let late = reconfigured(160, TWO, 1, &[LEADER, TWO]);
        assert!(!holds(vec![followed(50, EPOCH), alone(), late]));
    }
}
