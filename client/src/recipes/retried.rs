//! Asking again after a lost connection.

use crate::error::ClientError;

/// Asks again while the connection is lost before the answer comes: right for reads and for what
/// may be done twice, and for nothing else. It ends, because a session without a server does, and
/// it does not spin, because each new connection has its pause.
///
/// # Errors
/// Every error that leaves no doubt.
pub async fn retried<T, F>(mut ask: impl FnMut() -> F) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    loop {
        match ask().await {
            Err(error) if error.is_in_doubt() => {}
            outcome => return outcome,
        }
    }
}
