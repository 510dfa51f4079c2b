//! A counter that many increase, each exactly once.

use althing_core::code::Code;
use althing_core::tree::path::Path;

use crate::client::Client;
use crate::error::{ClientError, MultiError};
use crate::recipes::once::once;
use crate::recipes::retried::retried;
use crate::runtime::Runtime;
use crate::transaction::Transaction;
use crate::znode::{CreateMode, Version, Znode, parse_path};

/// A number in a znode, in decimal digits.
///
/// An addition whose answer is lost is not done again: it leaves a receipt, for a moment a child of
/// the znode, which tells whether it was done.
#[derive(Clone, Debug)]
pub struct Counter<R: Runtime> {
    client: Client<R>,
    path: Path,
}

/// Why a counter was not increased, or cannot be known to have been.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CounterError {
    /// What the znode holds is no number.
    #[error("{0} holds no number")]
    NoNumber(Path),
    /// The sum has more than 64 bits.
    #[error("the sum is out of range")]
    OutOfRange,
    /// As for any request.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl<R: Runtime> Counter<R> {
    /// The counter in the znode `path`, which is created with 0 when it is first needed.
    ///
    /// # Errors
    /// [`ClientError::BadPath`].
    pub fn new(client: &Client<R>, path: &str) -> Result<Counter<R>, ClientError> {
        Ok(Counter {
            client: client.clone(),
            path: parse_path(path)?,
        })
    }

    /// The number, as this client's server has it; 0 if it was never increased.
    ///
    /// # Errors
    /// [`CounterError`].
    pub async fn value(&self) -> Result<i64, CounterError> {
        match retried(|| self.client.get_data(self.path.as_str())).await {
            Ok(znode) => self.number(&znode),
            Err(ClientError::Server(Code::NoNode)) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds `amount`, exactly once, and returns the sum.
    ///
    /// # Errors
    /// [`CounterError`]; after [`ClientError::SessionExpired`] and [`ClientError::Closed`] nobody
    /// knows whether it was added, after every other error it was not.
    pub async fn add(&self, amount: i64) -> Result<i64, CounterError> {
        let path = self.path.as_str();
        loop {
            let znode = match retried(|| self.client.get_data(path)).await {
                Ok(znode) => znode,
                Err(ClientError::Server(Code::NoNode)) => {
                    self.create().await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let sum = self.number(&znode)?.checked_add(amount);
            let sum = sum.ok_or(CounterError::OutOfRange)?;
            let version = Version::Exactly(znode.stat.version);
            let digits = sum.to_string();
            let set = Transaction::new().set_data(path, digits.as_str(), version);
            match once(&self.client, &self.path, set).await {
                Ok(()) => return Ok(sum),
                // Somebody else was faster.
                Err(MultiError::Refused { index: 0, .. }) => {}
                Err(MultiError::Refused { code, .. }) => {
                    return Err(ClientError::Server(code).into());
                }
                Err(MultiError::Client(error)) => return Err(error.into()),
            }
        }
    }

    async fn create(&self) -> Result<(), ClientError> {
        if let Some(parent) = self.path.parent() {
            retried(|| self.client.ensure(parent.as_str())).await?;
        }
        let mode = CreateMode::Persistent;
        match self.client.create(self.path.as_str(), "0", mode).await {
            Ok(_) | Err(ClientError::Server(Code::NodeExists)) => Ok(()),
            // Looked at again.
            Err(error) if error.is_in_doubt() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn number(&self, znode: &Znode) -> Result<i64, CounterError> {
        let text = std::str::from_utf8(&znode.data).ok();
        let number = text.and_then(|text| text.parse().ok());
        number.ok_or_else(|| CounterError::NoNumber(self.path.clone()))
    }
}
