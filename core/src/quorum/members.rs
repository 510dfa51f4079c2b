//! Who votes, as far as this server knows: by what is executed, by what its log says beyond that,
//! or, before the ensemble is founded, by the configuration and the greetings.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::ids::{DirectoryId, ServerId, Zxid};
use crate::membership::Membership;
use crate::store::txn::Entry;
use crate::voters::Voters;

/// The members, by position in the log.
#[derive(Clone, Debug)]
pub struct Members {
    /// The voters of an ensemble that is not founded.
    first: Voters,
    /// Servers whose log is empty, by their greetings; this one among them as long as its is.
    blank: BTreeMap<ServerId, DirectoryId>,
    executed: Membership,
    /// What the log says beyond what is executed, the newest last.
    pending: Vec<(Zxid, Membership)>,
    /// The founders, once all are known to be blank.
    founders: Membership,
}

impl Members {
    /// At a server's start: what is executed, and what its log says beyond it.
    pub fn new<'a>(
        first: Voters,
        executed: Membership,
        entries: impl Iterator<Item = &'a Entry>,
    ) -> Members {
        let pending = entries
            .filter_map(|entry| Some((entry.zxid, entry.txn.action.membership()?.clone())))
            .collect();
        Members {
            first,
            blank: BTreeMap::new(),
            executed,
            pending,
            founders: Membership::default(),
        }
    }

    /// The members by the newest word in the log; the founders if there is none yet; nobody as long
    /// as not every server of the first configuration is known to be blank.
    pub fn newest(&self) -> &Membership {
        match self.pending.last() {
            Some((_, membership)) => membership,
            None if self.executed.is_empty() => &self.founders,
            None => &self.executed,
        }
    }

    /// May this server be needed as a leader? It has a vote; or it had one before a change that it
    /// does not know to be agreed. Then perhaps only it has the change in its log, and those who
    /// vote by it cannot lead since theirs is shorter. Its own vote does not count there.
    pub fn may_lead(&self, server: ServerId) -> bool {
        let pending = self.pending.iter().map(|(_, membership)| membership);
        let has_vote = |membership: &Membership| membership.has_vote(server);
        self.newest().has_vote(server) || pending.chain([&self.executed]).any(has_vote)
    }

    /// Is a change of the members in the log and not yet executed?
    pub fn is_changing(&self) -> bool {
        !self.pending.is_empty() || self.executed.incoming.is_some()
    }

    /// Is the first half of a change of the voters executed, and the second not yet in the log?
    pub fn is_half_way(&self) -> bool {
        self.pending.is_empty() && self.executed.incoming.is_some()
    }

    /// Does the log, or what was executed of it, say who the members are?
    pub fn is_founded(&self) -> bool {
        !self.executed.is_empty() || !self.pending.is_empty()
    }

    /// A greeting: this server's log is empty. Tells whether it replaces a founder's directory by
    /// another one.
    pub fn greeted_blank(&mut self, server: ServerId, directory: DirectoryId) -> bool {
        let before = self.founders.directories.get(&server).copied();
        self.blank.insert(server, directory);
        let everybody = self
            .first
            .iter()
            .all(|first| self.blank.contains_key(first));
        if everybody && !self.is_founded() {
            let of_first = |(server, directory): (&ServerId, &DirectoryId)| {
                self.first.contains(server).then_some((*server, *directory))
            };
            let founders = self.blank.iter().filter_map(of_first).collect();
            self.founders = Membership {
                voters: self.first.clone(),
                ..Membership::founding(founders)
            };
        }
        before.is_some_and(|before| !self.founders.knows(server, before))
    }

    /// A greeting: this server's log is not empty. Who is blank itself waits to be taken in.
    pub fn greeted_with_log(&mut self, server: ServerId) {
        self.blank.remove(&server);
    }

    /// An entry was appended.
    pub fn appended(&mut self, entry: &Entry) {
        if let Some(membership) = entry.txn.action.membership() {
            self.pending.push((entry.zxid, membership.clone()));
        }
    }

    /// The entries after a position were taken back.
    pub fn cut(&mut self, after: Zxid) {
        self.pending.retain(|(zxid, _)| *zxid <= after);
    }

    /// An entry was executed.
    pub fn executed(&mut self, zxid: Zxid) {
        while self.pending.first().is_some_and(|(at, _)| *at <= zxid) {
            self.executed = self.pending.remove(0).1;
        }
    }

    /// A snapshot replaced everything.
    pub fn installed(&mut self, membership: Membership) {
        self.pending.clear();
        self.executed = membership;
    }

    /// Does the executed state name this directory?
    pub fn is_named(&self, server: ServerId, directory: DirectoryId) -> bool {
        self.executed.knows(server, directory)
    }

    /// Does the log name this directory in a word that is agreed, or as the first one ever of its
    /// server? Nobody can have spoken for the server before that one, and been forgotten.
    pub fn admits(&self, server: ServerId, directory: DirectoryId) -> bool {
        let pending = self.pending.iter().map(|(_, membership)| membership);
        let words = core::iter::once(&self.executed).chain(pending);
        let mut named = words.filter_map(|membership| membership.directories.get(&server));
        named.next() == Some(&directory)
    }

    /// What of it matters to the protocol.
    pub fn digest_into(&self, take: &mut impl FnMut(&[u8])) {
        self.newest().digest_into(&mut *take);
        self.executed.digest_into(&mut *take);
        for (zxid, _) in &self.pending {
            take(&zxid.0.to_le_bytes());
        }
        for (server, directory) in &self.blank {
            take(&[server.0]);
            take(&directory.0.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::sync::Arc;

    use super::*;
    use crate::ids::Epoch;
    use crate::store::txn::Action;
    use crate::store::txn::Txn;
    use crate::time::WallTime;

    const ONE: ServerId = ServerId(1);
    const TWO: ServerId = ServerId(2);

    fn digest(members: &Members) -> Vec<u8> {
        let mut digest = Vec::new();
        members.digest_into(&mut |bytes| digest.extend_from_slice(bytes));
        digest
    }

    #[test]
    fn what_is_known_of_the_members_is_in_the_digest() {
        let executed = Membership::default();
        let mut members = Members::new([ONE, TWO].into(), executed, core::iter::empty());
        let mut digests = BTreeSet::new();
        assert!(digests.insert(digest(&members)));
        members.greeted_blank(ONE, DirectoryId(1));
        assert!(digests.insert(digest(&members)));
        members.greeted_blank(TWO, DirectoryId(2));
        assert!(digests.insert(digest(&members)));
        members.greeted_with_log(TWO);
        assert!(digests.insert(digest(&members)));
        let membership = Membership::clone(members.newest());
        let action = Action::Reconfigure { membership };
        let entry = Entry {
            zxid: Zxid::new(Epoch(1), 1),
            txn: Arc::new(Txn::of_servers(WallTime(0), action)),
        };
        members.appended(&entry);
        assert!(digests.insert(digest(&members)));
        members.executed(entry.zxid);
        assert!(digests.insert(digest(&members)));
    }

    #[test]
    fn who_is_the_first_of_its_server_counts_and_who_replaces_it_when_that_is_agreed() {
        let named = |directory| {
            let of = [(ONE, DirectoryId(1)), (TWO, DirectoryId(directory))];
            Membership::founding(of.into())
        };
        let entry = |counter, directory| {
            let membership = named(directory);
            Entry {
                zxid: Zxid::new(Epoch(1), counter),
                txn: Arc::new(Txn::of_servers(
                    WallTime(0),
                    Action::Reconfigure { membership },
                )),
            }
        };
        let mut members = Members::new(
            [ONE, TWO].into(),
            Membership::default(),
            core::iter::empty(),
        );
        let admits = |members: &Members| [2, 3].map(|of| members.admits(TWO, DirectoryId(of)));
        assert_eq!(admits(&members), [false, false]);
        members.appended(&entry(0, 2));
        assert_eq!(admits(&members), [true, false]);
        members.appended(&entry(1, 3));
        assert_eq!(
            admits(&members),
            [true, false],
            "it may still be taken back"
        );
        members.executed(Zxid::new(Epoch(1), 0));
        assert_eq!(admits(&members), [true, false]);
        members.executed(Zxid::new(Epoch(1), 1));
        assert_eq!(admits(&members), [false, true]);
    }
}
