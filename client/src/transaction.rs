//! Several changes that happen together or not at all.

use althing_core::tree::acl::Acl;
use althing_core::tree::data::Data;
use althing_core::tree::op::Op;

use crate::error::ClientError;
use crate::znode::{CreateMode, Version, parse_path};

/// Changes that are made all or none, in one transaction: ZooKeeper's `multi`.
#[derive(Clone, Debug)]
pub struct Transaction {
    ops: Result<Vec<Op>, ClientError>,
}

impl Default for Transaction {
    fn default() -> Transaction {
        Transaction::new()
    }
}

impl Transaction {
    /// No change yet.
    pub fn new() -> Transaction {
        Transaction {
            ops: Ok(Vec::new()),
        }
    }

    /// Creates a znode that is open to everybody.
    #[must_use]
    pub fn create(self, path: &str, data: impl Into<Data>, mode: CreateMode) -> Transaction {
        self.create_with_acl(path, data, mode, Acl::open())
    }

    /// Creates a znode.
    #[must_use]
    pub fn create_with_acl(
        self,
        path: &str,
        data: impl Into<Data>,
        mode: CreateMode,
        acl: Acl,
    ) -> Transaction {
        self.and(|| mode.op(path, data.into(), acl))
    }

    /// Deletes a znode.
    #[must_use]
    pub fn delete(self, path: &str, version: Version) -> Transaction {
        self.and(|| {
            Ok(Op::Delete {
                path: parse_path(path)?,
                version: version.number(),
            })
        })
    }

    /// Replaces a znode's data.
    #[must_use]
    pub fn set_data(self, path: &str, data: impl Into<Data>, version: Version) -> Transaction {
        self.and(|| {
            Ok(Op::SetData {
                path: parse_path(path)?,
                data: Some(data.into()),
                version: version.number(),
            })
        })
    }

    /// Changes nothing; the transaction fails unless the znode is there at this version.
    #[must_use]
    pub fn check(self, path: &str, version: Version) -> Transaction {
        self.and(|| {
            Ok(Op::Check {
                path: parse_path(path)?,
                version: version.number(),
            })
        })
    }

    /// The operations, or the first that could not be one.
    pub(crate) fn into_ops(self) -> Result<Vec<Op>, ClientError> {
        self.ops
    }

    fn and(self, op: impl FnOnce() -> Result<Op, ClientError>) -> Transaction {
        Transaction {
            ops: self.ops.and_then(|mut ops| {
                ops.push(op()?);
                Ok(ops)
            }),
        }
    }
}
