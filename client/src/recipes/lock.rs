//! A lock with a fair line: whoever came first has it, everybody else watches the one before.

use althing_core::tree::data::Data;
use althing_core::tree::path::Path;
use tokio::sync::oneshot;

use crate::client::Client;
use crate::error::ClientError;
use crate::recipes::hold::{Hold, Own, keep, remove};
use crate::recipes::retried::retried;
use crate::runtime::Runtime;
use crate::znode::{CreateMode, parse_path};

/// A lock: a persistent znode whose ephemeral, sequential children are the line before it.
///
/// The smallest number holds. Each of the others watches only its predecessor, so a release wakes
/// one client and not the herd.
#[derive(Clone, Debug)]
pub struct Lock<R: Runtime> {
    client: Client<R>,
    directory: Path,
}

impl<R: Runtime> Lock<R> {
    /// The lock at the znode `directory`, which is created when it is first needed.
    ///
    /// # Errors
    /// [`ClientError::BadPath`].
    pub fn new(client: &Client<R>, directory: &str) -> Result<Lock<R>, ClientError> {
        Ok(Lock {
            client: client.clone(),
            directory: parse_path(directory)?,
        })
    }

    /// Stands in the line until it is this client's turn. Giving the call up leaves the line.
    ///
    /// # Errors
    /// [`ClientError`]; then this client does not stand in the line, or will not after its session.
    pub async fn acquire(&self) -> Result<Hold<R>, ClientError> {
        let (granted, grant) = oneshot::channel();
        let client = self.client.clone();
        let directory = self.directory.clone();
        // A task of its own, because it must see its create through: a caller that gives up in the
        // middle of it would leave a znode in the line that nobody knows of.
        self.client
            .runtime()
            .spawn(stand_in_line(client, directory, granted));
        grant.await.unwrap_or(Err(ClientError::Closed))
    }
}

async fn stand_in_line<R: Runtime>(
    client: Client<R>,
    directory: Path,
    mut granted: oneshot::Sender<Result<Hold<R>, ClientError>>,
) {
    let own = match enter(&client, &directory).await {
        Ok(own) => own,
        Err(error) => {
            // Who asked may have stopped to listen.
            let _ = granted.send(Err(error));
            return;
        }
    };
    let turn = tokio::select! {
        biased;
        () = granted.closed() => None,
        turn = turn(&client, &directory, &own) => Some(turn),
    };
    match turn {
        Some(Ok(())) => keep(client, own, granted).await,
        Some(Err(error)) => {
            leave(&client, &own).await;
            let _ = granted.send(Err(error));
        }
        None => leave(&client, &own).await,
    }
}

async fn leave<R: Runtime>(client: &Client<R>, own: &Own) {
    if let Err(error) = remove(client, own).await {
        // It goes with the session at the latest, and the line moves on.
        tracing::debug!(path = own.path.as_str(), %error, "a place in a line was not given up");
    }
}

/// Creates one's own znode, exactly once, however often the connection is lost.
async fn enter<R: Runtime>(client: &Client<R>, directory: &Path) -> Result<Own, ClientError> {
    retried(|| client.ensure(directory.as_str())).await?;
    let random = client.runtime();
    let prefix = format!("{:016x}{:016x}-", random.random(), random.random());
    let place = join(directory, &prefix);
    loop {
        let created = client
            .create(&place, Data::default(), CreateMode::EphemeralSequential)
            .await;
        match created {
            Ok(created) => return Ok(Own::of(created)),
            Err(error) if error.is_in_doubt() => {
                if let Some(own) = find(client, directory, &prefix).await? {
                    return Ok(own);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Looks whether a create whose answer was lost was executed. That it will not be executed later
/// follows from the session having moved to a newer connection.
async fn find<R: Runtime>(
    client: &Client<R>,
    directory: &Path,
    prefix: &str,
) -> Result<Option<Own>, ClientError> {
    let children = retried(|| client.children(directory.as_str())).await?;
    let Some(name) = children.names.iter().find(|name| name.starts_with(prefix)) else {
        return Ok(None);
    };
    let path = parse_path(&join(directory, name))?;
    let stat = retried(|| client.exists(path.as_str())).await?;
    Ok(stat
        .filter(|stat| stat.ephemeral_owner == client.session().0)
        .map(|stat| Own {
            path,
            token: stat.czxid,
        }))
}

/// Ends when nobody stands before `own`.
async fn turn<R: Runtime>(
    client: &Client<R>,
    directory: &Path,
    own: &Own,
) -> Result<(), ClientError> {
    let number = place_in_line(own.path.name()).ok_or_else(vanished)?;
    loop {
        let children = retried(|| client.children(directory.as_str())).await?;
        if !children.names.iter().any(|name| **name == *own.path.name()) {
            return Err(vanished());
        }
        let before = children
            .names
            .iter()
            .filter_map(|name| Some((place_in_line(name)?, name)))
            .filter(|(other, _)| *other < number)
            .max();
        let Some((_, name)) = before else {
            return Ok(());
        };
        let path = join(directory, name);
        let (stat, watcher) = retried(|| client.watch_exists(&path)).await?;
        if stat.is_some() {
            watcher.await?;
        }
    }
}

/// The number that the server drew; `None` for a name that no lock made.
fn place_in_line(name: &str) -> Option<u64> {
    name.rsplit_once('-')?.1.parse().ok()
}

/// Somebody else deleted this client's place in the line.
fn vanished() -> ClientError {
    ClientError::Server(althing_core::code::Code::NoNode)
}

fn join(directory: &Path, name: &str) -> String {
    match directory.is_root() {
        true => format!("/{name}"),
        false => format!("{}/{name}", directory.as_str()),
    }
}
