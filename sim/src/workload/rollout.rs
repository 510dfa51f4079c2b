//! An operator rolls out configurations of many files, each in one multi, all or nothing; others
//! check that they never see a mixture.
//!
//! Every configuration has a name of its own that stands in all of its files. A reader reads the
//! version's file, all others, and the version's file again: if that has not changed meanwhile, all
//! must carry its name. Some rollouts hold an operation that must fail; they must not be seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use althing_client::client::Client;
use althing_client::error::{ClientError, MultiError};
use althing_client::recipes::retried::retried;
use althing_client::runtime::Runtime;
use althing_client::transaction::Transaction;
use althing_client::znode::{CreateMode, Version, Znode};
use althing_core::code::Code;

use crate::random::Stream;
use crate::testbed::bed::{Bed, Process};
use crate::workload::board::{Board, debts, numbered};
use crate::workload::persistence::{SESSION, persevere, sessions};
use crate::world::operation::Turn;
use crate::world::runtime::SimRuntime;

const DIRECTORY: &str = "/config/search";
const VERSION: &str = "/config/search/version";
/// Is never there, so a multi that checks it fails.
const MISSING: &str = "/config/search/missing";

/// How often a rollout is made to fail.
const FAILING: f64 = 0.25;

/// The name of the rule that the readers check.
const ALL_OR_NOTHING: &str = "W4 atomic";

#[derive(Default)]
struct Ledger {
    /// The configuration that was rolled out last, after the faults.
    last: Option<String>,
    /// What each reader has seen whole, last.
    seen: BTreeMap<Arc<str>, String>,
}

fn file(number: u32) -> String {
    format!("{DIRECTORY}/file-{number}")
}

/// Plays the story.
pub async fn play(bed: &Bed, files: u32, readers: u32, every: Duration) {
    let ledger = Board::new(Ledger::default());
    let operator = [Arc::from("operator")];
    let readers = numbered("reader", readers);
    let to_roll_out = debts(bed, &operator, "rolls out the last configuration");
    let to_see = debts(bed, &readers, "sees the last configuration");
    let of_operator = ledger.clone();
    bed.process("operator", move |process| {
        operate(process, files, every, of_operator.clone())
    });
    for reader in &readers {
        let ledger = ledger.clone();
        bed.process(reader, move |process| {
            check_always(process, files, every, ledger.clone())
        });
    }
    bed.faults_over().await;
    ledger
        .until_paid(bed, to_roll_out, |ledger, _| ledger.last.is_some())
        .await;
    ledger
        .until_paid(bed, to_see, |ledger, reader| {
            ledger.last.is_some() && ledger.seen.get(reader) == ledger.last.as_ref()
        })
        .await;
}

async fn operate(process: Process, files: u32, every: Duration, ledger: Board<Ledger>) {
    let sessions = sessions(&process, SESSION);
    persevere(&sessions, |client| build(client, files)).await;
    loop {
        let is_last = process.bed().are_faults_over();
        let mut operation = process.operation();
        let name = match is_last {
            true => format!("{}.last", process.life),
            false => format!("{}.{}", process.life, operation.number),
        };
        let random = &mut operation.random;
        let pause = random.between(every / 2, every * 3 / 2);
        if operation.turn == Turn::Rests {
            process.runtime.sleep(pause).await;
            continue;
        }
        if !is_last && random.chance(FAILING) {
            let place = random.below(u64::from(files) + 2) as usize;
            let fail = |client| roll_out_in_vain(&process, client, files, &name, place);
            persevere(&sessions, fail).await;
        } else {
            persevere(&sessions, |client| roll_out(client, files, &name)).await;
            process.mark("rolled-out", &name);
        }
        if is_last {
            ledger.note(|ledger| ledger.last = Some(name));
            return;
        }
        process.runtime.sleep(pause).await;
    }
}

/// Creates all files at once, unless they are there.
async fn build(client: Client<SimRuntime>, files: u32) -> Result<(), ClientError> {
    client.ensure(DIRECTORY).await?;
    let mut creates = Transaction::new().create(VERSION, "0.0", CreateMode::Persistent);
    for number in 0..files {
        creates = creates.create(&file(number), "0.0", CreateMode::Persistent);
    }
    match client.multi(creates).await {
        Ok(_) => Ok(()),
        Err(MultiError::Refused {
            index: 0,
            code: Code::NodeExists,
        }) => Ok(()),
        Err(MultiError::Refused { code, .. }) => Err(ClientError::Server(code)),
        Err(MultiError::Client(error)) => Err(error),
    }
}

/// The whole of a configuration, on top of the version that was read.
fn configuration(files: u32, name: &str, version: i32) -> Vec<Step> {
    let set = |path| Step::Set {
        path,
        name: name.to_owned(),
    };
    let mut steps = vec![Step::Check { version }];
    steps.push(set(VERSION.to_owned()));
    steps.extend((0..files).map(|number| set(file(number))));
    steps
}

enum Step {
    Check { version: i32 },
    Set { path: String, name: String },
    Fail,
}

fn transaction(steps: Vec<Step>) -> Transaction {
    let add = |transaction: Transaction, step| match step {
        Step::Check { version } => transaction.check(VERSION, Version::Exactly(version)),
        Step::Set { path, name } => transaction.set_data(&path, name.as_bytes(), Version::Any),
        Step::Fail => transaction.check(MISSING, Version::Any),
    };
    steps.into_iter().fold(Transaction::new(), add)
}

/// Rolls a configuration out, unless it was in an attempt before that came to a doubtful end.
async fn roll_out(client: Client<SimRuntime>, files: u32, name: &str) -> Result<(), ClientError> {
    let before = retried(|| client.get_data(VERSION)).await?;
    if text(&before) == name {
        return Ok(());
    }
    let steps = configuration(files, name, before.stat.version);
    match client.multi(transaction(steps)).await {
        Ok(_) => Ok(()),
        Err(MultiError::Refused { code, .. }) => Err(ClientError::Server(code)),
        Err(MultiError::Client(error)) => Err(error),
    }
}

/// Tries to roll out a configuration of which one operation must fail.
async fn roll_out_in_vain(
    process: &Process,
    client: Client<SimRuntime>,
    files: u32,
    name: &str,
    place: usize,
) -> Result<(), ClientError> {
    let before = retried(|| client.get_data(VERSION)).await?;
    let mut steps = configuration(files, name, before.stat.version);
    // After the check of the version, which may fail by itself.
    let place = place + 1;
    steps.insert(place, Step::Fail);
    match client.multi(transaction(steps)).await {
        Err(MultiError::Refused {
            index,
            code: Code::NoNode,
        }) if index == place => {
            process.mark("rollout-refused", format!("{name} at {place}"));
            Ok(())
        }
        Err(MultiError::Refused { index: 0, code }) => Err(ClientError::Server(code)),
        Err(MultiError::Client(error)) => Err(error),
        Err(error) => {
            process.violate(
                ALL_OR_NOTHING,
                format!("{name}, failing at {place}: {error}"),
            );
            Ok(())
        }
        Ok(_) => {
            process.violate(
                ALL_OR_NOTHING,
                format!("{name} succeeded, failing at {place}"),
            );
            Ok(())
        }
    }
}

async fn check_always(process: Process, files: u32, every: Duration, ledger: Board<Ledger>) {
    let sessions = sessions(&process, SESSION);
    loop {
        let mut operation = process.operation();
        let pauses: Vec<Duration> = draw_pauses(&mut operation.random, files, every);
        if operation.is_done() {
            let check = |client| check_once(&process, client, files, pauses.clone());
            if let Some(name) = persevere(&sessions, check).await {
                ledger.note(|ledger| {
                    ledger.seen.insert(Arc::clone(&process.name), name);
                });
            }
        }
        process.runtime.sleep(operation.pause()).await;
    }
}

/// Pauses between the reads of one check, so that rollouts fall between them: none before most.
fn draw_pauses(random: &mut Stream, files: u32, every: Duration) -> Vec<Duration> {
    let pause = |_| match random.below(8) {
        0 => random.between(Duration::ZERO, every / 8),
        _ => Duration::ZERO,
    };
    (0..files).map(pause).collect()
}

/// Reads everything. The name of the configuration, if it was not replaced meanwhile.
async fn check_once(
    process: &Process,
    client: Client<SimRuntime>,
    files: u32,
    pauses: Vec<Duration>,
) -> Result<Option<String>, ClientError> {
    let before = match retried(|| client.get_data(VERSION)).await {
        Err(ClientError::Server(Code::NoNode)) => return Ok(None),
        read => read?,
    };
    let mut contents = Vec::with_capacity(files as usize);
    for (number, pause) in (0..files).zip(pauses) {
        if !pause.is_zero() {
            process.runtime.sleep(pause).await;
        }
        let path = file(number);
        contents.push(match retried(|| client.get_data(&path)).await {
            Err(ClientError::Server(Code::NoNode)) => None,
            read => Some(read?),
        });
    }
    let after = retried(|| client.get_data(VERSION)).await?;
    if after.stat.mzxid != before.stat.mzxid {
        process.mark("check-overtaken", text(&after));
        return Ok(None);
    }
    let name = text(&before);
    for (number, content) in contents.iter().enumerate() {
        let found = content.as_ref().map(text);
        if found.as_ref() != Some(&name) {
            let path = file(number as u32);
            let mixture = format!("{path} is of {found:?} while {VERSION} is of {name:?}");
            process.violate(ALL_OR_NOTHING, mixture);
        }
    }
    process.mark("seen-whole", &name);
    Ok(Some(name))
}

fn text(znode: &Znode) -> String {
    String::from_utf8_lossy(&znode.data).into_owned()
}
