//! Who is there: a group of members, each with what it tells of itself. Services find each other
//! so.

use std::sync::Arc;

use althing_core::code::Code;
use althing_core::ids::Zxid;
use althing_core::tree::data::Data;
use althing_core::tree::path::Path;

use crate::client::Client;
use crate::error::ClientError;
use crate::recipes::election::Election;
use crate::recipes::hold::Hold;
use crate::recipes::line::join;
use crate::recipes::retried::retried;
use crate::runtime::Runtime;
use crate::watcher::Watcher;
use crate::znode::parse_path;

/// A persistent znode whose ephemeral children are the members: `/services/payment/10.0.0.1:80`.
///
/// Who looks often keeps a copy with [`crate::recipes::cached::cached::Cached`], which is told what
/// changes.
#[derive(Clone, Debug)]
pub struct Group<R: Runtime> {
    client: Client<R>,
    directory: Path,
}

/// Somebody in the group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its name.
    pub name: Arc<str>,
    /// What it tells of itself.
    pub data: Data,
    /// Larger than that of everybody of this name before.
    pub token: Zxid,
}

impl<R: Runtime> Group<R> {
    /// The group at the znode `directory`, which is created when it is first needed.
    ///
    /// # Errors
    /// [`ClientError::BadPath`].
    pub fn new(client: &Client<R>, directory: &str) -> Result<Group<R>, ClientError> {
        Ok(Group {
            client: client.clone(),
            directory: parse_path(directory)?,
        })
    }

    /// Joins under `name`, until the hold is released, dropped or lost. If there is a member of
    /// this name, such as this very program's last session, it waits until that is gone.
    ///
    /// # Errors
    /// [`ClientError`]; then this client is no member.
    pub async fn join(&self, name: &str, data: impl Into<Data>) -> Result<Hold<R>, ClientError> {
        let file = join(&self.directory, name);
        Election::new(&self.client, &file)?.lead(data).await
    }

    /// Who is there, in the order of the names, as this client's server has it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn members(&self) -> Result<Vec<Member>, ClientError> {
        match retried(|| self.client.children(self.directory.as_str())).await {
            Ok(children) => self.described(&children.names).await,
            Err(ClientError::Server(Code::NoNode)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Who is there, and a watch that fires when somebody joins or goes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn watch(&self) -> Result<(Vec<Member>, Watcher), ClientError> {
        let directory = self.directory.as_str();
        retried(|| self.client.ensure(directory)).await?;
        let (children, watcher) = retried(|| self.client.watch_children(directory)).await?;
        Ok((self.described(&children.names).await?, watcher))
    }

    async fn described(&self, names: &[Arc<str>]) -> Result<Vec<Member>, ClientError> {
        let mut members = Vec::with_capacity(names.len());
        for name in names {
            let path = join(&self.directory, name);
            match retried(|| self.client.get_data(&path)).await {
                Ok(znode) => members.push(Member {
                    name: Arc::clone(name),
                    data: znode.data,
                    token: znode.stat.czxid,
                }),
                // It has gone meanwhile.
                Err(ClientError::Server(Code::NoNode)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(members)
    }
}
