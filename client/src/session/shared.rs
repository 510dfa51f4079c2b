//! What the session's task tells its handles: a few numbers and the state.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use althing_core::ids::{SessionId, Zxid};
use tokio::sync::Notify;

use crate::error::ClientError;
use crate::state::{SessionState, StateStream};
use crate::watch;

/// Written by the session's task, read by its handles. Each number stands alone, so relaxed order
/// is enough; whoever must see them together waits for the state, which synchronises.
#[derive(Debug)]
pub(crate) struct Shared {
    states: watch::Sender<SessionState>,
    session: OnceLock<SessionId>,
    ended: OnceLock<ClientError>,
    farewell: OnceLock<Result<(), ClientError>>,
    close_asked: Notify,
    last_zxid: AtomicU64,
    timeout_ns: AtomicU64,
    /// When the newest request or heartbeat that was answered had been sent.
    proven_ns: AtomicU64,
    watches: AtomicUsize,
}

impl Shared {
    pub(crate) fn new() -> Shared {
        Shared {
            states: watch::Sender::new(SessionState::Connecting),
            session: OnceLock::new(),
            ended: OnceLock::new(),
            farewell: OnceLock::new(),
            close_asked: Notify::new(),
            last_zxid: AtomicU64::new(0),
            timeout_ns: AtomicU64::new(0),
            proven_ns: AtomicU64::new(0),
            watches: AtomicUsize::new(0),
        }
    }

    pub(crate) fn state(&self) -> SessionState {
        *self.states.borrow()
    }

    pub(crate) fn states(&self) -> StateStream {
        StateStream::new(self.states.subscribe())
    }

    pub(crate) fn session(&self) -> Option<SessionId> {
        self.session.get().copied()
    }

    /// Why there is nothing more to ask of this session.
    pub(crate) fn end_reason(&self) -> ClientError {
        self.ended.get().cloned().unwrap_or(ClientError::Closed)
    }

    /// Could the server be told that the session is closed?
    pub(crate) fn farewell(&self) -> Result<(), ClientError> {
        let told = self.farewell.get().cloned();
        told.unwrap_or_else(|| Err(self.end_reason()))
    }

    pub(crate) fn last_zxid(&self) -> Zxid {
        Zxid(self.last_zxid.load(Ordering::Relaxed))
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_nanos(self.timeout_ns.load(Ordering::Relaxed))
    }

    pub(crate) fn safe_until(&self) -> Duration {
        let proven = Duration::from_nanos(self.proven_ns.load(Ordering::Relaxed));
        proven + self.timeout() * 3 / 4
    }

    pub(crate) fn watches(&self) -> usize {
        self.watches.load(Ordering::Relaxed)
    }

    pub(crate) fn ask_to_close(&self) {
        self.close_asked.notify_one();
    }

    /// Ends when a handle asked to close; stays true until somebody has waited for it.
    pub(crate) async fn close_asked(&self) {
        self.close_asked.notified().await;
    }

    pub(crate) fn set_state(&self, state: SessionState) {
        self.states.send_if_modified(|present| {
            assert!(!present.is_final(), "nothing follows a final state");
            let changes = *present != state;
            *present = state;
            changes
        });
    }

    /// The server gave the session, or took it up again.
    pub(crate) fn set_session(&self, session: SessionId, timeout: Duration) {
        let given = *self.session.get_or_init(|| session);
        assert_eq!(given, session, "a session keeps its number");
        self.timeout_ns.store(nanos(timeout), Ordering::Relaxed);
    }

    pub(crate) fn set_ended(&self, reason: ClientError, farewell: Result<(), ClientError>) {
        self.ended.get_or_init(|| reason);
        self.farewell.get_or_init(|| farewell);
    }

    pub(crate) fn set_last_zxid(&self, zxid: Zxid) {
        self.last_zxid.store(zxid.0, Ordering::Relaxed);
    }

    pub(crate) fn set_proven(&self, sent: Duration) {
        self.proven_ns.fetch_max(nanos(sent), Ordering::Relaxed);
    }

    pub(crate) fn set_watches(&self, watches: usize) {
        self.watches.store(watches, Ordering::Relaxed);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
