//! Whether a server has a leader.

use crate::time::Instant;

/// How this server stands to the ensemble.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Company {
    /// There is a leader, and the beginning of its epoch is executed here.
    Led,
    /// There is none, since then.
    Missed { since: Instant },
    /// There has been none for so long that clients are served which only read.
    Alone,
}
