//! Tells the log which clients reach their limits, without letting them fill it.

use std::net::SocketAddr;

use althing_core::time::Instant;

use crate::limits::REFUSALS_TOLD_EVERY;

/// When somebody was told of last, and what came since.
#[derive(Debug, Default)]
pub struct Refusals {
    told: Option<Instant>,
    untold: u64,
}

impl Refusals {
    /// Tells of a client that has reached a limit, unless the log was told of one just now.
    pub fn tell(&mut self, address: SocketAddr, limit: &str, now: Instant) {
        if let Some(untold) = self.is_time(now) {
            tracing::warn!(%address, limit, untold, "a client has reached a limit");
        }
    }

    /// How many came since the last that was told of, if it is time to tell of one.
    fn is_time(&mut self, now: Instant) -> Option<u64> {
        if let Some(told) = self.told
            && now.since(told) < REFUSALS_TOLD_EVERY
        {
            self.untold += 1;
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_line_now_and_then() {
        let mut refusals = Refusals::default();
        let at = |seconds: u64| Instant(seconds * 1_000_000_000);
        assert_eq!(refusals.is_time(at(0)), Some(0));
        for _ in 0..1000 {
            assert_eq!(refusals.is_time(at(9)), None);
        }
        assert_eq!(refusals.is_time(at(10)), Some(1000));
        assert_eq!(refusals.is_time(at(19)), None);
        assert_eq!(refusals.is_time(at(20)), Some(1));
    }
}
