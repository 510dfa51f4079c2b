//! A server's two clocks, which need not agree with true time: the monotonic one may run too fast
//! or too slow, the wall clock may jump.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use althing_core::time::{Instant, Now, WallTime};

use crate::world::agenda::{Agenda, Alarm};

/// What the wall clocks show when a run begins: 1 January 2026, in milliseconds since 1970.
const WALL_ORIGIN_MS: i64 = 1_767_225_600_000;

const MILLION: i128 = 1_000_000;

struct State {
    /// In true time and on the monotonic clock: when the rate last changed.
    since: Duration,
    clock: u64,
    /// How much too fast, in millionths.
    ppm: i32,
    jumped_ms: i64,
}

/// The clocks of one server. A handle: all clones are the same clocks.
#[derive(Clone)]
pub struct Clock {
    agenda: Agenda,
    state: Arc<Mutex<State>>,
}

impl Clock {
    /// Clocks that run right; `origin` is what the monotonic clock shows.
    pub fn new(agenda: Agenda, origin: Instant) -> Clock {
        Clock {
            state: Arc::new(Mutex::new(State {
                since: agenda.now(),
                clock: origin.0,
                ppm: 0,
                jumped_ms: 0,
            })),
            agenda,
        }
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        let now = self.agenda.now();
        let state = self.state();
        let wall = WALL_ORIGIN_MS + now.as_millis() as i64 + state.jumped_ms;
        Now {
            clock: Instant(state.clock_at(now)),
            wall: WallTime(wall),
        }
    }

    /// Ends when the monotonic clock shows `until`, if its rate stays what it is.
    pub fn sleep_until(&self, until: Instant) -> Alarm {
        let hour = self.state().hour_of(until);
        self.agenda.sleep_until(hour)
    }

    /// From now on the monotonic clock runs too fast by so many millionths.
    ///
    /// # Panics
    /// If it would stand still or go back.
    pub fn drift(&self, ppm: i32) {
        assert!(i128::from(ppm) > -MILLION, "a clock never goes back");
        let now = self.agenda.now();
        let mut state = self.state();
        state.clock = state.clock_at(now);
        state.since = now;
        state.ppm = ppm;
    }

    /// The wall clock jumps.
    pub fn jump(&self, by_ms: i64) {
        self.state().jumped_ms += by_ms;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic within a clock")
    }
}

impl State {
    fn rate(&self) -> i128 {
        MILLION + i128::from(self.ppm)
    }

    fn clock_at(&self, now: Duration) -> u64 {
        if self.ppm == 0 {
            return self.clock + (now - self.since).as_nanos() as u64;
        }
        let passed = (now - self.since).as_nanos() as i128 * self.rate() / MILLION;
        self.clock + passed as u64
    }

    /// The first moment in true time at which the clock shows `until`.
    fn hour_of(&self, until: Instant) -> Duration {
        let left = until.0.saturating_sub(self.clock);
        if self.ppm == 0 {
            return self.since.saturating_add(Duration::from_nanos(left));
        }
        let left = i128::from(left);
        let passes = (left * MILLION + self.rate() - 1) / self.rate();
        let passes = u64::try_from(passes).unwrap_or(u64::MAX);
        self.since.saturating_add(Duration::from_nanos(passes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(ppm: i32) -> State {
        State {
            since: Duration::from_secs(5),
            clock: 1000,
            ppm,
            jumped_ms: 0,
        }
    }

    #[test]
    fn a_sleeper_wakes_when_the_clock_has_come_there() {
        for ppm in [-50_000, -500, -1, 0, 1, 500, 50_000] {
            let state = state(ppm);
            for left in [0, 1, 999, 1_000_003, 40_000_000_007] {
                let hour = state.hour_of(Instant(1000 + left));
                assert!(state.clock_at(hour) >= 1000 + left, "{ppm} {left}");
                let before = hour.saturating_sub(Duration::from_nanos(2));
                assert!(before < state.since || state.clock_at(before) < 1000 + left);
            }
        }
    }

    #[test]
    fn a_drift_of_500_ppm_is_a_half_millisecond_a_second() {
        let now = Duration::from_secs(6);
        assert_eq!(state(500).clock_at(now), 1000 + 1_000_500_000);
        assert_eq!(state(-500).clock_at(now), 1000 + 999_500_000);
    }
}
