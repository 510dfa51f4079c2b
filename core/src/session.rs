//! Who is alive: the heartbeats of sessions, soft state of the leader.
//!
//! A session is not ended before its time-out has passed without a sign of life, and not much
//! later. Deadlines are rounded up to a grain, so that a busy session moves in the queue once per
//! grain and not once per request. They are kept in *awake* time, which does not advance while the
//! process is paused: a paused leader expires nobody for it.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::ids::SessionId;
use crate::time::{Duration, Instant};

/// One session's heartbeats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pulse {
    timeout: Duration,
    /// In awake time.
    deadline: Instant,
}

/// The heartbeats of all sessions.
#[derive(Clone, Debug)]
pub struct Heartbeats {
    grain: Duration,
    /// How long this process has been paused in all.
    paused: Duration,
    pulses: BTreeMap<SessionId, Pulse>,
    queue: BTreeSet<(Instant, SessionId)>,
}

impl Heartbeats {
    /// No sessions. Deadlines are rounded up to a multiple of `grain`.
    pub fn new(grain: Duration) -> Heartbeats {
        assert!(!grain.is_zero(), "a grain of time is not zero");
        let (pulses, queue) = (BTreeMap::new(), BTreeSet::new());
        Heartbeats {
            grain,
            paused: Duration::ZERO,
            pulses,
            queue,
        }
    }

    /// Begins to wait for a session's heartbeats, with a full time-out.
    pub fn track(&mut self, session: SessionId, timeout: Duration, clock: Instant) {
        self.forget(session);
        let deadline = self.deadline(timeout, clock);
        self.pulses.insert(session, Pulse { timeout, deadline });
        self.queue.insert((deadline, session));
    }

    /// A session gave a sign of life; `false` if nobody waits for its heartbeats.
    pub fn touch(&mut self, session: SessionId, clock: Instant) -> bool {
        let Some(pulse) = self.pulses.get(&session).copied() else {
            return false;
        };
        let deadline = self.deadline(pulse.timeout, clock);
        if deadline > pulse.deadline {
            self.queue.remove(&(pulse.deadline, session));
            self.queue.insert((deadline, session));
            self.pulses.insert(session, Pulse { deadline, ..pulse });
        }
        true
    }

    /// Stops waiting for a session.
    pub fn forget(&mut self, session: SessionId) {
        if let Some(pulse) = self.pulses.remove(&session) {
            self.queue.remove(&(pulse.deadline, session));
        }
    }

    /// The session whose time-out passes first, and when that is.
    pub fn earliest(&self) -> Option<(Instant, SessionId)> {
        let (deadline, session) = self.queue.first().copied()?;
        Some((deadline.after(self.paused), session))
    }

    /// The process did not run for `gap`: every deadline moves by as much.
    pub fn pause(&mut self, gap: Duration) {
        self.paused += gap;
    }

    /// Stops waiting for everybody.
    pub fn clear(&mut self) {
        self.pulses.clear();
        self.queue.clear();
    }

    /// Is there nobody to wait for?
    pub fn is_empty(&self) -> bool {
        self.pulses.is_empty()
    }

    /// The sessions that are waited for, in the order of their ids.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.pulses.keys().copied()
    }

    fn deadline(&self, timeout: Duration, clock: Instant) -> Instant {
        let awake = Instant::ORIGIN.after(clock.since(Instant::ORIGIN.after(self.paused)));
        let exact = awake.after(timeout);
        let grain = u64::try_from(self.grain.as_nanos()).unwrap_or(u64::MAX);
        Instant(exact.0.div_ceil(grain).saturating_mul(grain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const A: SessionId = SessionId(1);
    const B: SessionId = SessionId(2);

    fn at(millis: u64) -> Instant {
        Instant::ORIGIN.after(Duration::from_millis(millis))
    }

    #[test]
    fn never_before_the_timeout_and_at_most_a_grain_after_it() {
        for start in (0..3000).step_by(7) {
            let mut beats = Heartbeats::new(SECOND / 2);
            beats.track(A, SECOND * 4, at(start));
            let (due, _) = beats.earliest().unwrap();
            assert!(
                due >= at(start + 4000) && due < at(start + 4500),
                "{start}: {due:?}"
            );
        }
    }

    #[test]
    fn a_sign_of_life_moves_only_its_own_session() {
        let mut beats = Heartbeats::new(SECOND / 2);
        beats.track(A, SECOND * 4, at(0));
        beats.track(B, SECOND * 4, at(0));
        assert!(beats.touch(A, at(3000)));
        assert_eq!(beats.earliest(), Some((at(4000), B)));
        beats.forget(B);
        assert_eq!(beats.earliest(), Some((at(7000), A)));
        assert!(!beats.touch(B, at(3000)));
    }

    #[test]
    fn a_pause_counts_for_nobody() {
        let mut beats = Heartbeats::new(SECOND / 2);
        beats.track(A, SECOND * 4, at(0));
        beats.pause(SECOND * 60);
        assert_eq!(beats.earliest(), Some((at(64_000), A)));
        assert!(beats.touch(A, at(61_000)));
        assert_eq!(beats.earliest(), Some((at(65_000), A)));
        beats.track(B, SECOND, at(61_000));
        assert_eq!(beats.earliest(), Some((at(62_000), B)));
    }
}
