//! What the explorer can find: a broken invariant, by its name.

use std::fmt;

/// A broken invariant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Its name, as docs/invariants.md has it where the simulator checks the same one.
    pub invariant: &'static str,
    /// What is wrong.
    pub text: String,
}

impl Violation {
    /// A broken invariant.
    pub fn new(invariant: &'static str, text: impl Into<String>) -> Violation {
        Violation {
            invariant,
            text: text.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.text)
    }
}
