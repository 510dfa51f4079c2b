//! Candidates for the mastership, and what a master does: it hands jobs to workers, takes them from
//! the dead, and lets each job that was worked on have its effect exactly once.
//!
//! A master can be paused between looking and acting, and what it has sent can arrive late. So it
//! shuts its predecessors out of the store by its fencing token *before* it asks which effects are
//! there, and gives the token with everything that it asks for.

use std::collections::BTreeSet;
use std::time::Duration;

use althing_client::client::Client;
use althing_client::error::{ClientError, MultiError};
use althing_client::recipes::cached::cached::Cached;
use althing_client::recipes::election::Election;
use althing_client::recipes::hold::Hold;
use althing_client::runtime::Runtime;
use althing_client::sessions::Sessions;
use althing_client::transaction::Transaction;
use althing_client::znode::{CreateMode, Version};
use althing_core::code::Code;
use althing_core::ids::Zxid;

use crate::planning::{ASSIGNED, JOBS, MASTER, Move, RESULTS, ROOT, View, WORKERS};
use crate::store::{Refusal, Teller};

/// A candidate stands again after this; a master looks again, if nobody told it of a change.
const REST: Duration = Duration::from_millis(500);

/// Does a master tell the store who it is?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fencing {
    /// With every request.
    Kept,
    /// The bug of this example.
    Forgotten,
}

/// What happens to a master that somebody may want to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    TermBegun(Zxid),
    Withdrawn { worker: String, job: String },
    TermOver(String),
}

/// One candidate.
pub struct Candidate<R: Runtime> {
    /// Its name.
    pub name: String,
    /// Its sessions with the ensemble.
    pub sessions: Sessions<R>,
    /// The store.
    pub store: Teller<R>,
    /// The bug, if it is wanted.
    pub fencing: Fencing,
}

/// Why a term is over.
#[derive(Debug, thiserror::Error)]
enum Over {
    #[error("the mastership is lost")]
    Lost,
    #[error(transparent)]
    Store(#[from] Refusal),
    #[error(transparent)]
    Service(#[from] ClientError),
}

impl<R: Runtime> Candidate<R> {
    /// Stands for election for ever, and is master from time to time. `journal` hears what
    /// happens.
    pub async fn run(&self, journal: impl Fn(Event)) {
        loop {
            if let Err(over) = self.serve_a_term(&journal).await {
                journal(Event::TermOver(over.to_string()));
            }
            self.sessions.runtime().sleep(REST).await;
        }
    }

    async fn serve_a_term(&self, journal: &impl Fn(Event)) -> Result<(), Over> {
        let client = self.sessions.client().await?;
        let hold = Election::new(&client, MASTER)?
            .lead(self.name.as_str())
            .await?;
        journal(Event::TermBegun(hold.token()));
        let over = self.serve(&client, &hold, journal).await;
        // What is left of the mastership is given up, so that others need not wait for it.
        hold.release().await?;
        over
    }

    async fn serve(
        &self,
        client: &Client<R>,
        hold: &Hold<R>,
        journal: &impl Fn(Event),
    ) -> Result<(), Over> {
        for folder in [JOBS, WORKERS, ASSIGNED, RESULTS] {
            client.ensure(folder).await?;
        }
        let mut applied = self.store.fence(hold.token()).await?;
        let mut tree = Cached::subtree(&self.sessions, ROOT).await?;
        // The copy of the tree is late. Names of jobs never come again.
        let mut finished = BTreeSet::new();
        loop {
            let mut view = View::of(tree.current().keys().map(|path| path.as_str()));
            view.forget(&finished);
            for next in view.moves() {
                if !hold.is_safe() {
                    return Err(Over::Lost);
                }
                self.make(client, hold, &mut applied, &next).await?;
                match next {
                    Move::Finish { job } => drop(finished.insert(job)),
                    Move::Withdraw { worker, job } => journal(Event::Withdrawn { worker, job }),
                    Move::Assign { .. } => {}
                }
            }
            tokio::select! {
                biased;
                () = hold.lost() => return Err(Over::Lost),
                changed = tree.changed() => drop(changed?),
                () = self.sessions.runtime().sleep(REST) => {}
            }
        }
    }

    async fn make(
        &self,
        client: &Client<R>,
        hold: &Hold<R>,
        applied: &mut BTreeSet<String>,
        next: &Move,
    ) -> Result<(), Over> {
        match next {
            Move::Finish { job } => {
                if !applied.contains(job) {
                    let token = match self.fencing {
                        Fencing::Kept => Some(hold.token()),
                        Fencing::Forgotten => None,
                    };
                    self.store.apply(token, job).await?;
                    applied.insert(job.clone());
                }
                // Both at once: a job without a result would be worked on again.
                let done = Transaction::new()
                    .delete(&format!("{JOBS}/{job}"), Version::Any)
                    .delete(&format!("{RESULTS}/{job}"), Version::Any);
                match client.multi(done).await {
                    // It was taken off already, and the copy of the tree is late.
                    Ok(_) | Err(MultiError::Refused { .. }) => Ok(()),
                    Err(MultiError::Client(error)) => Err(error.into()),
                }
            }
            Move::Withdraw { worker, job } => {
                let path = format!("{ASSIGNED}/{worker}/{job}");
                let deleted = client.delete(&path, Version::Any).await;
                Ok(unless(deleted, Code::NoNode)?)
            }
            Move::Assign { worker, job } => {
                client.ensure(&format!("{ASSIGNED}/{worker}")).await?;
                let path = format!("{ASSIGNED}/{worker}/{job}");
                let created = client.create(&path, "", CreateMode::Persistent).await;
                Ok(unless(created.map(drop), Code::NodeExists)?)
            }
        }
    }
}

/// It is no error that things are already as they shall be.
pub fn unless(outcome: Result<(), ClientError>, fine: Code) -> Result<(), ClientError> {
    match outcome {
        Err(ClientError::Server(code)) if code == fine => Ok(()),
        other => other,
    }
}
