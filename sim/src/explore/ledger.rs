//! What was seen to happen: the history on which the invariants of agreement rest.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use althing_core::ids::{Epoch, ServerId, Zxid};
use althing_core::membership::Membership;

use crate::explore::digest::Digest;
use crate::explore::disk;
use crate::explore::mark::Mark;
use crate::explore::violation::Violation;

/// Something that a server has executed, so that it is agreed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Agreed {
    /// Where, and what the log holds up to there.
    pub mark: disk::Mark,
    /// The digest of the tree after it.
    pub tree: u128,
    /// The epoch in which the first server that executed it knew it to be agreed.
    pub known_in: Epoch,
}

/// What was seen to happen since the beginning. Servers forget; this does not.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    leaders: BTreeMap<Epoch, ServerId>,
    agreed: Vec<Agreed>,
    changes: Vec<Zxid>,
    /// By connection: where what bears its marks was created, in the order of the marks.
    marked: BTreeMap<u8, Vec<Zxid>>,
    membership: Membership,
    acknowledged: Zxid,
    disks_lost: u8,
}

impl Ledger {
    /// Everything that is agreed, in order.
    pub fn agreed(&self) -> &[Agreed] {
        &self.agreed
    }

    /// The newest members that are agreed.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Was the znode that clients watch changed after `since`, and not after `until`?
    pub fn has_changed(&self, since: Zxid, until: Zxid) -> bool {
        let mut changes = self.changes.iter();
        changes.any(|change| *change > since && *change <= until)
    }

    /// How many disks were lost, with what they had saved.
    pub fn disks_lost(&self) -> u8 {
        self.disks_lost
    }

    /// A disk is lost.
    pub fn lose_disk(&mut self) {
        self.disks_lost += 1;
    }

    /// The newest position that a client was told is done.
    pub fn acknowledged(&self) -> Zxid {
        self.acknowledged
    }

    /// A client was told that this is done.
    pub fn acknowledge(&mut self, zxid: Zxid) {
        self.acknowledged = self.acknowledged.max(zxid);
    }

    /// Was something executed at this position?
    pub fn is_agreed(&self, zxid: Zxid) -> bool {
        zxid == Zxid::ZERO || self.find(zxid).is_some()
    }

    fn find(&self, zxid: Zxid) -> Option<&Agreed> {
        let found = self
            .agreed
            .binary_search_by_key(&zxid, |agreed| agreed.mark.zxid);
        found.ok().map(|index| &self.agreed[index])
    }

    /// A server has won an epoch.
    pub fn elected(&mut self, epoch: Epoch, leader: ServerId) -> Result<(), Violation> {
        match self.leaders.insert(epoch, leader) {
            Some(other) if other != leader => Err(Violation::new(
                "I5 election safety",
                format!("{other} and {leader} both lead epoch {epoch}"),
            )),
            _ => Ok(()),
        }
    }

    /// A server has executed something; gives whether it was the first to do so.
    pub fn executed(&mut self, who: ServerId, agreed: Agreed) -> Result<bool, Violation> {
        let zxid = agreed.mark.zxid;
        match self.find(zxid) {
            Some(known) if known.mark != agreed.mark => Err(Violation::new(
                "I1 agreement",
                format!("{who} executed something else at {zxid} than was agreed"),
            )),
            Some(known) if known.tree != agreed.tree => Err(Violation::new(
                "I1 agreement",
                format!("{who} has another tree at {zxid}"),
            )),
            Some(_) => Ok(false),
            None => {
                let last = self.agreed.last().map(|agreed| agreed.mark.zxid);
                if last.is_some_and(|last| last > zxid) {
                    let text = format!("{who} executed {zxid}, which was passed over");
                    return Err(Violation::new("I2 zxid", text));
                }
                self.agreed.push(agreed);
                Ok(true)
            }
        }
    }

    /// The znode that clients watch was changed.
    pub fn changed(&mut self, zxid: Zxid) {
        self.changes.push(zxid);
    }

    /// Something was created that bears a client's mark: once, and after what that client has
    /// created before.
    pub fn mark(&mut self, mark: Mark, zxid: Zxid) -> Result<(), Violation> {
        let Mark { connection, number } = mark;
        let created = self.marked.entry(connection).or_default();
        match usize::from(number).cmp(&(created.len() + 1)) {
            Ordering::Equal => {
                created.push(zxid);
                Ok(())
            }
            Ordering::Less => Err(Violation::new(
                "W5 once",
                format!("what bears {mark:?} is created again at {zxid}"),
            )),
            Ordering::Greater => Err(Violation::new(
                "W3 order",
                format!("what bears {mark:?} is created at {zxid}, and not what was before it"),
            )),
        }
    }

    /// Where something was created.
    pub fn marked(&self, mark: Mark) -> Option<Zxid> {
        let created = self.marked.get(&mark.connection)?;
        created.get(usize::from(mark.number) - 1).copied()
    }

    /// These are the members after the newest transaction.
    pub fn set_membership(&mut self, membership: &Membership) {
        if self.membership != *membership {
            self.membership = membership.clone();
        }
    }

    /// Checks a state that a server took over instead of executing its way there.
    pub fn installed(&self, who: ServerId, mark: disk::Mark, tree: u128) -> Result<(), Violation> {
        match self.find(mark.zxid) {
            Some(known) if known.mark == mark && known.tree == tree => Ok(()),
            _ => Err(Violation::new(
                "I1 agreement",
                format!("{who} took over a state at {} that nobody had", mark.zxid),
            )),
        }
    }

    /// Feeds everything that matters.
    pub fn fingerprint(&self, digest: &mut Digest) {
        for (epoch, leader) in &self.leaders {
            digest.number(u64::from(epoch.0) << 8 | u64::from(leader.0));
        }
        digest
            .number(self.acknowledged.0)
            .number(self.disks_lost.into());
        if let Some(last) = self.agreed.last() {
            digest.number(last.mark.zxid.0).digest(last.mark.chain);
        }
        for agreed in &self.agreed {
            digest.number(u64::from(agreed.known_in.0));
        }
    }
}
