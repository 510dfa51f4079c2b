//! The secret that the servers of an ensemble share, and the mark that it puts under a datagram.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Bytes of a mark.
pub(super) const MARK_BYTES: usize = 32;

/// Sets this use of a secret apart from any other.
const PURPOSE: &[u8] = b"althing gossip 1";

/// Who has it may speak for any server. Its debug output shows no byte of it.
#[derive(Clone)]
pub struct Key {
    keyed: Hmac<Sha256>,
}

impl Key {
    /// The key that a secret of any length gives. It is no better than the secret: 16 random bytes
    /// or more are good, a word is not.
    pub fn from_secret(secret: &[u8]) -> Key {
        let digest = Sha256::new()
            .chain_update(PURPOSE)
            .chain_update(secret)
            .finalize();
        Key {
            keyed: Hmac::new_from_slice(&digest).expect("HMAC takes keys of every length"),
        }
    }

    /// The mark under `bytes`.
    pub(super) fn mark(&self, bytes: &[u8]) -> [u8; MARK_BYTES] {
        let marked = self.keyed.clone().chain_update(bytes);
        marked.finalize().into_bytes().into()
    }

    /// Is it the mark under `bytes`? Takes as long for a wrong one as for the right one.
    pub(super) fn knows(&self, bytes: &[u8], mark: &[u8]) -> bool {
        let marked = self.keyed.clone().chain_update(bytes);
        marked.verify_slice(mark).is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}
