//! Reads of several znodes at once, of counts, and of the asker.

use std::sync::Arc;

use althing_core::code::Code;
use althing_core::node::reply::{PartRead, Response};
use althing_core::node::request::{Read, ReadPart, Request};
use althing_core::tree::acl::Identity;
use althing_core::tree::op::{Done, Op};
use althing_core::tree::path::Path;
use althing_core::tree::stat::Stat;

use crate::client::{Client, wrong_answer};
use crate::error::ClientError;
use crate::runtime::Runtime;
use crate::znode::{Version, parse_path};

impl<R: Runtime> Client<R> {
    /// The ephemeral znodes of this session whose paths begin with this text; all for `/`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ephemerals(&self, prefix: &str) -> Result<Vec<Path>, ClientError> {
        let prefix = Arc::from(prefix);
        match self.inquire(Read::GetEphemerals { prefix }).await? {
            Response::Ephemerals(paths) => Ok(paths),
            _ => Err(wrong_answer()),
        }
    }

    /// How many znodes are below this one, at whatever depth.
    ///
    /// # Errors
    /// [`ClientError`]; of the server's codes for example `NoNode` and `NoAuth`.
    pub async fn count_below(&self, path: &str) -> Result<u32, ClientError> {
        let path = parse_path(path)?;
        match self.inquire(Read::CountBelow { path }).await? {
            Response::Count(count) => u32::try_from(count).map_err(|_| wrong_answer()),
            _ => Err(wrong_answer()),
        }
    }

    /// As whom this client is connected: each scheme with a name, for example `digest` and a user.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn who_am_i(&self) -> Result<Vec<Identity>, ClientError> {
        match self.inquire(Read::WhoAmI).await? {
            Response::Identities(identities) => Ok(identities),
            _ => Err(wrong_answer()),
        }
    }

    /// Reads data and children of several znodes from one state. Each has an answer or an error of
    /// its own.
    ///
    /// # Errors
    /// [`ClientError`], if the request as a whole fails.
    pub async fn read_several(
        &self,
        parts: Vec<ReadPart>,
    ) -> Result<Vec<Result<PartRead, Code>>, ClientError> {
        match self.inquire(Read::Several(parts)).await? {
            Response::Several(all) => Ok(all),
            _ => Err(wrong_answer()),
        }
    }

    /// The Stat of a znode if its data is at this version.
    ///
    /// # Errors
    /// [`ClientError`]; of the server's codes for example `NoNode` and `BadVersion`.
    pub async fn check(&self, path: &str, version: Version) -> Result<Stat, ClientError> {
        let op = Op::Check {
            path: parse_path(path)?,
            version: version.number(),
        };
        match self.write(op).await? {
            Done::Checked(stat) => Ok(stat),
            _ => Err(wrong_answer()),
        }
    }

    async fn inquire(&self, read: Read) -> Result<Response, ClientError> {
        self.ask(Request::Read(read), None).await
    }
}
