//! A queue of jobs: each is taken by one consumer at a time, until one has done it.

use althing_core::code::Code;
use althing_core::tree::data::Data;
use althing_core::tree::path::Path;

use crate::client::Client;
use crate::error::{ClientError, MultiError};
use crate::recipes::election::Election;
use crate::recipes::hold::Hold;
use crate::recipes::line::join;
use crate::recipes::once::once;
use crate::recipes::retried::retried;
use crate::runtime::Runtime;
use crate::transaction::Transaction;
use crate::znode::{CreateMode, Version, parse_path};

/// The items, in the order in which they were put, and the claims of those who have taken some:
/// ephemeral znodes of the items' names.
const ITEMS: &str = "items";
const CLAIMS: &str = "claims";

/// Where it is told for a moment that an item was put.
const RECEIPTS: &str = "receipts";

/// What the name of an item begins with.
const ITEM: &str = "item-";

/// A queue at a znode. An item whose consumer dies before it is done is taken by another, so what a
/// consumer does must bear being done twice, or be guarded by the token of its [`Taken`].
#[derive(Clone, Debug)]
pub struct Queue<R: Runtime> {
    client: Client<R>,
    items: Path,
    claims: Path,
    receipts: Path,
}

/// An item that this client has taken.
#[derive(Debug)]
pub struct Taken<R: Runtime> {
    item: String,
    data: Data,
    claim: Hold<R>,
}

impl<R: Runtime> Queue<R> {
    /// The queue at the znode `directory`, which is created when it is first needed.
    ///
    /// # Errors
    /// [`ClientError::BadPath`].
    pub fn new(client: &Client<R>, directory: &str) -> Result<Queue<R>, ClientError> {
        let directory = parse_path(directory)?;
        Ok(Queue {
            client: client.clone(),
            items: parse_path(&join(&directory, ITEMS))?,
            claims: parse_path(&join(&directory, CLAIMS))?,
            receipts: parse_path(&join(&directory, RECEIPTS))?,
        })
    }

    /// Puts an item at the end, exactly once.
    ///
    /// # Errors
    /// [`ClientError`]; after [`ClientError::SessionExpired`] and [`ClientError::Closed`] nobody
    /// knows whether it was put, after every other error it was not.
    pub async fn put(&self, data: impl Into<Data>) -> Result<(), ClientError> {
        for directory in [&self.items, &self.receipts] {
            retried(|| self.client.ensure(directory.as_str())).await?;
        }
        let item = join(&self.items, ITEM);
        let put = Transaction::new().create(&item, data, CreateMode::PersistentSequential);
        match once(&self.client, &self.receipts, put).await {
            Ok(()) => Ok(()),
            Err(MultiError::Refused { code, .. }) => Err(ClientError::Server(code)),
            Err(MultiError::Client(error)) => Err(error),
        }
    }

    /// Takes the first item that nobody has taken, and waits until there is one. Giving the call up
    /// takes nothing.
    ///
    /// # Errors
    /// [`ClientError`]; then nothing is taken, or given back with the session.
    pub async fn take(&self) -> Result<Taken<R>, ClientError> {
        for directory in [&self.items, &self.claims] {
            retried(|| self.client.ensure(directory.as_str())).await?;
        }
        let watched = |directory: &Path| {
            let directory = directory.as_str().to_owned();
            async move { retried(|| self.client.watch_children(&directory)).await }
        };
        loop {
            let (items, put) = watched(&self.items).await?;
            let (claims, claimed) = watched(&self.claims).await?;
            // They are sorted by name, and so by number: all names have the same beginning.
            for name in &items.names {
                if claims.names.binary_search(name).is_err()
                    && let Some(taken) = self.claim(name).await?
                {
                    return Ok(taken);
                }
            }
            tokio::select! {
                biased;
                event = put => event?,
                event = claimed => event?,
            };
        }
    }

    /// Claims an item, unless somebody else does, or it is done already.
    async fn claim(&self, name: &str) -> Result<Option<Taken<R>>, ClientError> {
        let claim = Election::new(&self.client, &join(&self.claims, name))?;
        let Some(claim) = claim.try_lead(Data::default()).await? else {
            return Ok(None);
        };
        let item = join(&self.items, name);
        match retried(|| self.client.get_data(&item)).await {
            Ok(znode) => Ok(Some(Taken {
                item,
                data: znode.data,
                claim,
            })),
            Err(ClientError::Server(Code::NoNode)) => {
                claim.release().await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl<R: Runtime> Taken<R> {
    /// What was put.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The claim, which tells whether the item is still this client's, and whose token is larger
    /// than that of everybody who has taken the item before. Dropping what was taken gives it back.
    pub fn claim(&self) -> &Hold<R> {
        &self.claim
    }

    /// Removes the item: nobody takes it again.
    ///
    /// # Errors
    /// [`ClientError`]; then somebody takes the item again, unless the session ended in between:
    /// nobody knows then.
    pub async fn done(self) -> Result<(), ClientError> {
        let client = self.claim.client();
        let remove = Transaction::new()
            .check(self.claim.path().as_str(), Version::Any)
            .delete(&self.item, Version::Any);
        loop {
            match client.multi(remove.clone()).await {
                // It is gone already: by a try whose answer was lost, since the claim is there.
                Ok(_) | Err(MultiError::Refused { index: 1, .. }) => break,
                Err(MultiError::Refused { code, .. }) => return Err(ClientError::Server(code)),
                Err(MultiError::Client(error)) if error.is_in_doubt() => {}
                Err(MultiError::Client(error)) => return Err(error),
            }
        }
        self.claim.release().await
    }
}
