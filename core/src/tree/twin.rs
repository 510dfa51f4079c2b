//! A slow, obvious tree beside which the real one is tested: a map from whole paths to znodes, and
//! copies instead of undoing, and counts what quotas govern after every change.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use crate::code::Code;
use crate::config::HardLimits;
use crate::ids::{SessionId, Zxid};
use crate::tree::acl::{Acl, Perms};
use crate::tree::data::Data;
use crate::tree::op::{Change, ChangeKind, Create, Done, Lifetime, Naming, Op, Telling};
use crate::tree::path::{Path, Place, name_of, parent_of};
use crate::tree::quota::{self, Limits, Usage};
use crate::tree::stat::Stat;
use crate::tree::steps::{Asker, DATA_BYTES_MAX, Step, arb_steps, with_context};
use crate::tree::tree::{Context, RESERVED, Tree};
use crate::tree::walk::Builder;

#[derive(Clone, PartialEq, Eq, Debug)]
struct Node {
    data: Option<Vec<u8>>,
    acl: Acl,
    creations: u64,
    /// Orders siblings.
    birth: u64,
    stat: Stat,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Twin {
    nodes: BTreeMap<String, Node>,
    births: u64,
}

impl Twin {
    fn new() -> Twin {
        let mut twin = Twin {
            nodes: BTreeMap::new(),
            births: 0,
        };
        for path in RESERVED {
            twin.add(path, Some(&[]), Acl::open(), Stat::default());
        }
        for node in twin.nodes.values_mut() {
            node.creations = 0;
            node.stat.cversion = -node.stat.num_children;
        }
        twin
    }

    fn add(&mut self, path: &str, data: Option<&[u8]>, acl: Acl, stat: Stat) -> Stat {
        if let Some(parent) = parent_of(path) {
            let parent = self.nodes.get_mut(parent).unwrap();
            parent.creations += 1;
            parent.stat.cversion += 1;
            parent.stat.num_children += 1;
            parent.stat.pzxid = stat.czxid;
        }
        self.births += 1;
        let stat = Stat {
            data_length: data.map_or(0, <[u8]>::len) as i32,
            ..stat
        };
        let node = Node {
            data: data.map(<[u8]>::to_vec),
            acl,
            creations: 0,
            birth: self.births,
            stat,
        };
        assert_eq!(self.nodes.insert(path.to_string(), node), None);
        stat
    }

    fn remove(&mut self, zxid: Zxid, path: &str, changes: &mut Vec<Change>) {
        let gone = self.nodes.remove(path).unwrap();
        let parent = self.nodes.get_mut(parent_of(path).unwrap()).unwrap();
        parent.stat.cversion += 1;
        parent.stat.num_children -= 1;
        parent.stat.pzxid = zxid;
        changes.push(Change {
            parent_acl: Some(parent.acl.clone()),
            ..change(zxid, path, ChangeKind::Deleted, &gone.acl)
        });
    }

    fn permitted(&self, context: &Context<'_>, path: &str, perms: Perms) -> Result<(), Code> {
        let node = self.nodes.get(path).ok_or(Code::NoNode)?;
        let server = context.session.is_none();
        match server || node.acl.permits(perms, context.identities) {
            true => Ok(()),
            false => Err(Code::NoAuth),
        }
    }

    /// The limits of the quotas that hold, and what their subtrees have.
    fn quotas(&self) -> Vec<(String, Limits, Usage)> {
        let limits = |path: &String| {
            let governed = path.strip_prefix("/zookeeper/quota")?;
            let governed = governed.strip_suffix("/zookeeper_limits")?;
            let stats = self.nodes.contains_key(&quota::stats_path(governed));
            (!governed.is_empty() && stats).then(|| governed.to_string())
        };
        let told = |governed: String| {
            let below = |path: &str| is_below(path, &governed);
            let nodes = self.nodes.iter().filter(|(path, _)| below(path));
            let usage = nodes.fold(Usage::default(), |usage, (_, node)| Usage {
                count: usage.count + 1,
                bytes: usage.bytes + node.data.as_ref().map_or(0, Vec::len) as u64,
            });
            let data = self.nodes[&quota::limits_path(&governed)].data.clone();
            (governed, Limits::parse(&data.unwrap_or_default()), usage)
        };
        self.nodes.keys().filter_map(limits).map(told).collect()
    }

    /// Says in the stats of every quota what is true.
    fn keep_stats(&mut self) {
        for (governed, _, usage) in self.quotas() {
            let stats = self.nodes.get_mut(&quota::stats_path(&governed)).unwrap();
            let data = usage.to_string().into_bytes();
            stats.stat.data_length = data.len() as i32;
            stats.data = Some(data);
        }
    }

    /// May this znode grow?
    fn judged(
        &self,
        context: &Context<'_>,
        path: &str,
        count: i64,
        bytes: i64,
    ) -> Result<(), Code> {
        let exceeded = |(governed, limits, usage): &(String, Limits, Usage)| {
            let is_over = |limit: Option<u64>, used: u64, more: i64| {
                more > 0 && limit.is_some_and(|limit| used + more as u64 > limit)
            };
            is_below(path, governed)
                && (is_over(limits.count_hard, usage.count, count)
                    || is_over(limits.bytes_hard, usage.bytes, bytes))
        };
        match context.hard_limits == HardLimits::Enforced && self.quotas().iter().any(exceeded) {
            true => Err(Code::QuotaExceeded),
            false => Ok(()),
        }
    }

    fn execute(
        &mut self,
        context: &Context<'_>,
        op: &Op,
        changes: &mut Vec<Change>,
    ) -> Result<Done, Code> {
        let mut done = self.change(context, op, changes)?;
        self.keep_stats();
        match (&mut done, op) {
            (Done::Created { path, stat, .. }, _) => *stat = self.nodes[path.as_str()].stat,
            (Done::DataSet(stat), Op::SetData { path, .. }) => {
                *stat = self.nodes[path.as_str()].stat;
            }
            _ => {}
        }
        Ok(done)
    }

    fn change(
        &mut self,
        context: &Context<'_>,
        op: &Op,
        changes: &mut Vec<Change>,
    ) -> Result<Done, Code> {
        match op {
            Op::Create(create) => self.create(context, create, changes),
            Op::Delete { path, version } => {
                let text = path.as_str();
                if RESERVED.contains(&text) {
                    return Err(Code::BadArguments);
                }
                self.permitted(context, parent_of(text).unwrap(), Perms::DELETE)?;
                let node = self.nodes.get(text).ok_or(Code::NoNode)?;
                checked(*version, node.stat.version)?;
                if node.stat.num_children > 0 {
                    return Err(Code::NotEmpty);
                }
                self.remove(context.zxid, text, changes);
                Ok(Done::Deleted)
            }
            Op::SetData {
                path,
                data,
                version,
            } => {
                sized(data)?;
                self.permitted(context, path.as_str(), Perms::WRITE)?;
                let before = self.nodes[path.as_str()].stat.data_length;
                let after = data.as_ref().map_or(0, |data| data.len()) as i64;
                self.judged(context, path.as_str(), 0, after - i64::from(before))?;
                let node = self.nodes.get_mut(path.as_str()).unwrap();
                checked(*version, node.stat.version)?;
                node.data = data.as_ref().map(|data| data.to_vec());
                node.stat.data_length = data.as_ref().map_or(0, |data| data.len()) as i32;
                node.stat.version += 1;
                node.stat.mzxid = context.zxid;
                node.stat.mtime = context.wall;
                changes.push(change(
                    context.zxid,
                    path.as_str(),
                    ChangeKind::DataSet,
                    &node.acl,
                ));
                Ok(Done::DataSet(node.stat))
            }
            Op::SetAcl { path, acl, version } => {
                let acl = context.listed(acl)?;
                self.permitted(context, path.as_str(), Perms::ADMIN)?;
                let node = self.nodes.get_mut(path.as_str()).unwrap();
                checked(*version, node.stat.aversion)?;
                node.acl = acl;
                node.stat.aversion += 1;
                Ok(Done::AclSet(node.stat))
            }
            Op::Check { path, version } => {
                self.permitted(context, path.as_str(), Perms::READ)?;
                checked(*version, self.nodes[path.as_str()].stat.version)?;
                Ok(Done::Checked(self.nodes[path.as_str()].stat))
            }
        }
    }

    fn create(
        &mut self,
        context: &Context<'_>,
        create: &Create,
        changes: &mut Vec<Change>,
    ) -> Result<Done, Code> {
        sized(&create.data)?;
        let owner = create.lifetime.owner(context.session)?;
        let owner = owner.map_or(0, |owner| owner.number());
        let acl = context.listed(&create.acl)?;
        let parent = create.place.parent().as_str();
        self.permitted(context, parent, Perms::CREATE)?;
        let mut path = create.place.to_text();
        if create.naming == Naming::Sequential {
            path = format!("{path}{:010}", self.nodes[parent].creations);
        }
        if self.nodes.contains_key(&path) {
            return Err(Code::NodeExists);
        }
        if self.nodes[parent].stat.ephemeral_owner != 0 {
            return Err(Code::NoChildrenForEphemerals);
        }
        let bytes = create.data.as_ref().map_or(0, |data| data.len()) as i64;
        self.judged(context, &path, 1, bytes)?;
        let stat = Stat {
            czxid: context.zxid,
            mzxid: context.zxid,
            pzxid: context.zxid,
            ctime: context.wall,
            mtime: context.wall,
            ephemeral_owner: owner,
            ..Stat::default()
        };
        let stat = self.add(&path, create.data.as_deref(), acl.clone(), stat);
        changes.push(Change {
            parent_acl: Some(self.nodes[parent].acl.clone()),
            ..change(context.zxid, &path, ChangeKind::Created, &acl)
        });
        Ok(Done::Created {
            path: Path::parse(&path).unwrap(),
            stat,
            telling: create.telling,
        })
    }

    fn execute_all(
        &mut self,
        context: &Context<'_>,
        ops: &[Op],
        changes: &mut Vec<Change>,
    ) -> Result<Vec<Done>, (usize, Code)> {
        let mut copy = self.clone();
        let mut told = Vec::new();
        let mut done = Vec::new();
        for (index, op) in ops.iter().enumerate() {
            done.push(
                copy.execute(context, op, &mut told)
                    .map_err(|code| (index, code))?,
            );
        }
        *self = copy;
        changes.append(&mut told);
        Ok(done)
    }

    fn owned(&self, session: SessionId) -> Vec<String> {
        let owned = |(_, node): &(&String, &Node)| node.stat.ephemeral_owner == session.0;
        self.nodes
            .iter()
            .filter(owned)
            .map(|(path, _)| path.clone())
            .collect()
    }

    fn children(&self, path: &str) -> Vec<String> {
        let mut children: Vec<(u64, String)> = self
            .nodes
            .iter()
            .filter(|(child, _)| parent_of(child) == Some(path))
            .map(|(child, node)| (node.birth, name_of(child).to_string()))
            .collect();
        children.sort_unstable();
        children.into_iter().map(|(_, name)| name).collect()
    }
}

/// Is it this znode, or one below it?
fn is_below(path: &str, root: &str) -> bool {
    let rest = path.strip_prefix(root);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn change(zxid: Zxid, path: &str, kind: ChangeKind, acl: &Acl) -> Change {
    let path = Path::parse(path).unwrap();
    Change {
        zxid,
        path,
        kind,
        acl: acl.clone(),
        parent_acl: None,
    }
}

fn checked(expected: i32, version: i32) -> Result<(), Code> {
    match expected {
        -1 => Ok(()),
        _ if expected == version => Ok(()),
        _ => Err(Code::BadVersion),
    }
}

fn sized(data: &Option<Data>) -> Result<(), Code> {
    match data {
        Some(data) if data.len() > DATA_BYTES_MAX as usize => Err(Code::BadArguments),
        _ => Ok(()),
    }
}

/// Takes the same step on both, which must come to the same.
fn step(tree: &mut Tree, twin: &mut Twin, number: usize, step: &Step) {
    let before = (twin.clone(), tree.digest());
    let mut told = Vec::new();
    let mut twin_told = Vec::new();
    match step {
        Step::One(asker, op) => with_context(*asker, number, |context| {
            let done = tree.execute(context, op, &mut told);
            assert_eq!(done, twin.execute(context, op, &mut twin_told));
        }),
        Step::Many(asker, ops) => with_context(*asker, number, |context| {
            let done = tree.execute_all(context, ops, &mut told);
            assert_eq!(done, twin.execute_all(context, ops, &mut twin_told));
        }),
        Step::End(session) => {
            let session = SessionId(*session);
            let zxid = Zxid(number as u64 + 1);
            let owned = twin.owned(session);
            let deleted = tree.delete_ephemerals_of(zxid, session, &mut told);
            assert_eq!(deleted, owned.len());
            for path in owned {
                twin.remove(zxid, &path, &mut twin_told);
            }
            twin.keep_stats();
        }
        Step::Fork => {}
    }
    assert_eq!(told, twin_told);
    assert_eq!(
        before.0 == *twin,
        before.1 == tree.digest(),
        "the digest shows change"
    );
}

fn assert_equal(tree: &Tree, twin: &Twin) {
    assert_eq!(tree.count(), twin.nodes.len());
    let path_bytes =
        |(path, node): (&String, &Node)| path.len() + node.data.as_ref().map_or(0, Vec::len);
    let bytes: usize = twin.nodes.iter().map(path_bytes).sum();
    assert_eq!(tree.bytes(), bytes as u64);
    for (path, node) in &twin.nodes {
        assert_eq!(tree.stat(path), Some(node.stat), "{path}");
        for asker in [Asker(1), Asker(2)] {
            let who = asker.identities();
            let reads = node.acl.permits(Perms::READ, &who);
            let data = node.data.clone().map(Data::from);
            let expected = if reads {
                Ok((data, node.stat))
            } else {
                Err(Code::NoAuth)
            };
            assert_eq!(tree.data(path, &who), expected);
            let expected = reads.then_some(node.stat).ok_or(Code::NoAuth);
            assert_eq!(tree.stat_for(path, &who), expected);
            let listed = tree.children(path, &who).map(|(names, stat)| {
                let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
                (names, stat)
            });
            let expected = if reads {
                Ok((twin.children(path), node.stat))
            } else {
                Err(Code::NoAuth)
            };
            assert_eq!(listed, expected);
            let expected = match node.acl.permits(Perms::ADMIN, &who) {
                true => Ok((node.acl.clone(), node.stat)),
                false if reads => Ok((node.acl.redacted(), node.stat)),
                false => Err(Code::NoAuth),
            };
            assert_eq!(tree.acl(path, &who), expected);
        }
    }
    let mut owners: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (path, node) in &twin.nodes {
        if node.stat.ephemeral_owner != 0 {
            owners
                .entry(node.stat.ephemeral_owner)
                .or_default()
                .push(path.clone());
        }
    }
    assert_eq!(
        tree.ephemeral_count(),
        owners.values().map(Vec::len).sum::<usize>()
    );
    let owned = tree.ephemerals().map(|(session, paths)| {
        (
            session.0,
            paths.iter().map(Path::to_string).collect::<Vec<String>>(),
        )
    });
    assert!(owned.eq(owners));
    assert_quotas_equal(tree, twin);
    let again = rebuilt(tree).expect("a tree's records make a tree");
    assert_eq!(again.digest(), tree.digest());
    assert_quotas_equal(&again, twin);
}

fn assert_quotas_equal(tree: &Tree, twin: &Twin) {
    let quotas = tree.quotas();
    let quotas = quotas.map(|(path, limits, usage)| (path.to_string(), limits, usage));
    let mut expected = twin.quotas();
    expected.sort_by(|left, right| left.0.cmp(&right.0));
    assert!(quotas.eq(expected));
}

/// The same tree, made of its records: its digest is summed up anew.
fn rebuilt(tree: &Tree) -> Result<Tree, &'static str> {
    let mut builder = Builder::new();
    let mut number = 0;
    while let Some((next, acl)) = tree.acl_after(number) {
        builder.add_acl(next, acl)?;
        number = next;
    }
    let mut next = Some(tree.first());
    while let Some(position) = next {
        builder.add(&tree.record(position))?;
        next = tree.after(position);
    }
    builder.finish(tree.count() as u64, tree.digest())
}

proptest! {
    /// Up to three worlds take turns; each must equal its twin, whatever the others did meanwhile.
    #[test]
    fn equals_its_twin(steps in arb_steps(120)) {
        let mut worlds = vec![(Tree::new(), Twin::new())];
        for (number, taken) in steps.iter().enumerate() {
            let turn = number % worlds.len();
            let (tree, twin) = &mut worlds[turn];
            step(tree, twin, number, taken);
            if matches!(taken, Step::Fork) && worlds.len() < 3 {
                let fork = worlds[turn].clone();
                worlds.push(fork);
            }
        }
        for (tree, twin) in &worlds {
            assert_equal(tree, twin);
        }
    }
}

fn create(path: &str) -> Op {
    Op::Create(Create {
        place: Place::exact(path).unwrap(),
        data: Some(Data::from("x")),
        acl: Acl::open(),
        lifetime: Lifetime::Persistent,
        naming: Naming::Exact,
        telling: Telling::Path,
    })
}

fn all(tree: &mut Tree, number: usize, ops: &[Op]) -> Result<Vec<Done>, (usize, Code)> {
    with_context(1, number, |context| {
        tree.execute_all(context, ops, &mut Vec::new())
    })
}

#[test]
fn a_clone_is_unaffected_by_the_other() {
    let mut tree = Tree::new();
    for number in 0..5_000 {
        all(&mut tree, number, &[create(&format!("/n{number}"))]).unwrap();
    }
    let clone = tree.clone();
    let digest = tree.digest();
    let path = Path::parse("/n17").unwrap();
    let version = -1;
    let set = Op::SetData {
        path: path.clone(),
        data: None,
        version,
    };
    all(
        &mut tree,
        6_000,
        &[set, create("/n17/child"), create("/more")],
    )
    .unwrap();
    assert_ne!(tree.digest(), digest);
    assert_eq!(clone.digest(), digest);
    assert_eq!(clone.data("/n17", &[]).unwrap().0, Some(Data::from("x")));
    assert_eq!(clone.stat("/n17").unwrap().num_children, 0);
    assert_eq!(clone.stat("/more"), None);
    assert_eq!(clone.children("/", &[]).unwrap().0.len(), 5_001);
    assert_eq!(rebuilt(&clone).map(|again| again.digest()), Ok(digest));
}

#[test]
fn equal_states_have_equal_digests_whatever_the_way() {
    let mut left = Tree::new();
    let mut right = Tree::new();
    all(&mut left, 1, &[create("/a"), create("/b")]).unwrap();
    all(&mut right, 1, &[create("/b"), create("/a")]).unwrap();
    assert_eq!(left.digest(), right.digest());
    // A refused multi leaves no trace, sequence counters included.
    let missing = create("/none/child");
    let refused = all(&mut left, 2, &[create("/c"), create("/c/d"), missing]);
    assert_eq!(refused, Err((2, Code::NoNode)));
    assert_eq!(left.digest(), right.digest());
    assert_eq!(left.stat("/"), right.stat("/"));
    // One that creates and deletes does leave one: the parent counts creations.
    let path = Path::parse("/c").unwrap();
    let version = -1;
    all(&mut left, 3, &[create("/c"), Op::Delete { path, version }]).unwrap();
    assert_ne!(left.digest(), right.digest());
}

#[test]
fn the_index_does_not_depend_on_its_key() {
    let mut tree = Tree::new();
    for number in 0..1_000 {
        all(&mut tree, number, &[create(&format!("/n{number}"))]).unwrap();
    }
    let mut other = tree.clone();
    other.rekey(0x1234);
    assert!(
        tree.paths()
            .iter()
            .all(|path| other.stat(path.as_str()) == tree.stat(path.as_str()))
    );
    all(&mut other, 2_000, &[create("/n5/a"), create("/n5/a/b")]).unwrap();
    all(&mut tree, 2_000, &[create("/n5/a"), create("/n5/a/b")]).unwrap();
    assert_eq!(tree.digest(), other.digest());
    assert_eq!(tree.paths(), other.paths());
}

#[test]
fn versions_wrap_and_null_is_not_empty() {
    let mut tree = Tree::new();
    all(&mut tree, 1, &[create("/a")]).unwrap();
    let slot = tree.find("/a").unwrap();
    tree.znodes[slot].version = i32::MAX;
    tree.znodes[slot].aversion = i32::MAX;
    let path = Path::parse("/a").unwrap();
    let set = Op::SetData {
        path: path.clone(),
        data: None,
        version: i32::MAX,
    };
    let acl = Op::SetAcl {
        path: path.clone(),
        acl: Acl::open(),
        version: i32::MAX,
    };
    all(&mut tree, 2, &[set, acl]).unwrap();
    let stat = tree.stat("/a").unwrap();
    assert_eq!(
        (stat.version, stat.aversion, stat.data_length),
        (i32::MIN, i32::MIN, 0)
    );
    assert_eq!(tree.data("/a", &[]).unwrap().0, None);
    let null = tree.digest();
    let empty = Op::SetData {
        path,
        data: Some(Data::default()),
        version: i32::MIN,
    };
    all(&mut tree, 2, &[empty]).unwrap();
    assert_eq!(tree.data("/a", &[]).unwrap().0, Some(Data::default()));
    assert_ne!(tree.digest(), null);
}

#[test]
fn the_children_of_reserved_znodes_are_ordinary() {
    let mut tree = Tree::new();
    all(&mut tree, 1, &[create("/zookeeper/quota/a")]).unwrap();
    let delete = |text: &str| Op::Delete {
        path: Path::parse(text).unwrap(),
        version: -1,
    };
    all(&mut tree, 2, &[delete("/zookeeper/quota/a")]).unwrap();
    for text in ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"] {
        assert_eq!(
            all(&mut tree, 3, &[delete(text)]),
            Err((0, Code::BadArguments))
        );
    }
}
