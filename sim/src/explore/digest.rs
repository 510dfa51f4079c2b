//! Digests of values: what the explorer knows a state by.

use std::fmt::{self, Debug, Write};

use xxhash_rust::xxh3::Xxh3;

/// Gathers a digest.
#[derive(Clone, Default)]
pub struct Digest(Xxh3);

impl Digest {
    /// Of nothing yet.
    pub fn new() -> Digest {
        Digest(Xxh3::new())
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) -> &mut Digest {
        self.0.update(&number.to_le_bytes());
        self
    }

    /// Adds a digest of something else.
    pub fn digest(&mut self, digest: u128) -> &mut Digest {
        self.0.update(&digest.to_le_bytes());
        self
    }

    /// Adds bytes. What follows must make plain where they end.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Digest {
        self.0.update(bytes);
        self
    }

    /// Adds what the value's `Debug` shows.
    pub fn debug(&mut self, value: &dyn Debug) -> &mut Digest {
        write!(self, "{value:?}").expect("a digest takes everything");
        self
    }

    /// The digest of what was added, in the order in which it was.
    pub fn finish(&self) -> u128 {
        self.0.digest128()
    }
}

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// The digest of two, in their order.
pub fn both(first: u128, second: u128) -> u128 {
    let mut digest = Digest::new();
    digest.digest(first).digest(second);
    digest.finish()
}
