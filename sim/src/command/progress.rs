//! The live display of a campaign, on the standard error and only if that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::campaign::Tally;
use crate::stopwatch::Stopwatch;
use crate::verdict::{grouped, span};

/// How often it is drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// What is still to be done.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// So many seeds.
    Seeds(u64),
    /// So much real time.
    Time(Duration),
    /// Nobody knows: the first red seed.
    Red,
}

/// A bar with rates, findings and the remaining time.
pub struct Progress {
    bar: ProgressBar,
    until: Until,
    stopwatch: Stopwatch,
}

impl Progress {
    /// Begins.
    pub fn new(name: &str, until: Until) -> Progress {
        let (bar, template) = match until {
            Until::Seeds(count) => {
                let bar = ProgressBar::new(count);
                (
                    bar,
                    "{prefix} [{bar:30}] {human_pos}/{human_len} seeds{msg}",
                )
            }
            Until::Time(_) | Until::Red => {
                let bar = ProgressBar::new_spinner();
                (bar, "{prefix} {spinner} {human_pos} seeds{msg}")
            }
        };
        let style = ProgressStyle::with_template(template).expect("the template is right");
        bar.set_style(style.progress_chars("=> "));
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(TICK);
        Progress {
            bar,
            until,
            stopwatch: Stopwatch::start(),
        }
    }

    /// Who plays now.
    pub fn name(&self, name: &str) {
        self.bar.set_prefix(name.to_owned());
    }

    /// What was learnt until now.
    pub fn show(&self, seeds: u64, events: u64, findings: usize) {
        self.bar.set_position(seeds);
        let passed = self.stopwatch.real();
        self.bar
            .set_message(told(self.until, passed, seeds, events, findings));
    }

    /// As [`Progress::show`].
    pub fn show_tally(&self, tally: &Tally) {
        self.show(tally.seeds, tally.events, tally.findings());
    }

    /// Takes it away.
    pub fn end(self) {
        self.bar.finish_and_clear();
    }
}

/// What stands behind the number of seeds.
fn told(until: Until, passed: Duration, seeds: u64, events: u64, findings: usize) -> String {
    let seconds = passed.as_secs_f64().max(1e-3);
    let rate = seeds as f64 / seconds;
    let events = grouped((events as f64 / seconds) as u64);
    let mut text = format!(", {rate:.1} seeds/s, {events} events/s");
    if findings > 0 {
        text.push_str(&format!(", {findings} RED"));
    }
    let left = match until {
        Until::Seeds(count) if seeds > 0 => {
            let left = count.saturating_sub(seeds) as f64 / rate;
            Duration::try_from_secs_f64(left).ok()
        }
        Until::Time(all) => Some(all.saturating_sub(passed)),
        Until::Seeds(_) | Until::Red => None,
    };
    if let Some(left) = left {
        text.push_str(&format!(
            ", {} left",
            span(Duration::from_secs(left.as_secs()))
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_findings_and_what_is_left() {
        let passed = Duration::from_secs(20);
        assert_eq!(
            told(Until::Seeds(10_000), passed, 1_000, 6_200_000, 2),
            ", 50.0 seeds/s, 310,000 events/s, 2 RED, 3m 0s left"
        );
        assert_eq!(
            told(Until::Time(Duration::from_secs(65)), passed, 0, 0, 0),
            ", 0.0 seeds/s, 0 events/s, 45.0s left"
        );
        assert_eq!(
            told(Until::Red, passed, 10, 0, 0),
            ", 0.5 seeds/s, 0 events/s"
        );
    }
}
