//! The password that ZooKeeper gives a session: it is made from the session's number alone, so a
//! server that takes sessions over knows it.

use althing_core::ids::{Password, SessionId};

/// `ZooKeeperServer.superSecret`.
const SECRET: i64 = 0xb341_5c00;

/// `java.util.Random`: a linear congruence over 48 bits.
struct JavaRandom(u64);

const MULTIPLIER: u64 = 0x5_deec_e66d;
const MASK: u64 = (1 << 48) - 1;

impl JavaRandom {
    fn new(seed: i64) -> JavaRandom {
        JavaRandom((seed as u64 ^ MULTIPLIER) & MASK)
    }

    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(MULTIPLIER).wrapping_add(0xb) & MASK;
        (self.0 >> 16) as u32
    }
}

/// The password of a session.
pub fn password(session: SessionId) -> Password {
    let mut random = JavaRandom::new(session.0 ^ SECRET);
    let mut bytes = [0; 16];
    for four in bytes.chunks_exact_mut(4) {
        four.copy_from_slice(&random.next().to_le_bytes());
    }
    Password(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Java makes it: `new Random(0x100012345670000L ^ 0xB3415C00L).nextBytes(new byte[16])`.
    #[test]
    fn it_is_javas() {
        let told = password(SessionId(0x0100_0123_4567_0000));
        assert_eq!(told.0, EXPECTED, "{:02x?}", told.0);
    }

    const EXPECTED: [u8; 16] = [
        0x4b, 0xe4, 0x94, 0xd2, 0x7c, 0xc7, 0x39, 0xba, 0xa1, 0x23, 0x24, 0x4a, 0x25, 0x1a, 0x74,
        0x15,
    ];
}
