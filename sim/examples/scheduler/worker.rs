//! Workers: they register, do what they are assigned, and leave a result.

use std::time::Duration;

use althing_client::client::Client;
use althing_client::error::{ClientError, MultiError};
use althing_client::recipes::cached::cached::Cached;
use althing_client::runtime::Runtime;
use althing_client::sessions::Sessions;
use althing_client::transaction::Transaction;
use althing_client::znode::{CreateMode, Version};
use althing_core::code::Code;

use crate::master::unless;
use crate::planning::{ASSIGNED, JOBS, RESULTS, WORKERS};

/// A worker registers again after this.
const REST: Duration = Duration::from_millis(500);

/// One worker.
pub struct Worker<R: Runtime> {
    /// Its name.
    pub name: String,
    /// Its sessions with the ensemble.
    pub sessions: Sessions<R>,
}

impl<R: Runtime> Worker<R> {
    /// Works for ever: `work` does a job, given its name and what it says.
    pub async fn run<F: Future<Output = ()>>(&self, work: impl Fn(String, Vec<u8>) -> F) {
        loop {
            // What went wrong is as good as a session that ended: it begins anew.
            if let Err(error) = self.serve(&work).await {
                tracing::debug!(%error, "{} registers again", self.name);
            }
            self.sessions.runtime().sleep(REST).await;
        }
    }

    async fn serve<F: Future<Output = ()>>(
        &self,
        work: &impl Fn(String, Vec<u8>) -> F,
    ) -> Result<(), ClientError> {
        let client = self.sessions.client().await?;
        let own = format!("{ASSIGNED}/{}", self.name);
        client.ensure(&own).await?;
        client.ensure(WORKERS).await?;
        client.ensure(RESULTS).await?;
        let here = format!("{WORKERS}/{}", self.name);
        self.register(&client, &here).await?;
        let mut assigned = Cached::children(&self.sessions, &own).await?;
        loop {
            let jobs = assigned.current();
            let names = jobs.iter().flat_map(|jobs| &jobs.names);
            for job in names {
                self.do_one(&client, &format!("{own}/{job}"), job, work)
                    .await?;
            }
            tokio::select! {
                biased;
                // The registration has gone with it. The copy of the assignments lives on in the
                // next session, so nothing but this tells.
                () = ended(&client) => return Err(ClientError::SessionExpired),
                changed = assigned.changed() => drop(changed?),
            }
        }
    }

    /// A znode that an earlier life has left belongs to a session that will end: it is waited for.
    async fn register(&self, client: &Client<R>, here: &str) -> Result<(), ClientError> {
        loop {
            let registered = client.create(here, "", CreateMode::Ephemeral).await;
            match registered {
                Err(ClientError::Server(Code::NodeExists)) => {
                    let (stat, gone) = client.watch_exists(here).await?;
                    match stat {
                        Some(stat) if stat.ephemeral_owner == client.session().0 => return Ok(()),
                        Some(_) => drop(gone.await?),
                        None => {}
                    }
                }
                other => return other.map(drop),
            }
        }
    }

    async fn do_one<F: Future<Output = ()>>(
        &self,
        client: &Client<R>,
        assignment: &str,
        job: &str,
        work: &impl Fn(String, Vec<u8>) -> F,
    ) -> Result<(), ClientError> {
        match client.get_data(&format!("{JOBS}/{job}")).await {
            Ok(found) => {
                work(job.to_owned(), found.data.to_vec()).await;
                let result = format!("{RESULTS}/{job}");
                // A result for a job that is still there, and not for one that was finished
                // meanwhile: nobody would take it away.
                let done = Transaction::new()
                    .check(&format!("{JOBS}/{job}"), Version::Any)
                    .create(&result, "", CreateMode::Persistent);
                match client.multi(done).await {
                    Ok(_) | Err(MultiError::Refused { .. }) => {}
                    Err(MultiError::Client(error)) => return Err(error),
                }
            }
            Err(ClientError::Server(Code::NoNode)) => {}
            Err(error) => return Err(error),
        }
        let withdrawn = client.delete(assignment, Version::Any).await;
        unless(withdrawn, Code::NoNode)
    }
}

/// Ends with the client's session.
async fn ended<R: Runtime>(client: &Client<R>) {
    let mut states = client.states();
    while states.next().await.is_some_and(|state| !state.is_final()) {}
}
