//! How a process goes on through everything that goes wrong, and what it does while it holds.

use std::pin::pin;
use std::time::Duration;

use althing_client::client::Client;
use althing_client::config::ClientConfig;
use althing_client::error::ClientError;
use althing_client::recipes::hold::Hold;
use althing_client::runtime::Runtime;
use althing_client::sessions::Sessions;

use crate::history;
use crate::random::Stream;
use crate::testbed::bed::Process;
use crate::world::runtime::SimRuntime;

/// The session time-out of the stories in which nothing depends on it.
pub const SESSION: Duration = Duration::from_secs(6);

/// The pause before a deed is tried again: at least, and at most.
const REST_MIN: Duration = Duration::from_millis(50);
const REST_MAX: Duration = Duration::from_millis(500);

/// The process's sessions, one after another.
pub fn sessions(process: &Process, timeout: Duration) -> Sessions<SimRuntime> {
    Sessions::new(process.runtime.clone(), config(process, timeout))
}

/// What a client of the process is told at its start.
pub fn config(process: &Process, timeout: Duration) -> ClientConfig {
    ClientConfig::new(process.bed().servers()).session_timeout(timeout)
}

/// Does `deed` until it succeeds, in one session after another. It must be right to do it again
/// after it failed or came to a doubtful end.
pub async fn persevere<T, F>(
    sessions: &Sessions<SimRuntime>,
    mut deed: impl FnMut(Client<SimRuntime>) -> F,
) -> T
where
    F: Future<Output = Result<T, ClientError>>,
{
    loop {
        let outcome = match sessions.client().await {
            Ok(client) => deed(client).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(value) => return value,
            Err(error) => tracing::debug!(%error, "tries again"),
        }
        rest(sessions.runtime()).await;
    }
}

/// The next turn of who acts `every` now and then, after its pause: a client, if there is one, and
/// the dice of this operation. `None` when the faults are over.
pub async fn next_round(
    process: &Process,
    sessions: &Sessions<SimRuntime>,
    every: Duration,
) -> Option<(Result<Client<SimRuntime>, ClientError>, Stream)> {
    while !process.bed().are_faults_over() {
        let mut operation = process.operation();
        let pause = operation.random.between(every / 2, every * 3 / 2);
        process.runtime.sleep(pause).await;
        if operation.is_done() {
            return Some((sessions.client().await, operation.random));
        }
    }
    None
}

/// A short pause of random length.
pub async fn rest(runtime: &SimRuntime) {
    let range_ms = (REST_MAX - REST_MIN).as_millis() as u64;
    let extra = Duration::from_millis(runtime.random() % range_ms);
    runtime.sleep(REST_MIN + extra).await;
}

/// Does `work` while `lock` is held, and lets know when the process believes that it holds it. When
/// it is lost, the belief ends at once, but what `work` has begun comes to its end: a program
/// cannot call back what is on its way to a store. `work` looks itself whether it may begin
/// anything; it is not begun at all if the hold is lost already.
pub async fn while_holding(
    process: &Process,
    lock: &str,
    hold: &Hold<SimRuntime>,
    work: impl Future<Output = ()>,
) {
    if !hold.is_safe() {
        // Granted to a process that did not run until it was too late.
        return;
    }
    let token = hold.token();
    process.held(lock, token, history::Hold::Begins);
    let mut work = pin!(work);
    let done = tokio::select! {
        biased;
        () = hold.lost() => false,
        () = &mut work => true,
    };
    process.held(lock, token, history::Hold::Ends);
    if !done {
        work.await;
    }
}
