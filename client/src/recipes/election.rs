//! Master election for one file: candidates race to create it, exactly one wins, the others wait
//! until it goes and race again.

use althing_core::code::Code;
use althing_core::ids::Zxid;
use althing_core::tree::data::Data;
use althing_core::tree::path::Path;
use tokio::sync::oneshot;

use crate::client::Client;
use crate::error::ClientError;
use crate::recipes::hold::{Hold, Own, keep};
use crate::recipes::retried::retried;
use crate::runtime::Runtime;
use crate::znode::{CreateMode, parse_path};

/// A candidature for a file like `/payment/db/shard37/master_ip`: the ephemeral znode of the one
/// master, with its address as data, which everybody else reads and watches.
///
/// One client is one candidate for one file; run one [`Election::lead`] of it at a time.
#[derive(Clone, Debug)]
pub struct Election<R: Runtime> {
    client: Client<R>,
    file: Path,
}

/// Who leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leader {
    /// What the master wrote into the file.
    pub address: Data,
    /// The master's fencing token.
    pub token: Zxid,
}

impl<R: Runtime> Election<R> {
    /// The election for `file`, whose parent is created when it is first needed.
    ///
    /// # Errors
    /// [`ClientError::BadPath`].
    pub fn new(client: &Client<R>, file: &str) -> Result<Election<R>, ClientError> {
        Ok(Election {
            client: client.clone(),
            file: parse_path(file)?,
        })
    }

    /// Races until this client wins and the file holds `address`. Giving the call up withdraws the
    /// candidature.
    ///
    /// # Errors
    /// [`ClientError`]; then this client does not lead.
    pub async fn lead(&self, address: impl Into<Data>) -> Result<Hold<R>, ClientError> {
        self.stand(address.into(), Patience::Endless).await
    }

    async fn stand(&self, address: Data, patience: Patience) -> Result<Hold<R>, ClientError> {
        let (granted, grant) = oneshot::channel();
        let candidate = Candidate {
            client: self.client.clone(),
            file: self.file.clone(),
            address,
            patience,
        };
        // A task of its own, because it must see its create through: a caller that gives up in the
        // middle of it would leave a master that does not know of it.
        self.client.runtime().spawn(candidate.campaign(granted));
        grant.await.unwrap_or(Err(ClientError::Closed))
    }

    /// Wins now, or not at all: `None` if somebody else leads.
    ///
    /// # Errors
    /// [`ClientError`]; then this client does not lead.
    pub async fn try_lead(&self, address: impl Into<Data>) -> Result<Option<Hold<R>>, ClientError> {
        match self.stand(address.into(), Patience::None).await {
            Ok(hold) => Ok(Some(hold)),
            Err(ClientError::Server(Code::NodeExists)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Who leads at this moment; `None` if nobody does.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn leader(&self) -> Result<Option<Leader>, ClientError> {
        match retried(|| self.client.get_data(self.file.as_str())).await {
            Ok(znode) => Ok(Some(Leader {
                address: znode.data,
                token: znode.stat.czxid,
            })),
            Err(ClientError::Server(Code::NoNode)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

struct Candidate<R: Runtime> {
    client: Client<R>,
    file: Path,
    address: Data,
    patience: Patience,
}

/// How long a candidate waits for others who lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Patience {
    None,
    Endless,
}

/// What came of one try to create the file.
enum Race {
    Won(Own),
    /// Somebody else leads, or nobody again.
    Lost,
    /// The answer was lost. Before the try, the client had seen this position.
    InDoubt(Zxid),
}

impl<R: Runtime> Candidate<R> {
    async fn campaign(self, mut granted: oneshot::Sender<Result<Hold<R>, ClientError>>) {
        match self.win(&mut granted).await {
            Ok(Some(own)) => keep(self.client, own, granted).await,
            Ok(None) => {}
            Err(error) => {
                // Who asked may have stopped to listen.
                let _ = granted.send(Err(error));
            }
        }
    }

    /// Races until the file is this client's, or nobody waits for it any more.
    async fn win(
        &self,
        granted: &mut oneshot::Sender<Result<Hold<R>, ClientError>>,
    ) -> Result<Option<Own>, ClientError> {
        if let Some(parent) = self.file.parent() {
            retried(|| self.client.ensure(parent.as_str())).await?;
        }
        while !granted.is_closed() {
            let race = self.race().await?;
            if let Race::Won(own) = race {
                return Ok(Some(own));
            }
            let file = self.file.as_str();
            let (stat, watcher) = retried(|| self.client.watch_exists(file)).await?;
            let Some(stat) = stat else {
                continue;
            };
            // The session's number alone does not prove that the lost try won: the znode must also
            // be younger than the try.
            if let Race::InDoubt(before) = race
                && stat.ephemeral_owner == self.client.session().0
                && stat.czxid > before
            {
                return Ok(Some(Own {
                    path: self.file.clone(),
                    token: stat.czxid,
                }));
            }
            if self.patience == Patience::None {
                return Err(ClientError::Server(Code::NodeExists));
            }
            tokio::select! {
                biased;
                () = granted.closed() => return Ok(None),
                event = watcher => event?,
            };
        }
        Ok(None)
    }

    async fn race(&self) -> Result<Race, ClientError> {
        let before = self.client.last_zxid();
        let created = self
            .client
            .create(
                self.file.as_str(),
                self.address.clone(),
                CreateMode::Ephemeral,
            )
            .await;
        match created {
            Ok(created) => Ok(Race::Won(Own::of(created))),
            Err(ClientError::Server(Code::NodeExists)) => Ok(Race::Lost),
            Err(error) if error.is_in_doubt() => Ok(Race::InDoubt(before)),
            Err(error) => Err(error),
        }
    }
}
