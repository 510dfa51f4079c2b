//! The copy behind a cached reader: what its handles see, and what its task writes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::client::Client;
use crate::error::ClientError;
use crate::runtime::Runtime;
use crate::state::{SessionState, StateStream};
use crate::watch;

/// What a reader's handles see.
#[derive(Debug)]
pub(crate) enum View<T> {
    /// The copy follows.
    Follows(Arc<T>),
    /// It does no longer; the last value stays.
    Failed {
        last: Option<Arc<T>>,
        error: ClientError,
    },
}

impl<T> View<T> {
    pub(crate) fn value(&self) -> Option<&Arc<T>> {
        match self {
            View::Follows(value) => Some(value),
            View::Failed { last, .. } => last.as_ref(),
        }
    }
}

/// What is known about the copy beside its value.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    reads: AtomicU64,
    /// How the session fares in whose watches the copy trusts; none while it is read anew.
    states: Mutex<Option<StateStream>>,
}

impl Notes {
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    pub(crate) fn is_current(&self) -> bool {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states
            .as_ref()
            .is_some_and(|states| states.current() == SessionState::Connected)
    }

    fn trust(&self, states: Option<StateStream>) {
        *self.states.lock().unwrap_or_else(PoisonError::into_inner) = states;
    }
}

/// The copy, as the task that keeps it sees it.
pub(crate) struct Copy<T> {
    view: watch::Sender<Option<View<T>>>,
    notes: Arc<Notes>,
    /// The present session's, until the copy trusts in it.
    states: Option<StateStream>,
}

impl<T: PartialEq> Copy<T> {
    pub(crate) fn new() -> (Copy<T>, watch::Receiver<Option<View<T>>>, Arc<Notes>) {
        let (view, receiver) = watch::channel(None);
        let notes = Arc::new(Notes::default());
        let copy = Copy {
            view,
            notes: Arc::clone(&notes),
            states: None,
        };
        (copy, receiver, notes)
    }

    /// Counts a read that is about to be sent.
    pub(crate) fn count_read(&self) {
        self.notes.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Everything was read and is watched; this is how it stands.
    pub(crate) fn publish(&mut self, value: T) {
        if let Some(states) = self.states.take() {
            self.notes.trust(Some(states));
        }
        self.view.send_if_modified(|view| {
            let present = view.as_ref().and_then(View::value);
            let changes = present.is_none_or(|present| **present != value);
            if changes {
                *view = Some(View::Follows(Arc::new(value)));
            }
            changes
        });
    }

    /// Begins to read anew, in the session of `client`.
    pub(crate) fn begin<R: Runtime>(&mut self, client: &Client<R>) {
        self.notes.trust(None);
        self.states = Some(client.states());
    }

    /// Ends when nobody looks at the copy any more.
    pub(crate) fn unwatched(&self) -> impl Future<Output = ()> + Send + use<T>
    where
        T: Send + Sync,
    {
        let view = self.view.clone();
        async move { view.closed().await }
    }

    pub(crate) fn has_value(&self) -> bool {
        self.view.borrow().is_some()
    }

    /// It cannot be kept any longer.
    pub(crate) fn fail(&self, error: ClientError) {
        self.notes.trust(None);
        self.view.send_modify(|view| {
            let last = view.as_ref().and_then(View::value).cloned();
            *view = Some(View::Failed { last, error });
        });
    }
}
