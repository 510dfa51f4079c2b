//! What a simulator that was built with a mutant has told: which invariants it says are broken, and
//! how much processor time that took. It is read from the lines that a person would read.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What nobody sees from the outside: an assertion of the core fails, or the simulator itself does.
const INSIDE: [&str; 2] = ["A1 assertion", "A2 simulator"];

/// What was told.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Told {
    /// The invariants that are broken, in the order of the telling, each once; only those that a
    /// user of the testbed has, too.
    pub broken: Vec<String>,
    /// An assertion failed inside of the core.
    pub inside: Option<String>,
    /// Two runs of one seed differed.
    pub differs: bool,
    /// The processor time that it took.
    pub busy: Duration,
}

/// What shrinking a plan has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smaller {
    /// Faults of the plan as its seed drew it.
    pub faults_drawn: usize,
    /// Faults that are left.
    pub faults_left: usize,
    /// The processor time, in milliseconds.
    pub busy_ms: u64,
    /// Nothing smaller is red; otherwise there was no more time.
    pub is_least: bool,
}

impl Told {
    fn add(&mut self, invariant: &str, line: &str) {
        if INSIDE.contains(&invariant) {
            self.inside.get_or_insert_with(|| line.trim().to_owned());
        } else if !self.broken.iter().any(|known| known == invariant) {
            self.broken.push(invariant.to_owned());
        }
    }
}

/// What a campaign over seeds of `scenario` has told.
pub fn by_campaign(scenario: &str, text: &str) -> Told {
    let mut told = Told::default();
    let end = format!(" {scenario} seed=");
    for line in text.lines() {
        if let Some(rest) = line.trim_start().strip_prefix("FAIL ")
            && let Some((invariant, _)) = rest.split_once(&end)
        {
            told.add(invariant, line);
        }
        told.differs |= line.trim_start().starts_with("NON-DETERMINISTIC ");
        if let Some((before, _)) = line.split_once(" of processor time")
            && let Some((_, time)) = before.rsplit_once(" in ")
        {
            told.busy = span(time).unwrap_or_default();
        }
    }
    told
}

/// What the exploring of `configuration` has told.
pub fn by_explorer(configuration: &str, text: &str) -> Told {
    let mut told = Told::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some(configuration) {
            continue;
        }
        // States, those beyond the bounds, transitions, the longest path, seconds.
        let seconds = words.nth(4).and_then(|word| word.parse().ok());
        told.busy += seconds.map_or(Duration::ZERO, Duration::from_secs_f64);
        if let Some((_, rest)) = line.split_once("BROKEN ")
            && let Some((invariant, _)) = rest.split_once(": ")
        {
            told.add(invariant, rest);
        }
    }
    told
}

/// What shrinking has told.
pub fn by_shrinking(text: &str) -> Option<Smaller> {
    let number = |text: &str| -> Option<usize> {
        let end = text.find(|c: char| !c.is_ascii_digit());
        text[..end.unwrap_or(text.len())].parse().ok()
    };
    text.lines().find_map(|line| {
        let rest = line.trim_start().strip_prefix("shrunk: ")?;
        let (_, drawn) = rest.split_once(" (from ")?;
        let (end, _) = rest.split_once(" of processor time")?;
        let (_, time) = end.rsplit_once(", ")?;
        Some(Smaller {
            faults_drawn: number(drawn)?,
            faults_left: number(rest)?,
            busy_ms: u64::try_from(span(time)?.as_millis()).ok()?,
            is_least: !rest.contains("the budget is spent"),
        })
    })
}

/// Reads what [`crate::verdict::span`] writes.
fn span(text: &str) -> Option<Duration> {
    text.split(' ').try_fold(Duration::ZERO, |sum, part| {
        let unit = part.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, unit) = part.split_at(unit);
        let number: f64 = number.replace(',', "").parse().ok()?;
        let seconds = match unit {
            "ms" => number / 1000.0,
            "s" => number,
            "m" => number * 60.0,
            "h" => number * 3600.0,
            _ => return None,
        };
        Some(sum + Duration::from_secs_f64(seconds))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::{Red, Tally};
    use crate::history::Violation;
    use crate::scenario::Scenario;
    use crate::shrink::size::Size;
    use crate::verdict::{self, Verdict};

    fn violation(invariant: &'static str) -> Violation {
        Violation {
            invariant,
            at: Duration::from_secs(1),
            detail: "what, in 3s of processor times".to_owned(),
            session: None,
        }
    }

    #[test]
    fn what_a_campaign_says_is_read_as_it_writes_it() {
        let text = "lasts = \"9s\"\nsettles = \"9s\"\n[workload.mix]\nclients = 3\nrest = \"1s\"\n\
                    znodes = 9\nsession = \"5s\"\n";
        let plan = Scenario::parse(text, "x.toml", "power-cut").unwrap().plan;
        let violations = ["A1 assertion", "I3 durability", "I3 durability"].map(violation);
        let tally = Tally {
            seeds: 3,
            busy: Duration::from_millis(2345),
            reds: vec![Red {
                seed: 2,
                violations: violations.to_vec(),
                plan: plan.clone(),
                kept: None,
            }],
            ..Tally::default()
        };
        let text = format!(
            "{}{}",
            verdict::failures(&plan.name, &tally.reds[0]),
            verdict::summary(&tally, &[Verdict::Red])
        );
        let told = by_campaign("power-cut", &text);
        assert_eq!(told.broken, ["I3 durability"]);
        assert!(
            told.inside
                .is_some_and(|line| line.starts_with("FAIL A1 assertion"))
        );
        assert_eq!(told.busy, Duration::from_millis(2300));
        assert!(by_campaign("another", &text).broken.is_empty());
    }

    #[test]
    fn what_the_explorer_says_is_read_as_it_writes_it() {
        let row = "tails   3,014  0 7756859 64 11.2  269162  74  ";
        let text = format!("{row}BROKEN I5 completeness: 3 leads 4\n{row}BROKEN A1 assertion: x\n");
        let told = by_explorer("tails", &text);
        assert_eq!(told.broken, ["I5 completeness"]);
        assert!(told.inside.is_some());
        assert_eq!(told.busy, Duration::from_millis(22_400));
        assert_eq!(by_explorer("crashes", &text), Told::default());
    }

    #[test]
    fn what_shrinking_says_is_read_as_it_writes_it() {
        let size = |faults| Size {
            faults,
            clients: 3,
            operations: 14,
            servers: 3,
        };
        let line = size(2).beside(&size(41));
        let text = format!("FAIL x\n       shrunk: {line}, 57 trials, 1m 2s of processor time\n");
        let told = Smaller {
            faults_drawn: 41,
            faults_left: 2,
            busy_ms: 62_000,
            is_least: true,
        };
        assert_eq!(by_shrinking(&text), Some(told));
        let spent = text.replace(" trials,", " trials, the budget is spent,");
        let is_least = by_shrinking(&spent).map(|told| told.is_least);
        assert_eq!(is_least, Some(false));
        assert_eq!(by_shrinking("GREEN"), None);
    }

    #[test]
    fn every_span_is_read() {
        for time in [7, 999, 1_200, 59_900, 61_000, 3_725_000, 7_200_000_000] {
            let time = Duration::from_millis(time);
            let told = verdict::span(time);
            let read = span(&told).unwrap();
            assert_eq!(verdict::span(read), told);
        }
        assert_eq!(span("soon"), None);
    }
}
