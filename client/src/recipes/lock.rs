//! Locks with a fair line: whoever came first has it, and everybody else watches one of those
//! before.

use crate::client::Client;
use crate::error::ClientError;
use crate::recipes::hold::Hold;
use crate::recipes::line::{Claim, Line};
use crate::runtime::Runtime;

/// A lock: a persistent znode whose ephemeral, sequential children are the line before it.
///
/// The smallest number holds. Each of the others watches only its predecessor, so a release wakes
/// one client and not the herd.
#[derive(Clone, Debug)]
pub struct Lock<R: Runtime>(Line<R>);

impl<R: Runtime> Lock<R> {
    /// The lock at the znode `directory`, which is created when it is first needed.
    ///
    /// # Errors
    /// [`ClientError::BadPath`].
    pub fn new(client: &Client<R>, directory: &str) -> Result<Lock<R>, ClientError> {
        Ok(Lock(Line::new(client, directory)?))
    }

    /// Stands in the line until it is this client's turn. Giving the call up leaves the line.
    ///
    /// # Errors
    /// [`ClientError`]; then this client does not stand in the line, or will not after its session.
    pub async fn acquire(&self) -> Result<Hold<R>, ClientError> {
        self.0.stand(Claim::Alone).await
    }
}

/// A lock that many readers hold together, or one writer alone. The line is fair: a reader that
/// comes after a waiting writer waits, too, so writers do not starve.
#[derive(Clone, Debug)]
pub struct ReadWriteLock<R: Runtime>(Line<R>);

impl<R: Runtime> ReadWriteLock<R> {
    /// The lock at the znode `directory`, which is created when it is first needed.
    ///
    /// # Errors
    /// [`ClientError::BadPath`].
    pub fn new(client: &Client<R>, directory: &str) -> Result<ReadWriteLock<R>, ClientError> {
        Ok(ReadWriteLock(Line::new(client, directory)?))
    }

    /// Waits until no writer holds it or waits before this reader. Giving the call up leaves the
    /// line.
    ///
    /// # Errors
    /// As for [`Lock::acquire`].
    pub async fn read(&self) -> Result<Hold<R>, ClientError> {
        self.0.stand(Claim::Shared).await
    }

    /// Waits until nobody else holds it, or waits before this writer. Giving the call up leaves the
    /// line. A holder that reads must release that first: nobody's turn comes before its own place.
    ///
    /// # Errors
    /// As for [`Lock::acquire`].
    pub async fn write(&self) -> Result<Hold<R>, ClientError> {
        self.0.stand(Claim::Alone).await
    }
}
