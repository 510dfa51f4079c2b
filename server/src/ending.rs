//! How a server ends: what it waits for, in which order, and for how long.

use althing_core::node::status::Role;
use althing_core::time::Instant;

use crate::limits::{STOP_ANSWERS_MAX, STOP_HAND_OVER_MAX, STOP_REPLIES_MAX, STOP_SAVES_MAX};

/// How far a server is on its way to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It is not on its way.
    Serving,
    /// No more clients and no more requests; a leader waits until another server leads, so that the
    /// clients of the others notice nothing.
    HandingOver {
        /// Not longer.
        until: Instant,
    },
    /// What is being saved becomes durable, and what was asked is answered.
    Saving {
        /// Not longer for saves.
        until: Instant,
        /// Not longer for answers, which may depend on other servers.
        answers_until: Instant,
    },
    /// The clients take their last replies.
    Closing {
        /// Not longer.
        until: Instant,
    },
    /// Nothing is left to do.
    Ended,
}

/// What is left to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Left {
    /// What part the node plays.
    pub role: Role,
    /// Saves that are not answered.
    pub saving: usize,
    /// Requests that are not answered.
    pub unanswered: usize,
    /// Connections.
    pub clients: usize,
    /// Links to other servers.
    pub links: usize,
}

impl Phase {
    /// The first phase of the end.
    pub fn begin(now: Instant) -> Phase {
        Phase::HandingOver {
            until: now.after(STOP_HAND_OVER_MAX),
        }
    }

    /// The next phase, if it is time for it.
    pub fn next(self, now: Instant, left: Left) -> Option<Phase> {
        match self {
            Phase::Serving | Phase::Ended => None,
            Phase::HandingOver { until } => {
                let has_heirs = left.role == Role::Leader && left.links > 0;
                let waits = has_heirs && now < until;
                (!waits).then(|| Phase::Saving {
                    until: now.after(STOP_SAVES_MAX),
                    answers_until: now.after(STOP_ANSWERS_MAX),
                })
            }
            Phase::Saving {
                until,
                answers_until,
            } => {
                let saves = left.saving > 0 && now < until;
                let answers = left.unanswered > 0 && now < answers_until;
                (!saves && !answers).then(|| Phase::Closing {
                    until: now.after(STOP_REPLIES_MAX),
                })
            }
            Phase::Closing { until } => (left.clients == 0 || now >= until).then_some(Phase::Ended),
        }
    }

    /// The next hour at which [`Phase::next`] may tell more than it does now.
    pub fn wakes_at(self, now: Instant) -> Option<Instant> {
        match self {
            Phase::Serving | Phase::Ended => None,
            Phase::HandingOver { until } | Phase::Closing { until } => Some(until),
            Phase::Saving {
                until,
                answers_until,
            } => [answers_until, until].into_iter().find(|at| *at > now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Left = Left {
        role: Role::Looking,
        saving: 0,
        unanswered: 0,
        clients: 0,
        links: 0,
    };

    fn at(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    /// The names of the phases that pass at one moment.
    fn passed(phase: &mut Phase, now: Instant, left: Left) -> usize {
        let mut count = 0;
        while let Some(next) = phase.next(now, left) {
            *phase = next;
            count += 1;
        }
        count
    }

    #[test]
    fn who_has_nothing_to_do_ends_at_once() {
        let mut phase = Phase::begin(at(0));
        assert_eq!(passed(&mut phase, at(0), NOTHING), 3);
        assert_eq!(phase, Phase::Ended);
        assert_eq!(Phase::Serving.next(at(0), NOTHING), None);
    }

    #[test]
    fn a_leader_waits_for_its_successor_and_not_for_ever() {
        let leader = Left {
            role: Role::Leader,
            links: 2,
            ..NOTHING
        };
        let begun = Phase::begin(at(0));
        let last = Left { links: 0, ..leader };
        assert!(begun.next(at(1), last).is_some(), "nobody can take over");
        assert_eq!(begun.next(at(1999), leader), None);
        assert_eq!(begun.wakes_at(at(1)), Some(at(2000)));
        let saving = begun.next(at(2000), leader);
        assert!(matches!(saving, Some(Phase::Saving { .. })), "{saving:?}");
        let follower = begun.next(at(1), NOTHING);
        assert!(
            matches!(follower, Some(Phase::Saving { .. })),
            "{follower:?}"
        );
    }

    #[test]
    fn saves_are_waited_for_longer_than_answers() {
        let left = Left {
            saving: 1,
            unanswered: 1,
            ..NOTHING
        };
        let mut phase = Phase::begin(at(0));
        passed(&mut phase, at(0), left);
        assert_eq!(phase.wakes_at(at(0)), Some(at(2000)));
        assert_eq!(phase.next(at(2000), left), None);
        assert_eq!(phase.wakes_at(at(2000)), Some(at(10_000)));
        let unanswered = Left { saving: 0, ..left };
        assert_eq!(phase.next(at(1999), unanswered), None);
        let closing = phase.next(at(2000), unanswered);
        assert!(
            matches!(closing, Some(Phase::Closing { .. })),
            "{closing:?}"
        );
        assert!(phase.next(at(10_000), left).is_some());
    }
}
