//! The set of states that were seen, by their digests.

use std::hash::{BuildHasher, Hasher};

use hashbrown::HashSet;

/// A digest is as good a hash as any: nothing is hashed again.
#[derive(Clone, Copy, Default, Debug)]
pub struct AsItIs;

/// Passes a digest on.
#[derive(Clone, Copy, Default, Debug)]
pub struct PassOn(u64);

impl BuildHasher for AsItIs {
    type Hasher = PassOn;

    fn build_hasher(&self) -> PassOn {
        PassOn(0)
    }
}

impl Hasher for PassOn {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = self.0.rotate_left(5) ^ u64::from_le_bytes(word);
        }
    }

    fn write_u128(&mut self, digest: u128) {
        self.0 = digest as u64;
    }
}

/// States that were seen. Nobody asks for their order.
#[derive(Clone, Debug, Default)]
pub struct Visited {
    digests: HashSet<u128, AsItIs>,
}

impl Visited {
    /// None yet.
    pub fn new() -> Visited {
        Visited::default()
    }

    /// Remembers a state; `true` if it is new.
    pub fn insert(&mut self, digest: u128) -> bool {
        self.digests.insert(digest)
    }

    /// How many.
    pub fn len(&self) -> u64 {
        self.digests.len() as u64
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// What they take.
    pub fn bytes(&self) -> u64 {
        self.digests.allocation_size() as u64
    }
}
