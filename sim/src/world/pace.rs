//! How many steps a server makes in next to no time. One that goes round and round lets the world's
//! clock creep by nanoseconds: its run would not end for hours.

use std::time::Duration;

use althing_core::time::Instant;

/// Over this time steps are counted.
const STRETCH: Duration = Duration::from_millis(10);

/// More steps within a stretch have no end. What comes in takes a server some hundred steps a
/// millisecond at most; one that goes round and round makes ten thousand.
const STEPS_MAX: u32 = 50_000;

/// The steps of one life of a server.
#[derive(Debug, Default)]
pub struct Pace {
    since: Instant,
    steps: u32,
}

impl Pace {
    /// Notes a step.
    ///
    /// # Panics
    /// If the server goes round and round.
    pub fn step(&mut self, clock: Instant) {
        if clock.since(self.since) >= STRETCH {
            (self.since, self.steps) = (clock, 0);
        }
        self.steps += 1;
        assert!(
            self.steps <= STEPS_MAX,
            "the server goes round and round: {STEPS_MAX} steps within {STRETCH:?}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_many_steps_in_next_to_no_time_have_no_end() {
        let mut pace = Pace::default();
        for round in 0..100 {
            let clock = Instant::ORIGIN.after(STRETCH * round);
            (0..STEPS_MAX).for_each(|_| pace.step(clock));
        }
        let clock = Instant::ORIGIN.after(STRETCH * 99);
        let again = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pace.step(clock)));
        assert!(again.is_err());
    }
}
