//! A router: it knows from a copy of the directory who owns which slot, and asks the owner.

use std::collections::BTreeMap;
use std::time::Duration;

use althing_client::error::ClientError;
use althing_client::recipes::cached::cached::Cached;
use althing_client::runtime::Runtime;
use althing_client::sessions::Sessions;
use althing_client::znode::Znode;
use althing_core::tree::path::Path;

use crate::lines;
use crate::slots::{OWNERS, owner_file, slot_of};

/// How long it waits for a shard.
const PATIENCE: Duration = Duration::from_secs(3);

/// One router.
pub struct Router<R: Runtime> {
    runtime: R,
    owners: Cached<BTreeMap<Path, Znode>>,
}

impl<R: Runtime> Router<R> {
    /// A router that follows the directory.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub async fn open(sessions: &Sessions<R>) -> Result<Router<R>, ClientError> {
        Ok(Router {
            runtime: sessions.runtime().clone(),
            owners: Cached::subtree(sessions, OWNERS).await?,
        })
    }

    /// The value of a key, if its owner answers.
    pub async fn get(&self, key: &str) -> Option<u64> {
        self.ask("get", key, "").await?.parse().ok()
    }

    /// Sets a key; `None` if nobody knows whether it is set.
    pub async fn put(&self, key: &str, value: u64) -> Option<()> {
        let answer = self.ask("put", key, &format!(" {value}")).await?;
        (answer == "ok").then_some(())
    }

    async fn ask(&self, what: &str, key: &str, rest: &str) -> Option<String> {
        let owners = self.owners.current();
        let file = owner_file(slot_of(key));
        let (_, owner) = owners.iter().find(|(path, _)| path.as_str() == file)?;
        let address = String::from_utf8_lossy(&owner.data).into_owned();
        let question = format!("{what} {} {key}{rest}", owner.stat.czxid.0);
        lines::ask(&self.runtime, &address, &question, PATIENCE)
            .await
            .ok()
    }
}
