//! A leader, when it was elected.

use std::time::Duration;

use althing_core::ids::ServerId;

use crate::check::agreement::entries::Chain;

/// Who won an epoch, when, and with what.
#[derive(Clone, Debug)]
pub(super) struct Won {
    /// Who.
    pub leader: ServerId,
    /// When.
    pub at: Duration,
    /// Its log.
    pub chain: Chain,
}
