//! How long the campaign itself takes: real time and processor time of this process. It reads the
//! machine's clocks directly, outside of every simulated world.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Two clocks, read at its making.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    real: Duration,
    busy: Duration,
}

impl Stopwatch {
    /// Begins now.
    pub fn start() -> Stopwatch {
        Stopwatch {
            real: read(ClockId::Monotonic),
            busy: read(ClockId::ProcessCPUTime),
        }
    }

    /// How much real time has passed.
    pub fn real(&self) -> Duration {
        read(ClockId::Monotonic).saturating_sub(self.real)
    }

    /// How much processor time this process has used since, all its threads together.
    pub fn busy(&self) -> Duration {
        read(ClockId::ProcessCPUTime).saturating_sub(self.busy)
    }
}

fn read(clock: ClockId) -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    let seconds = u64::try_from(tv_sec).expect("these clocks count from zero");
    let nanos = u32::try_from(tv_nsec).expect("nanoseconds are below a second");
    Duration::new(seconds, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_run_forwards() {
        let stopwatch = Stopwatch::start();
        let mut work = 0_u64;
        while stopwatch.busy() == Duration::ZERO {
            work = std::hint::black_box(work + 1);
        }
        assert!(stopwatch.real() > Duration::ZERO);
    }
}
