//! Randomness: 32 bytes of entropy at birth, everything else is computed.

use core::fmt;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Infallible, Rng, SeedableRng, TryRng};

use crate::ids::Password;
use crate::time::Duration;

/// The entropy that a server is born with. From the operating system in production, from the run's
/// seed in the simulator. Whoever knows it can compute session passwords: it is never logged.
#[derive(Clone, Copy)]
pub struct Seed(pub [u8; 32]);

/// A cryptographic generator (ChaCha with 12 rounds), since session passwords are drawn from it.
#[derive(Clone)]
pub struct Prng {
    chacha: ChaCha12Rng,
}

/// Shows nothing of the state: whoever knows it can compute session passwords.
impl fmt::Debug for Prng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prng(..)")
    }
}

impl Prng {
    /// The generator that `seed` determines.
    pub fn new(seed: Seed) -> Prng {
        Prng {
            chacha: ChaCha12Rng::from_seed(seed.0),
        }
    }

    /// Another generator, whose draws do not disturb this one's.
    pub fn fork(&mut self) -> Prng {
        let mut seed = [0; 32];
        self.chacha.fill_bytes(&mut seed);
        Prng::new(Seed(seed))
    }

    /// How much was drawn: of two generators of one seed, those draw the same that drew as much.
    pub fn position(&self) -> u128 {
        self.chacha.get_word_pos()
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.chacha.next_u64()
    }

    /// A number in `0..bound`; the bias, below 2^-32 for bounds that fit 32 bits, does not matter
    /// for what draws it (jitter).
    ///
    /// # Panics
    /// If `bound` is zero.
    pub fn below(&mut self, bound: u32) -> u32 {
        assert!(bound > 0, "a number below zero was asked for");
        (((self.bits() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// A span of time below `bound`; zero if `bound` is zero.
    pub fn below_span(&mut self, bound: Duration) -> Duration {
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        let drawn = (u128::from(self.bits()) * u128::from(nanos)) >> 64;
        Duration::from_nanos(drawn as u64)
    }

    /// A session password.
    pub fn password(&mut self) -> Password {
        let mut bytes = [0; 16];
        self.chacha.fill_bytes(&mut bytes);
        Password(bytes)
    }
}

/// For what draws through the trait of the `rand` crates.
impl TryRng for Prng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.chacha.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.chacha.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.chacha.fill_bytes(bytes);
        Ok(())
    }
}
