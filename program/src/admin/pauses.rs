//! How often what is dear may be asked for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When it was done last. A handle: all clones are the same.
#[derive(Clone, Debug)]
pub struct Pauses {
    between: Duration,
    last: Arc<Mutex<Option<Instant>>>,
}

impl Pauses {
    /// It may be done at once, and then so long after each time.
    pub fn of(between: Duration) -> Pauses {
        let last = Arc::default();
        Pauses { between, last }
    }

    /// Is it time again at `now`? Then the next pause begins.
    pub fn are_over(&self, now: Instant) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = last.is_none_or(|last| now.duration_since(last) >= self.between);
        if is_over {
            *last = Some(now);
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_begins_when_one_was_over() {
        let pauses = Pauses::of(Duration::from_secs(10));
        let began = Instant::now();
        let at = |seconds: u64| pauses.are_over(began + Duration::from_secs(seconds));
        let asked = [0, 1, 9, 10, 15, 19, 20];
        assert_eq!(
            asked.map(at),
            [true, false, false, true, false, false, true]
        );
    }
}
