//! Randomness of the operating system.

use rustix::rand::{GetRandomFlags, getrandom};

/// 32 bytes that nobody can guess.
///
/// # Panics
/// If the operating system has none, which is never so after it has started.
pub fn entropy() -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())
            .expect("the operating system has 32 random bytes");
    }
    bytes
}
