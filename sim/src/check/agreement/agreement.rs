//! One pass over what servers did: builds the agreed sequence and checks what they say of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use althing_core::ids::{DirectoryId, Epoch, ServerId, Zxid};
use althing_core::node::event::Event;
use althing_core::quorum::log::Ballot;
use althing_core::store::txn::{Action, Txn};

use crate::check::agreement::entries::{Chain, Entries, follows, same};
use crate::check::agreement::members::Members;
use crate::check::agreement::won::Won;
use crate::check::findings::Findings;
use crate::check::log::{Agreed, Log};
use crate::check::wording::{action, transactions};
use crate::history::{History, What};
use crate::quorums::Quorums;

/// What one server is known to have.
#[derive(Debug, Default)]
pub(super) struct Server {
    /// Its data directory; `None` before its first recovery.
    pub directory: Option<DirectoryId>,
    /// The newest ballot that is durable.
    pub ballot: Ballot,
    /// Its log: what it saved, recovered and installed.
    pub chain: Chain,
    /// What its log has otherwise than the first that saved it.
    pub others: BTreeMap<Zxid, Arc<Txn>>,
    /// Its log is durable up to here.
    pub durable: Zxid,
    /// What it executed in this life.
    pub executed: Zxid,
    /// The newest position that it executed in any life of this directory.
    pub executed_ever: Zxid,
    /// The epoch that it leads as far as it knows.
    pub leads: Option<Epoch>,
}

/// What is known so far.
pub(super) struct Building<'f> {
    pub servers: BTreeMap<ServerId, Server>,
    pub entries: Entries,
    pub members: Members,
    pub log: Log,
    /// What servers had whose disks are lost, until they are back.
    pub lost: BTreeMap<ServerId, Server>,
    /// What is known to have been durable on a quorum: everything that is agreed up to here.
    proven: Zxid,
    /// Who was elected, by epoch.
    pub won: BTreeMap<Epoch, Won>,
    /// Votes that are durable: by epoch and voter, the voter's directory and whom it is for.
    pub votes: BTreeMap<Epoch, BTreeMap<ServerId, (DirectoryId, ServerId)>>,
    pub findings: &'f mut Findings,
}

/// Builds `L` and checks what servers say of it; `founders` decide until others are agreed on.
pub fn build(founders: Quorums, history: &History, findings: &mut Findings) -> Log {
    let mut building = Building {
        servers: BTreeMap::new(),
        lost: BTreeMap::new(),
        entries: Entries::default(),
        members: Members::new(founders),
        log: Log::default(),
        proven: Zxid::ZERO,
        won: BTreeMap::new(),
        votes: BTreeMap::new(),
        findings,
    };
    for moment in &history.moments {
        building.happened(moment.at, &moment.what);
    }
    building.log
}

impl Building<'_> {
    fn happened(&mut self, at: Duration, what: &What) {
        match what {
            What::Recovered {
                server,
                directory,
                ballot,
                snapshot,
                entries,
            } => {
                self.moved(at, *server, *directory, *ballot);
                self.recovered(at, *server, *snapshot, entries);
            }
            What::Saving { server, zxid, txn } => self.saving(at, *server, *zxid, txn),
            What::Cut { server, after } => self.cut(at, *server, *after),
            What::Refused { server, zxid } => self.refused(at, *server, *zxid),
            What::Durable { server, zxid } => {
                let known = self.server(*server);
                known.durable = known.durable.max(*zxid);
            }
            What::Voted { server, ballot } => self.voted(at, *server, *ballot),
            What::Killed { server } | What::Stopped { server, .. } => {
                self.server(*server).leads = None;
            }
            // What it had is gone. Its word that it had it may still be on the way, and counts
            // rightly: until it comes back, and says that it has nothing.
            What::DiskLost { server } => {
                let lost = std::mem::take(self.server(*server));
                self.lost.insert(*server, lost);
            }
            What::Said { server, event } => match event {
                Event::Executed { zxid, digest } => self.executed(at, *server, *zxid, *digest),
                Event::Elected { epoch, leader } => self.elected(at, *epoch, *leader),
                Event::Installed { zxid, digest } => self.installed(at, *server, *zxid, *digest),
                Event::Deposed { .. } | Event::Followed { .. } => {
                    self.server(*server).leads = None;
                }
                _ => {}
            },
            What::Received { client, frame, .. } => {
                if let Some(zxid) = frame.shows() {
                    self.seen(at, client, zxid);
                }
            }
            _ => {}
        }
    }

    pub(super) fn server(&mut self, server: ServerId) -> &mut Server {
        self.servers.entry(server).or_default()
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
        let before = known.executed;
        known.executed = zxid;
        known.executed_ever = known.executed_ever.max(zxid);
        if !known.chain.contains(zxid) {
            self.findings.add("I1 agreement", at, None, || {
                format!("server {server} executed {zxid}, which it neither saved nor recovered")
            });
        } else if known.durable < zxid {
            let durable = known.durable;
            self.findings.add("I3 durability", at, None, || {
                format!("server {server} executed {zxid} when its own disk had {durable}")
            });
        }
        // What a server executed without saying so lies between the last that it told and this.
        let chain = &known.chain;
        let all = self.entries.positions(Zxid(before.0 + 1)..=zxid);
        let news: Vec<Zxid> = all.filter(|zxid| chain.contains(*zxid)).collect();
        let mut before = before;
        for position in news {
            if !follows(before, position) {
                self.findings.add("I2 zxid", at, None, || {
                    format!("server {server} executed {position} after {before}")
                });
            }
            before = position;
            self.agree(at, server, position);
        }
        self.digest_agrees(at, server, zxid, digest);
        self.durable_on_a_quorum(at, zxid, || format!("server {server} executed"));
    }

    /// One position has one digest.
    pub(super) fn digest_agrees(
        &mut self,
        at: Duration,
        server: ServerId,
        zxid: Zxid,
        digest: u128,
    ) {
        let Ok(place) = self.log.place(zxid) else {
            return;
        };
        let other = *self.log.agreed[place].digest.get_or_insert(digest);
        if other != digest {
            self.findings.add("I1 agreement", at, None, || {
                format!("server {server} has digest {digest:032x} at {zxid}, before {other:032x}")
            });
        }
    }

    /// A server has executed what its log holds at a position.
    fn agree(&mut self, at: Duration, server: ServerId, zxid: Zxid) {
        let Some(known) = self.entries.at(zxid) else {
            return;
        };
        let other = self.servers[&server].others.get(&zxid);
        let txn = other.unwrap_or(&known.txn);
        let place = match self.log.place(zxid) {
            Err(place) => place,
            Ok(place) => {
                let agreed = &self.log.agreed[place].txn;
                if !same(agreed, txn) {
                    self.findings.add("I1 agreement", at, None, || {
                        let how = transactions(agreed, txn);
                        format!("{zxid} was executed as two transactions: {how}")
                    });
                }
                return;
            }
        };
        let last = self.log.last();
        if !follows(last, zxid) {
            self.findings.add("I2 zxid", at, None, || {
                format!("{zxid} was first executed after {last}, which it does not follow")
            });
        } else if known.previous != last {
            let previous = known.previous;
            self.findings.add("I5 state machine", at, None, || {
                format!("{zxid} follows {previous}, though {last} was agreed: it is lost")
            });
        }
        let opens = matches!(txn.action, Action::OpenEpoch { .. });
        if opens != (zxid.counter() == 0) {
            self.findings.add("I2 zxid", at, None, || {
                let action = action(&txn.action);
                format!("{zxid} holds {action}: an epoch is opened at its counter 0")
            });
        }
        let agreed = Agreed {
            zxid,
            txn: txn.clone(),
            saved_at: known.saved_at,
            executed_at: at,
            digest: None,
        };
        self.log.agreed.insert(place, agreed);
        self.members.agreed(zxid);
        self.newer_leaders_have(at, zxid);
    }

    /// Whatever anybody is shown was agreed, and durable on a quorum.
    fn seen(&mut self, at: Duration, client: &str, zxid: Zxid) {
        if zxid == Zxid::ZERO {
            return;
        }
        if self.log.at(zxid).is_none() {
            self.findings.add("I4 no rollback", at, None, || {
                format!("{client} was shown {zxid}, which was not agreed by then")
            });
        }
        self.durable_on_a_quorum(at, zxid, || format!("{client} was shown"));
    }

    /// Is this position durable on a quorum by now?
    fn durable_on_a_quorum(&mut self, at: Duration, zxid: Zxid, who: impl FnOnce() -> String) {
        if zxid <= self.proven {
            return;
        }
        let has = |(id, known): (&ServerId, &Server)| {
            let durable = known.durable >= zxid && known.chain.contains(zxid);
            Some((*id, known.directory.filter(|_| durable)?))
        };
        let known = self.lost.iter().chain(&self.servers);
        let durable: BTreeMap<ServerId, DirectoryId> = known.filter_map(has).collect();
        if self.members.is_quorum_for(zxid, &durable) {
            self.proven = zxid;
            return;
        }
        let on: Vec<u8> = durable.keys().map(|server| server.0).collect();
        self.findings.add("I3 durability", at, None, || {
            let who = who();
            format!("{who} {zxid} when it was durable on servers {on:?}, which are no quorum")
        });
    }
}
