//! The values that operations take and return.

use std::sync::Arc;
use std::time::Duration;

use althing_core::tree::acl::Acl;
use althing_core::tree::data::Data;
use althing_core::tree::op::{ANY_VERSION, Create, Lifetime, Naming, Op, Telling};
use althing_core::tree::owner::Ttl;
use althing_core::tree::path::{Path, Place};
use althing_core::tree::stat::Stat;

use crate::error::ClientError;

/// How a znode is created.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreateMode {
    /// It stays until it is deleted.
    Persistent,
    /// It goes with this client's session.
    Ephemeral,
    /// It stays, and its name ends with a number that the server draws.
    PersistentSequential,
    /// It goes with the session, and its name ends with a number that the server draws.
    EphemeralSequential,
    /// It goes some time after its last child, and never before it has had one.
    Container,
    /// It goes some time after this duration, from 1 ms to some 34 years in whole milliseconds, in
    /// which its data was not set, unless it has children.
    PersistentWithTtl(Duration),
    /// The same, and its name ends with a number that the server draws.
    PersistentSequentialWithTtl(Duration),
}

fn ttl(lasts: Duration) -> Result<Lifetime, ClientError> {
    let ms = u64::try_from(lasts.as_millis()).ok();
    let ttl = ms.and_then(Ttl::from_ms).ok_or(ClientError::BadTtl)?;
    Ok(Lifetime::Ttl(ttl))
}

impl CreateMode {
    pub(crate) fn op(self, path: &str, data: Data, acl: Acl) -> Result<Op, ClientError> {
        let (lifetime, naming) = match self {
            CreateMode::Persistent => (Lifetime::Persistent, Naming::Exact),
            CreateMode::Ephemeral => (Lifetime::Ephemeral, Naming::Exact),
            CreateMode::PersistentSequential => (Lifetime::Persistent, Naming::Sequential),
            CreateMode::EphemeralSequential => (Lifetime::Ephemeral, Naming::Sequential),
            CreateMode::Container => (Lifetime::Container, Naming::Exact),
            CreateMode::PersistentWithTtl(lasts) => (ttl(lasts)?, Naming::Exact),
            CreateMode::PersistentSequentialWithTtl(lasts) => (ttl(lasts)?, Naming::Sequential),
        };
        let place = match naming {
            Naming::Exact => Place::exact(path),
            Naming::Sequential => Place::prefix(path),
        };
        let place = place.map_err(|why| ClientError::BadPath {
            path: path.to_owned(),
            why,
        })?;
        Ok(Op::Create(Create {
            place,
            data: Some(data),
            acl,
            lifetime,
            naming,
            telling: Telling::PathAndStat,
        }))
    }
}

/// At which version of a znode a change is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// At any.
    Any,
    /// Only at this one.
    Exactly(i32),
}

impl Version {
    pub(crate) fn number(self) -> i32 {
        match self {
            Version::Any => ANY_VERSION,
            Version::Exactly(version) => version,
        }
    }
}

/// A znode that was created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Created {
    /// Its path, with the number that the server drew if it is sequential.
    pub path: Path,
    /// Its Stat.
    pub stat: Stat,
}

/// A znode as it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Znode {
    /// Its data. ZooKeeper's null reads as no bytes.
    pub data: Data,
    /// Its Stat.
    pub stat: Stat,
}

/// A znode's children as they were listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Children {
    /// Their names, sorted.
    pub names: Vec<Arc<str>>,
    /// The parent's Stat.
    pub stat: Stat,
}

pub(crate) fn parse_path(text: &str) -> Result<Path, ClientError> {
    Path::parse(text).map_err(|why| ClientError::BadPath {
        path: text.to_owned(),
        why,
    })
}
