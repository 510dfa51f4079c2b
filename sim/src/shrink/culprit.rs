//! For what a run is red: what must stay the same while its plan shrinks.

use crate::campaign::Outcome;
use crate::history::Violation;

/// The invariants that stand for any failed assertion: which one it was is told by its place.
const ASSERTIONS: [&str; 2] = ["A1 assertion", "A2 simulator"];

/// Goals can be missed because a plan leaves too little to reach them with, so a smaller plan that
/// misses them is another finding unless they were missed at first.
const GOALS: &str = "L1 liveness";

/// What a run is red for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Culprit {
    /// The invariant's name.
    pub invariant: &'static str,
    /// Where the assertion stands, if it is one: file and line.
    pub place: Option<String>,
}

impl Culprit {
    /// What this violation is.
    pub fn of(violation: &Violation) -> Culprit {
        let place = ASSERTIONS
            .contains(&violation.invariant)
            .then(|| place(&violation.detail).to_owned());
        Culprit {
            invariant: violation.invariant,
            place,
        }
    }

    /// Does it say that goals were missed?
    pub fn is_of_goals(&self) -> bool {
        self.invariant == GOALS
    }

    /// The first violation of this kind in a run.
    pub fn find<'a>(&self, outcome: &'a Outcome) -> Option<&'a Violation> {
        let mut violations = outcome.violations.iter();
        violations.find(|violation| Culprit::of(violation) == *self)
    }

    /// Is this run red for the same reason, and for no lack of what it needs?
    pub fn is_in(&self, outcome: &Outcome) -> bool {
        let mut violations = outcome.violations.iter();
        let starved = violations.any(|violation| violation.invariant == GOALS);
        self.find(outcome).is_some() && (self.is_of_goals() || !starved)
    }
}

/// What stands in the last parentheses: panics are told with file and line at their end.
fn place(detail: &str) -> &str {
    let inner = detail.rsplit_once(" (").map(|(_, end)| end);
    inner.and_then(|end| end.strip_suffix(')')).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn red(violations: &[(&'static str, &str)]) -> Outcome {
        let violation = |(invariant, detail): &(&'static str, &str)| Violation {
            invariant,
            at: Duration::ZERO,
            detail: (*detail).to_owned(),
            session: None,
        };
        Outcome {
            violations: violations.iter().map(violation).collect(),
            ..Outcome::default()
        }
    }

    fn culprit(invariant: &'static str, detail: &str) -> Culprit {
        Culprit::of(&red(&[(invariant, detail)]).violations[0])
    }

    #[test]
    fn figures_may_differ_and_places_may_not() {
        let first = culprit(
            "A1 assertion",
            "server 2, life 3: 4 is not 5 (core/src/a.rs:7)",
        );
        let same = red(&[(
            "A1 assertion",
            "server 1, life 1: 8 is not 9 (core/src/a.rs:7)",
        )]);
        let other = red(&[("A1 assertion", "server 1, life 1: no (core/src/a.rs:8)")]);
        assert!(first.is_in(&same) && !first.is_in(&other));
        let write = culprit("W2 result", "expected 1 (of 2)");
        assert!(write.is_in(&red(&[("R1 reads", ""), ("W2 result", "expected 7")])));
        assert!(!write.is_in(&red(&[("R1 reads", "")])));
    }

    #[test]
    fn goals_that_a_smaller_plan_misses_are_another_finding() {
        let write = culprit("W2 result", "");
        assert!(!write.is_in(&red(&[("W2 result", ""), ("L1 liveness", "")])));
        assert!(culprit("L1 liveness", "").is_in(&red(&[("L1 liveness", "")])));
    }
}
