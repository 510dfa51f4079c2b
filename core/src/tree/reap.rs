//! Znodes that go by themselves: containers that have lost their last child, and childless znodes
//! whose time to live is over.
//!
//! The leader looks for them by its clock and proposes that they go; whether each goes is decided
//! when that is executed, by the time in the transaction. So all servers agree, and one whose data
//! was set meanwhile, or that has a child again, stays.

use alloc::vec::Vec;

use crate::ids::Zxid;
use crate::time::WallTime;
use crate::tree::op::Change;
use crate::tree::owner::Owner;
use crate::tree::path::Path;
use crate::tree::slab::Slot;
use crate::tree::tree::Tree;

/// What a part of the search found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reapable {
    /// What may go.
    pub paths: Vec<Path>,
    /// Where the next part begins; 0 if this was the last one.
    pub next: u32,
}

impl Tree {
    /// The number of znodes that may go by themselves some day.
    pub fn reapable_count(&self) -> usize {
        self.ephemerals.reapable_count()
    }

    /// Looks for what may go at this time, from a place that an earlier part of the search told (0
    /// to begin): at `looked_at` znodes at most, to find `found` at most.
    pub fn reapable(&self, wall: WallTime, from: u32, looked_at: usize, found: usize) -> Reapable {
        let mut paths = Vec::new();
        let leases = self.ephemerals.leases_after(from);
        for (count, (number, znode)) in leases.enumerate() {
            if self.is_over(znode, wall) {
                paths.push(self.path_at(znode));
            }
            if count + 1 == looked_at || paths.len() == found {
                let next = number;
                return Reapable { paths, next };
            }
        }
        Reapable { paths, next: 0 }
    }

    /// Deletes those of these znodes whose time is over, whatever their ACLs; tells how many.
    pub fn reap(
        &mut self,
        zxid: Zxid,
        wall: WallTime,
        paths: &[Path],
        changes: &mut Vec<Change>,
    ) -> usize {
        let mut count = 0;
        for path in paths {
            let Some(slot) = self.find(path.as_str()) else {
                continue;
            };
            if self.is_over(slot, wall) {
                let parent = self.znodes[slot].parent.expect("the root is nobody's");
                self.remove(zxid, parent, slot, path, changes);
                count += 1;
            }
        }
        count
    }

    fn is_over(&self, slot: Slot, wall: WallTime) -> bool {
        let Some(owner) = self.owner_at(slot) else {
            return false;
        };
        let family = self.family_at(slot);
        if family.is_some_and(|family| family.count > 0) {
            return false;
        }
        match Owner::from_number(owner.0) {
            Owner::Session(_) => false,
            Owner::Container => family.is_some_and(|family| family.past.creations > 0),
            Owner::Ttl(ttl) => {
                let idle = wall.0.saturating_sub(self.znodes[slot].mtime.0);
                u64::try_from(idle).is_ok_and(|idle| idle > ttl.ms())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::code::Code;
    use crate::config::HardLimits;
    use crate::ids::SessionId;
    use crate::tree::acl::Acl;
    use crate::tree::op::{ANY_VERSION, Create, Done, Lifetime, Naming, Op, Telling};
    use crate::tree::owner::Ttl;
    use crate::tree::path::Place;
    use crate::tree::tree::Context;

    struct Stage {
        tree: Tree,
        zxid: u64,
    }

    impl Stage {
        fn execute(&mut self, wall: i64, op: &Op) -> Result<Done, Code> {
            self.zxid += 1;
            let context = Context {
                zxid: Zxid(self.zxid),
                wall: WallTime(wall),
                session: Some(SessionId(7)),
                identities: &[],
                data_bytes_max: 100,
                hard_limits: HardLimits::Advised,
            };
            self.tree.execute(&context, op, &mut Vec::new())
        }

        fn create(&mut self, wall: i64, path: &str, lifetime: Lifetime) -> Result<i64, Code> {
            let create = Create {
                place: Place::exact(path).unwrap(),
                data: None,
                acl: Acl::open(),
                lifetime,
                naming: Naming::Exact,
                telling: Telling::PathAndStat,
            };
            match self.execute(wall, &Op::Create(create))? {
                Done::Created { stat, .. } => {
                    let slot = self.tree.find(path).unwrap();
                    let owner = self.tree.owner_at(slot).map_or(0, |owner| owner.0);
                    let is_session = owner != 0 && Owner::from_number(owner).is_session();
                    let shown = if is_session { owner } else { 0 };
                    assert_eq!(stat.ephemeral_owner, shown, "clients see sessions only");
                    Ok(owner)
                }
                done => panic!("{done:?}"),
            }
        }

        fn delete(&mut self, path: &str) {
            let (path, version) = (Path::parse(path).unwrap(), ANY_VERSION);
            self.execute(0, &Op::Delete { path, version }).unwrap();
        }

        fn found(&self, wall: i64) -> Vec<Path> {
            let found = self.tree.reapable(WallTime(wall), 0, 100, 100);
            assert_eq!(found.next, 0);
            found.paths
        }

        fn reap(&mut self, wall: i64, paths: &[Path]) -> usize {
            self.zxid += 1;
            let (zxid, mut changes) = (Zxid(self.zxid), Vec::new());
            let count = self.tree.reap(zxid, WallTime(wall), paths, &mut changes);
            assert_eq!(changes.len(), count, "watches hear of each");
            count
        }
    }

    fn stage() -> Stage {
        let tree = Tree::new();
        Stage { tree, zxid: 0 }
    }

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    #[test]
    fn a_container_goes_after_its_last_child_and_not_before_its_first() {
        let mut stage = stage();
        let empty = stage.tree.digest();
        let owner = stage.create(0, "/box", Lifetime::Container).unwrap();
        assert_eq!(owner, i64::MIN);
        let all = [path("/box")];
        assert_eq!(stage.found(i64::MAX), []);
        assert_eq!(stage.reap(i64::MAX, &all), 0, "it had no child yet");
        stage.create(0, "/box/a", Lifetime::Persistent).unwrap();
        assert_eq!(stage.reap(i64::MAX, &all), 0, "it has a child");
        stage.delete("/box/a");
        assert_eq!(stage.found(0), all);
        stage.create(0, "/box/b", Lifetime::Ephemeral).unwrap();
        assert_eq!(stage.reap(0, &all), 0, "it has a child again");
        stage.delete("/box/b");
        assert_eq!(stage.tree.reapable_count(), 1);
        assert_eq!(stage.reap(0, &all), 1);
        assert_eq!(stage.reap(0, &all), 0, "it is gone");
        assert_eq!(stage.tree.reapable_count(), 0);
        assert_ne!(stage.tree.digest(), empty, "the root remembers a child");
    }

    #[test]
    fn a_time_to_live_counts_from_the_last_data_and_without_children() {
        let mut stage = stage();
        let lifetime = Lifetime::Ttl(Ttl::from_ms(100).unwrap());
        let owner = stage.create(1000, "/brief", lifetime).unwrap();
        assert_eq!(owner, 0xff00_0000_0000_0064_u64 as i64);
        let all = [path("/brief")];
        assert_eq!(stage.reap(1100, &all), 0, "it may live for all of it");
        assert_eq!(stage.reap(0, &all), 0, "the clock went back");
        assert_eq!(stage.found(1101), all);
        let set = Op::SetData {
            path: path("/brief"),
            data: None,
            version: ANY_VERSION,
        };
        stage.execute(1050, &set).unwrap();
        assert_eq!(stage.reap(1101, &all), 0, "its data was set");
        stage
            .create(1050, "/brief/a", Lifetime::Persistent)
            .unwrap();
        assert_eq!(stage.reap(9999, &all), 0, "it has a child");
        stage.delete("/brief/a");
        assert_eq!(stage.reap(1151, &all), 1);
    }

    #[test]
    fn what_belongs_to_sessions_or_to_nobody_never_goes() {
        let mut stage = stage();
        stage.create(0, "/mine", Lifetime::Ephemeral).unwrap();
        stage.create(0, "/ours", Lifetime::Persistent).unwrap();
        stage.create(0, "/box", Lifetime::Container).unwrap();
        let all = [path("/mine"), path("/ours"), path("/"), path("/none")];
        assert_eq!(stage.reap(i64::MAX, &all), 0);
        assert_eq!(stage.tree.ephemeral_count(), 1);
        let owners: Vec<SessionId> = stage.tree.ephemerals().map(|(owner, _)| owner).collect();
        assert_eq!(owners, [SessionId(7)]);
        let child = stage.create(0, "/mine/a", Lifetime::Persistent);
        assert_eq!(child, Err(Code::NoChildrenForEphemerals));
        // Who asks may delete it, after its last child, too.
        stage.create(0, "/ours/a", Lifetime::Persistent).unwrap();
        stage.delete("/ours/a");
        stage.delete("/ours");
        assert_eq!(stage.tree.stat("/ours"), None);
    }

    #[test]
    fn a_search_in_parts_finds_everything() {
        let mut stage = stage();
        let lifetime = Lifetime::Ttl(Ttl::from_ms(1).unwrap());
        for number in 0..10 {
            stage
                .create(0, &alloc::format!("/t-{number}"), lifetime)
                .unwrap();
        }
        for (looked_at, found) in [(3, 100), (100, 3), (1, 1), (10, 10), (11, 11)] {
            let (mut all, mut from) = (vec![], 0);
            loop {
                let part = stage.tree.reapable(WallTime(50), from, looked_at, found);
                assert!(part.paths.len() <= looked_at.min(found));
                all.extend(part.paths);
                from = part.next;
                if from == 0 {
                    break;
                }
            }
            all.sort();
            all.dedup();
            assert_eq!(all.len(), 10);
        }
    }
}
