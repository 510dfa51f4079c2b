//! The one error of the codec.

use core::fmt;

/// Bytes that are no value. On a connection it costs that connection and nothing else; in a file
/// it is damage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// What was expected there.
    pub what: &'static str,
    /// How many bytes before it were understood.
    pub offset: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed {} at byte {}", self.what, self.offset)
    }
}

impl core::error::Error for Malformed {}
