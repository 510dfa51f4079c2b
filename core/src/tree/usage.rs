//! What the subtrees under quotas have: kept in the stats of each by every change of what it
//! counts, and judged by the hard limits before a change is made.
//!
//! The stats are the only place where the numbers are. So they come back with a snapshot, and are
//! taken back with a `multi` as all data is.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::iter;

use crate::code::Code;
use crate::config::HardLimits;
use crate::tree::digest::PathDigest;
use crate::tree::path::Path;
use crate::tree::quota::{self, Growth, Limits, Part, QUOTAS, Usage};
use crate::tree::quotas::{Quota, Quotas};
use crate::tree::slab::Slot;
use crate::tree::tree::{Context, Tree, Upkeep};
use crate::tree::znode::Content;

/// What stood in stats that a change has rewritten, the oldest first.
pub(super) type Before = Vec<(Slot, Content)>;

/// A quota that a subtree exceeds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excess {
    /// On which path the quota is.
    pub path: Path,
    /// What there is too much of.
    pub measure: Measure,
    /// How much there may be.
    pub limit: u64,
    /// How much there is.
    pub used: u64,
}

/// What a limit limits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Measure {
    /// The number of znodes.
    Count,
    /// The number of bytes of data.
    Bytes,
}

impl Tree {
    /// The quotas that govern a znode and are exceeded, the nearest first: the hard limit counts if
    /// there is one, else the soft one.
    pub fn excesses(&self, path: &str) -> Vec<Excess> {
        let slot = match self.upkeep {
            Upkeep::Kept if !self.quotas.is_empty() => self.find(path),
            _ => None,
        };
        let mut excesses = Vec::new();
        for (path, limits, usage) in slot.into_iter().flat_map(|slot| self.judged_at(slot)) {
            let count = (limits.count_hard.or(limits.count), usage.count);
            let bytes = (limits.bytes_hard.or(limits.bytes), usage.bytes);
            for (measure, (limit, used)) in [(Measure::Count, count), (Measure::Bytes, bytes)] {
                if let Some(limit) = limit.filter(|limit| used > *limit) {
                    excesses.push(Excess {
                        path: path.clone(),
                        measure,
                        limit,
                        used,
                    });
                }
            }
        }
        excesses
    }

    /// Every quota that holds, in the order of their paths: its limits, and what its subtree has.
    pub fn quotas(&self) -> impl Iterator<Item = (&Path, Limits, Usage)> {
        let all = self.quotas.all();
        all.filter_map(|(path, quota)| self.read_quota(path, quota))
    }

    /// Keeps stats from here on, or no more. The first time they are all counted, whatever was in
    /// them.
    pub(crate) fn set_upkeep(&mut self, upkeep: Upkeep) {
        if self.upkeep != upkeep {
            self.upkeep = upkeep;
            self.recount();
        }
    }

    /// The stats are true already, if they are kept: a snapshot says so.
    pub(crate) fn resume_upkeep(&mut self, upkeep: Upkeep) {
        self.upkeep = upkeep;
    }

    /// Counts what every quota governs.
    pub(super) fn recount(&mut self) {
        let quotas = Arc::clone(&self.quotas);
        for (_, quota) in quotas.all() {
            self.count_anew(quota, &mut Vec::new());
        }
    }

    /// Finds all quotas of a tree that came about in another way than by operations.
    pub(super) fn index_quotas(&mut self) {
        let mut found = Vec::new();
        let mut open: Vec<Slot> = self.find(QUOTAS).into_iter().collect();
        while let Some(parent) = open.pop() {
            for child in self.children_at(parent) {
                open.push(child);
                if matches!(
                    self.znodes[child].content.name(),
                    quota::LIMITS | quota::STATS
                ) {
                    found.push((child, self.path_at(child)));
                }
            }
        }
        self.quotas = Arc::new(Quotas::default());
        for (slot, path) in found {
            self.note_attached(path.as_str(), slot);
        }
    }

    /// Keeps the index up to date: a znode lies at this place now.
    pub(super) fn note_attached(&mut self, path: &str, slot: Slot) {
        if let Some((governed, part)) = quota::part_at(path) {
            let root = self.find(governed);
            let governed = Path::parse(governed).expect("the end of a path is a path");
            Arc::make_mut(&mut self.quotas).add(governed, part, slot, root);
        } else if self.quotas.is_on(path) {
            let path = Path::parse(path).expect("only paths have quotas");
            Arc::make_mut(&mut self.quotas).set_root(&path, Some(slot));
        }
    }

    /// Keeps the index up to date: the znode at this place is about to go.
    pub(super) fn note_detached(&mut self, path: &str, slot: Slot) {
        if self.quotas.is_empty() {
            return;
        }
        if let Some((governed, part)) = quota::part_at(path) {
            Arc::make_mut(&mut self.quotas).remove(governed, part);
        } else if let Some((path, _)) = self.quotas.at(slot) {
            let path = path.clone();
            Arc::make_mut(&mut self.quotas).set_root(&path, None);
        }
    }

    /// A znode was created at this place: it is counted, and counts if it is a part of a quota.
    pub(super) fn count_in(&mut self, path: &str, slot: Slot, before: &mut Before) {
        self.note_attached(path, slot);
        let bytes = self.data_bytes_at(slot);
        self.charge(slot, Growth { count: 1, bytes }, before);
        let quota = quota::part_at(path).and_then(|(governed, _)| self.quotas.on(governed));
        if let Some(quota) = quota {
            self.count_anew(quota, before);
        }
    }

    /// The znode at this place is about to go.
    pub(super) fn count_out(&mut self, path: &str, slot: Slot, before: &mut Before) {
        let bytes = -self.data_bytes_at(slot);
        self.charge(slot, Growth { count: -1, bytes }, before);
        self.note_detached(path, slot);
    }

    /// Changes the stats of every quota that governs this place.
    pub(super) fn charge(&mut self, slot: Slot, growth: Growth, before: &mut Before) {
        if self.upkeep == Upkeep::Left || self.quotas.is_empty() {
            return;
        }
        let stats = self.governing(slot).filter_map(|(_, quota)| quota.parts());
        let stats: Vec<Slot> = stats.map(|(_, stats)| stats).collect();
        for stats in stats {
            let usage = Usage::parse(self.znodes[stats].content.data_or_empty());
            self.write_stats(stats, usage.after(growth), before);
        }
    }

    /// Would the change exceed a hard limit of a quota that governs this place, or of the one on
    /// `path`, whose root may be what is to be created?
    pub(super) fn check_quotas(
        &self,
        context: &Context<'_>,
        path: &str,
        slot: Slot,
        growth: Growth,
    ) -> Result<(), Code> {
        let is_free = self.upkeep == Upkeep::Left || self.quotas.is_empty();
        if is_free || context.hard_limits == HardLimits::Advised {
            return Ok(());
        }
        let own = self.quotas.on(path).filter(|quota| quota.root.is_none());
        let own = own.and_then(|quota| self.read(quota));
        let above = self
            .judged_at(slot)
            .map(|(_, limits, usage)| (limits, usage));
        let is_exceeded = own
            .into_iter()
            .chain(above)
            .any(|(limits, usage)| growth.exceeds(usage, limits.count_hard, limits.bytes_hard));
        match is_exceeded {
            true => Err(Code::QuotaExceeded),
            false => Ok(()),
        }
    }

    /// Are these the stats of a quota that holds? Then nobody's request changes what they say.
    pub(super) fn are_kept_stats(&self, path: &str) -> bool {
        self.upkeep == Upkeep::Kept
            && quota::part_at(path).is_some_and(|(governed, part)| {
                let quota = self.quotas.on(governed);
                part == Part::Stats && quota.is_some_and(|quota| quota.parts().is_some())
            })
    }

    /// The quotas that govern this place, the nearest first.
    fn governing(&self, slot: Slot) -> impl Iterator<Item = (&Path, Quota)> {
        iter::successors(Some(slot), |slot| self.znodes[*slot].parent)
            .filter_map(|slot| self.quotas.at(slot))
    }

    /// Those that hold, with what they say.
    fn judged_at(&self, slot: Slot) -> impl Iterator<Item = (&Path, Limits, Usage)> {
        let governing = self.governing(slot);
        governing.filter_map(|(path, quota)| self.read_quota(path, quota))
    }

    fn read_quota<'a>(&self, path: &'a Path, quota: Quota) -> Option<(&'a Path, Limits, Usage)> {
        let (limits, usage) = self.read(quota)?;
        Some((path, limits, usage))
    }

    fn read(&self, quota: Quota) -> Option<(Limits, Usage)> {
        let (limits, stats) = quota.parts()?;
        let text = |slot: Slot| self.znodes[slot].content.data_or_empty();
        Some((Limits::parse(text(limits)), Usage::parse(text(stats))))
    }

    /// Writes what the subtree of a quota has, if it holds.
    fn count_anew(&mut self, quota: Quota, before: &mut Before) {
        if let Some((_, stats)) = quota.parts().filter(|_| self.upkeep == Upkeep::Kept) {
            let usage = quota
                .root
                .map_or(Usage::default(), |root| self.counted(root));
            self.write_stats(stats, usage, before);
        }
    }

    /// Counts a subtree. Takes time in proportion to it.
    fn counted(&self, root: Slot) -> Usage {
        let (mut usage, mut open) = (Usage::default(), Vec::from([root]));
        while let Some(slot) = open.pop() {
            let bytes = self.data_bytes_at(slot);
            usage = usage.after(Growth { count: 1, bytes });
            open.extend(self.children_at(slot));
        }
        usage
    }

    /// Writes stats, as ZooKeeper does: the version stays, and no watch fires.
    fn write_stats(&mut self, stats: Slot, usage: Usage, before: &mut Before) {
        let path = self.path_at(stats);
        let digest = PathDigest::of(path.as_str());
        let gone = self.digest_at(stats, digest);
        self.bytes -= self.data_bytes_at(stats) as u64;
        let content = &mut self.znodes[stats].content;
        let written = Content::new(content.name(), Some(usage.to_string().as_bytes()));
        before.push((stats, core::mem::replace(content, written)));
        self.bytes += self.data_bytes_at(stats) as u64;
        let come = self.digest_at(stats, digest);
        self.digest = self.digest.wrapping_sub(gone).wrapping_add(come);
    }

    /// Takes back what was written into stats. The digest is restored as a total.
    pub(super) fn restore_stats(&mut self, before: Before) {
        for (stats, content) in before.into_iter().rev() {
            self.znodes[stats].content = content;
        }
    }

    fn data_bytes_at(&self, slot: Slot) -> i64 {
        self.znodes[slot].content.data_or_empty().len() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{SessionId, Zxid};
    use crate::time::WallTime;
    use crate::tree::acl::Acl;
    use crate::tree::data::Data;
    use crate::tree::op::{ANY_VERSION, Change, Create, Lifetime, Naming, Op, Telling};
    use crate::tree::path::Place;

    struct Stage {
        tree: Tree,
        hard_limits: HardLimits,
        zxid: u64,
    }

    impl Stage {
        fn new() -> Stage {
            Stage {
                tree: Tree::new(),
                hard_limits: HardLimits::Enforced,
                zxid: 0,
            }
        }

        fn all(&mut self, ops: &[Op]) -> Result<(), (usize, Code)> {
            self.zxid += 1;
            let context = Context {
                zxid: Zxid(self.zxid),
                wall: WallTime(0),
                session: Some(SessionId(7)),
                identities: &[],
                data_bytes_max: 100,
                hard_limits: self.hard_limits,
            };
            let done = self.tree.execute_all(&context, ops, &mut Vec::new());
            done.map(|_| ())
        }

        fn one(&mut self, op: Op) -> Result<(), Code> {
            self.all(&[op]).map_err(|(_, code)| code)
        }

        /// A quota as ZooKeeper's shell makes it, on a path of one element.
        fn quota(&mut self, on: &str, limits: &str) {
            let parent = alloc::format!("{QUOTAS}{on}");
            self.one(create(&parent, "")).unwrap();
            self.one(create(&quota::limits_path(on), limits)).unwrap();
            let stats = create(&quota::stats_path(on), "count=0,bytes=0");
            self.one(stats).unwrap();
        }

        fn stats(&self, on: &str) -> alloc::string::String {
            let (data, _) = self.tree.data(&quota::stats_path(on), &[]).unwrap();
            alloc::string::String::from_utf8(data.unwrap().to_vec()).unwrap()
        }
    }

    fn create_as(path: &str, data: &str, lifetime: Lifetime) -> Op {
        Op::Create(Create {
            place: Place::exact(path).unwrap(),
            data: Some(Data::from(data)),
            acl: Acl::open(),
            lifetime,
            naming: Naming::Exact,
            telling: Telling::Path,
        })
    }

    fn create(path: &str, data: &str) -> Op {
        create_as(path, data, Lifetime::Persistent)
    }

    fn set(path: &str, data: &str) -> Op {
        Op::SetData {
            path: Path::parse(path).unwrap(),
            data: Some(Data::from(data)),
            version: ANY_VERSION,
        }
    }

    fn delete(path: &str) -> Op {
        Op::Delete {
            path: Path::parse(path).unwrap(),
            version: ANY_VERSION,
        }
    }

    #[test]
    fn stats_are_what_is_there_from_the_first_moment_on() {
        let mut stage = Stage::new();
        stage.one(create("/a", "12")).unwrap();
        stage.one(create("/a/b", "345")).unwrap();
        stage.quota("/a", "count=-1,bytes=-1");
        assert_eq!(stage.stats("/a"), "count=2,bytes=5");
        let version = stage.tree.stat(&quota::stats_path("/a")).unwrap().version;
        stage
            .one(create_as("/a/b/c", "6", Lifetime::Ephemeral))
            .unwrap();
        stage.one(create("/ab", "other")).unwrap();
        stage.one(set("/a", "")).unwrap();
        assert_eq!(stage.stats("/a"), "count=3,bytes=4");
        let changes: &mut Vec<Change> = &mut Vec::new();
        stage
            .tree
            .delete_ephemerals_of(Zxid(99), SessionId(7), changes);
        assert_eq!(stage.stats("/a"), "count=2,bytes=3");
        stage.all(&[delete("/a/b"), delete("/a")]).unwrap();
        assert_eq!(stage.stats("/a"), "count=0,bytes=0");
        stage.one(create("/a", "again")).unwrap();
        assert_eq!(stage.stats("/a"), "count=1,bytes=5");
        let stat = stage.tree.stat(&quota::stats_path("/a")).unwrap();
        assert_eq!(stat.version, version, "as in ZooKeeper, versions stay");
        // Nobody sets what is true.
        stage
            .one(set(&quota::stats_path("/a"), "count=0,bytes=0"))
            .unwrap();
        assert_eq!(stage.stats("/a"), "count=1,bytes=5");
        let stat = stage.tree.stat(&quota::stats_path("/a")).unwrap();
        assert_eq!(stat.version, version + 1);
        // Without limits they are like any data, until there are limits again.
        stage.one(delete(&quota::limits_path("/a"))).unwrap();
        stage.one(set(&quota::stats_path("/a"), "mine")).unwrap();
        stage.one(create("/a/b", "78")).unwrap();
        assert_eq!(stage.stats("/a"), "mine");
        stage.one(create(&quota::limits_path("/a"), "")).unwrap();
        assert_eq!(stage.stats("/a"), "count=2,bytes=7");
    }

    #[test]
    fn a_multi_that_fails_takes_everything_back() {
        let mut stage = Stage::new();
        stage.one(create("/a", "12")).unwrap();
        stage.quota("/a", "countHardLimit=3,byteHardLimit=9");
        let digest = stage.tree.digest();
        let ops = [
            create("/a/b", "34"),
            set("/a", "123456"),
            delete(&quota::limits_path("/a")),
            create("/a/c", "not counted"),
            delete("/a/b"),
            delete(&quota::stats_path("/a")),
            create(&quota::stats_path("/a"), "anything"),
            create(&quota::limits_path("/a"), "count=1"),
            delete("/none"),
        ];
        assert_eq!(stage.all(&ops), Err((8, Code::NoNode)));
        assert_eq!(stage.tree.digest(), digest);
        assert_eq!(stage.stats("/a"), "count=1,bytes=2");
        // What was taken back still governs.
        stage.one(create("/a/b", "3456789")).unwrap();
        assert_eq!(stage.stats("/a"), "count=2,bytes=9");
        assert_eq!(stage.one(create("/a/c", "x")), Err(Code::QuotaExceeded));
        stage.one(create("/a/c", "")).unwrap();
        assert_eq!(stage.one(create("/a/d", "")), Err(Code::QuotaExceeded));
    }

    #[test]
    fn every_quota_above_judges_and_within_a_multi_too() {
        let mut stage = Stage::new();
        stage.all(&[create("/a", ""), create("/a/b", "")]).unwrap();
        stage.quota("/a", "countHardLimit=4");
        let inner = quota::limits_path("/a/b");
        stage.one(create("/zookeeper/quota/a/b", "")).unwrap();
        stage.one(create(&inner, "countHardLimit=2")).unwrap();
        stage.one(create(&quota::stats_path("/a/b"), "")).unwrap();
        let burst = [create("/a/b/1", ""), create("/a/b/2", "")];
        assert_eq!(stage.all(&burst), Err((1, Code::QuotaExceeded)));
        stage.one(set(&inner, "countHardLimit=9")).unwrap();
        stage.all(&burst).unwrap();
        assert_eq!(stage.stats("/a"), "count=4,bytes=0");
        assert_eq!(stage.stats("/a/b"), "count=3,bytes=0");
        assert_eq!(stage.one(create("/a/b/3", "")), Err(Code::QuotaExceeded));
        // A quota may be there before what it governs.
        stage.quota("/c", "countHardLimit=0");
        assert_eq!(stage.one(create("/c", "")), Err(Code::QuotaExceeded));
        stage.hard_limits = HardLimits::Advised;
        stage.one(create("/c", "")).unwrap();
        let excess = stage.tree.excesses("/c").pop().unwrap();
        assert_eq!(
            (excess.path.as_str(), excess.limit, excess.used),
            ("/c", 0, 1)
        );
    }

    #[test]
    fn soft_limits_are_told_of_and_what_shrinks_is_never_refused() {
        let mut stage = Stage::new();
        stage.one(create("/a", "123456")).unwrap();
        stage.quota("/a", "count=1,bytes=3");
        stage.one(create("/a/b", "")).unwrap();
        let told = stage.tree.excesses("/a/b");
        let told: Vec<_> = told.iter().map(|e| (e.measure, e.limit, e.used)).collect();
        assert_eq!(told, [(Measure::Count, 1, 2), (Measure::Bytes, 3, 6)]);
        assert_eq!(stage.tree.excesses("/b"), []);
        let hard = set(&quota::limits_path("/a"), "count=1;bytes=3;byteHardLimit=4");
        stage.one(hard).unwrap();
        assert_eq!(stage.tree.excesses("/a").len(), 2);
        stage.one(set("/a", "12345")).unwrap();
        stage.one(set("/a", "54321")).unwrap();
        assert_eq!(stage.one(set("/a", "123456")), Err(Code::QuotaExceeded));
        stage.one(delete("/a/b")).unwrap();
    }

    #[test]
    fn a_level_that_knows_no_quotas_leaves_stats_and_the_next_one_counts() {
        let mut stage = Stage::new();
        stage.tree.set_upkeep(Upkeep::Left);
        stage.one(create("/a", "1")).unwrap();
        stage.quota("/a", "countHardLimit=1");
        stage.one(create("/a/b", "2")).unwrap();
        assert_eq!(stage.stats("/a"), "count=0,bytes=0");
        assert_eq!(stage.tree.excesses("/a"), []);
        stage.tree.set_upkeep(Upkeep::Kept);
        assert_eq!(stage.stats("/a"), "count=2,bytes=2");
        assert_eq!(stage.one(create("/a/c", "")), Err(Code::QuotaExceeded));
    }
}
