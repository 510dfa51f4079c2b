//! Barriers: one that somebody closes and opens for all, and one that opens by itself when so many
//! have come, and again when all of them have done.

use std::num::NonZeroUsize;

use althing_core::code::Code;
use althing_core::tree::data::Data;
use althing_core::tree::path::Path;

use crate::client::Client;
use crate::error::ClientError;
use crate::recipes::election::Election;
use crate::recipes::hold::Hold;
use crate::recipes::line::join;
use crate::recipes::retried::retried;
use crate::runtime::Runtime;
use crate::znode::{CreateMode, Version, parse_path};

/// A barrier that is closed as long as its znode is there.
#[derive(Clone, Debug)]
pub struct Barrier<R: Runtime> {
    client: Client<R>,
    path: Path,
}

impl<R: Runtime> Barrier<R> {
    /// The barrier at the znode `path`.
    ///
    /// # Errors
    /// [`ClientError::BadPath`].
    pub fn new(client: &Client<R>, path: &str) -> Result<Barrier<R>, ClientError> {
        Ok(Barrier {
            client: client.clone(),
            path: parse_path(path)?,
        })
    }

    /// Closes it. It stays closed without this client.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn close(&self) -> Result<(), ClientError> {
        if let Some(parent) = self.path.parent() {
            retried(|| self.client.ensure(parent.as_str())).await?;
        }
        let create = || {
            let mode = CreateMode::Persistent;
            self.client
                .create(self.path.as_str(), Data::default(), mode)
        };
        match retried(create).await {
            Ok(_) | Err(ClientError::Server(Code::NodeExists)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Opens it for all who wait.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn open(&self) -> Result<(), ClientError> {
        match retried(|| self.client.delete(self.path.as_str(), Version::Any)).await {
            Ok(()) | Err(ClientError::Server(Code::NoNode)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends as soon as it is open.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn wait(&self) -> Result<(), ClientError> {
        loop {
            let look = || self.client.watch_exists(self.path.as_str());
            let (closed, watcher) = retried(look).await?;
            if closed.is_none() {
                return Ok(());
            }
            watcher.await?;
        }
    }
}

/// A barrier for one computation: it opens when so many have entered, and lets them leave when all
/// have left. Who dies has left; if it comes again, it finds the barrier open. Another computation
/// takes another znode, and whoever has set it up deletes it.
#[derive(Clone, Debug)]
pub struct DoubleBarrier<R: Runtime> {
    client: Client<R>,
    members: Path,
    ready: Path,
    count: NonZeroUsize,
}

/// That a client has entered, together with all others.
#[derive(Debug)]
pub struct Entered<R: Runtime> {
    barrier: DoubleBarrier<R>,
    place: Hold<R>,
}

impl<R: Runtime> DoubleBarrier<R> {
    /// The barrier at the znode `directory`, for `count` clients. All must say the same number.
    ///
    /// # Errors
    /// [`ClientError::BadPath`].
    pub fn new(
        client: &Client<R>,
        directory: &str,
        count: NonZeroUsize,
    ) -> Result<DoubleBarrier<R>, ClientError> {
        let directory = parse_path(directory)?;
        Ok(DoubleBarrier {
            client: client.clone(),
            members: parse_path(&join(&directory, "members"))?,
            ready: parse_path(&join(&directory, "ready"))?,
            count,
        })
    }

    /// Enters as `name`, and waits until so many have entered under names of their own. Giving the
    /// call up leaves. A program that has died and enters again waits until its former place is
    /// gone, so it never counts twice.
    ///
    /// # Errors
    /// [`ClientError`]; then this client has not entered, or will not have after its session.
    pub async fn enter(&self, name: &str) -> Result<Entered<R>, ClientError> {
        let place = Election::new(&self.client, &join(&self.members, name))?;
        let place = place.lead(Data::default()).await?;
        loop {
            let (ready, watcher) =
                retried(|| self.client.watch_exists(self.ready.as_str())).await?;
            if ready.is_some() {
                break;
            }
            let members = retried(|| self.client.children(self.members.as_str())).await?;
            if members.names.len() >= self.count.get() {
                retried(|| self.client.ensure(self.ready.as_str())).await?;
                break;
            }
            watcher.await?;
        }
        let barrier = self.clone();
        Ok(Entered { barrier, place })
    }
}

impl<R: Runtime> Entered<R> {
    /// The place among those who have entered; when it is lost, the others believe that this client
    /// has left.
    pub fn place(&self) -> &Hold<R> {
        &self.place
    }

    /// Leaves, and waits until all have.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn leave(self) -> Result<(), ClientError> {
        let DoubleBarrier {
            client, members, ..
        } = self.barrier;
        self.place.release().await?;
        loop {
            let (left, watcher) = retried(|| client.watch_children(members.as_str())).await?;
            if left.names.is_empty() {
                return Ok(());
            }
            watcher.await?;
        }
    }
}
