//! What a cached reader follows: one znode, or the names of its children.

use std::convert::Infallible;

use althing_core::code::Code;
use althing_core::tree::path::Path;

use crate::client::Client;
use crate::error::ClientError;
use crate::recipes::cached::copy::Copy;
use crate::runtime::Runtime;
use crate::watcher::Watcher;
use crate::znode::{Children, Znode};

/// Something that can be followed within one session.
pub(crate) trait Subject: Send + Sync + 'static {
    type Value: PartialEq + Send + Sync + 'static;

    /// Reads it, publishes it, waits to be told of a change, and so on until an error.
    fn follow<R: Runtime>(
        &self,
        client: &Client<R>,
        copy: &mut Copy<Self::Value>,
    ) -> impl Future<Output = Result<Infallible, ClientError>> + Send;
}

pub(crate) struct ZnodeAt(pub(crate) Path);

impl Subject for ZnodeAt {
    type Value = Option<Znode>;

    async fn follow<R: Runtime>(
        &self,
        client: &Client<R>,
        copy: &mut Copy<Option<Znode>>,
    ) -> Result<Infallible, ClientError> {
        loop {
            copy.count_read();
            match client.watch_data(self.0.as_str()).await {
                Ok((znode, watcher)) => {
                    copy.publish(Some(znode));
                    watcher.await?;
                }
                Err(error) => {
                    if let Some(watcher) = absent(client, &self.0, copy, error).await? {
                        copy.publish(None);
                        watcher.await?;
                    }
                }
            }
        }
    }
}

pub(crate) struct ChildrenOf(pub(crate) Path);

impl Subject for ChildrenOf {
    type Value = Option<Children>;

    async fn follow<R: Runtime>(
        &self,
        client: &Client<R>,
        copy: &mut Copy<Option<Children>>,
    ) -> Result<Infallible, ClientError> {
        loop {
            copy.count_read();
            match client.watch_children(self.0.as_str()).await {
                Ok((children, watcher)) => {
                    copy.publish(Some(children));
                    watcher.await?;
                }
                Err(error) => {
                    if let Some(watcher) = absent(client, &self.0, copy, error).await? {
                        copy.publish(None);
                        watcher.await?;
                    }
                }
            }
        }
    }
}

/// Deals with a read that failed: if the znode is not there, the watch that will tell of its
/// creation; `None` if it is to be read again.
pub(crate) async fn absent<R: Runtime, T: PartialEq>(
    client: &Client<R>,
    path: &Path,
    copy: &Copy<T>,
    error: ClientError,
) -> Result<Option<Watcher>, ClientError> {
    match error {
        error if error.is_in_doubt() => Ok(None),
        ClientError::Server(Code::NoNode) => {
            copy.count_read();
            match client.watch_exists(path.as_str()).await {
                Ok((None, watcher)) => Ok(Some(watcher)),
                // It has come meanwhile.
                Ok((Some(_), _)) => Ok(None),
                Err(error) if error.is_in_doubt() => Ok(None),
                Err(error) => Err(error),
            }
        }
        error => Err(error),
    }
}
