//! A snapshot of ZooKeeper's, read and checked.
//!
//! | what | |
//! |---|---|
//! | head | `ZKSN`, the version, the number of the database |
//! | sessions | a count; of each its number and its time-out |
//! | lists | a count; of each its number and its entries |
//! | znodes | of each its path (the root's is empty), data, list and Stat; the path `/` ends them |
//! | seal | the Adler-32 of all bytes before it, and the text `/` |
//! | since 3.6 | a position, the digest of the tree at that position, another seal |
//! | 3.9, if told to | the position of the snapshot, another seal |

use std::collections::BTreeMap;
use std::io::Read;

use althing_core::tree::acl::Acl;
use althing_core::tree::path::{Path, parent_of};

use crate::zookeeper::source::{Fault, Source};
use crate::zookeeper::tree::{Node, Stat, Tree};
use crate::zookeeper::txn::DIGEST_VERSION;

/// How a snapshot begins.
pub const MAGIC: [u8; 4] = *b"ZKSN";

/// The version of the format.
pub const VERSION: i32 = 2;

/// The list that stands for the open one.
pub const OPEN_ACL: i64 = -1;

/// How much may stand behind the first seal: a digest and a position, each with its seal, and room
/// for a digest in the notation of its first version.
const TAIL_BYTES_MAX: usize = 128;

/// A seal: a checksum and a text of one character.
const SEAL_BYTES: usize = 13;

/// A digest of the current version, without its seal.
const DIGEST_BYTES: usize = 20;

/// What a snapshot holds.
#[derive(Debug)]
pub struct Snapshot {
    /// Znodes and sessions.
    pub tree: Tree,
    /// The digest that the tree had when the snapshot was done, if it tells one.
    pub digest: Option<Digest>,
}

/// The digest of the tree at a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digest {
    /// The position.
    pub zxid: i64,
    /// The digest; `None` if it is of a version that is not known.
    pub digest: Option<u64>,
}

/// Reads a snapshot, unpacked, to its end.
///
/// # Errors
/// If it is not what ZooKeeper wrote.
pub fn read(input: impl Read) -> Result<Snapshot, Fault> {
    let mut source = Source::new(input, 0);
    head(&mut source)?;
    let mut tree = Tree::default();
    let sessions = source.count("sessions")?.unwrap_or(0);
    for _ in 0..sessions {
        let session = source.long("a session")?;
        tree.open(session, source.int("a time-out")?);
    }
    let acls = acls(&mut source)?;
    nodes(&mut source, &acls, &mut tree)?;
    seal(&mut source)?;
    let digest = tail(&mut source)?;
    Ok(Snapshot { tree, digest })
}

fn head(source: &mut Source<impl Read>) -> Result<(), Fault> {
    let magic: [u8; 4] = source.array("the head of a snapshot")?;
    if magic != MAGIC {
        return Err(Fault::wrong(0, "this is not the head of a snapshot"));
    }
    let version = source.int("the head of a snapshot")?;
    if version != VERSION {
        let what = format!("version {version} of the snapshot's format; known is {VERSION}");
        return Err(Fault::wrong(4, what));
    }
    source.long("the head of a snapshot").map(|_| ())
}

fn acls(source: &mut Source<impl Read>) -> Result<BTreeMap<i64, Acl>, Fault> {
    let mut acls = BTreeMap::from([(OPEN_ACL, Acl::open())]);
    let count = source.count("access control lists")?.unwrap_or(0);
    for _ in 0..count {
        let number = source.long("the number of a list")?;
        let offset = source.offset();
        let acl = source.acl()?;
        let acl = acl.ok_or_else(|| Fault::wrong(offset, "null as an access control list"))?;
        acls.insert(number, acl);
    }
    Ok(acls)
}

fn nodes(
    source: &mut Source<impl Read>,
    acls: &BTreeMap<i64, Acl>,
    tree: &mut Tree,
) -> Result<(), Fault> {
    loop {
        let offset = source.offset();
        let mut path = source.text("the path of a znode")?;
        match path.as_str() {
            "/" => break,
            "" => path.push('/'),
            _ => {}
        }
        let parsed = Path::parse(&path);
        parsed.map_err(|error| Fault::wrong(offset, format!("{path:?} is no path: {error}")))?;
        if let Some(parent) = parent_of(&path)
            && !tree.nodes().contains_key(parent)
        {
            let what = format!("{path} stands before its parent");
            return Err(Fault::wrong(offset, what));
        }
        let node = node(source, acls, &path)?;
        tree.put(path, node);
    }
    match tree.nodes().is_empty() {
        true => Err(Fault::wrong(source.offset(), "a tree without a root")),
        false => Ok(()),
    }
}

fn node(
    source: &mut Source<impl Read>,
    acls: &BTreeMap<i64, Acl>,
    path: &str,
) -> Result<Node, Fault> {
    let data = source.buffer("the data of a znode")?;
    let offset = source.offset();
    let acl = source.long("the list of a znode")?;
    let unknown = || {
        Fault::wrong(
            offset,
            format!("{path} has the list {acl}, which is not there"),
        )
    };
    let acl = acls.get(&acl).ok_or_else(unknown)?.clone();
    let what = "the Stat of a znode";
    let stat = Stat {
        czxid: source.long(what)?,
        mzxid: source.long(what)?,
        ctime: source.long(what)?,
        mtime: source.long(what)?,
        version: source.int(what)?,
        cversion: source.int(what)?,
        aversion: source.int(what)?,
        owner: source.long(what)?,
        pzxid: source.long(what)?,
    };
    Ok(Node { data, acl, stat })
}

fn seal(source: &mut Source<impl Read>) -> Result<(), Fault> {
    let (offset, checksum) = (source.offset(), source.checksum());
    let told = source.long("a seal")?;
    source.text("a seal")?;
    match told == i64::from(checksum) {
        true => Ok(()),
        false => Err(Fault::wrong(
            offset,
            format!("the checksum is {told:#x}, but that of the bytes before it {checksum:#x}"),
        )),
    }
}

/// What stands behind the first seal, by how much it is: releases and settings differ in it.
fn tail(source: &mut Source<impl Read>) -> Result<Option<Digest>, Fault> {
    let offset = source.offset();
    let checksum = source.checksum_so_far();
    let bytes = source.some(TAIL_BYTES_MAX + 1, "the end of a snapshot")?;
    let mut rest = Source::going_on(&*bytes, offset, checksum);
    let position = 8 + SEAL_BYTES;
    let digest = DIGEST_BYTES + SEAL_BYTES;
    let length = bytes.len();
    if length == 0 {
        return Ok(None);
    }
    if length == position {
        rest.long("a position")?;
        seal(&mut rest)?;
        return Ok(None);
    }
    if length < digest || length > TAIL_BYTES_MAX {
        let what = format!("{length} bytes or more behind the seal, which mean nothing");
        return Err(Fault::wrong(offset, what));
    }
    let zxid = rest.long("a digest")?;
    let version = rest.int("a digest")?;
    let told = match version {
        ..2 => rest.text("a digest").map(|_| None)?,
        DIGEST_VERSION => Some(rest.long("a digest")? as u64),
        _ => rest.long("a digest").map(|_| None)?,
    };
    seal(&mut rest)?;
    if rest.offset() < offset + length as u64 {
        rest.long("a position")?;
        seal(&mut rest)?;
    }
    if rest.offset() < offset + length as u64 {
        return Err(Fault::wrong(rest.offset(), "bytes behind the end"));
    }
    Ok((zxid > 0).then_some(Digest { zxid, digest: told }))
}
