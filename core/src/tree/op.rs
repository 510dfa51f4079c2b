//! What can be asked of the tree: one change of it, and what came of it.

use crate::code::Code;
use crate::ids::{SessionId, Zxid};
use crate::tree::acl::Acl;
use crate::tree::data::Data;
use crate::tree::owner::{Owner, Ttl};
use crate::tree::path::{Path, Place};
use crate::tree::stat::Stat;

/// The version that matches every version.
pub const ANY_VERSION: i32 = -1;

/// How long a znode stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lifetime {
    /// It stays until it is deleted.
    Persistent,
    /// It goes with the session that created it.
    Ephemeral,
    /// It goes when it has had children and they are gone.
    Container,
    /// It goes when it is childless and its data was not set for so long.
    Ttl(Ttl),
}

impl Lifetime {
    /// Whose it is, if this session creates it; `None` if it is nobody's.
    ///
    /// # Errors
    /// `SystemError` if it must have a session and there is none.
    pub fn owner(self, session: Option<SessionId>) -> Result<Option<Owner>, Code> {
        Ok(match self {
            Lifetime::Persistent => None,
            Lifetime::Ephemeral => Some(Owner::Session(session.ok_or(Code::SystemError)?)),
            Lifetime::Container => Some(Owner::Container),
            Lifetime::Ttl(ttl) => Some(Owner::Ttl(ttl)),
        })
    }
}

/// How the name comes about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Naming {
    /// As the client gave it.
    Exact,
    /// The client's beginning, followed by the parent's count of creations with at least ten
    /// digits.
    Sequential,
}

/// What the reply to a create tells: ZooKeeper's `create` and `create2`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Telling {
    /// The path.
    Path,
    /// The path and the Stat.
    PathAndStat,
}

/// A znode to be created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Create {
    /// Where; complete if the naming is exact, the beginning of the name if it is sequential.
    pub place: Place,
    /// With which data; `None` is ZooKeeper's null, which differs from no bytes on the wire only.
    pub data: Option<Data>,
    /// With which access control list, as the client sent it.
    pub acl: Acl,
    /// How long it stays.
    pub lifetime: Lifetime,
    /// Exact or sequential.
    pub naming: Naming,
    /// What the reply tells.
    pub telling: Telling,
}

/// One change of the tree, or a check that guards the others of a `multi`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Creates a znode.
    Create(Create),
    /// Deletes a znode that has no children.
    Delete {
        /// Which.
        path: Path,
        /// Only at this version of its data, or [`ANY_VERSION`].
        version: i32,
    },
    /// Replaces a znode's data.
    SetData {
        /// Which.
        path: Path,
        /// By what.
        data: Option<Data>,
        /// Only at this version of its data, or [`ANY_VERSION`].
        version: i32,
    },
    /// Replaces a znode's access control list.
    SetAcl {
        /// Which.
        path: Path,
        /// By what, as the client sent it.
        acl: Acl,
        /// Only at this version of its list, or [`ANY_VERSION`].
        version: i32,
    },
    /// Changes nothing; fails unless the znode's data is at this version.
    Check {
        /// Which.
        path: Path,
        /// The version, or [`ANY_VERSION`] if it only has to be there.
        version: i32,
    },
}

impl Op {
    /// Would it create an ephemeral znode?
    pub fn is_ephemeral(&self) -> bool {
        matches!(self, Op::Create(create) if create.lifetime == Lifetime::Ephemeral)
    }

    /// About how many bytes it takes in memory.
    pub fn weight(&self) -> usize {
        let acl = |acl: &Acl| {
            acl.0
                .iter()
                .map(|entry| entry.who.scheme.len() + entry.who.id.len() + 32)
                .sum::<usize>()
        };
        let data = |data: &Option<Data>| data.as_ref().map_or(0, |data| data.len());
        let rest = match self {
            Op::Create(create) => {
                create.place.pieces().map(str::len).iter().sum::<usize>()
                    + data(&create.data)
                    + acl(&create.acl)
            }
            Op::SetData {
                path, data: set, ..
            } => path.as_str().len() + data(set),
            Op::SetAcl { path, acl: set, .. } => path.as_str().len() + acl(set),
            Op::Delete { path, .. } | Op::Check { path, .. } => path.as_str().len(),
        };
        64 + rest
    }
}

/// What came of an [`Op`] that succeeded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Done {
    /// A znode was created.
    Created {
        /// Its path, completed with the sequence number if there is one.
        path: Path,
        /// Its Stat.
        stat: Stat,
        /// What the reply tells.
        telling: Telling,
    },
    /// A znode was deleted.
    Deleted,
    /// Data was set.
    DataSet(Stat),
    /// An access control list was set.
    AclSet(Stat),
    /// The check held; a check that stands alone is answered with the Stat.
    Checked(Stat),
}

/// A change of the tree as watches see it, in the order in which ZooKeeper fires them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The transaction.
    pub zxid: Zxid,
    /// The znode.
    pub path: Path,
    /// What happened to it.
    pub kind: ChangeKind,
    /// Its access control list at the change: only who may read it is told.
    pub acl: Acl,
    /// Its parent's, if the parent's children changed.
    pub parent_acl: Option<Acl>,
}

/// What happened to a znode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ChangeKind {
    /// It was created (and its parent has one child more).
    Created,
    /// It was deleted (and its parent has one child less).
    Deleted,
    /// Its data was set.
    DataSet,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> Path {
        Path::parse("/a/b").expect("a path")
    }

    fn create(name: &str, bytes: usize, acl: Acl) -> Op {
        Op::Create(Create {
            place: Place::exact(name).expect("a place"),
            data: Some(Data::from(alloc::vec![0; bytes])),
            acl,
            lifetime: Lifetime::Persistent,
            naming: Naming::Exact,
            telling: Telling::Path,
        })
    }

    /// Whoever bounds memory by weights may rely on this: each byte of what an operation holds
    /// counts, and so does the operation itself.
    #[test]
    fn a_weight_grows_with_everything_that_an_operation_holds() {
        let small = create("/a", 10, Acl::open()).weight();
        assert!(small > 10 + 2);
        assert_eq!(create("/a", 110, Acl::open()).weight(), small + 100);
        assert_eq!(create("/abc", 10, Acl::open()).weight(), small + 2);
        let long = create(
            "/a",
            10,
            Acl::of(Acl::open().0[0].perms, "world", "anyone-else"),
        );
        assert_eq!(long.weight(), small + 5);

        let bare = Op::Delete {
            path: path(),
            version: ANY_VERSION,
        };
        let check = Op::Check {
            path: path(),
            version: ANY_VERSION,
        };
        assert!(bare.weight() > path().as_str().len());
        assert_eq!(check.weight(), bare.weight());
        let set = |data| Op::SetData {
            path: path(),
            data,
            version: ANY_VERSION,
        };
        assert_eq!(set(None).weight(), bare.weight());
        let bytes = Some(Data::from("12345"));
        assert_eq!(set(bytes).weight(), bare.weight() + 5);
        let set_acl = Op::SetAcl {
            path: path(),
            acl: Acl::open(),
            version: ANY_VERSION,
        };
        assert!(set_acl.weight() >= bare.weight() + "worldanyone".len());
    }
}
