//! Changes that are made exactly once, although answers get lost.

use althing_core::tree::data::Data;
use althing_core::tree::path::Path;

use crate::client::Client;
use crate::error::MultiError;
use crate::recipes::line::join;
use crate::recipes::retried::retried;
use crate::runtime::Runtime;
use crate::transaction::Transaction;
use crate::znode::{CreateMode, Version};

/// Executes `transaction` once, however often the connection is lost. A receipt below `receipts`,
/// made in the same transaction and deleted afterwards, tells whether it was executed.
///
/// # Errors
/// [`MultiError`]; if the session is over, nobody knows whether it was executed, and after every
/// other error it was not.
pub(crate) async fn once<R: Runtime>(
    client: &Client<R>,
    receipts: &Path,
    transaction: Transaction,
) -> Result<(), MultiError> {
    let random = client.runtime();
    let name = format!("receipt-{:016x}{:016x}", random.random(), random.random());
    let receipt = join(receipts, &name);
    let transaction = transaction.create(&receipt, Data::default(), CreateMode::Ephemeral);
    loop {
        match client.multi(transaction.clone()).await {
            Ok(_) => break,
            // That it will not be executed later follows from the session having moved to a newer
            // connection.
            Err(MultiError::Client(error)) if error.is_in_doubt() => {
                if retried(|| client.exists(&receipt)).await?.is_some() {
                    break;
                }
            }
            Err(error) => return Err(error),
        }
    }
    if let Err(error) = retried(|| client.delete(&receipt, Version::Any)).await {
        // Deleted by the try before, or it goes with the session at the latest.
        tracing::debug!(receipt, %error, "a receipt was not deleted");
    }
    Ok(())
}
