//! Holding what an ephemeral znode stands for, a lock or a mastership: its fencing token, the
//! knowledge of when the belief in it has to end, and its release.

use althing_core::code::Code;
use althing_core::ids::Zxid;
use althing_core::tree::path::Path;
use althing_core::tree::stat::Stat;
use tokio::sync::oneshot;

use crate::client::Client;
use crate::error::ClientError;
use crate::recipes::retried::retried;
use crate::runtime::Runtime;
use crate::watch;
use crate::znode::{Created, Version};

/// A znode of one's own. Its path alone does not tell it from a later one of somebody else; its
/// creation does.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub(crate) path: Path,
    pub(crate) token: Zxid,
}

impl Own {
    pub(crate) fn of(created: Created) -> Own {
        Own {
            path: created.path,
            token: created.stat.czxid,
        }
    }

    fn is(&self, stat: &Stat) -> bool {
        stat.czxid == self.token
    }
}

/// Does the holder have to stop?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    Held,
    Lost,
}

type Released = oneshot::Sender<Result<(), ClientError>>;

/// A lock or a mastership that is held until it is released, dropped or lost.
///
/// The holder must stop as soon as [`Hold::lost`] ends or [`Hold::is_safe`] denies: when the
/// session is over, when somebody else deleted the znode, and also when for three quarters of the
/// session time-out no answer proved that the session lives ([`Client::safe_until`]): by the
/// holder's own clock, without having been told anything. Nobody can have taken over before that,
/// unless somebody deleted the znode by hand.
///
/// No holder can be sure to stop in time: its program may be paused between looking and acting.
/// What it changes must therefore be guarded by the [`Hold::token`]: a resource that remembers the
/// largest token it has seen, and refuses smaller ones, is never changed by a holder of the past.
#[derive(Debug)]
pub struct Hold<R: Runtime> {
    client: Client<R>,
    own: Own,
    standing: watch::Receiver<Standing>,
    release: oneshot::Sender<Released>,
}

impl<R: Runtime> Hold<R> {
    /// The fencing token: the transaction that created the znode. Every later holder's is larger.
    pub fn token(&self) -> Zxid {
        self.own.token
    }

    /// The znode that stands for it.
    pub fn path(&self) -> &Path {
        &self.own.path
    }

    /// The client in whose session it is held.
    pub fn client(&self) -> &Client<R> {
        &self.client
    }

    /// May the holder believe at this moment that it holds?
    pub fn is_safe(&self) -> bool {
        *self.standing.borrow() == Standing::Held && self.client.is_safe()
    }

    /// Ends when the holder must stop believing that it holds. Nothing is lost if the call is given
    /// up and repeated.
    pub async fn lost(&self) {
        let mut standing = self.standing.clone();
        // An error means that the keeper is gone, and with it all knowledge.
        let _ = standing
            .wait_for(|standing| *standing == Standing::Lost)
            .await;
    }

    /// Deletes the znode, and no other, so that the next in line or the next to race can have it.
    /// Dropping the hold does the same without telling how it went.
    ///
    /// # Errors
    /// [`ClientError`]; then the znode goes with the session at the latest.
    pub async fn release(self) -> Result<(), ClientError> {
        let (released, told) = oneshot::channel();
        if self.release.send(released).is_err() {
            return Err(ClientError::Closed);
        }
        told.await.unwrap_or(Err(ClientError::Closed))
    }
}

/// Hands `own` to who waits for it, and keeps it until it is released or dropped, which it is at
/// once if nobody waits any more.
pub(crate) async fn keep<R: Runtime>(
    client: Client<R>,
    own: Own,
    granted: oneshot::Sender<Result<Hold<R>, ClientError>>,
) {
    let (standing, observed) = watch::channel(Standing::Held);
    let (release, mut ordered) = oneshot::channel();
    let hold = Hold {
        client: client.clone(),
        own: own.clone(),
        standing: observed,
        release,
    };
    // A hold that comes back is dropped here, which is the order to release it.
    drop(granted.send(Ok(hold)));
    let order = tokio::select! {
        biased;
        order = &mut ordered => order,
        () = believable(&client, &own) => {
            standing.send_replace(Standing::Lost);
            ordered.await
        }
    };
    let outcome = remove(&client, &own).await;
    if let Ok(released) = order {
        // Who asked may have stopped to listen.
        let _ = released.send(outcome);
    }
}

/// Ends when `own` can no longer be believed to be there.
async fn believable<R: Runtime>(client: &Client<R>, own: &Own) {
    tokio::select! {
        biased;
        () = session_proven(client) => {}
        () = znode_there(client, own) => {}
    }
}

/// Ends when the session is over or cannot be known to live.
async fn session_proven<R: Runtime>(client: &Client<R>) {
    let mut states = client.states();
    while client.is_safe() {
        let left = client.safe_until().saturating_sub(client.runtime().now());
        tokio::select! {
            biased;
            state = states.next() => if state.is_none() { return },
            () = client.runtime().sleep(left) => {}
        }
    }
}

/// Ends when somebody deleted the znode, or the session ended.
async fn znode_there<R: Runtime>(client: &Client<R>, own: &Own) {
    loop {
        match retried(|| client.watch_exists(own.path.as_str())).await {
            Ok((Some(stat), watcher)) if own.is(&stat) => {
                if watcher.await.is_err() {
                    return;
                }
            }
            Ok(_) | Err(_) => return,
        }
    }
}

/// Deletes `own`, however often the connection is lost meanwhile. That it is gone already is no
/// error. To be wrong, a third party would have to delete it, and a rival to create its own,
/// between the look and the delete: a session's end cannot do it, it makes the delete fail.
pub(crate) async fn remove<R: Runtime>(client: &Client<R>, own: &Own) -> Result<(), ClientError> {
    let path = own.path.as_str();
    loop {
        let version = match retried(|| client.exists(path)).await? {
            Some(stat) if own.is(&stat) => Version::Exactly(stat.version),
            _ => return Ok(()),
        };
        match client.delete(path, version).await {
            Ok(()) | Err(ClientError::Server(Code::NoNode)) => return Ok(()),
            // Looked at again: its data was set meanwhile, or the answer was lost.
            Err(ClientError::Server(Code::BadVersion)) => {}
            Err(error) if error.is_in_doubt() => {}
            Err(error) => return Err(error),
        }
    }
}
