//! How long nobody led: from the end of a leader to the election of the next, as servers say. A
//! leader that is cut off leads until it notices; what its clients feel is told by
//! [`crate::outage`].

use std::time::Duration;

use althing_core::ids::{Epoch, ServerId};
use althing_core::node::event::Event;

use crate::history::{History, What};

/// The total time of `history`, which ended at `end`, in which no server that was elected ran and
/// was not deposed; the time before the first election included.
pub fn leaderless(history: &History, end: Duration) -> Duration {
    let mut leader: Option<(Epoch, ServerId)> = None;
    let mut newest = Epoch(0);
    let mut since = Duration::ZERO;
    let mut total = Duration::ZERO;
    for moment in &history.moments {
        let ended = match &moment.what {
            What::Said { server, event } => match event {
                Event::Elected { epoch, leader: who } if who == server && *epoch >= newest => {
                    if leader.is_none() {
                        total += moment.at.saturating_sub(since);
                    }
                    newest = *epoch;
                    leader = Some((*epoch, *server));
                    continue;
                }
                Event::Deposed { epoch } => leader == Some((*epoch, *server)),
                _ => continue,
            },
            What::Killed { server } | What::Stopped { server, .. } => {
                leader.is_some_and(|(_, who)| who == *server)
            }
            _ => continue,
        };
        if ended {
            leader = None;
            since = moment.at;
        }
    }
    if leader.is_none() {
        total += end.saturating_sub(since);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Moment;

    fn said(server: u8, event: Event) -> What {
        let server = ServerId(server);
        What::Said { server, event }
    }

    fn elected(epoch: u32, server: u8) -> What {
        let leader = ServerId(server);
        let epoch = Epoch(epoch);
        said(server, Event::Elected { epoch, leader })
    }

    fn seconds(moments: Vec<(u64, What)>) -> u64 {
        let moments = moments.into_iter().map(|(at, what)| Moment {
            at: Duration::from_secs(at),
            what,
        });
        let history = History {
            moments: moments.collect(),
        };
        leaderless(&history, Duration::from_secs(100)).as_secs()
    }

    #[test]
    fn a_vacancy_lasts_from_the_end_of_a_leader_to_the_next() {
        assert_eq!(seconds(vec![]), 100);
        assert_eq!(seconds(vec![(3, elected(1, 1))]), 3);
        let server = ServerId(1);
        let killed = || What::Killed { server };
        assert_eq!(
            seconds(vec![
                (0, elected(1, 1)),
                (10, killed()),
                (12, elected(2, 2))
            ]),
            2
        );
        let deposed = |epoch| {
            said(
                1,
                Event::Deposed {
                    epoch: Epoch(epoch),
                },
            )
        };
        assert_eq!(
            seconds(vec![
                (0, elected(1, 1)),
                (10, elected(2, 2)),
                // The first notices late: nobody missed it.
                (20, deposed(1)),
                (30, killed()),
            ]),
            0
        );
        assert_eq!(seconds(vec![(0, elected(1, 1)), (90, deposed(1))]), 10);
    }
}
