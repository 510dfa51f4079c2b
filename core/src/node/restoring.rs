//! The operator's wish for what a snapshot holds, on its way to the leader: in parts, each of which
//! is agreed like what clients ask for.

use alloc::sync::Arc;

use crate::config::LEVEL_RESTORING;
use crate::ids::SessionId;
use crate::node::effect::Outbox;
use crate::node::event::Event;
use crate::node::node::Node;
use crate::store::txn::{Action, Entry, Txn};
use crate::time::Now;
use crate::tree::restoring::Restoration;

impl Node {
    /// Can snapshots be restored while clients are served?
    pub(super) fn restores(&self) -> bool {
        self.store.settings().feature_level >= LEVEL_RESTORING
    }

    /// Hands a part on to the leader, if there is one, in this server's lane: so it is done once,
    /// after the parts before it, or never, if the leader changes. [`Node::restored`] tells of it.
    pub(super) fn restore_asked(&mut self, now: Now, part: Restoration, out: &mut Outbox) {
        self.hand_over_requests(now, out);
        if self.handed_to.is_none() || !self.restores() {
            return;
        }
        if !self.locals.lane.waits() && self.unexecuted == 0 {
            self.retry_at = now.clock.after(self.config.election_timeout * 2);
        }
        // No session: the last number of this server's own stands for its operator.
        let operator = SessionId::local(self.config.server, u64::MAX);
        let lane = &mut self.locals.lane;
        let txn = Arc::new(Txn {
            origin: Some(lane.next(operator)),
            ..Txn::of_servers(now.wall, Action::Restore(part))
        });
        lane.keep(Arc::clone(&txn));
        self.hand_on(now, txn, out);
    }

    /// The mark of the last part that was ordered here and is executed here. Whatever was agreed
    /// before it was ordered is executed, too, and no part that was ordered here before it will
    /// ever be.
    pub fn restored(&self) -> u64 {
        self.restored
    }

    /// A part is executed.
    pub(super) fn part_restored(&mut self, entry: &Entry, refused: usize, out: &mut Outbox) {
        let Action::Restore(part) = &entry.txn.action else {
            unreachable!("only a part of a snapshot is restored")
        };
        let by = entry.txn.origin.map(|origin| origin.session.opener());
        if by == Some(self.config.server) {
            self.restored = part.mark;
        }
        let count = part.len();
        self.note_news(entry.zxid, Event::Restored { count, refused }, out);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::config::{Config, LEVEL_QUOTAS, Restoring};
    use crate::ids::ServerId;
    use crate::node::input::Input;
    use crate::node::request::{Read, Request, Watching};
    use crate::tree::acl::Acl;
    use crate::tree::data::Data;
    use crate::tree::op::{Create, Lifetime, Naming, Op, Telling};
    use crate::tree::path::{Path, Place};
    use crate::trio::{SERVERS, Trio};

    fn restoring(mut config: Config) -> Config {
        config.restoring = Restoring::On;
        config
    }

    fn part() -> Restoration {
        let create = Op::Create(Create {
            place: Place::exact("/a").unwrap(),
            data: Some(Data::from("back")),
            acl: Acl::open(),
            lifetime: Lifetime::Persistent,
            naming: Naming::Exact,
            telling: Telling::Path,
        });
        let path = Path::parse("/missing").unwrap();
        let delete = Op::Delete { path, version: -1 };
        Restoration {
            mark: 9,
            ops: vec![delete, create],
            counts: vec![(Path::parse("/a").unwrap(), 7)],
        }
    }

    /// What was refused of each part that a server has executed.
    fn refused(trio: &Trio) -> Vec<usize> {
        let refused = |(_, event): &(_, Event)| match event {
            Event::Restored { count: 3, refused } => Some(*refused),
            _ => None,
        };
        trio.events.iter().filter_map(refused).collect()
    }

    #[test]
    fn a_part_is_agreed_whoever_is_asked_and_watches_are_told() {
        for leads in [true, false] {
            let mut trio = Trio::new(restoring);
            let server = match leads {
                true => trio.leader(),
                false => trio.follower(),
            };
            let (client, given) = trio.newcomer(server);
            let exists = Request::Read(Read::Exists {
                path: Path::parse("/a").unwrap(),
                watching: Watching::Once,
            });
            assert!(trio.ask(client, exists).is_err());
            trio.step(server, Input::RestoreAsked(part()));
            trio.pass(200);
            assert_eq!(refused(&trio), [1, 1, 1], "there was nothing to delete");
            let marks = SERVERS.map(|of| trio.node(of).restored());
            assert_eq!(marks, SERVERS.map(|of| if of == server { 9 } else { 0 }));
            let stats = SERVERS.map(|server| trio.node(server).store().tree().stat("/a"));
            let stat = stats[0].expect("it is there");
            assert!(stats.iter().all(|other| *other == Some(stat)));
            assert_eq!(stat.cversion, 14);
            let fired = |(_, event): &(_, Event)| matches!(event, Event::WatchFired { .. });
            assert_eq!(trio.events.iter().filter(|event| fired(event)).count(), 1);
            assert!(
                trio.is_of_all(given.session.unwrap()),
                "no session ends for it"
            );
        }
    }

    #[test]
    fn a_leader_that_was_not_told_to_does_not() {
        let only_one = |config: Config| match config.server {
            ServerId(1) => restoring(config),
            _ => config,
        };
        let mut trio = Trio::new(only_one);
        let mut on = Vec::new();
        for _ in 0..20 {
            let leader = trio.leader();
            on.push(leader == SERVERS[0]);
            let level = trio.node(leader).store().settings().feature_level;
            let before = refused(&trio).len();
            for server in SERVERS {
                trio.step(server, Input::RestoreAsked(part()));
                trio.pass(200);
            }
            let done = refused(&trio).len() - before;
            match leader == SERVERS[0] {
                true => assert_eq!((level, done), (LEVEL_RESTORING, 3 * SERVERS.len())),
                false => assert_eq!((level, done), (LEVEL_QUOTAS, 0)),
            }
            trio.start(leader);
            trio.pass(3_000);
        }
        assert!(on.contains(&true) && on.contains(&false));
    }
}
