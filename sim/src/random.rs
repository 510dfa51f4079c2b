//! Named streams of randomness: each is a function of the run's seed and its name alone, so taking
//! one user of randomness away does not re-roll what the others draw.
//!
//! Distributions are computed with additions, multiplications and divisions only, which IEEE 754
//! defines to the last bit: a seed means the same on every machine.

use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng as _;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::span::Span;

/// All the streams of one seed.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    /// The streams of `seed`.
    pub fn new(seed: u64) -> Streams {
        Streams { seed }
    }

    /// The stream with this name, from its beginning.
    pub fn fork(&self, name: &str) -> Stream {
        Stream::named(self.seed, name)
    }
}

/// One stream. [`Stream::rng`] lends it as a generator of the crate `rand`.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream `name` of the run with `seed`.
    pub fn named(seed: u64, name: &str) -> Stream {
        let mut key = [0; 32];
        let low = xxh3_128_with_seed(name.as_bytes(), seed);
        let high = xxh3_128_with_seed(name.as_bytes(), !seed);
        key[..16].copy_from_slice(&low.to_le_bytes());
        key[16..].copy_from_slice(&high.to_le_bytes());
        Stream(ChaCha8Rng::from_seed(key))
    }

    /// The generator beneath, for what the crate `rand` can do with one.
    pub fn rng(&mut self) -> &mut ChaCha8Rng {
        &mut self.0
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A number in `0..bound`.
    ///
    /// # Panics
    /// If `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a number below zero was asked for");
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// An index of something with `len` items.
    ///
    /// # Panics
    /// If it has none.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A number in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    /// A time between two, both included.
    ///
    /// # Panics
    /// If the least is more than the most.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let nanos = (most - least).as_nanos() as u64;
        least + Duration::from_nanos(self.below(nanos + 1))
    }

    /// A span between two, evenly on a logarithmic scale, so that every order of magnitude is as
    /// likely as any other; in whole milliseconds.
    ///
    /// # Panics
    /// If the least is more than the most.
    pub fn span(&mut self, least: Span, most: Span) -> Span {
        assert!(least <= most, "a range begins before its end");
        // One millisecond is added so that a range may begin at zero.
        let log = |span: Span| natural_log(span.0.as_millis() as f64 + 1.0);
        let drawn = log(least) + (log(most) - log(least)) * self.unit();
        let millis = (exponential_of(drawn) - 1.0).round() as u64;
        Span::millis(millis).clamp(least, most)
    }

    /// A time of an exponential distribution with this mean.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        let factor = -natural_log(1.0 - self.unit());
        scale(mean, factor)
    }

    /// A time of a lognormal distribution with this median; one in a thousand is more than four
    /// times as long.
    pub fn lognormal(&mut self, median: Duration) -> Duration {
        const SIGMA: f64 = 0.45;
        // The sum of twelve even draws is normal enough: mean 6, variance 1, tails to 6 sigma.
        let normal = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
        scale(median, exponential_of(SIGMA * normal))
    }
}

fn scale(time: Duration, factor: f64) -> Duration {
    Duration::from_nanos((time.as_nanos() as f64 * factor) as u64)
}

/// The natural logarithm of a positive normal number: exponent and mantissa apart, then the series
/// of the inverse hyperbolic tangent.
fn natural_log(x: f64) -> f64 {
    const LN_2: f64 = std::f64::consts::LN_2;
    let bits = x.to_bits();
    let exponent = ((bits >> 52) as i64 - 1023) as f64;
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let mut power = t;
    let mut sum = 0.0;
    for odd in 0..12 {
        sum += power / f64::from(2 * odd + 1);
        power *= square;
    }
    exponent * LN_2 + 2.0 * sum
}

/// e to the `x`: (1 + x / 2^20)^(2^20), which is right to a thousandth for |x| below 30.
fn exponential_of(x: f64) -> f64 {
    let mut power = 1.0 + x / 1_048_576.0;
    for _ in 0..20 {
        power *= power;
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_a_function_of_seed_and_name() {
        let draw = |seed, name| {
            let mut stream = Streams::new(seed).fork(name);
            [stream.bits(), stream.bits(), stream.bits()]
        };
        assert_eq!(draw(7, "network.client-1"), draw(7, "network.client-1"));
        assert_ne!(draw(7, "network.client-1"), draw(8, "network.client-1"));
        assert_ne!(draw(7, "network.client-1"), draw(7, "network.client-2"));
    }

    #[test]
    fn the_first_draws_are_the_same_on_every_machine() {
        let mut stream = Streams::new(1).fork("pinned");
        let mean = Duration::from_millis(10);
        let drawn = [
            stream.bits(),
            stream.exponential(mean).as_nanos() as u64,
            stream.lognormal(mean).as_nanos() as u64,
        ];
        assert_eq!(drawn, PINNED);
    }

    const PINNED: [u64; 3] = [12_479_385_286_103_307_644, 2_027_415, 6_850_535];

    #[test]
    fn the_functions_agree_with_the_library() {
        let mut stream = Streams::new(2).fork("test");
        for _ in 0..10_000 {
            let x = stream.unit() + f64::EPSILON;
            assert!((natural_log(x) - x.ln()).abs() < 1e-9, "ln {x}");
            let y = stream.unit() * 6.0 - 3.0;
            assert!((exponential_of(y) / y.exp() - 1.0).abs() < 1e-3, "exp {y}");
        }
    }

    #[test]
    fn distributions_have_their_middle() {
        let mut stream = Streams::new(3).fork("test");
        let second = Duration::from_secs(1);
        let sum: Duration = (0..10_000).map(|_| stream.exponential(second)).sum();
        assert!((9_500..10_500).contains(&sum.as_secs()), "{sum:?}");
        let below = (0..10_000).filter(|_| stream.lognormal(second) < second);
        assert!((4_800..5_200).contains(&below.count()));
    }

    #[test]
    fn draws_stay_in_their_ranges() {
        let mut stream = Streams::new(4).fork("test");
        let (least, most) = (Duration::from_millis(3), Duration::from_millis(5));
        for _ in 0..10_000 {
            assert!(stream.below(3) < 3);
            assert!((least..=most).contains(&stream.between(least, most)));
            let span = stream.span(Span::millis(0), Span::secs(60));
            assert!(span <= Span::secs(60));
            assert!(!stream.chance(0.0));
            assert!(stream.chance(1.0));
        }
        let five = Span::secs(5);
        assert_eq!(stream.span(five, five), five);
    }

    #[test]
    fn spans_are_even_on_a_logarithmic_scale() {
        let mut stream = Streams::new(5).fork("test");
        let draws = (0..10_000).map(|_| stream.span(Span::millis(0), Span::secs(60)));
        let short = draws.filter(|span| *span < Span::secs(1)).count();
        assert!(
            (5_000..8_000).contains(&short),
            "{short} of 10,000 below 1s"
        );
    }
}
