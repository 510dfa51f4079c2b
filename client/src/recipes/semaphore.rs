//! A semaphore with a fair line: so many hold at once, in the order in which they came.

use std::num::NonZeroUsize;

use crate::client::Client;
use crate::error::ClientError;
use crate::recipes::hold::Hold;
use crate::recipes::line::{Claim, Line};
use crate::runtime::Runtime;

/// So many leases of something: a persistent znode whose ephemeral, sequential children are the
/// line, of which the first have a lease each.
///
/// Those who wait are all told when somebody goes: which of those before them it will be, nobody
/// knows.
#[derive(Clone, Debug)]
pub struct Semaphore<R: Runtime> {
    line: Line<R>,
    leases: NonZeroUsize,
}

impl<R: Runtime> Semaphore<R> {
    /// The semaphore at the znode `directory`, which is created when it is first needed. All who
    /// use it must say the same number of leases: nobody compares them.
    ///
    /// # Errors
    /// [`ClientError::BadPath`].
    pub fn new(
        client: &Client<R>,
        directory: &str,
        leases: NonZeroUsize,
    ) -> Result<Semaphore<R>, ClientError> {
        Ok(Semaphore {
            line: Line::new(client, directory)?,
            leases,
        })
    }

    /// Stands in the line until there is a lease for this client. Giving the call up leaves the
    /// line.
    ///
    /// # Errors
    /// [`ClientError`]; then this client does not stand in the line, or will not after its session.
    pub async fn acquire(&self) -> Result<Hold<R>, ClientError> {
        self.line.stand(Claim::OneOf(self.leases.get())).await
    }
}
