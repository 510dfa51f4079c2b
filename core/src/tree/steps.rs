//! Random steps of a tree, for the tests that grow one: who asks for what.

use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use crate::config::HardLimits;
use crate::ids::{SessionId, Zxid};
use crate::time::WallTime;
use crate::tree::acl::{Acl, Identity, Perms};
use crate::tree::data::Data;
use crate::tree::op::{Create, Lifetime, Naming, Op, Telling};
use crate::tree::path::{Path, Place};
use crate::tree::quota::{self, Limits, QUOTAS};
use crate::tree::tree::{Context, Tree};

pub(crate) const DATA_BYTES_MAX: u32 = 60;

/// Who asks: a server, or one of four sessions, each with identities of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker(pub(crate) i64);

impl Asker {
    pub(crate) fn session(self) -> Option<SessionId> {
        (self.0 > 0).then_some(SessionId(self.0))
    }

    pub(crate) fn identities(self) -> Vec<Identity> {
        let alice = Identity::new("digest", "alice:hash");
        let bob = Identity::new("digest", "bob:hash");
        let host = Identity::new("ip", "10.1.2.3");
        match self.0 {
            2 => vec![host, alice],
            3 => vec![host, bob, alice],
            _ => vec![host],
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    One(i64, Op),
    Many(i64, Vec<Op>),
    End(i64),
    /// Go on with a clone as well.
    Fork,
}

/// Neither the root nor a reserved znode, nor a child of one.
fn arb_own_path() -> impl Strategy<Value = Path> {
    let element = prop_oneof!["[ab]", "s0{9}[0-3]"];
    prop::collection::vec(element, 1..4)
        .prop_map(|elements| Path::parse(&format!("/{}", elements.join("/"))).unwrap())
}

fn arb_path() -> impl Strategy<Value = Path> {
    let always = vec!["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"];
    prop_oneof![
        10 => arb_own_path(),
        1 => prop::sample::select(always).prop_map(|text| Path::parse(text).unwrap()),
        3 => arb_quota_path(),
    ]
}

fn arb_data() -> impl Strategy<Value = Option<Data>> {
    let longest = DATA_BYTES_MAX as usize;
    let length = prop_oneof![9 => 0..10usize, 1 => longest..longest + 2];
    let bytes = length.prop_flat_map(|length| prop::collection::vec(any::<u8>(), length));
    prop::option::of(bytes.prop_map(Data::from))
}

/// What quotas are on: znodes that come and go, one of them above another.
fn arb_governed() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["/a", "/b", "/a/b", "/a/s0000000000"])
}

fn arb_limits() -> impl Strategy<Value = Option<Data>> {
    let limit = || prop::option::of(0..12u64);
    (limit(), limit(), limit(), limit()).prop_map(|(count, bytes, count_hard, bytes_hard)| {
        let limits = Limits {
            count,
            bytes,
            count_hard,
            bytes_hard,
        };
        Some(Data::from(limits.to_string().as_str()))
    })
}

/// The znodes of a quota, and those above them.
fn arb_quota_path() -> impl Strategy<Value = Path> {
    (arb_governed(), 0..5usize).prop_map(|(governed, which)| {
        let text = match which {
            0 | 1 => quota::limits_path(governed),
            2 | 3 => quota::stats_path(governed),
            _ => format!("{QUOTAS}{governed}"),
        };
        Path::parse(&text).expect("a path")
    })
}

fn plain(path: &str, data: Option<Data>) -> Op {
    Op::Create(Create {
        place: Place::exact(path).expect("a place"),
        data,
        acl: Acl::open(),
        lifetime: Lifetime::Persistent,
        naming: Naming::Exact,
        telling: Telling::PathAndStat,
    })
}

/// A quota as ZooKeeper's shell makes it, but at once, and with its parts in any order.
fn arb_quota() -> impl Strategy<Value = Vec<Op>> {
    (arb_governed(), arb_limits(), 0..4usize).prop_map(|(governed, limits, way)| {
        let mut ops = Vec::new();
        if way > 1 {
            let slashes = governed.match_indices('/').skip(1).map(|(at, _)| at);
            for end in slashes.chain([governed.len()]) {
                ops.push(plain(&format!("{QUOTAS}{}", &governed[..end]), None));
            }
        }
        let parts = [
            plain(&quota::limits_path(governed), limits),
            plain(
                &quota::stats_path(governed),
                Some(Data::from("count=0,bytes=0")),
            ),
        ];
        ops.extend(parts);
        let last = ops.len() - 1;
        if way % 2 == 1 {
            ops.swap(last - 1, last);
        }
        ops
    })
}

fn arb_acl() -> impl Strategy<Value = Acl> {
    let some = Perms::READ | Perms::CREATE | Perms::WRITE;
    prop_oneof![
        8 => Just(Acl::open()),
        1 => Just(Acl::read_only()),
        1 => Just(Acl::of(Perms::ALL, "digest", "alice:hash")),
        1 => Just(Acl::of(some, "digest", "bob:hash")),
        1 => Just(Acl::of(Perms::ALL, "auth", "")),
        1 => Just(Acl(alloc::sync::Arc::from([]))),
    ]
}

fn arb_version() -> impl Strategy<Value = i32> {
    prop_oneof![3 => Just(-1), 2 => 0..3i32]
}

fn arb_create() -> impl Strategy<Value = Create> {
    let modes = (any::<bool>(), any::<bool>());
    // The reserved one is there already.
    let place = prop_oneof![
        20 => arb_own_path(),
        1 => Just(Path::parse("/zookeeper").unwrap()),
        4 => arb_quota_path(),
    ];
    let data = prop_oneof![4 => arb_data(), 1 => arb_limits()];
    (place, data, arb_acl(), modes).prop_map(|(path, data, acl, modes)| {
        let (ephemeral, sequential) = modes;
        let parent = path.parent_str().expect("not the root");
        let prefix = format!("{}/s", parent.trim_end_matches('/'));
        let (place, naming) = match sequential {
            true => (Place::prefix(&prefix), Naming::Sequential),
            false => (Place::exact(path.as_str()), Naming::Exact),
        };
        let lifetime = match ephemeral {
            true => Lifetime::Ephemeral,
            false => Lifetime::Persistent,
        };
        Create {
            place: place.expect("a place"),
            data,
            acl,
            lifetime,
            naming,
            telling: Telling::PathAndStat,
        }
    })
}

fn arb_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => arb_create().prop_map(Op::Create),
        3 => (arb_path(), arb_version()).prop_map(|(path, version)| Op::Delete { path, version }),
        2 => (arb_path(), arb_data(), arb_version())
            .prop_map(|(path, data, version)| Op::SetData { path, data, version }),
        1 => (arb_quota_path(), arb_limits(), arb_version())
            .prop_map(|(path, data, version)| Op::SetData { path, data, version }),
        1 => (arb_path(), arb_acl(), arb_version())
            .prop_map(|(path, acl, version)| Op::SetAcl { path, acl, version }),
        1 => (arb_path(), arb_version()).prop_map(|(path, version)| Op::Check { path, version }),
    ]
}

fn arb_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..5i64, arb_op()).prop_map(|(asker, op)| Step::One(asker, op)),
        6 => (0..5i64, prop::collection::vec(arb_op(), 0..6))
            .prop_map(|(asker, ops)| Step::Many(asker, ops)),
        2 => (0..5i64, arb_quota()).prop_map(|(asker, ops)| Step::Many(asker, ops)),
        1 => (1..5i64).prop_map(Step::End),
        1 => Just(Step::Fork),
    ]
}

pub(crate) fn arb_steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(arb_step(), 0..most)
}

pub(crate) fn with_context<R>(asker: i64, number: usize, run: impl FnOnce(&Context<'_>) -> R) -> R {
    let identities = Asker(asker).identities();
    run(&Context {
        zxid: Zxid(number as u64 + 1),
        wall: WallTime(1_000 * number as i64),
        session: Asker(asker).session(),
        identities: &identities,
        data_bytes_max: DATA_BYTES_MAX,
        hard_limits: match number % 5 {
            0 => HardLimits::Advised,
            _ => HardLimits::Enforced,
        },
    })
}

/// The tree after these steps.
pub(crate) fn grown(steps: &[Step]) -> Tree {
    let mut tree = Tree::new();
    let mut changes = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::One(asker, op) => with_context(*asker, number, |context| {
                let _refused_or_not = tree.execute(context, op, &mut changes);
            }),
            Step::Many(asker, ops) => with_context(*asker, number, |context| {
                let _refused_or_not = tree.execute_all(context, ops, &mut changes);
            }),
            Step::End(session) => {
                let zxid = Zxid(number as u64 + 1);
                tree.delete_ephemerals_of(zxid, SessionId(*session), &mut changes);
            }
            Step::Fork => {}
        }
    }
    tree
}
