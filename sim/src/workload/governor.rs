//! A governor changes the members by ZooKeeper's `reconfig`, beside whatever other clients do.
//!
//! It mostly asks as the super user, adds, moves and removes servers or lists them all, with groups
//! and weights or without, sometimes from a version of the configuration that is over. After the
//! faults it wishes that all servers vote, until that is so. What is right is judged from the wire,
//! and by its own eyes: a configuration that it was granted is what it reads next, unless a newer
//! one is.

use std::sync::Arc;
use std::time::Duration;

use althing_client::client::Client;
use althing_client::error::ClientError;
use althing_client::members::Reconfiguration;
use althing_client::znode::Znode;
use althing_core::ids::Zxid;

use crate::random::Stream;
use crate::reference::access::SUPER_CREDENTIAL;
use crate::testbed::bed::{Bed, CLIENT_PORT, Process};
use crate::workload::board::{Board, Debt, debts};
use crate::workload::persistence::{SESSION, next_round, persevere, sessions};
use crate::world::house::{ELECTION_PORT, PEER_PORT};
use crate::world::runtime::SimRuntime;

/// How many of its wishes it utters as somebody who may not.
const AS_NOBODY: f64 = 0.1;

/// How many of its wishes are uttered from the version that it has read, and from another.
const FROM_KNOWN: f64 = 0.4;
const FROM_OUTDATED: f64 = 0.1;

/// Into how many groups it puts voters, and what one weighs at most.
const GROUPS: u8 = 3;
const WEIGHT_MAX: u64 = 3;

/// The name of the rule that it checks.
const OWN_WISH: &str = "R3 own writes";

/// The governor's reign.
pub struct Governed {
    done: Board<bool>,
    owed: Vec<Debt>,
}

impl Governed {
    /// Begins it.
    pub fn begin(bed: &Bed, every: Duration) -> Governed {
        let name = [Arc::from("governor")];
        let done = Board::new(false);
        let owed = debts(bed, &name, "has all servers vote");
        let of_governor = done.clone();
        bed.process("governor", move |process| {
            govern(process, every, of_governor.clone())
        });
        Governed { done, owed }
    }

    /// Ends when its last wish is granted.
    pub async fn end(self, bed: &Bed) {
        self.done.until_paid(bed, self.owed, |done, _| *done).await;
    }
}

async fn govern(process: Process, every: Duration, done: Board<bool>) {
    let sessions = sessions(&process, SESSION);
    let servers = u8::try_from(process.bed().servers().len()).expect("few servers");
    while let Some((client, mut random)) = next_round(&process, &sessions, every).await {
        let outcome = match client {
            Ok(client) => utter(&process, &client, &mut random, servers).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => process.mark("wish-granted", ""),
            Err(ClientError::Server(code)) => process.mark("wish-refused", code.name()),
            Err(error) => tracing::debug!(%error, "a wish in doubt"),
        }
    }
    persevere(&sessions, |client| let_all_vote(&process, client, servers)).await;
    done.note(|done| *done = true);
}

/// The last wish: whoever is missing learns first, since a majority must have what there is.
async fn let_all_vote(
    process: &Process,
    client: Client<SimRuntime>,
    servers: u8,
) -> Result<(), ClientError> {
    client.add_auth("digest", SUPER_CREDENTIAL).await?;
    let config = client.config().await?;
    let text = String::from_utf8_lossy(&config.data).into_owned();
    let missing = (1..=servers).filter(|id| !text.contains(&format!("server.{id}=")));
    let missing: Vec<String> = missing.map(|id| line(id, "observer")).collect();
    if !missing.is_empty() {
        // Where there are groups, only a whole list is taken.
        let learning = match text.contains("group.") {
            true => Reconfiguration::to(&format!("{}\n{text}", missing.join("\n"))),
            false => Reconfiguration::changing(&missing.join(","), ""),
        };
        ask(process, &client, learning).await?;
    }
    let all: Vec<String> = (1..=servers).map(|id| line(id, "participant")).collect();
    ask(process, &client, Reconfiguration::to(&all.join(","))).await
}

fn line(id: u8, role: &str) -> String {
    format!("server.{id}=server-{id}:{PEER_PORT}:{ELECTION_PORT}:{role};{CLIENT_PORT}")
}

/// One wish, drawn.
async fn utter(
    process: &Process,
    client: &Client<SimRuntime>,
    random: &mut Stream,
    servers: u8,
) -> Result<(), ClientError> {
    let as_nobody = random.chance(AS_NOBODY);
    let drawn = draw(random, servers);
    let from = (random.chance(FROM_OUTDATED), random.chance(FROM_KNOWN));
    // Whoever has authenticated in a session stays so: a new one for each wish would say little
    // about sessions that are old.
    if !as_nobody {
        client.add_auth("digest", SUPER_CREDENTIAL).await?;
    }
    let wanted = match from {
        (true, _) => drawn.only_from(Zxid(1)),
        (_, true) => drawn.only_from(version(&client.config().await?)),
        _ => drawn,
    };
    ask(process, client, wanted).await
}

fn draw(random: &mut Stream, servers: u8) -> Reconfiguration {
    let id = 1 + random.index(usize::from(servers)) as u8;
    match random.below(5) {
        0 => Reconfiguration::changing("", &id.to_string()),
        1 => Reconfiguration::changing(&line(id, "participant"), ""),
        2 => Reconfiguration::changing(&line(id, "observer"), ""),
        3 => Reconfiguration::to(&all(random, servers, id).join(",")),
        _ => {
            let mut lines = all(random, servers, id);
            let votes = |id: &u8| lines.contains(&line(*id, "participant"));
            let voters: Vec<u8> = (1..=servers).filter(votes).collect();
            for group in 0..GROUPS {
                let within = voters.iter().filter(|id| **id % GROUPS == group);
                let within: Vec<String> = within.map(ToString::to_string).collect();
                if !within.is_empty() {
                    lines.push(format!("group.{group}={}", within.join(":")));
                }
            }
            // The heaviest may weigh as much as all others of its group.
            let weighs = |id: u8| format!("weight.{id}={}", random.below(WEIGHT_MAX + 1));
            lines.extend(voters.into_iter().map(weighs));
            Reconfiguration::to(&lines.join("\n"))
        }
    }
}

/// Some do not vote, or are left out: a majority of all votes in any case.
fn all(random: &mut Stream, servers: u8, id: u8) -> Vec<String> {
    let spared = servers / 2 + 1;
    let role = |other: u8| match (other + id) % servers < spared {
        true => Some("participant"),
        false => random.chance(0.5).then_some("observer"),
    };
    let roles: Vec<Option<&str>> = (0..servers).map(role).collect();
    let all = (1..=servers).zip(roles);
    all.filter_map(|(id, role)| role.map(|role| line(id, role)))
        .collect()
}

/// The version that a configuration's text tells; none if it tells none.
fn version(config: &Znode) -> Zxid {
    let text = String::from_utf8_lossy(&config.data);
    let digits = text.rsplit_once("version=").map(|(_, digits)| digits);
    let version = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    Zxid(version.unwrap_or(0))
}

async fn ask(
    process: &Process,
    client: &Client<SimRuntime>,
    wanted: Reconfiguration,
) -> Result<(), ClientError> {
    let granted = client.reconfigure(wanted).await?;
    let read = client.config().await?;
    let (is, was) = (version(&read), version(&granted));
    if is < was || (is == was && read.data != granted.data) || was != granted.stat.mzxid {
        let (is, was) = (&read.data, &granted.data);
        process.violate(OWN_WISH, format!("reads {is:?} after {was:?}"));
    }
    Ok(())
}
