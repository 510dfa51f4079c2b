//! The rarer deeds of a random mixture: watches that stay, reads of several znodes, counts, znodes
//! that go by themselves, odd access control lists, and reads that a quorum confirms.

use althing_client::client::Client;
use althing_client::error::ClientError;
use althing_client::persistent::PersistentWatcher;
use althing_client::runtime::Runtime;
use althing_client::znode::{CreateMode, Version};
use althing_core::node::request::ReadPart;
use althing_core::tree::acl::Acl;
use althing_core::watch::{WatchMode, Whichever};

/// One request, with everything that it says.
pub enum Rare {
    AddWatch(String, WatchMode),
    HasWatches(String, Whichever),
    RemoveWatches(String, Whichever),
    Ephemerals(String),
    CountBelow(String),
    WhoAmI,
    ReadSeveral(Vec<ReadPart>),
    Check(String, Version),
    Create(String, String, CreateMode),
    Set(String, String),
    CreateWithAcl(String, String, Acl),
    SetAcl(String, Acl),
    /// How the connection reads from here on.
    Reads(&'static str),
}

/// Does it; what it leaves behind is a watch that stays, if anything.
pub(super) async fn perform<R: Runtime>(
    client: &Client<R>,
    rare: Rare,
) -> Result<Option<PersistentWatcher>, ClientError> {
    match rare {
        Rare::AddWatch(path, mode) => return client.add_watch(&path, mode).await.map(Some),
        Rare::HasWatches(path, kinds) => drop(client.has_watches(&path, kinds).await?),
        Rare::RemoveWatches(path, kinds) => drop(client.remove_watches(&path, kinds).await?),
        Rare::Ephemerals(prefix) => drop(client.ephemerals(&prefix).await?),
        Rare::CountBelow(path) => drop(client.count_below(&path).await?),
        Rare::WhoAmI => drop(client.who_am_i().await?),
        Rare::ReadSeveral(parts) => drop(client.read_several(parts).await?),
        Rare::Check(path, version) => {
            client.check(&path, version).await?;
        }
        Rare::Set(path, payload) => {
            let data = payload.into_bytes();
            client.set_data(&path, data, Version::Any).await?;
        }
        Rare::CreateWithAcl(path, payload, acl) => {
            let (data, mode) = (payload.into_bytes(), CreateMode::Persistent);
            drop(client.create_with_acl(&path, data, mode, acl).await?);
        }
        Rare::SetAcl(path, acl) => {
            client.set_acl(&path, acl, Version::Any).await?;
        }
        Rare::Reads(mode) => client.add_auth("althing", mode).await?,
        Rare::Create(path, payload, mode) => {
            drop(client.create(&path, payload.into_bytes(), mode).await?);
        }
    }
    Ok(None)
}
