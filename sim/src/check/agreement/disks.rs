//! What servers have on their disks: appended in order, taken back only if it was never agreed,
//! found again after every crash.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use althing_core::ids::{DirectoryId, ServerId, Zxid};
use althing_core::quorum::log::Ballot;
use althing_core::store::txn::{Entry, Txn};

use crate::check::agreement::agreement::{Building, Server};
use crate::check::agreement::entries::{Chain, Clash, follows, same};
use crate::check::wording::{self, transactions};

impl Building<'_> {
    /// A server appends to its log.
    pub(super) fn saving(&mut self, at: Duration, server: ServerId, zxid: Zxid, txn: &Arc<Txn>) {
        let known = self.servers.entry(server).or_default();
        let end = known.chain.last();
        let leads = known.leads;
        if zxid <= end {
            // Without a cut before it, this rewrites what is there.
            known.chain.cut(Zxid(zxid.0 - 1));
        }
        let previous = known.chain.last();
        known.chain.push(zxid);
        known.others.split_off(&zxid);
        if zxid <= end {
            let invariant = match leads {
                Some(_) => "I5 append only",
                None => "I2 zxid",
            };
            self.findings.add(invariant, at, None, || {
                format!("server {server} saved {zxid} though its log went to {end}")
            });
        } else if !follows(end, zxid) {
            self.findings.add("I2 zxid", at, None, || {
                format!("server {server} saved {zxid} after {end}")
            });
        }
        self.append(at, server, zxid, previous, txn);
    }

    /// Holds an entry of a server's log against the one that others have there.
    fn append(
        &mut self,
        at: Duration,
        server: ServerId,
        zxid: Zxid,
        previous: Zxid,
        txn: &Arc<Txn>,
    ) {
        self.members.saved(zxid, txn);
        let Err(clash) = self.entries.saved(zxid, previous, txn, at) else {
            return;
        };
        let agreed = self.log.at(zxid);
        let invariant = match agreed {
            Some(_) => "I5 state machine",
            None => "I5 log matching",
        };
        self.findings.add(invariant, at, None, || match &clash {
            Clash::Txn(other) => {
                let how = transactions(txn, other);
                format!("server {server} has another transaction at {zxid} than others: {how}")
            }
            Clash::Previous(other) => {
                format!("server {server} has {zxid} after {previous}, others after {other}")
            }
        });
        if let Clash::Txn(_) = clash {
            self.server(server).others.insert(zxid, txn.clone());
        }
    }

    /// A server takes back the end of its log.
    pub(super) fn cut(&mut self, at: Duration, server: ServerId, after: Zxid) {
        let known = self.servers.entry(server).or_default();
        // A cut that the storage had no space for is asked for again.
        if let Some(epoch) = known.leads.filter(|_| known.chain.last() > after) {
            self.findings.add("I5 append only", at, None, || {
                format!("server {server} leads epoch {epoch} and cuts its log after {after}")
            });
        }
        let agreed = self.log.after(after).first();
        if let Some(agreed) = agreed.filter(|agreed| known.chain.contains(agreed.zxid)) {
            let lost = agreed.zxid;
            self.findings.add("I5 state machine", at, None, || {
                format!("server {server} cuts its log after {after}, and {lost} was agreed")
            });
        }
        known.chain.cut(after);
        known.durable = known.durable.min(after);
        known.others.split_off(&Zxid(after.0 + 1));
    }

    /// A server's storage had no space from a position on.
    pub(super) fn refused(&mut self, at: Duration, server: ServerId, zxid: Zxid) {
        let known = self.servers.entry(server).or_default();
        if known.durable >= zxid {
            self.findings.add("I3 durability", at, None, || {
                format!("server {server} has no space for {zxid}, which was durable")
            });
        }
        let before = Zxid(zxid.0 - 1);
        let had = known.chain.clone();
        known.chain.cut(before);
        known.durable = known.durable.min(before);
        known.others.split_off(&zxid);
        // A server alone may use those positions again: nobody has seen what stood there.
        let all = self.entries.positions(zxid..=had.last());
        let lost: Vec<Zxid> = all.filter(|lost| had.contains(*lost)).collect();
        for lost in lost {
            let has = |known: &Server| known.chain.contains(lost);
            if !self.servers.values().any(has) {
                self.entries.forget(lost);
            }
        }
    }

    /// A server begins a life, perhaps with another disk. A lost disk is a fault that the ensemble
    /// must outlive: nothing is expected of the blank one.
    pub(super) fn moved(
        &mut self,
        at: Duration,
        server: ServerId,
        directory: DirectoryId,
        ballot: Ballot,
    ) {
        self.lost.remove(&server);
        let known = self.servers.entry(server).or_default();
        if known.directory.is_some_and(|before| before != directory) {
            *known = Server::default();
        }
        let before = known.ballot;
        known.directory = Some(directory);
        known.ballot = ballot;
        known.leads = None;
        let forgot = before.epoch == ballot.epoch
            && before.voted_for.is_some()
            && before.voted_for != ballot.voted_for;
        if ballot.epoch < before.epoch || forgot {
            self.findings.add("I3 durability", at, None, || {
                let (found, before) = (wording::ballot(&ballot), wording::ballot(&before));
                format!("server {server} recovered {found}, after {before} was durable")
            });
        }
        if ballot.voted_for.is_some() {
            // It may have become durable without an answer, and be told from now on.
            self.voted(at, server, ballot);
        }
    }

    /// A server found this on its disk.
    pub(super) fn recovered(
        &mut self,
        at: Duration,
        server: ServerId,
        snapshot: Zxid,
        entries: &[Entry],
    ) {
        let known = std::mem::take(self.server(server));
        let found: BTreeMap<Zxid, &Arc<Txn>> = entries
            .iter()
            .map(|entry| (entry.zxid, &entry.txn))
            .collect();
        let owed = known.executed_ever.max(known.durable);
        let agreed = self.log.after(snapshot).iter();
        for agreed in agreed.take_while(|agreed| agreed.zxid <= owed) {
            let zxid = agreed.zxid;
            if !known.chain.contains(zxid) {
                continue;
            }
            match found.get(&zxid) {
                None => self.findings.add("I3 durability", at, None, || {
                    format!("server {server} recovered without {zxid}, which it had")
                }),
                Some(txn) if !same(txn, &agreed.txn) => {
                    self.findings.add("I1 agreement", at, None, || {
                        let how = transactions(txn, &agreed.txn);
                        format!("server {server} recovered another transaction at {zxid}: {how}")
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
        let mut chain = self.entries.chain_of(snapshot);
        let mut before = snapshot;
        for Entry { zxid, txn } in entries {
            let zxid = *zxid;
            if !follows(before, zxid) {
                self.findings.add("I2 zxid", at, None, || {
                    format!("server {server} recovered a log in which {zxid} follows {before}")
                });
            }
            if self.log.at(zxid).is_none() {
                self.append(at, server, zxid, before, txn);
            }
            chain.push(zxid);
            before = zxid;
        }
        self.durable_is_found(at, server, &known, &chain);
        let others = std::mem::take(&mut self.server(server).others);
        *self.server(server) = Server {
            durable: before,
            executed: snapshot,
            chain,
            others,
            ..known
        };
    }

    /// What a server said to be durable, and did not take back, is there again.
    fn durable_is_found(&mut self, at: Duration, server: ServerId, known: &Server, found: &Chain) {
        if !found.contains(known.durable) {
            let (durable, last) = (known.durable, found.last());
            self.findings.add("I3 durability", at, None, || {
                format!("server {server} recovered up to {last}; {durable} was durable")
            });
        }
    }

    /// A server's log goes on from another's snapshot.
    pub(super) fn installed(&mut self, at: Duration, server: ServerId, zxid: Zxid, digest: u128) {
        if self.log.at(zxid).is_none() {
            self.findings.add("I1 agreement", at, None, || {
                format!("server {server} installed a snapshot of {zxid}, never executed")
            });
        }
        let chain = self.entries.chain_of(zxid);
        let known = self.servers.entry(server).or_default();
        let durable = known.durable;
        let agreed = self.log.after(zxid).first().map(|agreed| agreed.zxid);
        if let Some(lost) = agreed.filter(|lost| *lost <= durable && known.chain.contains(*lost)) {
            self.findings.add("I5 state machine", at, None, || {
                format!("server {server} installed a snapshot of {zxid}, and loses {lost}")
            });
        }
        known.chain = chain;
        known.durable = zxid;
        known.executed = zxid;
        known.executed_ever = known.executed_ever.max(zxid);
        known.others.clear();
        self.digest_agrees(at, server, zxid, digest);
    }
}
