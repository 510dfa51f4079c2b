//! Clients take turns with one lock, and write to a store under its fencing token.
//!
//! Each stands in the line again and again. After the faults everybody who is still there must get
//! the lock once more, and give it back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use althing_client::client::Client;
use althing_client::error::ClientError;
use althing_client::recipes::hold::Hold;
use althing_client::recipes::lock::Lock;
use althing_client::runtime::Runtime;

use crate::testbed::bed::{Bed, Process};
use crate::workload::board::{Board, debts, numbered};
use crate::workload::persistence::{persevere, sessions, while_holding};
use crate::workload::store::GuardedStore;
use crate::world::runtime::SimRuntime;

/// What the clients take turns with: only one of them may move money between shards.
const LOCK: &str = "/payment/locks/transfer";

/// The part that scenarios strike: whoever was granted the lock last.
const HOLDER: &str = "holder";

/// Who had the lock after the faults.
type Served = Board<BTreeSet<Arc<str>>>;

/// Plays the story.
pub async fn play(bed: &Bed, clients: u32, hold: Duration, session: Duration) {
    let names = numbered("client", clients);
    let owed = debts(bed, &names, "has the lock once more");
    let served = Served::new(BTreeSet::new());
    let store = GuardedStore::default();
    for name in &names {
        let (served, store) = (served.clone(), store.clone());
        bed.process(name, move |process| {
            take_turns(process, hold, session, served.clone(), store.clone())
        });
    }
    bed.faults_over().await;
    served
        .until_paid(bed, owed, |served, name| served.contains(name))
        .await;
}

async fn take_turns(
    process: Process,
    hold: Duration,
    session: Duration,
    served: Served,
    store: GuardedStore,
) {
    let sessions = sessions(&process, session);
    loop {
        let after_faults = process.bed().are_faults_over();
        let mut turn = process.operation();
        if turn.is_done() {
            persevere(&sessions, |client| {
                take_turn(&process, client, hold, &store)
            })
            .await;
        }
        if after_faults {
            break;
        }
        process.runtime.sleep(turn.pause()).await;
    }
    served.note(|served| {
        served.insert(Arc::clone(&process.name));
    });
}

async fn take_turn(
    process: &Process,
    client: Client<SimRuntime>,
    duration: Duration,
    store: &GuardedStore,
) -> Result<(), ClientError> {
    let lock = Lock::new(&client, LOCK)?;
    let hold = lock.acquire().await?;
    process.bed().role(HOLDER, &process.name);
    process.mark("lock-granted", hold.token().to_string());
    while_holding(process, LOCK, &hold, work(process, &hold, duration, store)).await;
    if !hold.is_safe() {
        process.mark("lock-lost", hold.token().to_string());
    }
    hold.release().await
}

/// Two writes: one at once, and one whose way to the store takes half of the time, so that a holder
/// that is paused meanwhile sends it without looking again.
async fn work(
    process: &Process,
    hold: &Hold<SimRuntime>,
    duration: Duration,
    store: &GuardedStore,
) {
    let runtime = &process.runtime;
    store.write(process, hold.token());
    runtime.sleep(duration / 2).await;
    if hold.is_safe() {
        runtime.sleep(duration / 2).await;
        store.write(process, hold.token());
    }
}
