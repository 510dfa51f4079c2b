//! What the session's task tells its handles: a few numbers and the state.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
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
    /// Zero as long as there is none.
    session: AtomicI64,
    ended: OnceLock<ClientError>,
    farewell: OnceLock<Result<(), ClientError>>,
    close_asked: Notify,
    last_zxid: AtomicU64,
    timeout_ns: AtomicU64,
    /// When the newest request or heartbeat that was answered had been sent; one nanosecond more,
    /// since zero is never.
    proven_ns: AtomicU64,
    watches: AtomicUsize,
}

impl Shared {
    pub(crate) fn new() -> Shared {
        Shared {
            states: watch::Sender::new(SessionState::Connecting),
            session: AtomicI64::new(0),
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
        let session = self.session.load(Ordering::Relaxed);
        (session != 0).then_some(SessionId(session))
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
        match self.proven_ns.load(Ordering::Relaxed).checked_sub(1) {
            Some(proven_ns) => Duration::from_nanos(proven_ns) + self.timeout() * 3 / 4,
            None => Duration::ZERO,
        }
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

    /// The server gave the session, or took it up again. One that is only good for reading, at one
    /// server, is followed by another.
    pub(crate) fn set_session(&self, session: SessionId, timeout: Duration) {
        self.session.store(session.0, Ordering::Relaxed);
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
        let proven_ns = nanos(sent).saturating_add(1);
        self.proven_ns.fetch_max(proven_ns, Ordering::Relaxed);
    }

    pub(crate) fn set_watches(&self, watches: usize) {
        self.watches.store(watches, Ordering::Relaxed);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
