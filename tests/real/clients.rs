//! The clients of a real ensemble: the simulator's mixture of everything, each client on a thread
//! of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use althing_client::client::Client;
use althing_client::config::ClientConfig;
use althing_client::error::ClientError;
use althing_client::runtime::Runtime;
use althing_client::sessions::Sessions;
use althing_client::znode::Version;
use althing_sim::random::Stream;
use althing_sim::workload::deeds::{DIRECTORY, Dice, Memory, burst, lay_out};

use crate::process::PATIENCE;
use crate::real::network::move_into;
use crate::real::witness::{Watched, Witness};

/// How long a client rests between two bursts, at most.
const REST: Duration = Duration::from_millis(20);

/// How many znodes they share.
const ZNODES: u64 = 12;

/// How many of a hundred requests are of the rarer kinds.
const RARE: u32 = 20;

/// The session time-out: short enough to expire in a long pause.
const SESSION: Duration = Duration::from_secs(3);

/// The pause before a deed is tried again.
const AGAIN: Duration = Duration::from_millis(20);

/// How long a session may take to come about, before the client looks whether it is over.
const CONNECT: Duration = Duration::from_secs(5);

/// One client.
#[derive(Clone, Debug)]
pub struct Player {
    /// Its name.
    pub name: String,
    /// The servers that it knows, `host:port`.
    pub servers: Vec<String>,
    /// Where it lives, if not where the test does.
    pub namespace: Option<String>,
}

/// Clients at work.
pub struct Crowd {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// Sets them to work. What they draw is a function of the seed and of their names.
    pub fn start(players: Vec<Player>, seed: u64, witness: &Witness) -> Crowd {
        let over = Arc::new(AtomicBool::new(false));
        let threads = players.into_iter().map(|player| {
            let (witness, over) = (witness.clone(), over.clone());
            let named = thread::Builder::new().name(player.name.clone());
            let spawned = named.spawn(move || {
                if let Some(namespace) = &player.namespace {
                    move_into(namespace);
                }
                here(play(player, seed, witness, over));
            });
            spawned.expect("a thread")
        });
        let threads = threads.collect();
        Crowd { over, threads }
    }

    /// The faults are over: every client writes something and reads it back. Waits for all.
    ///
    /// # Errors
    /// The names of those that did not come to it.
    pub fn finish(self) -> Result<(), String> {
        self.over.store(true, Ordering::SeqCst);
        let named = |thread: &JoinHandle<()>| thread.thread().name().unwrap_or("?").to_owned();
        let mut failed = Vec::new();
        for thread in self.threads {
            let name = named(&thread);
            if thread.join().is_err() {
                failed.push(name);
            }
        }
        match failed.is_empty() {
            true => Ok(()),
            false => Err(failed.join(", ")),
        }
    }
}

/// Runs a future with a runtime of this thread's own, so that its sockets are where the thread is.
pub fn here<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

/// What configures every client.
pub fn config(servers: &[String]) -> ClientConfig {
    let config = ClientConfig::new(servers.iter().cloned());
    config.session_timeout(SESSION).connect_patience(CONNECT)
}

async fn play(player: Player, seed: u64, witness: Witness, over: Arc<AtomicBool>) {
    let runtime = witness.runtime(&player.name);
    let sessions = Sessions::new(runtime.clone(), config(&player.servers));
    let random = Stream::named(seed, &format!("client.{}", player.name));
    let mut dice = Dice::new(random, ZNODES, player.name.clone());
    dice.be_rare(RARE);
    let mut memory = Memory::default();
    let is_over = || over.load(Ordering::SeqCst);
    while !is_over() {
        match sessions.client().await {
            Ok(client) if lay_out(client.clone(), ZNODES).await.is_ok() => break,
            _ => runtime.sleep(AGAIN).await,
        }
    }
    while !is_over() {
        runtime.sleep(dice.pause(REST)).await;
        match sessions.client().await {
            Ok(client) => burst(&client, &mut dice, &mut memory, &|_| {}).await,
            // It asks again; the reasons are faults, and what a server says wrongly is on the wire.
            Err(_) => runtime.sleep(AGAIN).await,
        }
    }
    let payload = dice.payload();
    let last_word = async {
        loop {
            let read = async {
                let client = sessions.client().await?;
                last_word(&client, &player.name, &payload).await
            };
            match read.await {
                Ok(read) => return read,
                Err(_) => runtime.sleep(AGAIN).await,
            }
        }
    };
    let read = tokio::time::timeout(PATIENCE, last_word).await;
    let read = read.expect("when nothing disturbs it the service serves");
    if read != payload.as_bytes() {
        let name = &player.name;
        let detail = format!("{name} wrote {payload:?} and read {read:?}");
        witness.violate("R3 own writes", detail);
    }
}

/// Writes something that nobody else touches and reads it back.
async fn last_word(
    client: &Client<Watched>,
    name: &str,
    payload: &str,
) -> Result<Vec<u8>, ClientError> {
    let path = format!("{DIRECTORY}/of-{name}");
    client.ensure(&path).await?;
    client
        .set_data(&path, payload.as_bytes(), Version::Any)
        .await?;
    client.sync(&path).await?;
    Ok(client.get_data(&path).await?.data.to_vec())
}

/// Reads everything that there is, through one server: for the checkers, which compare it.
///
/// # Panics
/// If the server does not serve.
pub fn read_everything(name: &str, server: String, witness: &Witness) {
    let runtime = witness.runtime(name);
    let reading = async {
        let sessions = Sessions::new(runtime.clone(), config(&[server]));
        loop {
            let read = async {
                let client = sessions.client().await?;
                client.sync("/").await?;
                walk(&client, DIRECTORY.to_owned()).await?;
                client.close().await
            };
            match read.await {
                Ok(()) => return,
                Err(_) => runtime.sleep(AGAIN).await,
            }
        }
    };
    let read = here(async { tokio::time::timeout(PATIENCE, reading).await });
    read.unwrap_or_else(|_| panic!("{name} cannot read"));
}

async fn walk(client: &Client<Watched>, top: String) -> Result<(), ClientError> {
    let mut waiting = vec![top];
    while let Some(path) = waiting.pop() {
        // Some may not be read by everybody, and some are gone when they are asked for: both are
        // answers, which the checkers judge.
        match client.get_data(&path).await {
            Ok(_) | Err(ClientError::Server(_)) => {}
            Err(error) => return Err(error),
        }
        match client.children(&path).await {
            Ok(children) => {
                let below = children.names.iter().map(|name| format!("{path}/{name}"));
                waiting.extend(below);
            }
            Err(ClientError::Server(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
