//! Time as an argument: the core never asks a clock.

pub use core::time::Duration;

/// A reading of a server's monotonic clock, in nanoseconds since an origin of the shell's choice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(pub u64);

impl Instant {
    /// The origin; before everything, so a timer armed for it is due at once.
    pub const ORIGIN: Instant = Instant(0);

    /// This instant plus `delay`; stays at the end of time instead of wrapping (after 584 years).
    pub fn after(self, delay: Duration) -> Instant {
        let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_add(nanos))
    }

    /// How long ago `earlier` was; zero if it is in the future.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A reading of the wall clock: milliseconds since 1970, as ZooKeeper's Stat has it. It is only
/// ever written into a Stat; nothing is decided by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WallTime(pub i64);

/// The two clocks, read together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Decides: time-outs, heartbeats, elections.
    pub clock: Instant,
    /// Is only written down.
    pub wall: WallTime,
}
