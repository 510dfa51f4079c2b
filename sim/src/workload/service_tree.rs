//! The tree of the payment, order and notification services: their owners build it and keep it up
//! to date; app servers and a load balancer keep cached copies and never poll.
//!
//! At the end every copy must equal the tree, and while nothing changes no reader reads.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use althing_client::client::Client;
use althing_client::error::ClientError;
use althing_client::recipes::cached::cached::Cached;
use althing_client::recipes::retried::retried;
use althing_client::runtime::Runtime;
use althing_client::sessions::Sessions;
use althing_client::znode::{CreateMode, Version, Znode};
use althing_core::code::Code;
use althing_core::ids::Zxid;
use althing_core::tree::data::Data;
use althing_core::tree::path::Path;

use crate::testbed::bed::{Bed, Process};
use crate::workload::board::{Board, debts, numbered};
use crate::workload::persistence::{SESSION, persevere, rest, sessions};
use crate::world::operation::Turn;
use crate::world::runtime::SimRuntime;

const SERVICES: [&str; 3] = ["payment", "order", "notification"];

/// What every service keeps below its own name.
const FILES: [&str; 5] = [
    "db/shard1/master_ip",
    "db/shard37/master_ip",
    "db/shard37/slave_ips",
    "cache/addresses",
    "config/timeouts",
];

/// Where a service lists its instances, which come and go.
const INSTANCES: &str = "instances";

/// How many instances a service has at most.
const INSTANCES_MAX: u64 = 4;

/// How long a reader is left alone before it is observed whether it reads, and for how long.
const CALM: Duration = Duration::from_secs(3);
const QUIET: Duration = Duration::from_secs(10);

/// How long the copies may take to follow before the tree itself is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Data, and the transactions that created the znode and last set its data.
type Copy = BTreeMap<Path, (Data, Zxid, Zxid)>;

#[derive(Default)]
struct Ledger {
    /// Owners that will change nothing any more.
    settled: BTreeSet<Arc<str>>,
    /// The tree, as it was read from the service itself after the owners had settled.
    truth: Option<Copy>,
    copies: BTreeMap<Arc<str>, Copy>,
    /// Readers that have read nothing while nothing changed.
    quiet: BTreeSet<Arc<str>>,
}

impl Ledger {
    fn agrees(&self, reader: &str) -> bool {
        self.truth.is_some() && self.copies.get(reader) == self.truth.as_ref()
    }
}

/// Plays the story.
pub async fn play(bed: &Bed, readers: u32, change_every: Duration) {
    let ledger = Board::new(Ledger::default());
    let owners = SERVICES.map(|service| Arc::from(format!("{service}-owner")));
    let mut readers = numbered("app", readers.saturating_sub(1));
    readers.push(Arc::from("load-balancer"));
    let to_settle = debts(bed, &owners, "leaves its tree complete");
    let to_agree = debts(bed, &readers, "has a copy that equals the tree");
    let to_be_quiet = debts(bed, &readers, "reads nothing while nothing changes");
    for (service, owner) in SERVICES.iter().zip(&owners) {
        let ledger = ledger.clone();
        bed.process(owner, move |process| {
            own(process, service, change_every, ledger.clone())
        });
    }
    for reader in &readers {
        let ledger = ledger.clone();
        bed.process(reader, move |process| read(process, ledger.clone()));
    }
    bed.faults_over().await;
    ledger
        .until_paid(bed, to_settle, |ledger, owner| {
            ledger.settled.contains(owner)
        })
        .await;
    let auditor = ledger.clone();
    bed.process("auditor", move |process| audit(process, auditor.clone()));
    ledger
        .until_paid(bed, to_agree, |ledger, reader| ledger.agrees(reader))
        .await;
    bed.mark("copies-agree", "");
    ledger
        .until_paid(bed, to_be_quiet, |ledger, reader| {
            ledger.quiet.contains(reader)
        })
        .await;
}

/// Builds the tree of one service and changes it until the first act is over.
async fn own(process: Process, service: &str, change_every: Duration, ledger: Board<Ledger>) {
    let sessions = sessions(&process, SESSION);
    persevere(&sessions, |client| build(client, service)).await;
    process.mark("tree-built", service);
    while !process.bed().are_faults_over() {
        let mut operation = process.operation();
        let random = &mut operation.random;
        let pause = random.between(change_every / 2, change_every * 3 / 2);
        process.runtime.sleep(pause).await;
        let payload = format!("{}.{}.{}", process.name, process.life, operation.number);
        let change = match random.below(4) {
            0 => Change::Come(random.below(INSTANCES_MAX)),
            1 => Change::Go(random.below(INSTANCES_MAX)),
            _ => Change::Set(FILES[random.index(FILES.len())]),
        };
        if operation.turn == Turn::Rests {
            continue;
        }
        persevere(&sessions, |client| {
            make_change(client, service, change, payload.clone())
        })
        .await;
        process.mark("tree-changed", payload);
    }
    ledger.note(|ledger| {
        ledger.settled.insert(Arc::clone(&process.name));
    });
}

async fn build(client: Client<SimRuntime>, service: &str) -> Result<(), ClientError> {
    client.ensure(&format!("/{service}/{INSTANCES}")).await?;
    for file in FILES {
        client.ensure(&format!("/{service}/{file}")).await?;
    }
    Ok(())
}

/// One change of a service's tree.
#[derive(Clone, Copy, Debug)]
enum Change {
    Set(&'static str),
    Come(u64),
    Go(u64),
}

/// Makes a change; that it was made before is no error.
async fn make_change(
    client: Client<SimRuntime>,
    service: &str,
    change: Change,
    payload: String,
) -> Result<(), ClientError> {
    let instance = |number| format!("/{service}/{INSTANCES}/{number}");
    let outcome = match change {
        Change::Set(file) => {
            let path = format!("/{service}/{file}");
            let set = client.set_data(&path, payload.into_bytes(), Version::Any);
            set.await.map(|_| ())
        }
        Change::Come(number) => {
            let path = instance(number);
            let create = client.create(&path, payload.into_bytes(), CreateMode::Persistent);
            create.await.map(|_| ())
        }
        Change::Go(number) => client.delete(&instance(number), Version::Any).await,
    };
    match outcome {
        Err(ClientError::Server(Code::NodeExists | Code::NoNode)) => Ok(()),
        outcome => outcome,
    }
}

/// Keeps copies of all services' trees for ever.
async fn read(process: Process, ledger: Board<Ledger>) {
    let sessions = sessions(&process, SESSION);
    loop {
        ledger.note(|ledger| drop(ledger.copies.remove(&process.name)));
        if let Err(error) = keep_copies(&process, &sessions, &ledger).await {
            tracing::debug!(%error, "copies anew");
        }
        rest(&process.runtime).await;
    }
}

type Subtree = Cached<BTreeMap<Path, Znode>>;

/// Keeps copies until a reader gives up.
async fn keep_copies(
    process: &Process,
    sessions: &Sessions<SimRuntime>,
    ledger: &Board<Ledger>,
) -> Result<(), ClientError> {
    let open = |service| Cached::subtree(sessions, service);
    let all = [
        open("/payment").await?,
        open("/order").await?,
        open("/notification").await?,
    ];
    let quiet = async {
        read_nothing(process, ledger, &all).await;
        Ok(())
    };
    tokio::try_join!(follow(process, ledger, &all), quiet).map(|(never, ())| match never {})
}

/// Shows the copies as they change.
async fn follow(
    process: &Process,
    ledger: &Board<Ledger>,
    all: &[Subtree; 3],
) -> Result<Infallible, ClientError> {
    let [mut payment, mut order, mut notification] = all.clone();
    loop {
        let copy = together(all);
        ledger.note(|ledger| {
            ledger.copies.insert(Arc::clone(&process.name), copy);
        });
        tokio::select! {
            biased;
            changed = payment.changed() => changed?,
            changed = order.changed() => changed?,
            changed = notification.changed() => changed?,
        };
        process.mark("copy-told", "");
    }
}

fn together(all: &[Subtree]) -> Copy {
    let mut copy = Copy::new();
    for subtree in all {
        for (path, znode) in subtree.current().iter() {
            copy.insert(path.clone(), facts(znode));
        }
    }
    copy
}

fn facts(znode: &Znode) -> (Data, Zxid, Zxid) {
    (znode.data.clone(), znode.stat.czxid, znode.stat.mzxid)
}

/// Ends when, with a complete copy, a while has passed in which this reader read nothing.
async fn read_nothing(process: &Process, ledger: &Board<Ledger>, all: &[Subtree]) {
    let reads = || all.iter().map(Subtree::reads).sum::<u64>();
    ledger.until(|ledger| ledger.agrees(&process.name)).await;
    loop {
        process.runtime.sleep(CALM).await;
        let before = reads();
        process.runtime.sleep(QUIET).await;
        if reads() == before {
            break;
        }
    }
    process.mark("reader-quiet", "");
    ledger.note(|ledger| {
        ledger.quiet.insert(Arc::clone(&process.name));
    });
}

/// Reads the tree for the teller until the copies are found to equal it: an owner that was down
/// when the others settled may change it still.
async fn audit(process: Process, ledger: Board<Ledger>) {
    let sessions = sessions(&process, SESSION);
    loop {
        let truth = persevere(&sessions, read_all).await;
        ledger.note(|ledger| ledger.truth = Some(truth));
        process.runtime.sleep(LOOK_AGAIN).await;
    }
}

async fn read_all(client: Client<SimRuntime>) -> Result<Copy, ClientError> {
    client.sync("/").await?;
    let mut copy = Copy::new();
    let mut to_read: Vec<String> = SERVICES
        .iter()
        .map(|service| format!("/{service}"))
        .collect();
    while let Some(path) = to_read.pop() {
        let (znode, children) = match read_one(&client, &path).await {
            // It went since its parent was read.
            Err(ClientError::Server(Code::NoNode)) => continue,
            read => read?,
        };
        to_read.extend(children.iter().map(|name| format!("{path}/{name}")));
        let path = Path::parse(&path).expect("a server's names make paths");
        copy.insert(path, facts(&znode));
    }
    Ok(copy)
}

async fn read_one(
    client: &Client<SimRuntime>,
    path: &str,
) -> Result<(Znode, Vec<Arc<str>>), ClientError> {
    let znode = retried(|| client.get_data(path)).await?;
    let children = retried(|| client.children(path)).await?;
    Ok((znode, children.names))
}
