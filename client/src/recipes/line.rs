//! A line of clients before something that not all may have at once: whoever came first has it
//! first, and whoever waits watches as few of the others as can be.

use std::sync::Arc;

use althing_core::code::Code;
use althing_core::tree::data::Data;
use althing_core::tree::path::Path;
use tokio::sync::oneshot;

use crate::client::Client;
use crate::error::ClientError;
use crate::recipes::hold::{Hold, Own, keep, remove};
use crate::recipes::retried::retried;
use crate::runtime::Runtime;
use crate::znode::{CreateMode, parse_path};

/// The end of a shared place's name, before its number.
const SHARED: &str = "shared";

/// With whom somebody may have it at the same time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Claim {
    /// With nobody.
    Alone,
    /// With others whose claim is shared, too.
    Shared,
    /// With so many, this one included.
    OneOf(usize),
}

/// Whom a place in a line waits for.
#[derive(PartialEq, Eq, Debug)]
enum Ahead<'a> {
    Nobody,
    /// This one has to go.
    One(&'a str),
    /// Somebody in the line has to go, whoever it is.
    Somebody,
}

/// A persistent znode whose ephemeral, sequential children are the line.
#[derive(Clone, Debug)]
pub(crate) struct Line<R: Runtime> {
    client: Client<R>,
    directory: Path,
}

impl<R: Runtime> Line<R> {
    /// The line at the znode `directory`, which is created when it is first needed.
    pub(crate) fn new(client: &Client<R>, directory: &str) -> Result<Line<R>, ClientError> {
        Ok(Line {
            client: client.clone(),
            directory: parse_path(directory)?,
        })
    }

    /// Stands in the line until it is this client's turn. Giving the call up leaves the line.
    pub(crate) async fn stand(&self, claim: Claim) -> Result<Hold<R>, ClientError> {
        let (granted, grant) = oneshot::channel();
        // A task of its own, because it must see its create through: a caller that gives up in the
        // middle of it would leave a znode in the line that nobody knows of.
        let task = self.clone().stand_until(claim, granted);
        self.client.runtime().spawn(task);
        grant.await.unwrap_or(Err(ClientError::Closed))
    }

    async fn stand_until(
        self,
        claim: Claim,
        mut granted: oneshot::Sender<Result<Hold<R>, ClientError>>,
    ) {
        let own = match self.enter(claim).await {
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
            turn = self.turn(claim, &own) => Some(turn),
        };
        match turn {
            Some(Ok(())) => keep(self.client, own, granted).await,
            Some(Err(error)) => {
                self.leave(&own).await;
                let _ = granted.send(Err(error));
            }
            None => self.leave(&own).await,
        }
    }

    async fn leave(&self, own: &Own) {
        if let Err(error) = remove(&self.client, own).await {
            // It goes with the session at the latest, and the line moves on.
            tracing::debug!(path = own.path.as_str(), %error, "a place in a line was not given up");
        }
    }

    /// Creates one's own znode, exactly once, however often the connection is lost.
    async fn enter(&self, claim: Claim) -> Result<Own, ClientError> {
        retried(|| self.client.ensure(self.directory.as_str())).await?;
        let random = self.client.runtime();
        let end = match claim {
            Claim::Shared => SHARED,
            Claim::Alone | Claim::OneOf(_) => "",
        };
        let prefix = format!("{:016x}{:016x}{end}-", random.random(), random.random());
        let place = join(&self.directory, &prefix);
        loop {
            let mode = CreateMode::EphemeralSequential;
            match self.client.create(&place, Data::default(), mode).await {
                Ok(created) => return Ok(Own::of(created)),
                Err(error) if error.is_in_doubt() => {
                    if let Some(own) = self.find(&prefix).await? {
                        return Ok(own);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks whether a create whose answer was lost was executed. That it will not be executed
    /// later follows from the session having moved to a newer connection.
    async fn find(&self, prefix: &str) -> Result<Option<Own>, ClientError> {
        let children = retried(|| self.client.children(self.directory.as_str())).await?;
        let Some(name) = children.names.iter().find(|name| name.starts_with(prefix)) else {
            return Ok(None);
        };
        let path = parse_path(&join(&self.directory, name))?;
        let stat = retried(|| self.client.exists(path.as_str())).await?;
        Ok(stat
            .filter(|stat| stat.ephemeral_owner == self.client.session().0)
            .map(|stat| Own {
                path,
                token: stat.czxid,
            }))
    }

    /// Ends when it is the turn of `own`.
    async fn turn(&self, claim: Claim, own: &Own) -> Result<(), ClientError> {
        let directory = self.directory.as_str();
        loop {
            let children = retried(|| self.client.children(directory)).await?;
            let name = own.path.name();
            if !children.names.iter().any(|child| **child == *name) {
                return Err(vanished());
            }
            match ahead(claim, name, &children.names) {
                Ahead::Nobody => return Ok(()),
                Ahead::One(name) => {
                    let path = join(&self.directory, name);
                    let (stat, watcher) = retried(|| self.client.watch_exists(&path)).await?;
                    if stat.is_some() {
                        watcher.await?;
                    }
                }
                Ahead::Somebody => {
                    let (now, watcher) = retried(|| self.client.watch_children(directory)).await?;
                    if now.names == children.names {
                        watcher.await?;
                    }
                }
            }
        }
    }
}

/// For whom the place `own` has to wait, if all these stand in the line.
fn ahead<'a>(claim: Claim, own: &str, line: &'a [Arc<str>]) -> Ahead<'a> {
    let before = |other: &u64| number(own).is_some_and(|own| *other < own);
    let places = line
        .iter()
        .filter_map(|name| Some((number(name)?, &**name)));
    let before = places.filter(|(other, _)| before(other));
    let last = match claim {
        Claim::Alone => before.max(),
        Claim::Shared => before.filter(|(_, name)| !is_shared(name)).max(),
        Claim::OneOf(count) => {
            return match before.count() < count {
                true => Ahead::Nobody,
                false => Ahead::Somebody,
            };
        }
    };
    last.map_or(Ahead::Nobody, |(_, name)| Ahead::One(name))
}

/// The number that the server drew; `None` for a name that no line made.
fn number(name: &str) -> Option<u64> {
    name.rsplit_once('-')?.1.parse().ok()
}

fn is_shared(name: &str) -> bool {
    name.rsplit_once('-')
        .is_some_and(|(before, _)| before.ends_with(SHARED))
}

/// Somebody else deleted this client's place in the line.
fn vanished() -> ClientError {
    ClientError::Server(Code::NoNode)
}

/// The path of a child.
pub(crate) fn join(directory: &Path, name: &str) -> String {
    match directory.is_root() {
        true => format!("/{name}"),
        false => format!("{}/{name}", directory.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_whom() {
        let line = [
            "a-01",
            "bshared-02",
            "cshared-03",
            "d-04",
            "eshared-05",
            "stranger",
        ];
        let line: Vec<Arc<str>> = line.into_iter().map(Arc::from).collect();
        for (claim, own, expected) in [
            (Claim::Alone, "a-01", Ahead::Nobody),
            (Claim::Shared, "bshared-02", Ahead::One("a-01")),
            (Claim::Shared, "cshared-03", Ahead::One("a-01")),
            (Claim::Alone, "d-04", Ahead::One("cshared-03")),
            (Claim::Shared, "eshared-05", Ahead::One("d-04")),
            (Claim::OneOf(3), "cshared-03", Ahead::Nobody),
            (Claim::OneOf(3), "d-04", Ahead::Somebody),
        ] {
            assert_eq!(ahead(claim, own, &line), expected, "{claim:?} {own}");
        }
        let readers = &line[1..3];
        assert_eq!(ahead(Claim::Shared, "cshared-03", readers), Ahead::Nobody);
    }
}
