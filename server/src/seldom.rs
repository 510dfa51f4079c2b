//! A bound on lines of the log that clients can cause without end.

use std::sync::{Mutex, PoisonError};

use althing_core::time::{Duration, Instant};

/// How far two such lines are apart at least.
const PAUSE: Duration = Duration::from_secs(1);

/// Lets one line through in each second, and counts the others.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    silenced: u64,
}

impl Seldom {
    /// May this line be written? Then, how many were not since the last one that was.
    pub fn admits(&self, now: Instant) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = told.last.is_none_or(|last| now.since(last) >= PAUSE);
        if !is_due {
            told.silenced += 1;
            return None;
        }
        told.last = Some(now);
        Some(std::mem::take(&mut told.silenced))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_a_second_tells_how_many_were_silenced() {
        let (seldom, start) = (Seldom::default(), Instant::ORIGIN);
        let after = |ms| start.after(Duration::from_millis(ms));
        assert_eq!(seldom.admits(start), Some(0));
        assert_eq!(seldom.admits(after(1)), None);
        assert_eq!(seldom.admits(after(999)), None);
        assert_eq!(seldom.admits(after(1_000)), Some(2));
        assert_eq!(seldom.admits(after(1_500)), None);
        assert_eq!(seldom.admits(after(9_000)), Some(1));
    }
}
