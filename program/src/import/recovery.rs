//! The state that ZooKeeper's files come to, found as ZooKeeper finds it at its start: the newest
//! snapshot that is whole, and the logs from there on. What ZooKeeper does not look at is judged
//! besides: gaps in the logs, what stands behind their ends, and the digests.

use std::io::BufReader;

use althing_core::ids::Zxid;
use althing_core::tree::acl::Acl;

use crate::import::files::{Files, Named};
use crate::import::refusal::{Refusal, Rigour, hex};
use crate::zookeeper::compression::Compression;
use crate::zookeeper::digest::digest;
use crate::zookeeper::log::{self, Tail};
use crate::zookeeper::quotas;
use crate::zookeeper::snapshot::{self, Digest};
use crate::zookeeper::source::Fault;
use crate::zookeeper::tree::{Node, Stat, Tree};
use crate::zookeeper::txn::Txn;

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// Znodes and sessions.
    pub tree: Tree,
    /// The last transaction.
    pub zxid: i64,
    /// How it was found.
    pub way: Way,
}

/// How a state was found.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// The snapshot that was used.
    pub snapshot: Option<String>,
    /// Newer ones that are damaged, and how.
    pub damaged: Vec<String>,
    /// The logs that were read.
    pub logs: Vec<String>,
    /// Transactions after the snapshot.
    pub transactions: u64,
    /// Logs that end with a record that was never finished, and where.
    pub torn: Vec<(String, u64)>,
    /// Doubts that were set aside.
    pub tolerated: Vec<String>,
    /// Sessions that had ended, and whose ephemeral znodes had not.
    pub orphans: Vec<(i64, Vec<String>)>,
}

/// Reads and replays.
///
/// # Errors
/// If something is damaged, or doubtful and `rigour` is strict.
pub fn recover(files: &Files, rigour: Rigour) -> Result<Found, Refusal> {
    let mut way = Way::default();
    let base = base(files, rigour, &mut way)?;
    let mut replay = Replay {
        rigour,
        tree: base.tree,
        zxid: base.zxid,
        digest: None,
        way,
    };
    let from = files.logs.iter().rposition(|log| log.zxid <= base.zxid + 1);
    let logs = &files.logs[from.unwrap_or(0)..];
    if logs.is_empty() {
        let what = "there is no log (is dataLogDir another directory? Then name it by --log-dir)";
        rigour.judge(what.to_owned(), &mut replay.way.tolerated)?;
    }
    for named in logs {
        replay.log(named)?;
    }
    replay.finish(base.digest)
}

/// What the logs are replayed upon.
struct Base {
    tree: Tree,
    zxid: i64,
    digest: Option<Digest>,
}

fn base(files: &Files, rigour: Rigour, way: &mut Way) -> Result<Base, Refusal> {
    let mut first = None;
    for named in &files.snapshots {
        let unpacked = Compression::of(&named.name()).unpacked(named.open()?);
        match snapshot::read(unpacked) {
            Ok(read) => {
                way.snapshot = Some(named.name());
                return Ok(Base {
                    tree: read.tree,
                    zxid: named.zxid,
                    digest: read.digest,
                });
            }
            Err(fault @ Fault::Io(_)) => return Err(Refusal::fault(&named.path)(fault)),
            Err(fault) => {
                way.damaged.push(format!("{}: {fault}", named.name()));
                first = first.or(Some(Refusal::fault(&named.path)(fault)));
            }
        }
    }
    if let Some(first) = first {
        return Err(first);
    }
    let what = "there are logs and no snapshot, which ZooKeeper takes for a loss, too";
    rigour.judge(what.to_owned(), &mut way.tolerated)?;
    let mut tree = Tree::default();
    let (acl, stat) = (Acl::open(), Stat::default());
    let data = Some(Vec::new());
    tree.put("/".to_owned(), Node { data, acl, stat });
    Ok(Base {
        tree,
        zxid: 0,
        digest: None,
    })
}

struct Replay {
    rigour: Rigour,
    tree: Tree,
    zxid: i64,
    /// The digest after the last transaction, if that tells one.
    digest: Option<u64>,
    way: Way,
}

impl Replay {
    fn log(&mut self, named: &Named) -> Result<(), Refusal> {
        let file = named.open()?;
        let length = file.metadata().map_err(Refusal::io(&named.path))?.len();
        let name = named.name();
        // What a creation leaves that was interrupted, which ZooKeeper removes.
        if length == 0 {
            self.way.torn.push((name, 0));
            return Ok(());
        }
        self.way.logs.push(name.clone());
        let mut refused = None;
        let read = log::read(BufReader::new(file), |offset, txn| {
            self.take(&name, offset, txn).map_err(|refusal| {
                refused = Some(refusal);
                Fault::wrong(offset, "refused")
            })
        });
        if let Some(refusal) = refused {
            return Err(refusal);
        }
        let ending = read.map_err(Refusal::fault(&named.path))?;
        if ending.tail == Tail::Torn {
            self.way.torn.push((name.clone(), ending.at));
        }
        match ending.behind {
            None => Ok(()),
            Some(behind) => {
                let at = ending.at;
                let what = format!(
                    "{name}: the log ends at byte {at}, but something stands behind it, at byte \
                     {behind}"
                );
                self.rigour.judge(what, &mut self.way.tolerated)
            }
        }
    }

    fn take(&mut self, name: &str, offset: u64, txn: Txn) -> Result<(), Refusal> {
        if txn.zxid <= self.zxid && self.way.transactions == 0 {
            // The snapshot has it.
            return Ok(());
        }
        if txn.zxid < 0 || !follows(self.zxid, txn.zxid) {
            let (zxid, before) = (hex(txn.zxid), hex(self.zxid));
            let what = format!(
                "{name}, byte {offset}: the transaction {zxid} comes after {before}, which it does \
                 not follow: a part of the log is missing"
            );
            self.rigour.judge(what, &mut self.way.tolerated)?;
        }
        self.zxid = self.zxid.max(txn.zxid);
        self.digest = txn.digest;
        self.way.transactions += 1;
        self.tree.apply(txn);
        Ok(())
    }

    fn finish(mut self, of_snapshot: Option<Digest>) -> Result<Found, Refusal> {
        let newest = newest(&self.tree).max(of_snapshot.map_or(0, |digest| digest.zxid));
        if newest > self.zxid {
            let (newest_told, last) = (hex(newest), hex(self.zxid));
            let what = format!(
                "the snapshot was taken while transactions went on up to {newest_told}, but the \
                 logs end at {last}"
            );
            self.rigour.judge(what, &mut self.way.tolerated)?;
            self.zxid = newest;
        }
        self.compare(of_snapshot)?;
        let dead = self.tree.owned().iter();
        let dead = dead.filter(|(session, _)| !self.tree.sessions().contains_key(session));
        self.way.orphans = dead
            .map(|(session, paths)| (*session, paths.iter().cloned().collect()))
            .collect();
        for (session, _) in &self.way.orphans {
            self.tree.close(*session, self.zxid, Vec::new());
        }
        quotas::count(&mut self.tree);
        Ok(Found {
            tree: self.tree,
            zxid: self.zxid,
            way: self.way,
        })
    }

    /// Holds the tree against the digest that ZooKeeper had.
    fn compare(&mut self, of_snapshot: Option<Digest>) -> Result<(), Refusal> {
        let told = match self.way.transactions {
            0 => of_snapshot
                .filter(|told| told.zxid == self.zxid)
                .and_then(|told| told.digest),
            _ => self.digest,
        };
        let found = digest(&self.tree);
        match told {
            Some(told) if told != found => {
                let zxid = hex(self.zxid);
                let what = format!(
                    "the digest of the tree at {zxid} is {found:#x}, but ZooKeeper's was {told:#x}"
                );
                self.rigour.judge(what, &mut self.way.tolerated)
            }
            _ => Ok(()),
        }
    }
}

/// Does ZooKeeper give `next` right after `before`? An epoch begins with 1.
fn follows(before: i64, next: i64) -> bool {
    let (before, next) = (Zxid::from_wire(before), Zxid::from_wire(next));
    before.next() == Some(next) || (next.epoch() > before.epoch() && next.counter() == 1)
}

/// The newest transaction of which something is in the tree.
fn newest(tree: &Tree) -> i64 {
    let stats = tree.nodes().values().map(|node| &node.stat);
    let newest = stats.map(|stat| stat.czxid.max(stat.mzxid).max(stat.pzxid));
    newest.max().unwrap_or(0)
}
