//! Quotas: how many znodes and bytes of data there may be below a path, in ZooKeeper's znodes.

use althing_core::code::Code;
use althing_core::tree::data::Data;
use althing_core::tree::quota::{Limits, QUOTAS, Usage, limits_path, stats_path};

use crate::client::Client;
use crate::error::ClientError;
use crate::runtime::Runtime;
use crate::znode::{CreateMode, Version, parse_path};

/// A quota, and what its subtree has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// How much there may be.
    pub limits: Limits,
    /// How much there is.
    pub usage: Usage,
}

impl<R: Runtime> Client<R> {
    /// The quota on a path, if there is one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn quota(&self, path: &str) -> Result<Option<Quota>, ClientError> {
        parse_path(path)?;
        let Some(limits) = self.text_of(&limits_path(path)).await? else {
            return Ok(None);
        };
        let Some(stats) = self.text_of(&stats_path(path)).await? else {
            return Ok(None);
        };
        Ok(Some(Quota {
            limits: Limits::parse(&limits),
            usage: Usage::parse(&stats),
        }))
    }

    /// Sets these limits on a path, and no others. The servers count what is there from then on.
    /// Other quotas may be above or below it: all of them hold. It is right to do it again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_quota(&self, path: &str, limits: Limits) -> Result<(), ClientError> {
        parse_path(path)?;
        let (text, at) = (limits.to_string(), limits_path(path));
        self.ensure(&format!("{QUOTAS}{path}")).await?;
        if !self.is_created(&at, &text).await? {
            self.set_data(&at, text.as_str(), Version::Any).await?;
        }
        // The servers write what is true instead.
        let nothing = Usage::default().to_string();
        self.is_created(&stats_path(path), &nothing).await?;
        Ok(())
    }

    /// Removes the quota on a path, and the znodes above its own that have become needless. Was
    /// there one?
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_quota(&self, path: &str) -> Result<bool, ClientError> {
        parse_path(path)?;
        let had_limits = self.is_deleted(&limits_path(path)).await?;
        let had_stats = self.is_deleted(&stats_path(path)).await?;
        let mut above = format!("{QUOTAS}{path}");
        while above.len() > QUOTAS.len() && self.is_deleted(&above).await? {
            let end = above.rfind('/').unwrap_or_default();
            above.truncate(end);
        }
        Ok(had_limits || had_stats)
    }

    async fn text_of(&self, path: &str) -> Result<Option<Data>, ClientError> {
        match self.get_data(path).await {
            Ok(znode) => Ok(Some(znode.data)),
            Err(ClientError::Server(Code::NoNode)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn is_created(&self, path: &str, text: &str) -> Result<bool, ClientError> {
        match self.create(path, text, CreateMode::Persistent).await {
            Ok(_) => Ok(true),
            Err(ClientError::Server(Code::NodeExists)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn is_deleted(&self, path: &str) -> Result<bool, ClientError> {
        match self.delete(path, Version::Any).await {
            Ok(()) => Ok(true),
            Err(ClientError::Server(Code::NoNode | Code::NotEmpty)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
