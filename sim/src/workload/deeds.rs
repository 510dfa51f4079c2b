//! What the clients of a random mixture do: each deed drawn, done, and remembered. They need
//! nothing of the simulated world, so that real processes are driven by the same mixture.

use std::collections::VecDeque;
use std::time::Duration;

use althing_client::client::Client;
use althing_client::error::{ClientError, MultiError};
use althing_client::persistent::PersistentWatcher;
use althing_client::runtime::Runtime;
use althing_client::transaction::Transaction;
use althing_client::watcher::Watcher;
use althing_client::znode::{CreateMode, Version};
use althing_core::code::Code;
use althing_core::tree::acl::{Acl, Perms};

use crate::random::Stream;
use crate::workload::rare::{self, Rare};

/// Below it lies everything that the mixture touches.
pub const DIRECTORY: &str = "/mix";

/// Children of one of the shared znodes, at most; besides the sequential ones.
const CHILDREN: u64 = 3;

/// Requests that are sent together at most.
pub const BURST_MAX: u64 = 4;

/// Watches that a client waits for at most; the oldest is forgotten.
const WATCHES_MAX: usize = 32;

/// Watches that stay which a client keeps at most; the oldest is forgotten.
const STAYING_MAX: usize = 4;

/// Sequential znodes that one life of a client leaves behind at most.
const LEFT_MAX: usize = 12;

/// Creates the shared znodes that are not there, so that the mixture begins with something to read.
///
/// # Errors
/// What the client says; it is right to try again.
pub async fn lay_out<R: Runtime>(client: Client<R>, znodes: u64) -> Result<(), ClientError> {
    for znode in 0..znodes {
        client.ensure(&format!("{DIRECTORY}/z-{znode}")).await?;
    }
    Ok(())
}

/// What a client remembers between two requests.
#[derive(Default)]
pub struct Memory {
    watches: VecDeque<Watcher>,
    /// Those that stay.
    staying: VecDeque<PersistentWatcher>,
    /// Sequential znodes of its own that stay.
    left: VecDeque<String>,
}

/// How many requests are sent together.
pub fn how_many_together(random: &mut Stream) -> u64 {
    match random.chance(0.3) {
        true => 2 + random.below(BURST_MAX - 1),
        false => 1,
    }
}

/// Several requests at once, drawn one after another.
pub async fn burst<R: Runtime>(
    client: &Client<R>,
    dice: &mut Dice,
    memory: &mut Memory,
    mark: &impl Fn(&'static str),
) {
    let deeds = (0..how_many_together(&mut dice.random))
        .map(|_| dice.deed(memory))
        .collect();
    together(client, deeds, memory, mark).await;
}

/// Does these deeds, [`BURST_MAX`] at most, at once, so that the connection's order is tried.
/// `mark` hears of what a story may count.
pub async fn together<R: Runtime>(
    client: &Client<R>,
    deeds: Vec<Deed>,
    memory: &mut Memory,
    mark: &impl Fn(&'static str),
) {
    let mut deeds = deeds.into_iter();
    let mut next = || perform(client, deeds.next(), mark);
    let (first, second, third, fourth) = (next(), next(), next(), next());
    let (first, second, third, fourth) = tokio::join!(first, second, third, fourth);
    for trace in [first, second, third, fourth] {
        match trace {
            Ok(Trace::Nothing) => {}
            Ok(Trace::Watch(watcher)) => memory.watches.push_back(watcher),
            Ok(Trace::Stays(watcher)) => memory.staying.push_back(watcher),
            Ok(Trace::Left(path)) => memory.left.push_back(path),
            Err(ClientError::SessionExpired) => mark("session-lost"),
            Err(ClientError::Server(Code::NotReadOnly)) => mark("write-refused"),
            // What a server refuses is part of the mixture, and the wire's checkers judge it.
            Err(_) => {}
        }
    }
    while memory.watches.len() > WATCHES_MAX {
        memory.watches.pop_front();
    }
    while memory.staying.len() > STAYING_MAX {
        memory.staying.pop_front();
    }
}

/// One request, with everything that it says.
pub enum Deed {
    Get(String),
    Exists(String),
    List(String),
    GetAcl(String),
    WatchData(String),
    WatchExists(String),
    WatchChildren(String),
    Create(String, String, CreateMode),
    CreateWithAcl(String, String, Acl),
    Set(String, String, Version),
    Delete(String, Version),
    SetAcl(String, Acl, Version),
    Multi(Transaction),
    Sync(String),
    AddAuth(String),
    Close,
    Rare(Rare),
}

/// What a deed leaves behind at its client.
enum Trace {
    Nothing,
    Watch(Watcher),
    Stays(PersistentWatcher),
    Left(String),
}

async fn perform<R: Runtime>(
    client: &Client<R>,
    deed: Option<Deed>,
    mark: &impl Fn(&'static str),
) -> Result<Trace, ClientError> {
    let Some(deed) = deed else {
        return Ok(Trace::Nothing);
    };
    match deed {
        Deed::Get(path) => drop(client.get_data(&path).await?),
        Deed::Exists(path) => drop(client.exists(&path).await?),
        Deed::List(path) => drop(client.children(&path).await?),
        Deed::GetAcl(path) => drop(client.get_acl(&path).await?),
        Deed::WatchData(path) => return Ok(Trace::Watch(client.watch_data(&path).await?.1)),
        Deed::WatchExists(path) => return Ok(Trace::Watch(client.watch_exists(&path).await?.1)),
        Deed::WatchChildren(path) => {
            return Ok(Trace::Watch(client.watch_children(&path).await?.1));
        }
        Deed::Create(path, payload, mode) => {
            let created = client.create(&path, payload.into_bytes(), mode).await?;
            if mode == CreateMode::PersistentSequential {
                return Ok(Trace::Left(created.path.as_str().to_owned()));
            }
        }
        Deed::CreateWithAcl(path, payload, acl) => {
            let mode = CreateMode::Persistent;
            drop(
                client
                    .create_with_acl(&path, payload.into_bytes(), mode, acl)
                    .await?,
            );
        }
        Deed::Set(path, payload, version) => {
            client
                .set_data(&path, payload.into_bytes(), version)
                .await?;
        }
        Deed::Delete(path, version) => client.delete(&path, version).await?,
        Deed::SetAcl(path, acl, version) => {
            client.set_acl(&path, acl, version).await?;
        }
        Deed::Multi(transaction) => match client.multi(transaction).await {
            Ok(_) => mark("multi-done"),
            Err(MultiError::Refused { code, .. }) => return Err(ClientError::Server(code)),
            Err(MultiError::Client(error)) => return Err(error),
        },
        Deed::Sync(path) => client.sync(&path).await?,
        Deed::AddAuth(credential) => client.add_auth("digest", credential.into_bytes()).await?,
        Deed::Close => client.close().await?,
        Deed::Rare(rare) => {
            let left = rare::perform(client, rare).await?;
            return Ok(left.map_or(Trace::Nothing, Trace::Stays));
        }
    }
    Ok(Trace::Nothing)
}

/// Draws what is done next.
pub struct Dice {
    pub(super) random: Stream,
    znodes: u64,
    life: String,
    operation: Option<u32>,
    payloads: u64,
    rare: u32,
}

impl Dice {
    /// Draws from `random`, for one `life` of a client among those that share `znodes`.
    pub fn new(random: Stream, znodes: u64, life: String) -> Dice {
        Dice {
            random,
            znodes,
            life,
            operation: None,
            payloads: 0,
            rare: 0,
        }
    }

    /// From here on so many of a hundred requests are of the rarer kinds.
    pub fn be_rare(&mut self, rare: u32) {
        self.rare = rare;
    }

    /// The dice of one operation of a client: they show the same whatever was thrown before.
    pub fn of_operation(&mut self, number: u32, random: Stream) {
        self.random = random;
        self.operation = Some(number);
        self.payloads = 0;
    }

    /// What is done next: one of the znodes of its own that stay is deleted if there are too many,
    /// and everything else is drawn.
    pub fn deed(&mut self, memory: &mut Memory) -> Deed {
        match memory.left.len() > LEFT_MAX {
            true => {
                let oldest = memory.left.pop_front().expect("more than none");
                Deed::Delete(oldest, Version::Any)
            }
            // Nothing is drawn where there is nothing rare: older plans mean what they meant.
            false if self.rare > 0 && self.random.below(100) < u64::from(self.rare) => {
                Deed::Rare(self.rare_deed())
            }
            false => self.any_deed(),
        }
    }

    /// A rest of this length at most.
    pub fn pause(&mut self, most: Duration) -> Duration {
        self.random.between(Duration::ZERO, most)
    }

    /// Something that nobody else writes, ever.
    pub fn payload(&mut self) -> String {
        self.payloads += 1;
        match self.operation {
            Some(number) => format!("{}.{number}.{}", self.life, self.payloads),
            None => format!("{}.{}", self.life, self.payloads),
        }
    }

    /// One of the shared znodes, or a child of one.
    pub(super) fn path(&mut self) -> String {
        let znode = self.random.below(self.znodes);
        match self.random.chance(0.3) {
            true => {
                let child = self.random.below(CHILDREN);
                format!("{DIRECTORY}/z-{znode}/c-{child}")
            }
            false => format!("{DIRECTORY}/z-{znode}"),
        }
    }

    /// A place for a znode whose name the server completes.
    pub(super) fn prefix(&mut self) -> String {
        match self.random.chance(0.5) {
            true => format!("{DIRECTORY}/s-"),
            false => format!("{}/s-", self.path()),
        }
    }

    pub(super) fn version(&mut self) -> Version {
        match self.random.below(4) {
            0 => Version::Exactly(0),
            1 => Version::Exactly(self.random.below(6) as i32),
            _ => Version::Any,
        }
    }

    fn acl(&mut self) -> Acl {
        match self.random.below(6) {
            0 => Acl::read_only(),
            1 => Acl::of(Perms::ALL, "auth", ""),
            2 => Acl::of(Perms::ALL, "ip", "10.0.0.0/8"),
            3 => Acl::of(Perms::READ | Perms::ADMIN, "world", "anyone"),
            _ => Acl::open(),
        }
    }

    fn mode(&mut self) -> CreateMode {
        match self.random.below(3) {
            0 => CreateMode::Ephemeral,
            _ => CreateMode::Persistent,
        }
    }

    fn any_deed(&mut self) -> Deed {
        match self.random.below(1000) {
            0..120 => Deed::Get(self.path()),
            120..180 => Deed::Exists(self.path()),
            180..240 => Deed::List(self.listed()),
            240..260 => Deed::GetAcl(self.path()),
            260..330 => Deed::WatchData(self.path()),
            330..380 => Deed::WatchExists(self.path()),
            380..430 => Deed::WatchChildren(self.listed()),
            430..570 => Deed::Create(self.path(), self.payload(), self.mode()),
            570..590 => Deed::CreateWithAcl(self.path(), self.payload(), self.acl()),
            590..620 => {
                let mode = CreateMode::PersistentSequential;
                Deed::Create(self.prefix(), self.payload(), mode)
            }
            620..650 => {
                let mode = CreateMode::EphemeralSequential;
                Deed::Create(self.prefix(), self.payload(), mode)
            }
            650..790 => Deed::Set(self.path(), self.payload(), self.version()),
            790..860 => Deed::Delete(self.path(), self.version()),
            860..885 => Deed::SetAcl(self.path(), self.acl(), self.version()),
            885..945 => Deed::Multi(self.transaction()),
            945..980 => Deed::Sync(self.path()),
            980..992 => Deed::AddAuth(format!("{}:secret", self.life)),
            _ => Deed::Close,
        }
    }

    /// A znode whose children are listed.
    pub(super) fn listed(&mut self) -> String {
        match self.random.chance(0.4) {
            true => DIRECTORY.to_owned(),
            false => self.path(),
        }
    }

    /// Half of them are likely to be done, half of them to fail somewhere.
    fn transaction(&mut self) -> Transaction {
        let likely = self.random.chance(0.5);
        let mut transaction = Transaction::new();
        for _ in 0..1 + self.random.below(4) {
            transaction = match likely {
                true => self.likely_change(transaction),
                false => self.any_change(transaction),
            };
        }
        transaction
    }

    fn likely_change(&mut self, transaction: Transaction) -> Transaction {
        let path = format!("{DIRECTORY}/z-{}", self.random.below(self.znodes));
        let payload = self.payload().into_bytes();
        match self.random.below(5) {
            0 => transaction.check(&path, Version::Any),
            1 => {
                let prefix = format!("{DIRECTORY}/s-");
                transaction.create(&prefix, payload, CreateMode::EphemeralSequential)
            }
            _ => transaction.set_data(&path, payload, Version::Any),
        }
    }

    fn any_change(&mut self, transaction: Transaction) -> Transaction {
        let path = self.path();
        let payload = self.payload().into_bytes();
        match self.random.below(6) {
            0 => transaction.create(&path, payload, self.mode()),
            1 => transaction.delete(&path, self.version()),
            2 => transaction.check(&path, self.version()),
            3 => transaction.create(&self.prefix(), payload, CreateMode::EphemeralSequential),
            _ => transaction.set_data(&path, payload, self.version()),
        }
    }
}
