//! The end of the log, in memory: what is not executed yet, and what others may still need of what
//! is.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::ids::Zxid;
use crate::store::txn::Entry;

/// Bytes of executed entries that are kept for servers that are a little behind: a few seconds of
/// full load. Who is further behind gets a snapshot.
pub const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of executed entries that are kept while a snapshot is under way to somebody who needs what
/// follows it: a minute of full load.
pub const KEPT_FOR_TRANSFER_BYTES: usize = 16 * KEPT_BYTES;

/// A run of entries, in the order of their positions.
#[derive(Clone, Debug)]
pub struct Window {
    /// The position before the first entry.
    base: Zxid,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// How many of the entries, from the front, are executed.
    executed: usize,
}

impl Window {
    /// The entries after `base`, of which none is executed.
    pub fn new(base: Zxid, entries: Vec<Entry>) -> Window {
        let bytes = entries.iter().map(|entry| entry.txn.weight()).sum();
        Window {
            base,
            entries: VecDeque::from(entries),
            bytes,
            executed: 0,
        }
    }

    /// The position before the first entry.
    pub fn base(&self) -> Zxid {
        self.base
    }

    /// The position of the last entry.
    pub fn last(&self) -> Zxid {
        self.entries.back().map_or(self.base, |entry| entry.zxid)
    }

    /// All entries.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Is this position in the log, as far as it is in memory?
    pub fn has(&self, zxid: Zxid) -> bool {
        self.floor(zxid) == Some(zxid)
    }

    /// The last position that is not after `zxid`; `None` if it is before the window.
    pub fn floor(&self, zxid: Zxid) -> Option<Zxid> {
        match self.index_after(zxid) {
            0 => (zxid >= self.base).then_some(self.base),
            index => Some(self.entries[index - 1].zxid),
        }
    }

    /// The entries after a position, and as many bytes as they have.
    pub fn after(&self, zxid: Zxid) -> impl Iterator<Item = (&Entry, usize)> {
        let weighed = |entry: &'_ Entry| entry.txn.weight();
        self.entries
            .range(self.index_after(zxid)..)
            .map(move |entry| (entry, weighed(entry)))
    }

    /// Appends.
    pub fn push(&mut self, entry: Entry) {
        self.bytes += entry.txn.weight();
        self.entries.push_back(entry);
    }

    /// Takes back the entries after a position.
    ///
    /// # Panics
    /// If one of them is executed.
    pub fn cut(&mut self, after: Zxid) -> Vec<Entry> {
        let kept = self.index_after(after);
        assert!(kept >= self.executed, "what is executed is not taken back");
        let cut: Vec<Entry> = self.entries.drain(kept..).collect();
        self.bytes -= cut.iter().map(|entry| entry.txn.weight()).sum::<usize>();
        cut
    }

    /// The next entry to be executed, if it is not after `until`.
    pub fn execute(&mut self, until: Zxid) -> Option<Entry> {
        let entry = self.entries.get(self.executed)?;
        if entry.zxid > until {
            return None;
        }
        let entry = entry.clone();
        self.executed += 1;
        Some(entry)
    }

    /// Forgets the oldest executed entries beyond `keep` bytes.
    pub fn trim(&mut self, keep: usize) {
        while self.bytes > keep && self.executed > 0 {
            let Some(entry) = self.entries.pop_front() else {
                return;
            };
            self.executed -= 1;
            self.bytes -= entry.txn.weight();
            self.base = entry.zxid;
        }
    }

    /// Begins anew after a position whose state is known.
    pub fn reset(&mut self, base: Zxid) {
        *self = Window::new(base, Vec::new());
    }

    fn index_after(&self, zxid: Zxid) -> usize {
        self.entries.partition_point(|entry| entry.zxid <= zxid)
    }

    /// Asserts that positions follow each other.
    pub fn check(&self) {
        let mut before = self.base;
        for entry in &self.entries {
            let dense = before.next() == Some(entry.zxid)
                || (entry.zxid.epoch() > before.epoch() && entry.zxid.counter() == 0);
            assert!(dense, "a gap in the log before {}", entry.zxid);
            before = entry.zxid;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;

    use super::*;
    use crate::ids::Epoch;
    use crate::store::txn::{Action, Txn};
    use crate::time::WallTime;

    fn at(counter: u32) -> Zxid {
        Zxid::new(Epoch(1), counter)
    }

    fn entry(counter: u32) -> Entry {
        let txn = Txn::of_servers(WallTime(0), Action::Multi(Vec::new()));
        Entry {
            zxid: at(counter),
            txn: Arc::new(txn),
        }
    }

    #[test]
    fn as_much_is_kept_as_was_said_and_all_that_is_not_executed() {
        let weight = entry(1).txn.weight();
        let mut window = Window::new(at(0), (1..=4).map(entry).collect());
        window.trim(0);
        assert_eq!(window.base(), at(0), "nothing is executed");
        for counter in 1..=3 {
            let executed = window.execute(at(3)).expect("one more");
            assert_eq!(executed.zxid, at(counter));
        }
        assert_eq!(window.execute(at(3)), None);
        window.trim(weight * 4);
        assert_eq!(window.base(), at(0));
        window.trim(weight * 2);
        assert_eq!(window.base(), at(2));
        // What is pushed and what is cut counts, too.
        window.push(entry(5));
        assert_eq!(window.cut(at(4)).len(), 1);
        window.trim(weight * 2);
        assert_eq!(window.base(), at(2));
        window.trim(weight * 2 - 1);
        assert_eq!(window.base(), at(3));
        window.trim(0);
        assert_eq!((window.base(), window.last()), (at(3), at(4)));
    }

    #[test]
    fn only_a_gap_is_a_gap() {
        let opening = Entry {
            zxid: Zxid::new(Epoch(3), 0),
            ..entry(1)
        };
        Window::new(at(0), alloc::vec![entry(1), entry(2), opening]).check();
    }

    #[test]
    #[should_panic(expected = "a gap in the log")]
    fn a_gap_is_noticed() {
        Window::new(at(0), alloc::vec![entry(1), entry(3)]).check();
    }
}
