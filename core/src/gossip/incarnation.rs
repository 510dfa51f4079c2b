//! The lives of a server, in an order without clocks.

use core::fmt;

/// One life of a server in the eyes of the others. The greater one is the newer one.
///
/// A server begins with number 0 and is told by the first datagram from another that knew an
/// earlier life of it; then it takes the number after that. So it does when others take it for
/// dead. Two lives that never heard of each other are told apart by `birth`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Incarnation {
    /// Counts up.
    pub number: u64,
    /// 64 random bits, drawn when the process starts. Zero for a life of which nothing is known.
    pub birth: u64,
}

impl Incarnation {
    /// Before any life: nothing is known.
    pub const UNKNOWN: Incarnation = Incarnation {
        number: 0,
        birth: 0,
    };

    /// The one that outlives this one, of the process with this `birth`; `None` when the numbers
    /// are used up, which nobody lives to see.
    pub fn outlived(self, birth: u64) -> Option<Incarnation> {
        let number = self.number.checked_add(1)?;
        Some(Incarnation { number, birth })
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.number, self.birth)
    }
}
