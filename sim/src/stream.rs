//! Streams of randomness, forked from a run's seed by name, so that taking one user of randomness
//! away does not change what the others draw.

use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::span::Span;

/// One stream. Two streams of one seed with different names have nothing to do with each other.
#[derive(Clone, Debug)]
pub struct Stream {
    chacha: ChaCha12Rng,
}

impl Stream {
    /// The stream `name` of the run with `seed`.
    pub fn named(seed: u64, name: &str) -> Stream {
        let mut key = [0; 32];
        key[..16].copy_from_slice(&xxh3_128_with_seed(name.as_bytes(), seed).to_le_bytes());
        key[16..24].copy_from_slice(&seed.to_le_bytes());
        Stream {
            chacha: ChaCha12Rng::from_seed(key),
        }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.chacha.next_u64()
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.chacha.fill_bytes(bytes);
    }

    /// A number in `0..bound`.
    ///
    /// # Panics
    /// If `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a number below zero was asked for");
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Heads, with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A span of an exponential distribution with this mean.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.unit()).ln())
    }

    /// A span between two, evenly on a logarithmic scale, so that every order of magnitude is as
    /// likely as any other; in whole milliseconds.
    pub fn span(&mut self, least: Span, most: Span) -> Span {
        assert!(least <= most, "a range begins before its end");
        let millis = |span: Span| span.0.as_millis() as f64;
        // One millisecond is added so that a range may begin at zero.
        let (least, most) = ((millis(least) + 1.0).ln(), (millis(most) + 1.0).ln());
        let drawn = (least + (most - least) * self.unit()).exp() - 1.0;
        Span::millis(drawn.round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_a_function_of_seed_and_name() {
        let draw = |seed, name| {
            let mut stream = Stream::named(seed, name);
            [stream.bits(), stream.bits(), stream.bits()]
        };
        assert_eq!(draw(7, "faults.crash"), draw(7, "faults.crash"));
        assert_ne!(draw(7, "faults.crash"), draw(8, "faults.crash"));
        assert_ne!(draw(7, "faults.crash"), draw(7, "faults.pause"));
    }

    #[test]
    fn draws_stay_in_their_ranges() {
        let mut stream = Stream::named(1, "test");
        let (least, most) = (Span::millis(0), Span::secs(60));
        let mut short = 0;
        for _ in 0..10_000 {
            assert!(stream.below(3) < 3);
            assert!((0.0..1.0).contains(&stream.unit()));
            let span = stream.span(least, most);
            assert!(least <= span && span <= most);
            short += usize::from(span < Span::secs(1));
        }
        assert!(
            (5_000..8_000).contains(&short),
            "{short} of 10,000 below 1s"
        );
        assert_eq!(stream.span(Span::secs(5), Span::secs(5)), Span::secs(5));
    }

    #[test]
    fn exponential_draws_have_their_mean() {
        let mut stream = Stream::named(2, "test");
        let sum: Duration = (0..10_000)
            .map(|_| stream.exponential(Duration::from_secs(1)))
            .sum();
        assert!((9_500..10_500).contains(&sum.as_secs()), "{sum:?}");
    }
}
