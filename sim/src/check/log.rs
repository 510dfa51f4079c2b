//! The agreed sequence `L`, from what servers saved, recovered and executed: I1, I2 and I3.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use althing_core::ids::{Epoch, ServerId, Zxid};
use althing_core::node::event::Event;
use althing_core::store::txn::{Action, Entry, Txn};

use crate::check::findings::Findings;
use crate::history::{History, What};

/// One agreed transaction.
#[derive(Clone, Debug)]
pub struct Agreed {
    /// Its position.
    pub zxid: Zxid,
    /// What it does.
    pub txn: Arc<Txn>,
    /// When a server was first seen to save it.
    pub saved_at: Duration,
    /// When a server was first known to have executed it.
    pub executed_at: Duration,
}

/// The agreed sequence.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// By position.
    pub agreed: Vec<Agreed>,
}

impl Log {
    /// The transaction at a position.
    pub fn at(&self, zxid: Zxid) -> Option<&Agreed> {
        let found = self
            .agreed
            .binary_search_by_key(&zxid, |agreed| agreed.zxid);
        found.ok().map(|index| &self.agreed[index])
    }
}

/// What one server is known to have.
#[derive(Debug, Default)]
struct Server {
    /// Its log: what it saved and recovered.
    log: BTreeMap<Zxid, (Arc<Txn>, Duration)>,
    executed: Zxid,
    /// The newest position that it executed in any life.
    executed_ever: Zxid,
    durable: Zxid,
}

struct Building<'f> {
    servers: BTreeMap<ServerId, Server>,
    log: Log,
    digests: BTreeMap<Zxid, u128>,
    leaders: BTreeMap<Epoch, (ServerId, Duration)>,
    quorum: usize,
    findings: &'f mut Findings,
}

/// Builds `L` and checks what servers say of it. `servers` is their number.
pub fn build(servers: u8, history: &History, findings: &mut Findings) -> Log {
    let mut building = Building {
        servers: BTreeMap::new(),
        log: Log::default(),
        digests: BTreeMap::new(),
        leaders: BTreeMap::new(),
        quorum: usize::from(servers) / 2 + 1,
        findings,
    };
    for moment in &history.moments {
        let at = moment.at;
        match &moment.what {
            What::Recovered {
                server,
                snapshot,
                entries,
            } => {
                building.recovered(at, *server, *snapshot, entries);
            }
            What::Saving { server, zxid, txn } => {
                let log = &mut building.servers.entry(*server).or_default().log;
                // A save that was refused is taken back, with all that followed it.
                log.split_off(zxid);
                log.insert(*zxid, (txn.clone(), at));
            }
            What::Durable { server, zxid } => {
                let known = building.servers.entry(*server).or_default();
                known.durable = known.durable.max(*zxid);
            }
            What::Said {
                server,
                event: Event::Executed { zxid, digest },
            } => {
                building.executed(at, *server, *zxid, *digest);
            }
            What::Said {
                server,
                event: Event::SavesRefused { count },
            } => {
                // The last ones, which were never durable. What follows them need not overwrite
                // them: a leader whose epoch was refused opens a later one.
                let log = &mut building.servers.entry(*server).or_default().log;
                (0..*count).for_each(|_| drop(log.pop_last()));
            }
            What::Said {
                event: Event::Elected { epoch, leader },
                ..
            } => {
                building.elected(at, *epoch, *leader);
            }
            What::Received { client, frame, .. } => {
                if let Some(zxid) = shown(frame) {
                    building.seen(at, client, zxid);
                }
            }
            _ => {}
        }
    }
    building.log
}

/// The position whose effects a frame shows.
fn shown(frame: &crate::history::Received) -> Option<Zxid> {
    use crate::history::Received;
    use althing_core::node::reply::Reply;
    match frame {
        Received::Reply {
            reply: Reply::Answer { zxid, .. },
            ..
        } => Some(*zxid),
        Received::Reply {
            reply: Reply::Event(event),
            ..
        } => Some(event.zxid),
        _ => None,
    }
}

fn follows(before: Zxid, zxid: Zxid) -> bool {
    before.next() == Some(zxid) || (zxid.epoch() > before.epoch() && zxid.counter() == 0)
}

impl Building<'_> {
    fn elected(&mut self, at: Duration, epoch: Epoch, leader: ServerId) {
        if let Some((before, when)) = self.leaders.insert(epoch, (leader, at)) {
            self.findings.add("I2 zxid", at, None, || {
                format!("server {leader} leads epoch {epoch}, as server {before} did from {when:?}")
            });
        }
        if let Some((newer, _)) = self.leaders.range(epoch.next()..).next() {
            let newer = *newer;
            self.findings.add("I2 zxid", at, None, || {
                format!("server {leader} was elected for epoch {epoch} after epoch {newer} began")
            });
        }
    }

    fn recovered(&mut self, at: Duration, server: ServerId, snapshot: Zxid, entries: &[Entry]) {
        let known = self.servers.entry(server).or_default();
        let found: BTreeMap<Zxid, &Arc<Txn>> = entries
            .iter()
            .map(|entry| (entry.zxid, &entry.txn))
            .collect();
        let agreed = &self.log.agreed;
        let first = agreed.partition_point(|agreed| agreed.zxid <= snapshot);
        let last = agreed.partition_point(|agreed| agreed.zxid <= known.executed_ever);
        for agreed in agreed.get(first..last).unwrap_or_default() {
            let zxid = agreed.zxid;
            match found.get(&zxid) {
                None => self.findings.add("I3 durability", at, None, || {
                    format!("server {server} recovered without {zxid}, which it had executed")
                }),
                Some(txn) if !same(txn, &agreed.txn) => {
                    self.findings.add("I1 agreement", at, None, || {
                        format!(
                            "server {server} recovered {txn:?} at {zxid}, not {:?}",
                            agreed.txn
                        )
                    });
                }
                Some(_) => {}
            }
        }
        if snapshot != Zxid::ZERO && self.log.at(snapshot).is_none() {
            self.findings.add("I1 agreement", at, None, || {
                format!("server {server} recovered a snapshot of {snapshot}, never executed")
            });
        }
        let mut before = snapshot;
        for entry in entries {
            if !follows(before, entry.zxid) {
                let zxid = entry.zxid;
                self.findings.add("I2 zxid", at, None, || {
                    format!("server {server} recovered a log in which {zxid} follows {before}")
                });
            }
            before = entry.zxid;
        }
        let saved = std::mem::take(&mut known.log);
        let first = |zxid: &Zxid| saved.get(zxid).map_or(at, |(_, saved_at)| *saved_at);
        known.log = entries
            .iter()
            .map(|entry| (entry.zxid, (entry.txn.clone(), first(&entry.zxid))))
            .collect();
        known.executed = snapshot;
    }

    fn executed(&mut self, at: Duration, server: ServerId, zxid: Zxid, digest: u128) {
        let known = self.servers.entry(server).or_default();
        if zxid <= known.executed {
            let before = known.executed;
            self.findings.add("I2 zxid", at, None, || {
                format!("server {server} executed {zxid} after {before}")
            });
            return;
        }
        // What a server executed without saying so lies between the last that it told and this.
        let news: Vec<(Zxid, Arc<Txn>, Duration)> = known
            .log
            .range(known.executed..=zxid)
            .filter(|(position, _)| **position > known.executed)
            .map(|(position, (txn, saved_at))| (*position, txn.clone(), *saved_at))
            .collect();
        let mut before = known.executed;
        known.executed = zxid;
        known.executed_ever = known.executed_ever.max(zxid);
        if news.last().map(|(position, ..)| *position) != Some(zxid) {
            self.findings.add("I1 agreement", at, None, || {
                format!("server {server} executed {zxid}, which it neither saved nor recovered")
            });
        }
        for (position, txn, saved_at) in news {
            if !follows(before, position) {
                self.findings.add("I2 zxid", at, None, || {
                    format!("server {server} executed {position} after {before}")
                });
            }
            before = position;
            self.agree(at, position, txn, saved_at);
        }
        let other = *self.digests.entry(zxid).or_insert(digest);
        if other != digest {
            self.findings.add("I1 agreement", at, None, || {
                format!("server {server} has digest {digest:032x} at {zxid}, before {other:032x}")
            });
        }
    }

    fn agree(&mut self, at: Duration, zxid: Zxid, txn: Arc<Txn>, saved_at: Duration) {
        if let Some(agreed) = self.log.at(zxid) {
            if !same(&agreed.txn, &txn) {
                self.findings.add("I1 agreement", at, None, || {
                    format!("{zxid} was executed as {:?} and as {txn:?}", agreed.txn)
                });
            }
            return;
        }
        let last = self
            .log
            .agreed
            .last()
            .map_or(Zxid::ZERO, |agreed| agreed.zxid);
        if !follows(last, zxid) {
            self.findings.add("I2 zxid", at, None, || {
                format!("{zxid} was first executed after {last}, which it does not follow")
            });
        }
        let opens = matches!(txn.action, Action::OpenEpoch { .. });
        if opens != (zxid.counter() == 0) {
            self.findings.add("I2 zxid", at, None, || {
                format!(
                    "{zxid} holds {:?}: an epoch is opened at its counter 0",
                    txn.action
                )
            });
        }
        let place = self.log.agreed.partition_point(|agreed| agreed.zxid < zxid);
        self.log.agreed.insert(
            place,
            Agreed {
                zxid,
                txn,
                saved_at,
                executed_at: at,
            },
        );
    }

    fn seen(&mut self, at: Duration, client: &str, zxid: Zxid) {
        if self.log.at(zxid).is_none() && zxid != Zxid::ZERO {
            self.findings.add("I4 no rollback", at, None, || {
                format!("{client} was shown {zxid}, which was not agreed by then")
            });
        }
        let durable = self
            .servers
            .values()
            .filter(|server| server.durable >= zxid)
            .count();
        if durable < self.quorum && zxid != Zxid::ZERO {
            let quorum = self.quorum;
            self.findings.add("I3 durability", at, None, || {
                format!("{client} was shown {zxid} when it was durable on {durable} of {quorum}")
            });
        }
    }
}

fn same(a: &Arc<Txn>, b: &Arc<Txn>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}
