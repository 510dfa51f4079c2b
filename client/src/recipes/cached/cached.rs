//! A cached reader, as its user sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use althing_core::tree::path::Path;

use crate::error::ClientError;
use crate::recipes::cached::copy::{Copy, Notes, View};
use crate::recipes::cached::reader;
use crate::recipes::cached::subject::{ChildrenOf, Subject, ZnodeAt};
use crate::recipes::cached::subtree::SubtreeAt;
use crate::runtime::Runtime;
use crate::sessions::Sessions;
use crate::watch;
use crate::znode::{Children, Znode, parse_path};

/// A copy of a part of the tree that follows it through watches alone, never by polling, through
/// reconnects and from one session to the next. A handle: all clones share the copy and its
/// watches, which end with the last of them.
///
/// The copy is never wrong about the past, but it may be late: each znode in it was so at some
/// moment, and the moments never go back. [`Cached::is_current`] tells whether a server is
/// connected that would tell of changes.
#[derive(Debug)]
pub struct Cached<T> {
    view: watch::Receiver<Option<View<T>>>,
    notes: Arc<Notes>,
}

impl<T> Clone for Cached<T> {
    fn clone(&self) -> Cached<T> {
        Cached {
            view: self.view.clone(),
            notes: Arc::clone(&self.notes),
        }
    }
}

impl Cached<Option<Znode>> {
    /// Follows one znode's data and Stat; `None` while it is not there. Returns when it has been
    /// read.
    ///
    /// # Errors
    /// [`ClientError`], if that read is refused or no server gives a session.
    pub async fn znode<R: Runtime>(
        sessions: &Sessions<R>,
        path: &str,
    ) -> Result<Cached<Option<Znode>>, ClientError> {
        Cached::open(sessions, ZnodeAt(parse_path(path)?)).await
    }
}

impl Cached<Option<Children>> {
    /// Follows the names of one znode's children; `None` while it is not there. Returns when they
    /// have been read.
    ///
    /// # Errors
    /// As [`Cached::znode`].
    pub async fn children<R: Runtime>(
        sessions: &Sessions<R>,
        path: &str,
    ) -> Result<Cached<Option<Children>>, ClientError> {
        Cached::open(sessions, ChildrenOf(parse_path(path)?)).await
    }
}

impl Cached<BTreeMap<Path, Znode>> {
    /// Follows a znode and everything below it; empty while it is not there. Returns when all has
    /// been read. The Stats are as they were when the data was read: a znode's number of children
    /// is out of date when one has come or gone.
    ///
    /// # Errors
    /// As [`Cached::znode`], and [`ClientError::SubtreeTooLarge`].
    pub async fn subtree<R: Runtime>(
        sessions: &Sessions<R>,
        path: &str,
    ) -> Result<Cached<BTreeMap<Path, Znode>>, ClientError> {
        Cached::open(sessions, SubtreeAt(parse_path(path)?)).await
    }
}

impl<T: PartialEq + Send + Sync + 'static> Cached<T> {
    async fn open<R: Runtime, S: Subject<Value = T>>(
        sessions: &Sessions<R>,
        subject: S,
    ) -> Result<Cached<T>, ClientError> {
        let (copy, view, notes) = Copy::new();
        let kept = reader::keep(sessions.clone(), subject, copy);
        sessions.runtime().spawn(kept);
        let mut cached = Cached { view, notes };
        let first = cached.view.wait_for(Option::is_some).await;
        let failure = match first.as_deref() {
            Ok(Some(View::Follows(_))) => None,
            Ok(Some(View::Failed { error, .. })) => Some(error.clone()),
            // The reader's task is gone without a word: its runtime is.
            Ok(None) | Err(_) => Some(ClientError::Closed),
        };
        drop(first);
        match failure {
            None => Ok(cached),
            Some(error) => Err(error),
        }
    }
}

impl<T> Cached<T> {
    /// The copy as it is now; the last one if the reader had to give up.
    pub fn current(&self) -> Arc<T> {
        let view = self.view.borrow();
        let value = view.as_ref().and_then(View::value);
        Arc::clone(value.expect("a reader is handed out when it has read"))
    }

    /// Waits until the copy has changed since the last call (or since it was opened), and returns
    /// it. Changes that follow each other quickly may be told as one. Nothing is lost if the call
    /// is given up.
    ///
    /// # Errors
    /// When the reader had to give up, for example because it may no longer read the znode.
    pub async fn changed(&mut self) -> Result<Arc<T>, ClientError> {
        let ended = self.view.changed().await.is_err();
        match &*self.view.borrow_and_update() {
            Some(View::Failed { error, .. }) => Err(error.clone()),
            Some(View::Follows(value)) if !ended => Ok(Arc::clone(value)),
            _ => Err(ClientError::Closed),
        }
    }

    /// Is a server connected that would tell of changes?
    pub fn is_current(&self) -> bool {
        self.notes.is_current()
    }

    /// How many reads were sent so far, so that a test can prove that nothing polls: at the opening
    /// and after a session's end, one for each thing that is followed; after that, one for each of
    /// them that changed. A znode that is not there takes two, and a read is repeated if its
    /// answer was lost with the connection.
    pub fn reads(&self) -> u64 {
        self.notes.reads()
    }
}
