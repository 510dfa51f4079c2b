//! What a znode adds to the digest of its tree. The digest is the sum, so it does not depend on the
//! order of changes, and a change subtracts what was and adds what is.

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128, xxh3_128_with_seed};

use crate::ids::SessionId;
use crate::tree::znode::{Past, Znode};

/// Keep apart the two things that a path is hashed together with.
const OF_ZNODE: u64 = 1;
const OF_PAST: u64 = 2;

/// A path, hashed once for all digests it occurs in.
#[derive(Clone, Copy)]
pub(super) struct PathDigest(u128);

impl PathDigest {
    pub(super) fn of(path: &str) -> PathDigest {
        PathDigest(xxh3_128(path.as_bytes()))
    }
}

/// The hash of a path for the index. Its key is no part of the state: it keeps clients from
/// choosing paths that collide.
pub(super) fn index_hash(path: &str, key: u64) -> u64 {
    xxh3_64_with_seed(path.as_bytes(), key)
}

/// Everything of a znode that can be observed, but for its children. Whether its data is null or
/// empty is a part of it.
pub(super) fn of_znode(
    path: PathDigest,
    znode: &Znode,
    acl: u128,
    owner: Option<SessionId>,
) -> u128 {
    let mut bytes = [0; 105];
    let mut rest = &mut bytes[..];
    put(&mut rest, &path.0.to_le_bytes());
    put(&mut rest, &acl.to_le_bytes());
    put(
        &mut rest,
        &xxh3_128(znode.content.data_or_empty()).to_le_bytes(),
    );
    put(&mut rest, &[u8::from(znode.content.data().is_none())]);
    put(&mut rest, &znode.czxid.0.to_le_bytes());
    put(&mut rest, &znode.mzxid.0.to_le_bytes());
    put(&mut rest, &znode.ctime.0.to_le_bytes());
    put(&mut rest, &znode.mtime.0.to_le_bytes());
    put(&mut rest, &znode.version.to_le_bytes());
    put(&mut rest, &znode.aversion.to_le_bytes());
    put(&mut rest, &[u8::from(owner.is_some())]);
    put(
        &mut rest,
        &owner.map_or(0, |session| session.0).to_le_bytes(),
    );
    let left = rest.len();
    xxh3_128_with_seed(&bytes[..bytes.len() - left], OF_ZNODE)
}

/// What a parent remembers; nothing for a znode that never had a child.
pub(super) fn of_past(path: PathDigest, past: Option<Past>) -> u128 {
    let Some(past) = past else {
        return 0;
    };
    let mut bytes = [0; 32];
    let mut rest = &mut bytes[..];
    put(&mut rest, &path.0.to_le_bytes());
    put(&mut rest, &past.creations.to_le_bytes());
    put(&mut rest, &past.pzxid.0.to_le_bytes());
    xxh3_128_with_seed(&bytes, OF_PAST)
}

fn put(rest: &mut &mut [u8], field: &[u8]) {
    let (here, after) = core::mem::take(rest).split_at_mut(field.len());
    here.copy_from_slice(field);
    *rest = after;
}
