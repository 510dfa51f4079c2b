//! Shard 37 of the payment database: one master, whose file `/payment/db/shard37/master_ip` goes
//! with its session; slaves, app servers and a load balancer that are told.
//!
//! When the master dies, its file goes, everybody is told, the slaves race to create the file anew,
//! exactly one wins, and its address is what everybody then uses. Masters write to a store under
//! their fencing token.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use althing_client::client::Client;
use althing_client::error::ClientError;
use althing_client::recipes::cached::cached::Cached;
use althing_client::recipes::election::Election;
use althing_client::recipes::hold::Hold;
use althing_client::runtime::Runtime;
use althing_client::sessions::Sessions;
use althing_core::ids::Zxid;

use crate::testbed::bed::{Bed, Process, Verdict};
use crate::workload::board::{Board, debts, numbered};
use crate::workload::persistence::{rest, sessions, while_holding};
use crate::workload::store::GuardedStore;
use crate::world::runtime::SimRuntime;

/// The master's file.
const FILE: &str = "/payment/db/shard37/master_ip";

/// The part that scenarios strike: whoever is master when the fault falls.
const MASTER: &str = "master";

/// How many app servers there are.
const APP_SERVERS: u32 = 2;

/// How long the slaves leave the first master alone with the file.
const HEAD_START: Duration = Duration::from_secs(5);

/// A master's term.
#[derive(Clone, Debug)]
struct Term {
    token: Zxid,
    /// Did the store take a write of it after the faults?
    serves: bool,
}

/// What the file says, as a process knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Seen {
    token: Zxid,
    address: String,
}

#[derive(Default)]
struct Ledger {
    /// In the order in which they were won.
    terms: Vec<Term>,
    /// Who believes to be master, and by which token.
    masters: BTreeMap<Arc<str>, Zxid>,
    /// What each process uses: nothing while there is no master. Who was never told is missing.
    used: BTreeMap<Arc<str>, Option<Seen>>,
}

impl Ledger {
    fn newest(&self) -> Option<Zxid> {
        self.terms.last().map(|term| term.token)
    }

    /// Does the newest master, and nobody else who is there, believe to be it, and does it write?
    fn is_served(&self, bed: &Bed) -> bool {
        let Some(newest) = self.terms.last() else {
            return false;
        };
        let there = self.masters.iter().filter(|(name, _)| !bed.is_down(name));
        newest.serves && there.map(|(_, token)| *token).eq([newest.token])
    }

    fn uses(&self, name: &str, wanted: impl Fn(Zxid) -> bool) -> bool {
        match self.used.get(name) {
            Some(Some(seen)) => wanted(seen.token),
            Some(None) | None => false,
        }
    }

    /// Has this process been told that the master before `token` is gone?
    fn is_told(&self, name: &str, before: Zxid) -> bool {
        matches!(self.used.get(name), Some(None)) || self.uses(name, |token| token > before)
    }
}

/// What the processes of one story share.
#[derive(Clone)]
struct Shard {
    ledger: Board<Ledger>,
    store: GuardedStore,
    session: Duration,
    write_every: Duration,
}

/// Plays the story.
pub async fn play(bed: &Bed, slaves: u32, session: Duration, write_every: Duration) {
    let shard = Shard {
        ledger: Board::new(Ledger::default()),
        store: GuardedStore::default(),
        session,
        write_every,
    };
    let mut everybody = vec![Arc::from("first-master")];
    everybody.extend(numbered("slave", slaves));
    let candidates = everybody.len();
    everybody.extend(numbered("app", APP_SERVERS));
    everybody.push(Arc::from("load-balancer"));
    let served = bed.goal("one master serves the shard");
    let owed = debts(bed, &everybody, "uses the master's address");
    for (number, name) in everybody.iter().enumerate() {
        let shard = shard.clone();
        match number < candidates {
            true => bed.process(name, move |process| stand(process, number, shard.clone())),
            false => bed.process(name, move |process| follow(process, shard.clone())),
        }
    }
    tokio::select! {
        biased;
        () = tell_successions(bed, &shard.ledger, &everybody) => {}
        () = bed.faults_over() => {}
    }
    shard
        .ledger
        .until_with(bed, |ledger| ledger.is_served(bed))
        .await;
    served.reached();
    let uses_newest = |ledger: &Ledger, name: &str| {
        let newest = ledger.newest();
        ledger.uses(name, |token| Some(token) == newest)
    };
    shard.ledger.until_paid(bed, owed, uses_newest).await;
}

/// Marks, of each succession, when everybody has been told, and when everybody uses the new
/// master's address, or that of a still newer one. Whoever is down meanwhile is not waited for.
async fn tell_successions(bed: &Bed, ledger: &Board<Ledger>, everybody: &[Arc<str>]) {
    let all = |has: &dyn Fn(&str) -> bool| {
        let counts = |name: &Arc<str>| bed.is_down(name) || has(name);
        everybody.iter().all(counts)
    };
    for succession in 1.. {
        ledger.until(|ledger| ledger.terms.len() > succession).await;
        let (old, new) = ledger.read(|ledger| {
            (
                ledger.terms[succession - 1].token,
                ledger.terms[succession].token,
            )
        });
        ledger
            .until_with(bed, |ledger| all(&|name| ledger.is_told(name, old)))
            .await;
        bed.mark("all-told", format!("that {old} is gone"));
        ledger
            .until_with(bed, |ledger| {
                all(&|name| ledger.uses(name, |token| token >= new))
            })
            .await;
        bed.mark("everybody-uses-new-master", format!("{new}"));
    }
}

/// An app server or a load balancer.
async fn follow(process: Process, shard: Shard) {
    let sessions = sessions(&process, shard.session);
    watch_file(&process, &sessions, &shard.ledger).await;
}

/// Follows the master's file for ever, by being told and never by asking again.
async fn watch_file(process: &Process, sessions: &Sessions<SimRuntime>, ledger: &Board<Ledger>) {
    let forget = |ledger: &mut Ledger| drop(ledger.used.remove(&process.name));
    loop {
        ledger.note(forget);
        if let Err(error) = follow_file(process, sessions, ledger).await {
            tracing::debug!(%error, "follows the file anew");
        }
        rest(&process.runtime).await;
    }
}

async fn follow_file(
    process: &Process,
    sessions: &Sessions<SimRuntime>,
    ledger: &Board<Ledger>,
) -> Result<(), ClientError> {
    let mut file = Cached::znode(sessions, FILE).await?;
    loop {
        let seen = file.current().as_ref().as_ref().map(|znode| Seen {
            token: znode.stat.czxid,
            address: String::from_utf8_lossy(&znode.data).into_owned(),
        });
        match &seen {
            Some(seen) => {
                process.mark("master-seen", format!("{} at {}", seen.token, seen.address))
            }
            None => process.mark("no-master-seen", ""),
        }
        ledger.note(|ledger| {
            ledger.used.insert(Arc::clone(&process.name), seen);
        });
        file.changed().await?;
    }
}

/// A candidate: the first master, or a slave.
async fn stand(process: Process, number: usize, shard: Shard) {
    let sessions = sessions(&process, shard.session);
    let address = format!("10.0.37.{}:5432", number + 1);
    shard.ledger.note(|ledger| {
        ledger.masters.remove(&process.name);
    });
    let race = async {
        if number > 0 {
            tokio::select! {
                biased;
                () = shard.ledger.until(|ledger| !ledger.terms.is_empty()) => {}
                () = process.runtime.sleep(HEAD_START) => {}
            }
        }
        loop {
            let outcome = match sessions.client().await {
                Ok(client) => serve_a_term(&process, &client, &address, &shard).await,
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                tracing::debug!(%error, "races again");
            }
            rest(&process.runtime).await;
        }
    };
    tokio::join!(watch_file(&process, &sessions, &shard.ledger), race);
}

/// Races for the file, and is master until the term is lost.
async fn serve_a_term(
    process: &Process,
    client: &Client<SimRuntime>,
    address: &str,
    shard: &Shard,
) -> Result<(), ClientError> {
    let hold = Election::new(client, FILE)?.lead(address).await?;
    let token = hold.token();
    process.bed().role(MASTER, &process.name);
    shard.ledger.note(|ledger| {
        ledger.terms.push(Term {
            token,
            serves: false,
        });
        ledger.masters.insert(Arc::clone(&process.name), token);
    });
    process.mark("master-elected", format!("{token} at {address}"));
    while_holding(process, FILE, &hold, write(process, &hold, shard)).await;
    shard.ledger.note(|ledger| {
        ledger.masters.remove(&process.name);
    });
    process.mark("master-lost", token.to_string());
    // Gives up what may be left of it: it is lost, but perhaps only as far as this master knows.
    hold.release().await
}

/// Writes to the store as long as the hold is safe. A write is half of the time on its way, so a
/// master that is paused meanwhile sends it without looking again.
async fn write(process: &Process, hold: &Hold<SimRuntime>, shard: &Shard) {
    let token = hold.token();
    let half = shard.write_every / 2;
    loop {
        process.runtime.sleep(half).await;
        if !hold.is_safe() {
            return;
        }
        process.runtime.sleep(half).await;
        if !process.operation().is_done() {
            continue;
        }
        let verdict = shard.store.write(process, token);
        if verdict == Verdict::Accepted && process.bed().are_faults_over() {
            shard.ledger.note(|ledger| {
                let term = ledger.terms.iter_mut().find(|term| term.token == token);
                term.expect("its own term is noted").serves = true;
            });
        }
    }
}
