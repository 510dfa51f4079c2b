//! Keeps a complaint that repeats itself several times a second from filling the log.

use althing_core::time::{Duration, Instant};

/// A complaint that goes on is told so often.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The complaint that was told last.
#[derive(Debug, Default)]
pub struct Repeats {
    last: Option<(String, Instant)>,
}

impl Repeats {
    /// Is this complaint news, or has it gone on for long since it was told?
    pub fn is_news(&mut self, now: Instant, complaint: &str) -> bool {
        if let Some((last, at)) = &self.last
            && last == complaint
            && now.since(*at) < TOLD_EVERY
        {
            return false;
        }
        self.last = Some((complaint.to_owned(), now));
        true
    }

    /// All is well: the next complaint is news.
    pub fn forget(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_news_once_and_again_after_a_while() {
        let mut repeats = Repeats::default();
        let at = |seconds: u64| Instant(seconds * 1_000_000_000);
        assert!(repeats.is_news(at(0), "a"));
        assert!(!repeats.is_news(at(59), "a"));
        assert!(repeats.is_news(at(59), "b"));
        assert!(repeats.is_news(at(119), "b"));
        assert!(!repeats.is_news(at(120), "b"));
        repeats.forget();
        assert!(repeats.is_news(at(120), "b"));
    }
}
