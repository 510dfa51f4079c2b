//! A random mixture of everything that clients can do, on a few znodes that they all share: the
//! general-purpose load. What is right is judged from the wire.
//!
//! After the faults every client that is still there must write something and read it back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use althing_client::client::Client;
use althing_client::config::ReadOnlyServers;
use althing_client::error::ClientError;
use althing_client::runtime::Runtime;
use althing_client::state::SessionState;
use althing_client::znode::Version;

use crate::testbed::bed::{Bed, Process};
use crate::workload::board::{Board, debts, numbered};
use crate::workload::deeds::{DIRECTORY, Dice, Memory, how_many_together, lay_out, together};
use crate::workload::governor::Governed;
use crate::workload::persistence::{persevere, reading_sessions};
use crate::workload::warden::Guarded;
use crate::world::operation::Operation;
use crate::world::runtime::SimRuntime;

/// The figures of the story.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// How long a client rests between two bursts, at most.
    pub rest: Duration,
    /// How many znodes they share.
    pub znodes: u64,
    /// The session time-out.
    pub session: Duration,
    /// How many of a hundred requests are of the rarer kinds.
    pub rare: u32,
    /// How often a governor wishes for other members, if there is one.
    pub wishes: Option<Duration>,
    /// How often a warden changes quotas, if there is one.
    pub quotas: Option<Duration>,
    /// How many of the clients take a server that only lets them read.
    pub readers: u32,
}

/// Who has written and read after the faults.
type Served = Board<BTreeSet<Arc<str>>>;

/// Plays the story.
pub async fn play(bed: &Bed, clients: u32, figures: Figures) {
    let names = numbered("client", clients);
    let owed = debts(bed, &names, "writes and reads it back");
    let served = Served::new(BTreeSet::new());
    let governed = figures.wishes.map(|every| Governed::begin(bed, every));
    let quotas = figures.quotas;
    let guarded = quotas.map(|every| Guarded::begin(bed, every, figures.znodes));
    for (name, number) in names.iter().zip(0..) {
        let served = served.clone();
        let read_only_servers = match number < figures.readers {
            true => ReadOnlyServers::Accepted,
            false => ReadOnlyServers::Refused,
        };
        bed.process(name, move |process| {
            mix(process, figures, read_only_servers, served.clone())
        });
    }
    bed.faults_over().await;
    served
        .until_paid(bed, owed, |served, name| served.contains(name))
        .await;
    if let Some(governed) = governed {
        governed.end(bed).await;
    }
    if let Some(guarded) = guarded {
        guarded.end(bed).await;
    }
}

async fn mix(
    process: Process,
    figures: Figures,
    read_only_servers: ReadOnlyServers,
    served: Served,
) {
    let sessions = reading_sessions(&process, figures.session, read_only_servers);
    let mut rights = Rights::default();
    let life = format!("{}.{}", process.name, process.life);
    let mut dice = Dice::new(process.random.clone(), figures.znodes, life);
    dice.be_rare(figures.rare);
    let mut memory = Memory::default();
    persevere(&sessions, |client| lay_out(client, figures.znodes)).await;
    while !process.bed().are_faults_over() {
        let mut first = process.operation();
        let pause = first.random.between(Duration::ZERO, figures.rest);
        let others = how_many_together(&mut first.random) - 1;
        let mut operations = vec![first];
        operations.extend((0..others).map(|_| process.operation()));
        operations.retain(Operation::is_done);
        process.runtime.sleep(pause).await;
        if operations.is_empty() {
            continue;
        }
        match sessions.client().await {
            Ok(client) => {
                let mut deeds = Vec::new();
                for operation in operations {
                    dice.of_operation(operation.number, operation.random);
                    deeds.push(dice.deed(&mut memory));
                }
                let mark = |name| process.mark(name, "");
                together(&client, deeds, &mut memory, &mark).await;
                rights.observe(client.state(), &mark);
            }
            Err(error) => tracing::debug!(%error, "no session"),
        }
    }
    let payload = dice.payload();
    persevere(&sessions, |client| {
        last_word(&process, client, payload.clone())
    })
    .await;
    served.note(|served| {
        served.insert(Arc::clone(&process.name));
    });
}

/// What the client's server lets it do, as it was seen last.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Rights {
    /// Everything.
    #[default]
    All,
    /// It only reads.
    Reading,
}

impl Rights {
    /// Marks what has changed.
    fn observe(&mut self, state: SessionState, mark: &impl Fn(&'static str)) {
        match (*self, state) {
            (Rights::All, SessionState::ReadOnly) => {
                *self = Rights::Reading;
                mark("only-reads");
            }
            (Rights::Reading, SessionState::Connected) => {
                *self = Rights::All;
                mark("whole-again");
            }
            _ => {}
        }
    }
}

/// Writes something that nobody else touches and reads it back.
async fn last_word(
    process: &Process,
    client: Client<SimRuntime>,
    payload: String,
) -> Result<(), ClientError> {
    let path = format!("{DIRECTORY}/of-{}", process.name);
    client.ensure(&path).await?;
    client
        .set_data(&path, payload.as_bytes(), Version::Any)
        .await?;
    client.sync(&path).await?;
    let znode = client.get_data(&path).await?;
    if *znode.data != *payload.as_bytes() {
        process.violate(
            "W2 result",
            format!("{path} is {:?} after {payload:?} was written", znode.data),
        );
    }
    Ok(())
}
