//! ZooKeeper's state as ours.

use std::collections::{BTreeMap, BTreeSet};

use althing_core::config::Settings;
use althing_core::ids::{ConnectionId, Epoch, SessionId, Token, Zxid};
use althing_core::membership::Membership;
use althing_core::store::store::{Session, Store};
use althing_core::time::WallTime;
use althing_core::tree::acl::Acl;
use althing_core::tree::path::{name_of, parent_of};
use althing_core::tree::tree::{CONFIG, RESERVED, Tree as OurTree};
use althing_core::tree::walk::{Builder, Record};

use crate::import::recovery::Found;
use crate::import::refusal::Refusal;
use crate::zookeeper::password::password;
use crate::zookeeper::tree::{Node, Stat, Tree};

/// The version of the data of [`CONFIG`] that the servers keep themselves.
const KEPT: i32 = -1;

/// The schemes of access control lists that mean something here.
const SCHEMES: [&str; 4] = ["digest", "ip", "world", "x509"];

/// What becomes of sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sessions {
    /// They stay open.
    Kept,
    /// They end, and their ephemeral znodes go.
    Ended,
}

/// A state of ours.
#[derive(Debug)]
pub struct Carried {
    /// The state; without members.
    pub store: Store,
    /// Sessions that were kept or ended, each with its ephemeral znodes.
    pub sessions: BTreeMap<i64, Vec<String>>,
    /// Schemes that mean nothing here, and how many znodes name them.
    pub schemes: BTreeMap<String, usize>,
}

/// Carries a state over.
///
/// # Errors
/// If our state cannot hold it.
pub fn carry(found: Found, sessions: Sessions) -> Result<Carried, Refusal> {
    let Found { mut tree, zxid, .. } = found;
    let mut applied = Zxid::from_wire(zxid);
    if applied.epoch() >= Epoch::MAX {
        let what = format!("the position {applied} leaves no epoch to go on with");
        return Err(Refusal::Unfit(what));
    }
    let told: BTreeMap<i64, Vec<String>> = tree
        .sessions()
        .keys()
        .map(|session| {
            let paths = tree.owned().get(session).into_iter().flatten();
            (*session, paths.cloned().collect())
        })
        .collect();
    if sessions == Sessions::Ended && !told.is_empty() {
        // As the transaction that ends them all would have it: what watches children by the
        // position of their last change notices.
        let next = applied.next();
        applied = next.unwrap_or_else(|| Zxid::new(applied.epoch().next(), 0));
        for session in told.keys() {
            tree.close(*session, applied.to_wire(), Vec::new());
        }
    }
    plant_reserved(&mut tree);
    let open = tree.sessions().iter();
    let open = open.map(|(session, timeout_ms)| opened(*session, *timeout_ms));
    let open = open.collect();
    let schemes = schemes(&tree);
    let tree = our_tree(&tree)?;
    Ok(Carried {
        store: Store::from_parts(
            applied,
            Settings::default(),
            Membership::default(),
            open,
            tree,
        ),
        sessions: told,
        schemes,
    })
}

/// A session as it was, for the next connection that knows its password.
fn opened(session: i64, timeout_ms: i32) -> (SessionId, Session) {
    let id = SessionId(session);
    let session = Session {
        password: password(id),
        timeout_ms: u32::try_from(timeout_ms).unwrap_or(0).max(1),
        attachment: Zxid::ZERO,
        sequence: 0,
        token: Token {
            incarnation: 0,
            connection: ConnectionId(0),
        },
    };
    (id, session)
}

/// Adds what is always there, and empties the configuration: that of the new ensemble takes its
/// place when it first has a leader. Who may change it stays.
fn plant_reserved(tree: &mut Tree) {
    for path in RESERVED {
        if !tree.nodes().contains_key(path) {
            let acl = match path {
                CONFIG => Acl::read_only(),
                _ => Acl::open(),
            };
            let (data, stat) = (Some(Vec::new()), Stat::default());
            tree.put(path.to_owned(), Node { data, acl, stat });
        }
    }
    let mut config = tree.nodes()[CONFIG].clone();
    config.data = Some(Vec::new());
    config.stat.version = KEPT;
    tree.put(CONFIG.to_owned(), config);
}

fn schemes(tree: &Tree) -> BTreeMap<String, usize> {
    let mut schemes = BTreeMap::new();
    for node in tree.nodes().values() {
        let named: BTreeSet<&str> = node.acl.0.iter().map(|entry| &*entry.who.scheme).collect();
        for scheme in named {
            if !SCHEMES.contains(&scheme) {
                *schemes.entry(scheme.to_owned()).or_default() += 1;
            }
        }
    }
    schemes
}

fn our_tree(tree: &Tree) -> Result<OurTree, Refusal> {
    let mut children: BTreeMap<&str, Vec<(i64, &str)>> = BTreeMap::new();
    for (path, node) in tree.nodes() {
        if let Some(parent) = parent_of(path) {
            let siblings = children.entry(parent).or_default();
            siblings.push((node.stat.czxid, path));
        }
    }
    let mut builder = Builder::new();
    let numbers = number_acls(tree, &mut builder)?;
    // What comes next is at the end, so siblings stand there from the youngest to the oldest.
    let mut open = vec![("/", 0_u16)];
    while let Some((path, depth)) = open.pop() {
        let node = &tree.nodes()[path];
        let mut below = children.remove(path).unwrap_or_default();
        let record = record(path, depth, node, &below, numbers[&node.acl])?;
        let added = builder.add(&record);
        added.map_err(|what| Refusal::Unfit(format!("{path}: wrong {what}")))?;
        below.sort_unstable();
        open.extend(below.iter().rev().map(|(_, child)| (*child, depth + 1)));
    }
    let finished = builder.finish_unsealed();
    finished.map_err(|what| Refusal::Unfit(format!("the tree has wrong {what}")))
}

fn number_acls<'a>(
    tree: &'a Tree,
    builder: &mut Builder,
) -> Result<BTreeMap<&'a Acl, u32>, Refusal> {
    let acls: BTreeSet<&Acl> = tree.nodes().values().map(|node| &node.acl).collect();
    let mut numbers = BTreeMap::new();
    for (number, acl) in (1..).zip(acls) {
        let added = builder.add_acl(number, acl);
        added.map_err(|what| Refusal::Unfit(format!("access control lists: wrong {what}")))?;
        numbers.insert(acl, number);
    }
    Ok(numbers)
}

fn record<'a>(
    path: &'a str,
    depth: u16,
    node: &'a Node,
    children: &[(i64, &str)],
    acl: u32,
) -> Result<Record<'a>, Refusal> {
    let stat = &node.stat;
    for zxid in [stat.czxid, stat.mzxid, stat.pzxid] {
        if zxid < 0 {
            return Err(Refusal::Unfit(format!("{path}: the position {zxid}")));
        }
    }
    let reserved = |(_, path): &&(i64, &str)| RESERVED.contains(path);
    let counted = (children.len() - children.iter().filter(reserved).count()) as u64;
    // ZooKeeper's count wraps after 2^32, ours does not.
    let creations = u64::from(stat.cversion as u32).max(counted);
    let past = creations > 0 || !children.is_empty() || stat.pzxid != stat.czxid;
    Ok(Record {
        depth,
        name: name_of(path),
        data: node.data.as_deref(),
        acl,
        owner: (stat.owner != 0).then_some(SessionId(stat.owner)),
        czxid: Zxid::from_wire(stat.czxid),
        mzxid: Zxid::from_wire(stat.mzxid),
        ctime: WallTime(stat.ctime),
        mtime: WallTime(stat.mtime),
        version: stat.version,
        aversion: stat.aversion,
        past: past.then(|| (creations, Zxid::from_wire(stat.pzxid))),
    })
}
