//! Access control lists, each kept once however many znodes have it.

use alloc::vec::Vec;

use xxhash_rust::xxh3::xxh3_128;

use crate::tree::acl::Acl;
use crate::tree::index::Index;
use crate::tree::slab::{Slab, Slot};

#[derive(Clone)]
struct Kept {
    acl: Acl,
    digest: u128,
    users: usize,
}

/// The lists that znodes have.
#[derive(Clone)]
pub(super) struct Acls {
    kept: Slab<Kept>,
    index: Index,
    key: u64,
}

impl Acls {
    pub(super) const fn new(key: u64) -> Acls {
        Acls {
            kept: Slab::new(),
            index: Index::new(),
            key,
        }
    }

    /// Hashes with another key from here on.
    pub(super) fn rekey(&mut self, key: u64) {
        self.key = key;
        self.index = Index::new();
        for (slot, kept) in self.kept.iter() {
            self.index.insert(keyed(kept.digest, key), slot);
        }
    }

    pub(super) fn find(&self, acl: &Acl) -> Option<Slot> {
        self.find_digested(digest_of(acl), acl)
    }

    fn find_digested(&self, digest: u128, acl: &Acl) -> Option<Slot> {
        self.index
            .candidates(keyed(digest, self.key))
            .find(|slot| self.kept[*slot].acl == *acl)
    }

    /// Counts one znode more that has this list.
    pub(super) fn take(&mut self, acl: &Acl) -> Slot {
        let digest = digest_of(acl);
        let slot = self.find_digested(digest, acl).unwrap_or_else(|| {
            let kept = Kept {
                acl: acl.clone(),
                digest,
                users: 0,
            };
            let slot = self.kept.insert(kept);
            self.index.insert(keyed(digest, self.key), slot);
            slot
        });
        self.kept[slot].users += 1;
        slot
    }

    /// Counts one znode more that has the list at `slot`.
    pub(super) fn take_again(&mut self, slot: Slot) {
        self.kept[slot].users += 1;
    }

    /// Counts one znode less; the list goes with the last one.
    pub(super) fn give_back(&mut self, slot: Slot) -> Acl {
        let kept = &mut self.kept[slot];
        kept.users -= 1;
        if kept.users > 0 {
            return kept.acl.clone();
        }
        let kept = self.kept.remove(slot);
        self.index.remove(keyed(kept.digest, self.key), slot);
        kept.acl
    }

    pub(super) fn acl(&self, slot: Slot) -> &Acl {
        &self.kept[slot].acl
    }

    pub(super) fn digest(&self, slot: Slot) -> u128 {
        self.kept[slot].digest
    }

    /// The first list at a place with a larger number.
    pub(super) fn after(&self, number: u32) -> Option<(Slot, &Acl)> {
        let (slot, kept) = self.kept.iter_after(number).next()?;
        Some((slot, &kept.acl))
    }
}

fn keyed(digest: u128, key: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(&digest.to_le_bytes(), key)
}

fn digest_of(acl: &Acl) -> u128 {
    let mut bytes = Vec::with_capacity(64);
    for entry in acl.0.iter() {
        bytes.extend(entry.perms.0.to_le_bytes());
        for text in [&entry.who.scheme, &entry.who.id] {
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
    }
    xxh3_128(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::acl::Perms;

    #[test]
    fn a_list_is_kept_once_and_goes_with_its_last_user() {
        let mut acls = Acls::new(1);
        let open = acls.take(&Acl::open());
        let hers = acls.take(&Acl::of(Perms::ALL, "digest", "alice:hash"));
        assert_eq!(acls.take(&Acl::open()), open);
        assert_ne!(hers, open);
        acls.rekey(2);
        assert_eq!(acls.find(&Acl::open()), Some(open));
        assert_eq!(acls.give_back(open), Acl::open());
        assert_eq!(acls.find(&Acl::open()), Some(open));
        assert_eq!(acls.give_back(open), Acl::open());
        assert_eq!(acls.find(&Acl::open()), None);
        assert_eq!(acls.after(0).map(|(slot, _)| slot), Some(hers));
        assert!(acls.after(hers.number()).is_none());
    }
}
