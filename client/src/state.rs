//! How a session fares, and how that is observed.

use std::time::Duration;

use crate::watch;

/// How a session fares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionState {
    /// No server has given the session yet.
    Connecting,
    /// A server serves the session.
    Connected,
    /// A server without a leader lets the client read what it has, if the configuration allows
    /// that (see [`crate::config::ReadOnlyServers`]); one with a leader is looked for.
    ReadOnly,
    /// The connection was lost; the session may live on, and the client tries to get back to it.
    Disconnected {
        /// When, on the clock of the client's runtime.
        since: Duration,
    },
    /// The session is over. Final.
    Expired,
    /// The client was closed. Final.
    Closed,
}

impl SessionState {
    /// Can no other state follow?
    pub fn is_final(self) -> bool {
        matches!(self, SessionState::Expired | SessionState::Closed)
    }
}

/// The states of a session as they change. A state that ended before anybody looked is skipped, so
/// a slow observer costs nothing; the final state is never skipped.
#[derive(Clone, Debug)]
pub struct StateStream {
    pub(crate) states: watch::Receiver<SessionState>,
    /// What was told last.
    told: Option<SessionState>,
}

impl StateStream {
    pub(crate) fn new(states: watch::Receiver<SessionState>) -> StateStream {
        StateStream { states, told: None }
    }

    /// The next state; the first call gives the present one. `None` after the final state. Nothing
    /// is lost if the call is given up.
    pub async fn next(&mut self) -> Option<SessionState> {
        if self.told.is_some_and(SessionState::is_final) {
            return None;
        }
        let told = self.told;
        // An error means that the session's task and all handles are gone.
        let state = self.states.wait_for(|state| Some(*state) != told).await;
        self.told = Some(*state.ok()?);
        self.told
    }

    /// The present state.
    pub fn current(&self) -> SessionState {
        *self.states.borrow()
    }
}
