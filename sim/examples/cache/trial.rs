//! The cache on the simulated bed: three shards, two routers that write and read, the origin, and
//! what must hold of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use althing_client::runtime::Runtime;
use althing_sim::testbed::bed::{Bed, Process};
use althing_sim::testbed::ledger::Ledger;
use althing_sim::testbed::trial::Trial;

use crate::lines;
use crate::origin::{Origin, Source};
use crate::router::Router;
use crate::shard::{Memory, Shard};
use crate::slots::OWNERS;

const SESSION: Duration = Duration::from_secs(4);
const PORT: u16 = 7200;
const SHARDS: [&str; 3] = ["shard-1", "shard-2", "shard-3"];
const ROUTERS: [&str; 2] = ["router-1", "router-2"];
/// Keys that each router writes, one number after the other.
const KEYS: u64 = 3;

/// What a router did.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Deed {
    Put {
        key: String,
        value: u64,
    },
    /// `known` was acknowledged for this key when the reading began.
    Got {
        key: String,
        value: u64,
        known: u64,
    },
}

/// The trial: its faults stand in a file beside this one.
pub fn trial(bug: Option<&str>) -> Trial {
    let bug = bug.map_or(String::new(), |bug| format!(" --bug {bug}"));
    let program = "cargo run --release --package althing-sim --example cache --";
    Trial::new("cache")
        .source(file!())
        .folder(Path::new(env!("CARGO_MANIFEST_DIR")))
        .scenario("examples/cache/faults.toml")
        .played_by(move |seed| format!("{program} try{bug} --seeds {seed}..={seed}"))
}

/// What was acknowledged of each key, for everybody to hold reads against.
type Known = Arc<Mutex<BTreeMap<String, u64>>>;

/// The test.
pub async fn serves(bed: Bed, memory: Memory) {
    let deeds = bed.ledger::<Deed>("cache");
    deeds.always(
        "nothing that was overwritten is read",
        |entry| match &entry.what {
            Deed::Got { key, value, known } if value < known => {
                let who = &entry.who;
                Err(format!(
                    "{who} reads {key} = {value}, and {known} was acknowledged before"
                ))
            }
            _ => Ok(()),
        },
    );
    let disk = Arc::new(Mutex::new(Origin::default()));
    bed.process("origin", move |process| keep_origin(process, disk.clone()));
    for name in SHARDS {
        bed.process(name, move |process| be_a_shard(process, memory));
    }
    let known = Known::default();
    for name in ROUTERS {
        let (deeds, known) = (deeds.clone(), known.clone());
        bed.process(name, move |process| {
            route(process, deeds.clone(), known.clone())
        });
    }
    let served = bed.goal("every key is written and read after the faults");
    bed.faults_over().await;
    let healed = bed.now();
    let keys = |entries: &[althing_sim::testbed::ledger::Entry<Deed>], put: bool| {
        let late = entries.iter().filter(|entry| entry.at > healed);
        let keys = late.filter_map(|entry| match &entry.what {
            Deed::Put { key, .. } if put => Some(key.clone()),
            Deed::Got { key, .. } if !put => Some(key.clone()),
            _ => None,
        });
        keys.collect::<BTreeSet<_>>().len() as u64
    };
    let all = KEYS * ROUTERS.len() as u64;
    while deeds.read(|entries| keys(entries, true) < all || keys(entries, false) < all) {
        bed.sleep(Duration::from_millis(500)).await;
    }
    served.reached();
}

async fn keep_origin(process: Process, disk: Arc<Mutex<Origin>>) {
    let listener = process.runtime.listen(PORT).expect("nobody else listens");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let disk = disk.clone();
        process.spawn(async move {
            let answer = |question: String| {
                let answer = disk.lock().expect("no panic within").answer(&question);
                std::future::ready(answer)
            };
            // Whoever asked has left: it asks again.
            let _left = lines::answer(stream, answer).await;
        });
    }
}

async fn be_a_shard(process: Process, memory: Memory) {
    let origin = Source {
        runtime: process.runtime.clone(),
        address: format!("origin:{PORT}"),
    };
    let address = format!("{}:{PORT}", process.name);
    let listener = process.runtime.listen(PORT).expect("nobody else listens");
    let sessions = process.sessions(SESSION);
    Shard::new(&process.name, address, sessions, origin, memory)
        .run(listener)
        .await;
}

async fn route(process: Process, deeds: Ledger<Deed>, known: Known) {
    let sessions = process.sessions(SESSION);
    let router = loop {
        if let Ok(client) = sessions.client().await
            && client.ensure(OWNERS).await.is_ok()
            && let Ok(router) = Router::open(&sessions).await
        {
            break router;
        }
        process.sleep(Duration::from_millis(300)).await;
    };
    // Each life writes larger numbers than the one before, whatever that was about to write.
    let mut next = u64::from(process.life) * 1_000_000;
    loop {
        let draw = process.runtime.random();
        process.sleep(Duration::from_millis(20 + draw % 200)).await;
        let writer = ROUTERS[(draw >> 10) as usize % ROUTERS.len()];
        let key = format!("{writer}-{}", (draw >> 20) % KEYS);
        if writer == &*process.name && draw & 1 == 0 {
            next += 1;
            if router.put(&key, next).await.is_some() {
                known
                    .lock()
                    .expect("no panic within")
                    .insert(key.clone(), next);
                deeds.record(&process, Deed::Put { key, value: next });
            }
            continue;
        }
        let acknowledged = known.lock().expect("no panic within").get(&key).copied();
        if let Some(value) = router.get(&key).await {
            let known = acknowledged.unwrap_or(0);
            deeds.record(&process, Deed::Got { key, value, known });
        }
    }
}

#[cfg(test)]
mod tests {
    use althing_sim::verdict::Verdict;

    use super::*;

    /// Seeds within which the bug is found.
    const SEEDS: u64 = 20;

    #[test]
    fn nothing_that_was_overwritten_is_read() {
        let report = trial(None)
            .seeds(0..8)
            .play(|bed| serves(bed, Memory::Cleared));
        report.expect("a trial").must_be_green();
    }

    #[test]
    fn a_shard_that_keeps_what_it_lost_is_found() {
        let red = (0..SEEDS).step_by(4).find_map(|first| {
            let trial = trial(Some("keep-what-was-cached")).seeds(first..first + 4);
            let report = trial
                .play(|bed| serves(bed, Memory::Kept))
                .expect("a trial");
            (report.verdict() == Verdict::Red).then_some(report)
        });
        let report = red.expect("it is found within these seeds");
        let broken = Some("nothing that was overwritten is read");
        assert_eq!(report.broken(), broken, "{}", report.text());
    }
}
