//! How long requests took: counted in classes whose width grows with the time, so that a long
//! measurement takes no more memory than a short one.

use std::time::Duration;

/// Classes for each doubling of the time: a value is known to 1/32 of itself.
const STEPS: u32 = 32;

/// Doublings from a microsecond to more than an hour.
const DOUBLINGS: u32 = 34;

/// How long requests took; none at first.
#[derive(Clone, Debug)]
pub struct Latencies {
    classes: Vec<u64>,
    count: u64,
    longest: Duration,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies {
            classes: vec![0; (DOUBLINGS * STEPS) as usize],
            count: 0,
            longest: Duration::ZERO,
        }
    }
}

impl Latencies {
    /// Counts one.
    pub fn add(&mut self, took: Duration) {
        self.classes[class(took)] += 1;
        self.count += 1;
        self.longest = self.longest.max(took);
    }

    /// Counts those of `other`, too.
    pub fn join(&mut self, other: &Latencies) {
        for (own, others) in self.classes.iter_mut().zip(&other.classes) {
            *own += others;
        }
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The time within which this share of them (in thousandths) was answered; rounded up to its
    /// class.
    pub fn within(&self, thousandths: u64) -> Duration {
        let wanted = (self.count * thousandths).div_ceil(1000);
        let mut seen = 0;
        for (class, count) in self.classes.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return end(class).min(self.longest);
            }
        }
        self.longest
    }
}

/// The class of a time.
fn class(took: Duration) -> usize {
    let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    let doubling = us.ilog2();
    let within = match doubling.checked_sub(STEPS.ilog2()) {
        Some(shift) => (us >> shift) - u64::from(STEPS),
        None => (us - (1 << doubling)) << (STEPS.ilog2() - doubling),
    };
    let class = u64::from(doubling) * u64::from(STEPS) + within;
    (class as usize).min((DOUBLINGS * STEPS) as usize - 1)
}

/// Where a class ends.
fn end(class: usize) -> Duration {
    let (doubling, within) = (class as u32 / STEPS, class as u64 % u64::from(STEPS));
    let us = ((u64::from(STEPS) + within + 1) << doubling).div_ceil(u64::from(STEPS));
    Duration::from_micros(us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_right_to_a_thirty_second() {
        let mut all = Latencies::default();
        let (mut one, mut other) = (Latencies::default(), Latencies::default());
        for us in 1..=100_000 {
            let half = if us % 2 == 0 { &mut one } else { &mut other };
            half.add(Duration::from_micros(us));
        }
        all.join(&one);
        all.join(&other);
        assert_eq!(all.count(), 100_000);
        for thousandths in [1, 10, 500, 990, 999, 1000] {
            let exact = 100 * thousandths;
            let told = all.within(thousandths).as_micros() as u64;
            assert!(
                (exact..=exact + exact / 16 + 1).contains(&told),
                "{thousandths}: {told}"
            );
        }
        assert_eq!(all.within(1000), Duration::from_micros(100_000));
        assert_eq!(Latencies::default().within(500), Duration::ZERO);
    }
}
