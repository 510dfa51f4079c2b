//! A znode and everything below it: listed, and deleted. Neither is one transaction: what others
//! change meanwhile may or may not be seen.

use althing_client::client::Client;
use althing_client::error::{ClientError, MultiError};
use althing_client::transaction::Transaction;
use althing_client::znode::Version;
use althing_core::code::Code;

use crate::cli::error::CliError;
use crate::cli::way::Way;

/// The largest subtree that one command takes: its paths are kept in memory.
const ZNODES_MAX: usize = 10_000_000;

/// The paths at `top` and below it, parents first, each level sorted by name.
///
/// # Errors
/// If `top` is not there, or there are too many.
pub async fn paths(client: &Client<Way>, top: &str) -> Result<Vec<String>, CliError> {
    let mut found = Vec::new();
    let mut left = vec![top.to_owned()];
    while let Some(path) = left.pop() {
        match client.children(&path).await {
            Ok(children) => {
                let base = path.trim_end_matches('/');
                let below = children.names.iter().rev();
                left.extend(below.map(|name| format!("{base}/{name}")));
                found.push(path);
            }
            // It was deleted meanwhile.
            Err(ClientError::Server(Code::NoNode)) if path != top => {}
            // It may not be listed: what is below it is not known, it itself is.
            Err(ClientError::Server(Code::NoAuth)) if path != top => found.push(path),
            Err(error) => return Err(CliError::about(&path)(error)),
        }
        if found.len() + left.len() > ZNODES_MAX {
            return Err(CliError::TooMany {
                path: top.to_owned(),
                max: ZNODES_MAX,
            });
        }
    }
    Ok(found)
}

/// Deletes `top` and everything below it, `batch` znodes in one transaction; how many went.
///
/// # Errors
/// If `top` is not there or a znode cannot be deleted. What went before is gone.
pub async fn delete(client: &Client<Way>, top: &str, batch: u32) -> Result<usize, CliError> {
    let mut paths = paths(client, top).await?;
    // Children come before their parents.
    paths.reverse();
    let mut deleted = 0;
    for paths in paths.chunks(batch as usize) {
        let mut transaction = Transaction::new();
        for path in paths {
            transaction = transaction.delete(path, Version::Any);
        }
        match client.multi(transaction).await {
            Ok(done) => deleted += done.len(),
            // Others delete here, too: what is still there goes one by one.
            Err(MultiError::Refused {
                code: Code::NoNode, ..
            }) => deleted += one_by_one(client, paths).await?,
            Err(MultiError::Refused { index, code }) => {
                let path = paths.get(index).map_or(top, String::as_str);
                return Err(CliError::about(path)(ClientError::Server(code)));
            }
            Err(error) => return Err(CliError::about_all(top)(error)),
        }
    }
    Ok(deleted)
}

async fn one_by_one(client: &Client<Way>, paths: &[String]) -> Result<usize, CliError> {
    let mut deleted = 0;
    for path in paths {
        match client.delete(path, Version::Any).await {
            Ok(()) => deleted += 1,
            Err(ClientError::Server(Code::NoNode)) => {}
            Err(error) => return Err(CliError::about(path)(error)),
        }
    }
    Ok(deleted)
}
