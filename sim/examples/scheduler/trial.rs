//! The scheduler on the simulated bed: two candidates, three workers, a shop that submits jobs, the
//! store, and what must hold of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use althing_client::error::ClientError;
use althing_client::runtime::Runtime;
use althing_client::sessions::Sessions;
use althing_client::znode::CreateMode;
use althing_sim::testbed::bed::{Bed, Process};
use althing_sim::testbed::ledger::Ledger;
use althing_sim::testbed::trial::Trial;

use crate::lines;
use crate::master::{Candidate, Event, Fencing};
use crate::planning::JOBS;
use crate::store::{Store, Teller};
use crate::worker::Worker;

/// The session time-out of everybody: short, so that a run sees many sessions end.
const SESSION: Duration = Duration::from_secs(4);
const PORT: u16 = 7100;
const STORE: &str = "store";

/// What happened to a job.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Deed {
    Submitted(String),
    WorkedOn(String),
    HadItsEffect(String),
}

/// The trial: its faults stand in a file beside this one.
pub fn trial(bug: Option<&str>) -> Trial {
    let bug = bug.map_or(String::new(), |bug| format!(" --bug {bug}"));
    Trial::new("scheduler")
        .source(file!())
        .folder(Path::new(env!("CARGO_MANIFEST_DIR")))
        .scenario("examples/scheduler/faults.toml")
        .played_by(move |seed| {
            format!(
                "cargo run --release --package althing-sim --example scheduler -- try{bug} --seeds \
                 {seed}..={seed}"
            )
        })
}

/// The test.
pub async fn schedules(bed: Bed, fencing: Fencing) {
    let deeds = bed.ledger::<Deed>("job");
    judge(&deeds);
    let changed = bed.sometimes("master-changed");
    let terms = Arc::new(AtomicU32::new(0));
    let disk = Arc::new(Mutex::new(Store::default()));
    let effects = deeds.clone();
    bed.process(STORE, move |process| {
        keep_store(process, disk.clone(), effects.clone())
    });
    for name in ["candidate-1", "candidate-2"] {
        let (changed, terms) = (changed.clone(), terms.clone());
        bed.process(name, move |process| {
            let (changed, terms) = (changed.clone(), terms.clone());
            async move {
                let candidate = Candidate {
                    name: process.name.to_string(),
                    sessions: process.sessions(SESSION),
                    store: Teller {
                        runtime: process.runtime.clone(),
                        address: format!("{STORE}:{PORT}"),
                    },
                    fencing,
                };
                let journal = |event| match event {
                    Event::TermBegun(token) => {
                        process.plays("master");
                        process.mark("master-elected", token.to_string());
                        if terms.fetch_add(1, Ordering::Relaxed) > 0 {
                            changed.reached(&process, "");
                        }
                    }
                    Event::Withdrawn { worker, job } => {
                        process.mark("job-taken-from-the-dead", format!("{job} of {worker}"));
                    }
                    Event::TermOver(why) => process.mark("master-over", why),
                };
                candidate.run(journal).await;
            }
        });
    }
    for name in ["worker-1", "worker-2", "worker-3"] {
        let deeds = deeds.clone();
        bed.process(name, move |process| work(process, deeds.clone()));
    }
    let submitted = deeds.clone();
    bed.process("shop", move |process| submit(process, submitted.clone()));
    everything_done(&bed, &deeds).await;
}

/// What must hold at each moment.
fn judge(deeds: &Ledger<Deed>) {
    let mut effects = BTreeMap::new();
    let mut worked_on = BTreeSet::new();
    deeds.always("each effect once", move |entry| match &entry.what {
        Deed::WorkedOn(job) => {
            worked_on.insert(job.clone());
            Ok(())
        }
        Deed::HadItsEffect(job) if !worked_on.contains(job) => {
            Err(format!("{job} has its effect, and nobody worked on it"))
        }
        Deed::HadItsEffect(job) => match effects.insert(job.clone(), entry.at) {
            Some(before) => Err(format!("{job} has its effect again, after {before:?}")),
            None => Ok(()),
        },
        Deed::Submitted(_) => Ok(()),
    });
}

/// Ends when every job that was submitted has had its effect.
async fn everything_done(bed: &Bed, deeds: &Ledger<Deed>) {
    let done = bed.goal("every job has its effect");
    bed.faults_over().await;
    let is_done = |entries: &[althing_sim::testbed::ledger::Entry<Deed>]| {
        let effects: BTreeSet<&String> = entries
            .iter()
            .filter_map(|entry| match &entry.what {
                Deed::HadItsEffect(job) => Some(job),
                _ => None,
            })
            .collect();
        entries.iter().all(|entry| match &entry.what {
            Deed::Submitted(job) => effects.contains(job),
            _ => true,
        })
    };
    while !deeds.read(is_done) {
        bed.sleep(Duration::from_millis(500)).await;
    }
    done.reached();
}

/// The store's process; what it has on its disk outlives it.
async fn keep_store(process: Process, disk: Arc<Mutex<Store>>, effects: Ledger<Deed>) {
    let process = Arc::new(process);
    let listener = process.runtime.listen(PORT).expect("nobody else listens");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (disk, effects, own) = (disk.clone(), effects.clone(), process.clone());
        process.spawn(async move {
            let answer = |question: String| {
                let mut store = disk.lock().expect("no panic within");
                let effect = |job: &str| effects.record(&own, Deed::HadItsEffect(job.to_owned()));
                let answer = store.answer(&question, effect);
                if answer == crate::store::Answer::Stale {
                    own.mark("stale-master-refused", question);
                }
                std::future::ready(answer.to_string())
            };
            // Whoever asked has left: it asks again.
            let _left = lines::answer(stream, answer).await;
        });
    }
}

async fn work(process: Process, deeds: Ledger<Deed>) {
    let worker = Worker {
        name: process.name.to_string(),
        sessions: process.sessions(SESSION),
    };
    let (process, deeds) = (&process, &deeds);
    let work = |job: String, _says| async move {
        process
            .sleep(Duration::from_millis(100 + process.runtime.random() % 400))
            .await;
        deeds.record(process, Deed::WorkedOn(job));
    };
    worker.run(work).await;
}

/// Submits jobs as long as faults fall.
async fn submit(process: Process, deeds: Ledger<Deed>) {
    let sessions = process.sessions(SESSION);
    while !process.bed().are_faults_over() {
        if let Ok(job) = submit_one(&sessions).await {
            deeds.record(&process, Deed::Submitted(job));
        }
        process
            .sleep(Duration::from_millis(100 + process.runtime.random() % 300))
            .await;
    }
}

async fn submit_one<R: Runtime>(sessions: &Sessions<R>) -> Result<String, ClientError> {
    let client = sessions.client().await?;
    client.ensure(JOBS).await?;
    let prefix = format!("{JOBS}/job-");
    let created = client
        .create(&prefix, "", CreateMode::PersistentSequential)
        .await?;
    let name = created.path.as_str().rsplit('/').next();
    Ok(name.unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use althing_sim::verdict::Verdict;

    use super::*;

    /// Seeds within which the bug is found.
    const SEEDS: u64 = 30;

    #[test]
    fn every_effect_happens_once() {
        let report = trial(None)
            .seeds(0..8)
            .play(|bed| schedules(bed, Fencing::Kept));
        report.expect("a trial").must_be_green();
    }

    #[test]
    fn a_master_that_forgets_its_token_is_found() {
        let red = (0..SEEDS).step_by(4).find_map(|first| {
            let trial = trial(Some("forget-fencing")).seeds(first..first + 4);
            let report = trial.play(|bed| schedules(bed, Fencing::Forgotten));
            let report = report.expect("a trial");
            (report.verdict() == Verdict::Red).then_some(report)
        });
        let report = red.expect("it is found within these seeds");
        assert_eq!(
            report.broken(),
            Some("each effect once"),
            "{}",
            report.text()
        );
    }
}
