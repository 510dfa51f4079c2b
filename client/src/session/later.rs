//! Requests that the server refused since its clients ask too often, and when they are asked again.
//! Nothing of them was executed, so that is safe.

use std::collections::BTreeMap;
use std::time::Duration;

use althing_core::ids::Xid;

use crate::config::{BACKOFF_MAX, BACKOFF_MIN, THROTTLED_MAX};
use crate::session::command::Command;

/// A request to be asked again.
pub(crate) struct Later {
    pub(crate) command: Command,
    /// How often it was refused.
    pub(crate) refusals: u32,
}

/// Those that wait, by their hour, and in the order of their numbers.
#[derive(Default)]
pub(crate) struct Laters {
    waiting: BTreeMap<(Duration, Xid), Later>,
}

impl Laters {
    /// May a request that was refused so often be asked once more?
    pub(crate) fn has_hope(refusals: u32) -> bool {
        refusals < THROTTLED_MAX
    }

    /// Keeps a request that was refused just now.
    pub(crate) fn keep(&mut self, now: Duration, xid: Xid, later: Later) {
        let hour = now + pause(later.refusals, xid);
        let before = self.waiting.insert((hour, xid), later);
        assert!(before.is_none(), "numbers are not used again");
    }

    /// Takes one whose hour has come.
    pub(crate) fn due(&mut self, now: Duration) -> Option<Later> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When the next one is due.
    pub(crate) fn hour(&self) -> Option<Duration> {
        self.waiting.keys().next().map(|(hour, _)| *hour)
    }

    pub(crate) fn count(&self) -> usize {
        self.waiting.len()
    }

    /// All, whose session goes on elsewhere or ends.
    pub(crate) fn into_all(self) -> impl Iterator<Item = Later> {
        self.waiting.into_values()
    }
}

/// Pauses double, and differ from request to request, so that those which were refused together
/// do not come back together.
fn pause(refusals: u32, xid: Xid) -> Duration {
    let doubled = BACKOFF_MIN * (1 << refusals.saturating_sub(1).min(16));
    let half = doubled.min(BACKOFF_MAX) / 2;
    let sixteenths = xid.0.unsigned_abs() % 16;
    half + half * sixteenths / 16
}
