//! Setting a tree back to what another one holds, while it is in use: by changes like those that
//! clients ask for, so that versions and positions go on growing, and whoever watches is told.
//!
//! What belongs to sessions is not part of it: ephemeral znodes of the other tree have lost their
//! sessions, and those that are here keep theirs. docs/operations.md tells operators what this
//! means for them.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::config::HardLimits;
use crate::tree::digest::PathDigest;
use crate::tree::op::{ANY_VERSION, Change, Create, Lifetime, Naming, Op, Telling};
use crate::tree::owner::Owner;
use crate::tree::path::{Path, Place};
use crate::tree::quota::{self, Part};
use crate::tree::slab::Slot;
use crate::tree::tree::{CONFIG, Context, RESERVED, Tree};
use crate::tree::znode::Past;

/// Most operations of one transaction: all servers execute it in one step, and everybody who
/// watches is told.
const OPS_MAX: usize = 256;

/// What the operations of one transaction weigh at most, unless one weighs more by itself.
const WEIGHT_MAX: usize = 256 * 1024;

/// A part of the way from one tree to another: what one transaction does.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Restoration {
    /// By which whoever ordered it knows it again; chosen at random.
    pub mark: u64,
    /// What to do, in this order, whatever becomes of the others.
    pub ops: Vec<Op>,
    /// How many children each of these znodes has created at least, so that no sequence number is
    /// given twice.
    pub counts: Vec<(Path, u64)>,
}

impl Restoration {
    /// How much it changes at most.
    pub fn len(&self) -> usize {
        self.ops.len() + self.counts.len()
    }

    /// Does it change nothing?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how many bytes it takes in memory.
    pub fn weight(&self) -> usize {
        let counts = self.counts.iter().map(|(path, _)| count_weight(path));
        self.ops.iter().map(Op::weight).sum::<usize>() + counts.sum::<usize>()
    }
}

impl Tree {
    /// The way from this tree to `wanted`, in transactions of bounded size; empty if they differ
    /// in nothing that counts. Takes time and memory in proportion to both trees.
    ///
    /// What counts are data, lists and lifetimes of all znodes but ephemeral ones and the
    /// configuration, and the sequence numbers; not the stats of quotas, which the servers keep.
    /// A znode that `wanted` does not have stays if ephemeral znodes are below it. What is missing
    /// comes first and what is too much goes last, so that nobody misses on the way what both have.
    pub fn way_to(&self, wanted: &Tree) -> Vec<Restoration> {
        let mut way = Way::default();
        let mut counts = Vec::new();
        // The nearest ancestor that was of another kind: nothing below it is here any more.
        let mut replaced: Option<String> = None;
        wanted.each_path(|slot, path| {
            if path == CONFIG || wanted.is_ephemeral(slot) {
                return;
            }
            let is_gone = replaced.as_ref().is_some_and(|above| is_below(path, above));
            let here = match is_gone {
                true => None,
                false => self.find(path),
            };
            let here = here.filter(|here| {
                let is_same = self.lifetime_at(*here) == wanted.lifetime_at(slot);
                if !is_same {
                    self.clear(*here, &mut way);
                    replaced = Some(path.to_string());
                }
                is_same
            });
            match here {
                Some(here) => self.mend(here, wanted, slot, path, &mut way),
                None => way.push(wanted.creation_of(slot, path)),
            }
            let known = here.map_or(0, |here| self.creations_at(here));
            if wanted.creations_at(slot) > known {
                counts.push((path_of(path), wanted.creations_at(slot)));
            }
        });
        self.remove_strangers(wanted, &mut way);
        way.count(counts);
        way.finish()
    }

    /// Goes a part of the way; tells how many operations were refused, since the tree is not the
    /// one any more that the way begins at. Everybody may do this, and no hard limit of a quota
    /// holds.
    pub fn restore(
        &mut self,
        context: &Context<'_>,
        part: &Restoration,
        changes: &mut Vec<Change>,
    ) -> usize {
        let context = Context {
            session: None,
            hard_limits: HardLimits::Advised,
            ..*context
        };
        let mut refused = 0;
        for op in &part.ops {
            refused += usize::from(self.execute(&context, op, changes).is_err());
        }
        for (path, creations) in &part.counts {
            self.count_creations(path, *creations);
        }
        refused
    }

    fn creations_at(&self, slot: Slot) -> u64 {
        self.past_at(slot).map_or(0, |past| past.creations)
    }

    fn lifetime_at(&self, slot: Slot) -> Lifetime {
        let owner = self.owner_at(slot);
        match owner.map(|owner| Owner::from_number(owner.0)) {
            None => Lifetime::Persistent,
            Some(Owner::Session(_)) => Lifetime::Ephemeral,
            Some(Owner::Container) => Lifetime::Container,
            Some(Owner::Ttl(ttl)) => Lifetime::Ttl(ttl),
        }
    }

    fn creation_of(&self, slot: Slot, path: &str) -> Op {
        Op::Create(Create {
            place: Place::exact(path).expect("names were checked when they were kept"),
            data: self.znodes[slot].content.shared_data(),
            acl: self.acl_at(slot).clone(),
            lifetime: self.lifetime_at(slot),
            naming: Naming::Exact,
            telling: Telling::Path,
        })
    }

    /// Makes the znode at `here` what it is in `wanted`.
    fn mend(&self, here: Slot, wanted: &Tree, there: Slot, path: &str, way: &mut Way) {
        let (content, other) = (&self.znodes[here].content, &wanted.znodes[there].content);
        if content.data() != other.data() && !are_stats(path) {
            way.push(Op::SetData {
                path: path_of(path),
                data: other.shared_data(),
                version: ANY_VERSION,
            });
        }
        if self.acl_at(here) != wanted.acl_at(there) {
            way.push(Op::SetAcl {
                path: path_of(path),
                acl: wanted.acl_at(there).clone(),
                version: ANY_VERSION,
            });
        }
    }

    /// Deletes a znode with everything below it, whosever it is.
    fn clear(&self, slot: Slot, way: &mut Way) {
        let mut found = Vec::new();
        let mut open = Vec::from([slot]);
        while let Some(slot) = open.pop() {
            found.push(slot);
            open.extend(self.children_at(slot));
        }
        for slot in found.into_iter().rev() {
            way.push(deletion_of(self.path_at(slot)));
        }
    }

    /// Deletes what `wanted` does not have, children first.
    fn remove_strangers(&self, wanted: &Tree, way: &mut Way) {
        let is_wanted = |path: &str| {
            let there = wanted.find(path);
            there.is_some_and(|there| !wanted.is_ephemeral(there))
        };
        // A child comes after its parent, so seen from the end every znode knows by its turn
        // whether one of its children stays.
        let mut found = Vec::new();
        self.each_path(|slot, path| {
            let stays = RESERVED.contains(&path) || self.is_ephemeral(slot) || is_wanted(path);
            found.push((slot, stays));
        });
        let mut above = Vec::new();
        while let Some((slot, stays)) = found.pop() {
            let has_child = above.last() == Some(&slot);
            while above.last() == Some(&slot) {
                above.pop();
            }
            if !stays && !has_child {
                way.push(deletion_of(self.path_at(slot)));
            } else if let Some(parent) = self.znodes[slot].parent
                && above.last() != Some(&parent)
            {
                above.push(parent);
            }
        }
    }

    fn count_creations(&mut self, path: &Path, creations: u64) {
        let Some(slot) = self
            .find(path.as_str())
            .filter(|slot| !self.is_ephemeral(*slot))
        else {
            return;
        };
        let pzxid = self.stat_at(slot).pzxid;
        if self.creations_at(slot) < creations {
            let past = Past { creations, pzxid };
            self.remember(slot, PathDigest::of(path.as_str()), past);
        }
    }
}

/// A way, as far as it was found.
#[derive(Default)]
struct Way {
    parts: Vec<Restoration>,
    weight: usize,
}

impl Way {
    fn push(&mut self, op: Op) {
        let weight = op.weight();
        self.room_for(weight).ops.push(op);
    }

    fn count(&mut self, counts: Vec<(Path, u64)>) {
        for (path, creations) in counts {
            let room = self.room_for(count_weight(&path));
            room.counts.push((path, creations));
        }
    }

    fn room_for(&mut self, weight: usize) -> &mut Restoration {
        let is_full = |last: &Restoration| {
            last.len() >= OPS_MAX || self.weight.saturating_add(weight) > WEIGHT_MAX
        };
        if self.parts.last().is_none_or(is_full) {
            self.parts.push(Restoration::default());
            self.weight = 0;
        }
        self.weight += weight;
        self.parts.last_mut().expect("there is one")
    }

    fn finish(self) -> Vec<Restoration> {
        self.parts
    }
}

/// About how many bytes the count of a znode's creations takes.
fn count_weight(path: &Path) -> usize {
    path.as_str().len() + 48
}

fn deletion_of(path: Path) -> Op {
    let version = ANY_VERSION;
    Op::Delete { path, version }
}

fn path_of(path: &str) -> Path {
    Path::parse(path).expect("names were checked when they were kept")
}

fn is_below(path: &str, above: &str) -> bool {
    let rest = path.strip_prefix(above);
    rest.is_some_and(|rest| rest.starts_with('/'))
}

/// Does a quota's account stand here? The servers keep it.
fn are_stats(path: &str) -> bool {
    quota::part_at(path).is_some_and(|(_, part)| part == Part::Stats)
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::format;

    use proptest::prelude::*;

    use super::*;
    use crate::code::Code;
    use crate::ids::SessionId;
    use crate::tree::acl::{Acl, Perms};
    use crate::tree::data::Data;
    use crate::tree::owner::Ttl;
    use crate::tree::steps::{arb_steps, grown, with_context};
    use crate::tree::walk::Builder;

    /// A server's own transaction, after everything that has grown a tree.
    const LATER: usize = 10_000;

    fn go(tree: &mut Tree, way: &[Restoration]) {
        let mut changes = Vec::new();
        for (number, part) in way.iter().enumerate() {
            assert!(part.len() <= OPS_MAX);
            with_context(0, LATER + number, |context| {
                tree.restore(context, part, &mut changes);
            });
        }
    }

    type Shown = (Option<Data>, Acl, Lifetime);

    /// What is to be the same, by path.
    fn lasting(tree: &Tree) -> BTreeMap<String, Shown> {
        let mut all = BTreeMap::new();
        tree.each_path(|slot, path| {
            let lifetime = tree.lifetime_at(slot);
            if path != CONFIG && lifetime != Lifetime::Ephemeral {
                let data = tree.znodes[slot].content.shared_data();
                let data = data.filter(|_| !are_stats(path));
                let shown = (data, tree.acl_at(slot).clone(), lifetime);
                all.insert(path.to_string(), shown);
            }
        });
        all
    }

    fn ephemerals(tree: &Tree) -> Vec<(SessionId, Path)> {
        let of = |(session, paths): (SessionId, Vec<Path>)| {
            paths.into_iter().map(move |path| (session, path))
        };
        tree.ephemerals().flat_map(of).collect()
    }

    /// The digest, the counts and the chains are those of a tree that is made of the same znodes.
    fn assert_sound(tree: &Tree) {
        let mut builder = Builder::new();
        let mut last = 0;
        while let Some((number, acl)) = tree.acl_after(last) {
            builder.add_acl(number, acl).expect("a list");
            last = number;
        }
        let mut next = Some(tree.first());
        while let Some(position) = next {
            builder.add(&tree.record(position)).expect("a znode");
            next = tree.after(position);
        }
        let again = builder.finish(tree.count() as u64, tree.digest());
        assert_eq!(again.expect("the same tree").bytes(), tree.bytes());
    }

    proptest! {
        #[test]
        fn a_way_ends_where_it_leads(before in arb_steps(60), wanted in arb_steps(60)) {
            let (before, wanted) = (grown(&before), grown(&wanted));
            let mut tree = before.clone();
            go(&mut tree, &before.way_to(&wanted));
            assert_sound(&tree);
            prop_assert_eq!(tree.way_to(&wanted), &[]);

            let (now, expected) = (lasting(&tree), lasting(&wanted));
            for (path, shown) in &expected {
                prop_assert_eq!(now.get(path), Some(shown), "{}", path);
                let creations = |tree: &Tree| tree.creations_at(tree.find(path).expect("there"));
                prop_assert!(creations(&tree) >= creations(&wanted), "{}", path);
            }
            let stay = ephemerals(&tree);
            for path in now.keys().filter(|path| !expected.contains_key(*path)) {
                let is_needed = stay.iter().any(|(_, below)| is_below(below.as_str(), path));
                prop_assert!(is_needed, "{} was to go", path);
            }
            for (session, path) in ephemerals(&before) {
                let gave_way = expected.contains_key(path.as_str());
                prop_assert_eq!(stay.contains(&(session, path)), !gave_way);
            }
        }

        #[test]
        fn a_way_that_begins_elsewhere_harms_nothing(
            before in arb_steps(40), meanwhile in arb_steps(40), wanted in arb_steps(40),
        ) {
            let (before, wanted) = (grown(&before), grown(&wanted));
            let mut tree = grown(&meanwhile);
            let mut changes = Vec::new();
            for part in before.way_to(&wanted) {
                with_context(0, LATER, |context| tree.restore(context, &part, &mut changes));
                assert_sound(&tree);
            }
            let way = tree.way_to(&wanted);
            go(&mut tree, &way);
            prop_assert_eq!(tree.way_to(&wanted), &[]);
        }
    }

    fn create(tree: &mut Tree, path: &str, lifetime: Lifetime) {
        let op = Op::Create(Create {
            place: Place::exact(path).expect("a place"),
            data: Some(Data::from(path)),
            acl: Acl::open(),
            lifetime,
            naming: Naming::Exact,
            telling: Telling::Path,
        });
        let done = with_context(1, 1, |context| tree.execute(context, &op, &mut Vec::new()));
        done.expect("created");
    }

    #[test]
    fn a_znode_of_another_lifetime_gives_way_with_all_below_it() {
        let hour = Lifetime::Ttl(Ttl::from_ms(3_600_000).expect("a time"));
        let (mut here, mut there) = (Tree::new(), Tree::new());
        for (path, before, wanted) in [
            ("/a", Lifetime::Container, Lifetime::Persistent),
            ("/b", Lifetime::Persistent, hour),
            ("/c", hour, Lifetime::Container),
            ("/d", Lifetime::Container, Lifetime::Container),
        ] {
            create(&mut here, path, before);
            create(&mut here, &format!("{path}/old"), Lifetime::Persistent);
            create(&mut here, &format!("{path}/lock"), Lifetime::Ephemeral);
            create(&mut there, path, wanted);
            create(&mut there, &format!("{path}/new"), Lifetime::Persistent);
        }
        let way = here.way_to(&there);
        go(&mut here, &way);
        assert_sound(&here);
        assert_eq!(lasting(&here), lasting(&there));
        let left: Vec<Path> = here.ephemerals_of(SessionId(1));
        assert_eq!(left, [Path::parse("/d/lock").expect("a path")]);
    }

    /// Another service's, or those of an earlier version.
    #[test]
    fn lists_are_restored_as_they_are() {
        let (mut here, mut there) = (Tree::new(), Tree::new());
        create(&mut here, "/mended", Lifetime::Persistent);
        create(&mut there, "/mended", Lifetime::Persistent);
        create(&mut there, "/made", Lifetime::Persistent);
        let foreign = Acl::of(Perms::ALL, "kerberos", "ann@EXAMPLE");
        for path in ["/mended", "/made"] {
            let op = Op::SetAcl {
                path: Path::parse(path).expect("a path"),
                acl: foreign.clone(),
                version: ANY_VERSION,
            };
            let by = |asker, tree: &mut Tree| {
                with_context(asker, 1, |context| {
                    tree.execute(context, &op, &mut Vec::new())
                })
            };
            assert_eq!(by(1, &mut there), Err(Code::InvalidACL), "a client's");
            assert!(by(0, &mut there).is_ok());
        }
        let way = here.way_to(&there);
        go(&mut here, &way);
        assert_eq!(lasting(&here), lasting(&there));
        assert_eq!(lasting(&here)["/made"].1, foreign);
    }

    #[test]
    fn numbers_go_on_where_they_were_and_never_back() {
        let (mut here, mut there) = (Tree::new(), Tree::new());
        for tree in [&mut here, &mut there] {
            create(tree, "/queue", Lifetime::Persistent);
            create(tree, "/other", Lifetime::Persistent);
        }
        let number = |tree: &mut Tree, parent: &str, count: usize| {
            for _ in 0..count {
                let path = format!("{parent}/x");
                create(tree, &path, Lifetime::Persistent);
                let path = Path::parse(&path).expect("a path");
                let delete = deletion_of(path);
                let gone = with_context(1, 2, |context| {
                    tree.execute(context, &delete, &mut Vec::new())
                });
                gone.expect("deleted");
            }
        };
        number(&mut there, "/queue", 41);
        number(&mut here, "/queue", 7);
        number(&mut here, "/other", 5);
        let way = here.way_to(&there);
        go(&mut here, &way);
        let creations = |path| here.creations_at(here.find(path).expect("there"));
        assert_eq!((creations("/queue"), creations("/other")), (41, 5));
        assert_sound(&here);
    }

    #[test]
    fn a_long_way_has_many_parts_and_sets_before_it_deletes() {
        let (mut here, mut there) = (Tree::new(), Tree::new());
        for number in 0..OPS_MAX {
            create(&mut here, &format!("/old{number}"), Lifetime::Persistent);
            create(&mut there, &format!("/new{number}"), Lifetime::Persistent);
        }
        let way = here.way_to(&there);
        assert_eq!(way.len(), 2, "the root has created as many in both");
        let all: Vec<&Op> = way.iter().flat_map(|part| &part.ops).collect();
        let first_deletion = all.iter().position(|op| matches!(op, Op::Delete { .. }));
        assert_eq!(first_deletion, Some(OPS_MAX));
        go(&mut here, &way);
        assert_eq!(lasting(&here), lasting(&there));
    }
}
