//! One transaction of ZooKeeper's log.

use althing_core::tree::acl::Acl;
use althing_core::tree::owner::{Owner, Ttl};

use crate::zookeeper::source::{Fault, Source};

/// The longest transaction: as long as any value.
pub use crate::zookeeper::source::VALUE_BYTES_MAX as TXN_BYTES_MAX;

/// The most operations of a multi, and paths of a session's end: no frame holds as many.
const PARTS_MAX: usize = 16 * 1024 * 1024;

/// The version of the digest that is understood; those of other versions are not looked at.
pub const DIGEST_VERSION: i32 = 2;

/// How many bytes the digest at the end of a transaction takes: its version and itself.
const DIGEST_BYTES: usize = 12;

mod kind {
    pub const CREATE: i32 = 1;
    pub const DELETE: i32 = 2;
    pub const SET_DATA: i32 = 5;
    pub const SET_ACL: i32 = 7;
    pub const CHECK: i32 = 13;
    pub const MULTI: i32 = 14;
    pub const CREATE2: i32 = 15;
    pub const RECONFIG: i32 = 16;
    pub const CREATE_CONTAINER: i32 = 19;
    pub const DELETE_CONTAINER: i32 = 20;
    pub const CREATE_TTL: i32 = 21;
    pub const ERROR: i32 = -1;
    pub const CREATE_SESSION: i32 = -10;
    pub const CLOSE_SESSION: i32 = -11;
}

/// A transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Txn {
    /// The session that asked.
    pub session: i64,
    /// The position.
    pub zxid: i64,
    /// The wall clock of the leader.
    pub time: i64,
    /// What it does.
    pub change: Change,
    /// The digest of the tree after it, of [`DIGEST_VERSION`].
    pub digest: Option<u64>,
}

/// What a transaction does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Creates a znode.
    Create(Create),
    /// Deletes a znode.
    Delete {
        /// Which.
        path: String,
    },
    /// Sets data.
    SetData {
        /// Whose.
        path: String,
        /// The data.
        data: Option<Vec<u8>>,
        /// Its version from then on.
        version: i32,
    },
    /// Sets an access control list.
    SetAcl {
        /// Whose.
        path: String,
        /// The list.
        acl: Option<Acl>,
        /// Its version from then on.
        version: i32,
    },
    /// Opens the session that asked.
    OpenSession {
        /// Its time-out.
        timeout_ms: i32,
    },
    /// Ends the session that asked.
    CloseSession {
        /// The znodes that go with it; `None` in logs that do not tell.
        paths: Option<Vec<String>>,
    },
    /// All of these.
    Multi(Vec<Change>),
    /// Nothing: a check that held, or a request that was refused.
    Nothing,
}

/// What is to be created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Create {
    /// Where.
    pub path: String,
    /// With which data.
    pub data: Option<Vec<u8>>,
    /// With which list.
    pub acl: Option<Acl>,
    /// Whose it is, in ZooKeeper's numbers; 0 is nobody's.
    pub owner: i64,
    /// How many creations its parent counts from then on; -1 is one more.
    pub parent_cversion: i32,
    /// Does the parent's count move if the znode is there already? With ZooKeeper that depends on
    /// which request it was.
    pub repeated: Repeated,
}

/// What becomes of a parent when a znode is created that is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeated {
    /// Its count is that of the transaction, if it was less.
    Counts,
    /// It stays as it is.
    Ignored,
}

/// The transaction that `bytes` are, of which the first stands at `offset` of its file.
///
/// # Errors
/// If they are none.
pub fn decode(bytes: &[u8], offset: u64) -> Result<Txn, Fault> {
    let mut source = Source::new(bytes, offset);
    let session = source.long("a session")?;
    source.int("the number of a request")?;
    let zxid = source.long("a position")?;
    let time = source.long("a time")?;
    let kind = source.int("the kind of a transaction")?;
    let head = usize::try_from(source.offset() - offset).expect("a head is short");
    let (change, end) = match kind {
        kind::CLOSE_SESSION => close(&bytes[head..], source.offset())?,
        kind::CREATE => match change(kind, session, &mut source) {
            Err(Fault::Ended { .. }) => old_create(&bytes[head..], session, offset + head as u64)?,
            change => (change?, source.offset()),
        },
        _ => (change(kind, session, &mut source)?, source.offset()),
    };
    let used = usize::try_from(end - offset).expect("no more than there is");
    let digest = digest(&bytes[used..], end)?;
    Ok(Txn {
        session,
        zxid,
        time,
        change,
        digest,
    })
}

/// What may stand behind a transaction: a digest, or nothing.
fn digest(bytes: &[u8], offset: u64) -> Result<Option<u64>, Fault> {
    let mut source = Source::new(bytes, offset);
    match bytes.len() {
        0 => Ok(None),
        DIGEST_BYTES => {
            let version = source.int("a digest")?;
            let digest = source.long("a digest")? as u64;
            Ok((version == DIGEST_VERSION).then_some(digest))
        }
        more => Err(Fault::wrong(
            offset,
            format!("{more} bytes behind a transaction; a digest has {DIGEST_BYTES}"),
        )),
    }
}

/// The end of a session, which tells what goes with it or not, by the release and its settings.
fn close(bytes: &[u8], offset: u64) -> Result<(Change, u64), Fault> {
    let untold = (Change::CloseSession { paths: None }, offset);
    if bytes.is_empty() {
        return Ok(untold);
    }
    let mut source = Source::new(bytes, offset);
    let told = paths(&mut source).map(|paths| (Change::CloseSession { paths }, source.offset()));
    let left = |end: u64| bytes.len() as u64 - (end - offset);
    match told {
        Ok((change, end)) if matches!(left(end), 0 | 12) => Ok((change, end)),
        _ if bytes.len() == DIGEST_BYTES => Ok(untold),
        Ok(_) => Err(Fault::wrong(offset, "no end of a session")),
        Err(fault) => Err(fault),
    }
}

fn paths(source: &mut Source<&[u8]>) -> Result<Option<Vec<String>>, Fault> {
    let Some(count) = count(source, "paths")? else {
        return Ok(None);
    };
    let mut paths = Vec::new();
    for _ in 0..count {
        paths.push(source.text("a path")?);
    }
    Ok(Some(paths))
}

fn count(source: &mut Source<&[u8]>, what: &'static str) -> Result<Option<usize>, Fault> {
    let offset = source.offset();
    match source.count(what)? {
        Some(count) if count > PARTS_MAX => Err(Fault::wrong(offset, format!("{count} {what}"))),
        count => Ok(count),
    }
}

/// A create of ZooKeeper 3.3, which does not tell the count of its parent.
fn old_create(bytes: &[u8], session: i64, offset: u64) -> Result<(Change, u64), Fault> {
    let mut source = Source::new(bytes, offset);
    let create = Create {
        path: source.text("a path")?,
        data: source.buffer("data")?,
        acl: source.acl()?,
        owner: owner(source.truth("a truth value")?, session),
        parent_cversion: -1,
        repeated: Repeated::Counts,
    };
    Ok((Change::Create(create), source.offset()))
}

fn owner(is_ephemeral: bool, session: i64) -> i64 {
    match is_ephemeral {
        true => session,
        false => 0,
    }
}

fn change(kind: i32, session: i64, source: &mut Source<&[u8]>) -> Result<Change, Fault> {
    let offset = source.offset();
    Ok(match kind {
        kind::CREATE | kind::CREATE2 | kind::CREATE_CONTAINER | kind::CREATE_TTL => {
            Change::Create(create(kind, session, source)?)
        }
        kind::DELETE | kind::DELETE_CONTAINER => Change::Delete {
            path: source.text("a path")?,
        },
        kind::SET_DATA | kind::RECONFIG => Change::SetData {
            path: source.text("a path")?,
            data: source.buffer("data")?,
            version: source.int("a version")?,
        },
        kind::SET_ACL => Change::SetAcl {
            path: source.text("a path")?,
            acl: source.acl()?,
            version: source.int("a version")?,
        },
        kind::CHECK => {
            source.text("a path")?;
            source.int("a version")?;
            Change::Nothing
        }
        kind::ERROR => {
            source.int("an error")?;
            Change::Nothing
        }
        kind::CREATE_SESSION => Change::OpenSession {
            timeout_ms: source.int("a time-out")?,
        },
        kind::MULTI => Change::Multi(multi(session, source)?),
        _ => {
            let what = format!("a transaction of the kind {kind}, which is not known");
            return Err(Fault::wrong(offset, what));
        }
    })
}

fn create(kind: i32, session: i64, source: &mut Source<&[u8]>) -> Result<Create, Fault> {
    let path = source.text("a path")?;
    let data = source.buffer("data")?;
    let acl = source.acl()?;
    let is_ephemeral = match kind {
        kind::CREATE | kind::CREATE2 => source.truth("a truth value")?,
        _ => false,
    };
    let parent_cversion = source.int("the count of a parent")?;
    let owner = match kind {
        kind::CREATE_CONTAINER => Owner::Container.number(),
        kind::CREATE_TTL => {
            let offset = source.offset();
            let ms = source.long("a time to live")?;
            let ttl = u64::try_from(ms).ok().and_then(Ttl::from_ms);
            let ttl = ttl.ok_or_else(|| Fault::wrong(offset, format!("{ms} ms to live")))?;
            Owner::Ttl(ttl).number()
        }
        _ => owner(is_ephemeral, session),
    };
    Ok(Create {
        path,
        data,
        acl,
        owner,
        parent_cversion,
        repeated: match kind {
            kind::CREATE => Repeated::Counts,
            _ => Repeated::Ignored,
        },
    })
}

/// The parts of a multi; nothing if one of them was refused, since then nothing was done.
fn multi(session: i64, source: &mut Source<&[u8]>) -> Result<Vec<Change>, Fault> {
    let count = count(source, "parts of a multi")?.unwrap_or(0);
    let mut changes = Vec::new();
    let mut refused = false;
    for _ in 0..count {
        let at = source.offset();
        let kind = source.int("the kind of a part")?;
        let body = source.offset() + 4;
        let bytes = source.buffer("a part of a multi")?.unwrap_or_default();
        match kind {
            kind::ERROR => refused = true,
            // No part of a multi: neither ZooKeeper nor we know what it would mean.
            kind::MULTI | kind::CREATE_SESSION | kind::CLOSE_SESSION | kind::RECONFIG => {
                return Err(Fault::wrong(
                    at,
                    format!("a part of a multi of the kind {kind}"),
                ));
            }
            kind => changes.push(change(kind, session, &mut Source::new(&*bytes, body))?),
        }
    }
    match refused {
        true => Ok(Vec::new()),
        false => Ok(changes),
    }
}
