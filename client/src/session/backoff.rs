//! How long to wait before the next server is tried.

use std::time::Duration;

use crate::config::{BACKOFF_MAX, BACKOFF_MIN};

/// The share of a session's time-out that one pause may take at most: a pause must leave time to
/// save the session.
const SHARE_OF_TIMEOUT: u32 = 4;

/// Pauses that double with every round over all servers, each shortened by up to a half at random,
/// so that the clients of a server that died do not come to the next one all at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A server took the session: the next pause is short again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The pause after one more failure.
    pub(crate) fn pause(&mut self, servers: usize, timeout: Duration, random: u64) -> Duration {
        let rounds = self.failures / u32::try_from(servers).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let longest = BACKOFF_MAX.min(timeout / SHARE_OF_TIMEOUT);
        // 2^16 shortest pauses exceed the longest by far, and do not overflow.
        let doubled = BACKOFF_MIN * (1 << rounds.min(16));
        let half = doubled.min(longest) / 2;
        let jitter_ns = random % (nanos(half) + 1);
        half + Duration::from_nanos(jitter_ns)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a pause is short")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    #[test]
    fn pauses_double_up_to_the_bound() {
        let mut backoff = Backoff::default();
        let longest: Vec<u128> = (0..9)
            .map(|_| {
                backoff
                    .pause(1, TIMEOUT, nanos_of_longest(&backoff))
                    .as_millis()
            })
            .collect();
        assert_eq!(longest, [50, 100, 200, 400, 800, 1600, 2000, 2000, 2000]);
        backoff.reset();
        assert_eq!(backoff.pause(1, TIMEOUT, 0), BACKOFF_MIN / 2);
    }

    /// The draw that leads to the longest pause.
    fn nanos_of_longest(backoff: &Backoff) -> u64 {
        let doubled = BACKOFF_MIN * (1 << backoff.failures.min(16));
        nanos(doubled.min(BACKOFF_MAX) / 2)
    }

    #[test]
    fn a_round_over_all_servers_is_one_step() {
        let mut backoff = Backoff::default();
        let shortest: Vec<u128> = (0..7)
            .map(|_| backoff.pause(3, TIMEOUT, 0).as_millis())
            .collect();
        assert_eq!(shortest, [25, 25, 25, 50, 50, 50, 100]);
    }

    #[test]
    fn a_short_session_has_short_pauses() {
        let mut backoff = Backoff::default();
        for draw in 0..100 {
            let pause = backoff.pause(1, Duration::from_millis(400), draw << 56);
            assert!(pause <= Duration::from_millis(100), "{pause:?}");
        }
    }
}
