//! A cached reader: reads once, then waits to be told.

use std::collections::BTreeMap;
use std::sync::Arc;

use althing_core::tree::path::Path;

use crate::error::ClientError;
use crate::runtime::Runtime;
use crate::sessions::Sessions;
use crate::znode::{Children, Znode};

/// Most znodes that one cached subtree keeps: each costs two watches.
pub const SUBTREE_ZNODES_MAX: usize = 10_000;

/// A copy of a part of the tree that follows it through watches alone, never by polling, through
/// reconnects and from one session to the next.
///
/// The copy is never wrong about the past, but it may be late: what it shows was true at some
/// moment, and moments never go back within a session. [`Cached::is_current`] tells whether a server is
/// connected that would tell of changes.
#[derive(Clone, Debug)]
pub struct Cached<T> {
    value: std::marker::PhantomData<T>,
}

impl Cached<Option<Znode>> {
    /// Follows one znode's data and Stat; `None` while it is not there.
    ///
    /// # Errors
    /// [`ClientError`], if the first read fails for another reason than a lost connection.
    pub async fn znode<R: Runtime>(
        sessions: &Sessions<R>,
        path: &str,
    ) -> Result<Cached<Option<Znode>>, ClientError> {
        let _ = (sessions, path);
        todo!()
    }
}

impl Cached<Option<Children>> {
    /// Follows the names of one znode's children; `None` while it is not there.
    ///
    /// # Errors
    /// As [`Cached::znode`].
    pub async fn children<R: Runtime>(
        sessions: &Sessions<R>,
        path: &str,
    ) -> Result<Cached<Option<Children>>, ClientError> {
        let _ = (sessions, path);
        todo!()
    }
}

impl Cached<BTreeMap<Path, Znode>> {
    /// Follows a znode and everything below it; empty while it is not there.
    ///
    /// # Errors
    /// As [`Cached::znode`], and [`ClientError::SubtreeTooLarge`].
    pub async fn subtree<R: Runtime>(
        sessions: &Sessions<R>,
        path: &str,
    ) -> Result<Cached<BTreeMap<Path, Znode>>, ClientError> {
        let _ = (sessions, path);
        todo!()
    }
}

impl<T> Cached<T> {
    /// The copy as it is now.
    pub fn current(&self) -> Arc<T> {
        todo!()
    }

    /// Waits until the copy has changed since the last call (or since it was opened), and returns
    /// it. Nothing is lost if the call is given up.
    ///
    /// # Errors
    /// When the reader had to give up, for example because it may no longer read the znode.
    pub async fn changed(&mut self) -> Result<Arc<T>, ClientError> {
        todo!()
    }

    /// Is a server connected that would tell of changes?
    pub fn is_current(&self) -> bool {
        todo!()
    }

    /// How many reads were sent so far: one for each thing that is followed, and one for each change of
    /// it, so that a test can prove that nothing polls.
    pub fn reads(&self) -> u64 {
        todo!()
    }
}
