//! Every entry that any server was ever seen to save, and logs as paths through them. Since a
//! position has one predecessor (Raft's log matching), a log is known by where it ends.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use althing_core::ids::{Epoch, Zxid};
use althing_core::store::txn::Txn;

/// An entry that a server saved.
#[derive(Clone, Debug)]
pub struct Known {
    /// The position before it in every log that holds it.
    pub previous: Zxid,
    /// What it does.
    pub txn: Arc<Txn>,
    /// When a server was first seen to save it.
    pub saved_at: Duration,
}

/// How an entry differs from the one that was saved at its position before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Clash {
    /// It is another transaction.
    Txn(Arc<Txn>),
    /// It follows another position.
    Previous(Zxid),
}

/// All entries, by position.
#[derive(Debug, Default)]
pub struct Entries {
    known: BTreeMap<Zxid, Known>,
}

/// May a log have these two positions one after the other?
pub fn follows(before: Zxid, zxid: Zxid) -> bool {
    before.next() == Some(zxid) || (zxid.epoch() > before.epoch() && zxid.counter() == 0)
}

/// Are these the same transaction?
pub fn same(a: &Arc<Txn>, b: &Arc<Txn>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

impl Entries {
    /// The entry at a position.
    pub fn at(&self, zxid: Zxid) -> Option<&Known> {
        self.known.get(&zxid)
    }

    /// The positions in a range that anybody ever saved.
    pub fn positions(&self, range: RangeInclusive<Zxid>) -> impl Iterator<Item = Zxid> {
        let known = (!range.is_empty()).then(|| self.known.range(range));
        known.into_iter().flatten().map(|(zxid, _)| *zxid)
    }

    /// Notes an entry that a server appended to a log which ended at `end`. The first one at a
    /// position counts; one that differs from it is a clash.
    pub fn saved(
        &mut self,
        zxid: Zxid,
        end: Zxid,
        txn: &Arc<Txn>,
        at: Duration,
    ) -> Result<(), Clash> {
        // Within an epoch the counters are dense, whatever a server says.
        let previous = match zxid.counter() {
            0 => end,
            _ => Zxid(zxid.0 - 1),
        };
        let known = self.known.entry(zxid).or_insert_with(|| Known {
            previous,
            txn: txn.clone(),
            saved_at: at,
        });
        if !same(&known.txn, txn) {
            return Err(Clash::Txn(known.txn.clone()));
        }
        match known.previous == previous {
            true => Ok(()),
            false => Err(Clash::Previous(known.previous)),
        }
    }

    /// Forgets an entry that no server has any more and none may have seen.
    pub fn forget(&mut self, zxid: Zxid) {
        self.known.remove(&zxid);
    }

    /// The log that ends at a position, as far as its beginning is known.
    pub fn chain_of(&self, zxid: Zxid) -> Chain {
        let mut ends = Vec::new();
        let mut end = zxid;
        while end != Zxid::ZERO {
            ends.push(end);
            let opening = self.known.get(&Zxid::new(end.epoch(), 0));
            let before = opening.map_or(Zxid::ZERO, |opening| opening.previous);
            end = if before < end { before } else { Zxid::ZERO };
        }
        ends.reverse();
        Chain { ends }
    }
}

/// A log by its positions: within an epoch they are dense, so the last one of each tells them all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chain {
    /// The last position of each epoch, in order.
    ends: Vec<Zxid>,
}

impl Chain {
    /// Its end; [`Zxid::ZERO`] if it is empty.
    pub fn last(&self) -> Zxid {
        self.ends.last().copied().unwrap_or_default()
    }

    /// The last position that it holds of this epoch.
    fn end_of(&self, epoch: Epoch) -> Option<Zxid> {
        // Most questions are about the newest epoch.
        let last = *self.ends.last()?;
        if last.epoch() == epoch {
            return Some(last);
        }
        let found = self.ends.binary_search_by_key(&epoch, |end| end.epoch());
        found.ok().map(|index| self.ends[index])
    }

    /// Is this position in it? Its beginning always is.
    pub fn contains(&self, zxid: Zxid) -> bool {
        zxid == Zxid::ZERO || self.end_of(zxid.epoch()).is_some_and(|end| zxid <= end)
    }

    /// Appends a position.
    pub fn push(&mut self, zxid: Zxid) {
        match self.ends.last_mut() {
            Some(end) if end.epoch() == zxid.epoch() => *end = zxid,
            _ => self.ends.push(zxid),
        }
    }

    /// Takes back what is after a position.
    pub fn cut(&mut self, after: Zxid) {
        while self.last().epoch() > after.epoch() {
            self.ends.pop();
        }
        if let Some(end) = self.ends.last_mut()
            && end.epoch() == after.epoch()
        {
            *end = after.min(*end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use althing_core::store::txn::{Action, Ending};
    use althing_core::time::WallTime;

    fn at(epoch: u32, counter: u32) -> Zxid {
        Zxid::new(Epoch(epoch), counter)
    }

    fn txn(wall: i64) -> Arc<Txn> {
        Arc::new(Txn {
            wall: WallTime(wall),
            origin: None,
            identities: Arc::from([]),
            action: Action::CloseSession {
                session: althing_core::ids::SessionId(1),
                ending: Ending::Closed,
            },
        })
    }

    fn chain(ends: &[Zxid]) -> Chain {
        let ends = ends.to_vec();
        Chain { ends }
    }

    #[test]
    fn a_chain_knows_its_positions() {
        let mut log = chain(&[at(1, 7), at(3, 2)]);
        assert!(log.contains(Zxid::ZERO) && log.contains(at(1, 0)) && log.contains(at(3, 2)));
        assert!(!log.contains(at(1, 8)) && !log.contains(at(2, 0)) && !log.contains(at(3, 3)));
        log.push(at(3, 3));
        log.push(at(4, 0));
        assert_eq!(log.last(), at(4, 0));
        log.cut(at(1, 5));
        assert_eq!(log, chain(&[at(1, 5)]));
        log.cut(at(1, 9));
        assert_eq!(log, chain(&[at(1, 5)]));
        log.cut(Zxid::ZERO);
        assert_eq!(log.last(), Zxid::ZERO);
    }

    #[test]
    fn a_cut_before_an_epoch_takes_it_whole() {
        let mut log = chain(&[at(1, 7), at(3, 2)]);
        log.cut(Zxid(at(3, 0).0 - 1));
        assert_eq!(log, chain(&[at(1, 7)]));
    }

    #[test]
    fn the_first_entry_at_a_position_counts() {
        let mut entries = Entries::default();
        let now = Duration::ZERO;
        for counter in 0_u32..4 {
            let end = counter
                .checked_sub(1)
                .map_or(Zxid::ZERO, |before| at(1, before));
            assert_eq!(entries.saved(at(1, counter), end, &txn(0), now), Ok(()));
        }
        assert_eq!(entries.saved(at(3, 0), at(1, 2), &txn(0), now), Ok(()));
        assert_eq!(
            entries.saved(at(3, 0), at(1, 3), &txn(0), now),
            Err(Clash::Previous(at(1, 2)))
        );
        assert_eq!(
            entries.saved(at(1, 2), at(1, 1), &txn(1), now),
            Err(Clash::Txn(txn(0)))
        );
        assert_eq!(entries.chain_of(at(3, 0)), chain(&[at(1, 2), at(3, 0)]));
        assert_eq!(entries.chain_of(at(1, 1)), chain(&[at(1, 1)]));
        let all: Vec<Zxid> = entries.positions(at(1, 2)..=at(3, 0)).collect();
        assert_eq!(all, [at(1, 2), at(1, 3), at(3, 0)]);
        entries.forget(at(1, 3));
        assert!(entries.at(at(1, 3)).is_none() && entries.at(at(1, 2)).is_some());
    }
}
