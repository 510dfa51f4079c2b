//! From a hash to places: a hash table that grows one bucket at a time (linear hashing), so that no
//! insertion pauses the server, and whose clones share every bucket that neither of them changes.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::tree::pages::Pages;
use crate::tree::slab::Slot;

/// Average number of entries of a bucket above which another bucket is added. A search halves its
/// way through them; a write after a clone copies them.
const BUCKET: usize = 64;

/// By how many entries a full bucket grows: more would lie idle, fewer would move it more often.
const BUCKET_GROWTH: usize = 16;

/// Entries in ascending order: the tag in the upper half, the place in the lower.
type Bucket = Arc<Vec<u64>>;

/// Places by hash. Several places may share a hash; the one who asks tells them apart.
#[derive(Clone)]
pub(super) struct Index {
    buckets: Pages<Bucket>,
    count: usize,
}

/// What of a hash is kept. Its lower bits choose the bucket.
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn tag_of(entry: u64) -> u32 {
    (entry >> 32) as u32
}

fn entry(tag: u32, slot: Slot) -> u64 {
    (u64::from(tag) << 32) | u64::from(slot.number())
}

/// The bucket of `tag` among `count` buckets: its lower bits, one bit fewer if that bucket has not
/// been added yet.
fn bucket_of(tag: u32, count: usize) -> usize {
    let mask = count.next_power_of_two() - 1;
    let bucket = tag as usize & mask;
    if bucket < count {
        bucket
    } else {
        bucket & (mask >> 1)
    }
}

impl Index {
    pub(super) const fn new() -> Index {
        Index {
            buckets: Pages::new(),
            count: 0,
        }
    }

    /// The places with this hash (and perhaps a few others).
    pub(super) fn candidates(&self, hash: u64) -> impl Iterator<Item = Slot> {
        let tag = tag(hash);
        let bucket: &[u64] = match self.buckets.len() {
            0 => &[],
            count => self.buckets.get(bucket_of(tag, count)),
        };
        let first = bucket.partition_point(|entry| tag_of(*entry) < tag);
        bucket[first..]
            .iter()
            .take_while(move |entry| tag_of(**entry) == tag)
            .map(|entry| Slot::from_number(*entry as u32))
    }

    pub(super) fn insert(&mut self, hash: u64, slot: Slot) {
        if self.count >= self.buckets.len() * BUCKET {
            self.add_bucket();
        }
        let entry = entry(tag(hash), slot);
        let bucket = self.bucket_mut(tag(hash));
        match bucket.binary_search(&entry) {
            Ok(_) => panic!("a place is indexed twice"),
            Err(at) => {
                if bucket.len() == bucket.capacity() {
                    bucket.reserve_exact(BUCKET_GROWTH);
                }
                bucket.insert(at, entry);
            }
        }
        self.count += 1;
    }

    pub(super) fn remove(&mut self, hash: u64, slot: Slot) {
        let entry = entry(tag(hash), slot);
        let bucket = self.bucket_mut(tag(hash));
        let at = bucket
            .binary_search(&entry)
            .expect("what is there is indexed");
        bucket.remove(at);
        self.count -= 1;
    }

    fn bucket_mut(&mut self, tag: u32) -> &mut Vec<u64> {
        let bucket = bucket_of(tag, self.buckets.len());
        Arc::make_mut(self.buckets.get_mut(bucket))
    }

    /// Adds the next bucket and moves to it what now belongs there, all from one other bucket.
    fn add_bucket(&mut self) {
        let added = self.buckets.len();
        self.buckets.push(Bucket::default());
        if added == 0 {
            return;
        }
        let split = added & !(1 << added.ilog2());
        let count = self.buckets.len();
        let entries = core::mem::take(self.buckets.get_mut(split));
        let (stay, go) = entries
            .iter()
            .partition(|entry| bucket_of(tag_of(**entry), count) == split);
        *self.buckets.get_mut(split) = compact(stay);
        *self.buckets.get_mut(added) = compact(go);
    }
}

fn compact(mut entries: Vec<u64>) -> Bucket {
    entries.shrink_to_fit();
    Arc::new(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    fn spread(number: u32) -> u64 {
        u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn finds_what_was_inserted() {
        let mut index = Index::new();
        assert_eq!(index.candidates(5).count(), 0);
        for number in 1..20_000 {
            index.insert(spread(number), Slot::from_number(number));
            assert_eq!(index.buckets.len(), index.count.div_ceil(BUCKET));
        }
        let before = index.clone();
        for number in 1..20_000 {
            let slot = Slot::from_number(number);
            assert!(index.candidates(spread(number)).any(|found| found == slot));
            index.remove(spread(number), slot);
            assert!(!index.candidates(spread(number)).any(|found| found == slot));
            assert!(before.candidates(spread(number)).any(|found| found == slot));
        }
        assert_eq!(index.count, 0);
    }

    proptest! {
        /// Few hashes, so that they collide, and every growth of the table.
        #[test]
        fn equals_a_set(inserted in prop::collection::vec((0..40u64, 1..300u32), 1..600)) {
            let mut index = Index::new();
            let mut twin = BTreeSet::new();
            for (hash, number) in inserted {
                let hash = hash << 32;
                let slot = Slot::from_number(number);
                if twin.insert((hash, number)) {
                    index.insert(hash, slot);
                } else {
                    twin.remove(&(hash, number));
                    index.remove(hash, slot);
                }
                let expected = twin.range((hash, 0)..=(hash, u32::MAX)).map(|(_, number)| *number);
                prop_assert!(index.candidates(hash).map(Slot::number).eq(expected));
            }
        }
    }
}
