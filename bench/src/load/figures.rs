//! From single times to figures: percentiles of a run, medians of several runs.

use std::time::Duration;

/// The times of everything that was done in one run.
#[derive(Default)]
pub struct Latencies {
    nanos: Vec<u64>,
    lasted: Duration,
}

impl Latencies {
    pub fn add(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).expect("no latency of centuries");
        self.nanos.push(nanos);
    }

    /// How long the whole run took.
    pub fn took(&mut self, lasted: Duration) {
        self.lasted = lasted;
    }

    pub fn count(&self) -> usize {
        self.nanos.len()
    }

    pub fn per_second(&self) -> f64 {
        self.nanos.len() as f64 / self.lasted.as_secs_f64()
    }

    pub fn least_us(&self) -> f64 {
        let least = self.nanos.iter().min().expect("something was done");
        *least as f64 / 1_000.0
    }

    /// The time in microseconds that `percent` of all did not exceed.
    pub fn percentile_us(&mut self, percent: usize) -> f64 {
        assert!(!self.nanos.is_empty(), "nothing was done");
        assert!((1..=100).contains(&percent));
        let rank = (self.nanos.len() * percent).div_ceil(100) - 1;
        let (_, nanos, _) = self.nanos.select_nth_unstable(rank);
        *nanos as f64 / 1_000.0
    }
}

/// The middle one, or the mean of the two in the middle.
pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let sorted = sorted(figures);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

/// The least and the greatest.
pub fn range(figures: impl Iterator<Item = f64>) -> (f64, f64) {
    let sorted = sorted(figures);
    (sorted[0], sorted[sorted.len() - 1])
}

fn sorted(figures: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut figures: Vec<f64> = figures.collect();
    assert!(!figures.is_empty(), "no runs");
    figures.sort_by(f64::total_cmp);
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_ranks() {
        let mut latencies = Latencies::default();
        for micros in (1..=200).rev() {
            latencies.add(Duration::from_micros(micros));
        }
        latencies.took(Duration::from_secs(2));
        assert_eq!(latencies.least_us(), 1.0);
        assert_eq!(latencies.percentile_us(50), 100.0);
        assert_eq!(latencies.percentile_us(99), 198.0);
        assert_eq!(latencies.percentile_us(100), 200.0);
        assert_eq!(latencies.per_second(), 100.0);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert_eq!(range([3.0, 1.0, 2.0].into_iter()), (1.0, 3.0));
    }
}
