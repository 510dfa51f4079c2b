//! A random mixture of everything that clients can do, on a few znodes that they all share: the
//! general-purpose load. What is right is judged from the wire.
//!
//! After the faults every client that is still there must write something and read it back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use althing_client::client::Client;
use althing_client::config::{ClientConfig, ReadOnlyServers, SaslUser};
use althing_client::error::ClientError;
use althing_client::runtime::Runtime;
use althing_client::sessions::Sessions;
use althing_client::state::SessionState;
use althing_client::znode::Version;

use crate::mix::Mix;
use crate::reference::sasl;
use crate::testbed::bed::{Bed, Process};
use crate::workload::board::{Board, debts, numbered};
use crate::workload::deeds::{DIRECTORY, Dice, Memory, how_many_together, lay_out, together};
use crate::workload::governor::Governed;
use crate::workload::persistence::{self, persevere};
use crate::workload::stranger;
use crate::workload::thief;
use crate::workload::warden::Guarded;
use crate::world::operation::Operation;
use crate::world::runtime::SimRuntime;

/// Who has written and read after the faults.
type Served = Board<BTreeSet<Arc<str>>>;

/// Plays the story.
pub async fn play(bed: &Bed, figures: Mix) {
    let names = numbered("client", figures.clients);
    let owed = debts(bed, &names, "writes and reads it back");
    let served = Served::new(BTreeSet::new());
    let governed = figures.wishes.map(|every| Governed::begin(bed, every.0));
    let (quotas, znodes) = (figures.quotas, u64::from(figures.znodes));
    let guarded = quotas.map(|every| Guarded::begin(bed, every.0, znodes));
    for (name, number) in names.iter().zip(0..) {
        let (figures, served) = (figures.clone(), served.clone());
        bed.process(name, move |process| {
            mix(process, number, figures.clone(), served.clone())
        });
    }
    if figures.proven > 0 {
        bed.process("stranger", stranger::guess);
    }
    if let Some(every) = figures.thief {
        bed.process("thief", move |process| thief::steal(process, every.0));
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

async fn mix(process: Process, number: u32, figures: Mix, served: Served) {
    let sessions = Sessions::new(process.runtime.clone(), config(&process, number, &figures));
    let znodes = u64::from(figures.znodes);
    let mut rights = Rights::default();
    let life = format!("{}.{}", process.name, process.life);
    let mut dice = Dice::new(process.random.clone(), znodes, life);
    dice.be_rare(figures.rare);
    let mut memory = Memory::default();
    persevere(&sessions, |client| lay_out(client, znodes)).await;
    while !process.bed().are_faults_over() {
        let mut first = process.operation();
        let pause = first.random.between(Duration::ZERO, figures.rest.0);
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

/// What the client is told at its start. Two clients that prove who they are may be the same user.
fn config(process: &Process, number: u32, figures: &Mix) -> ClientConfig {
    let config = persistence::config(process, figures.session.0);
    let config = config.read_only_servers(match number < figures.readers {
        true => ReadOnlyServers::Accepted,
        false => ReadOnlyServers::Refused,
    });
    match number < figures.proven {
        true => {
            let (name, password) = sasl::user(number);
            config.sasl(SaslUser::new(&name, &password))
        }
        false => config,
    }
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

/// Writes something that no other client touches and reads it back.
async fn last_word(
    process: &Process,
    client: Client<SimRuntime>,
    payload: String,
) -> Result<(), ClientError> {
    let path = format!("{DIRECTORY}/of-{}", process.name);
    loop {
        client.ensure(&path).await?;
        client
            .set_data(&path, payload.as_bytes(), Version::Any)
            .await?;
        client.sync(&path).await?;
        let znode = client.get_data(&path).await?;
        if *znode.data == *payload.as_bytes() {
            return Ok(());
        }
        if !process.bed().restores() {
            let what = format!("{path} is {:?} after {payload:?} was written", znode.data);
            process.violate("W2 result", what);
            return Ok(());
        }
    }
}
