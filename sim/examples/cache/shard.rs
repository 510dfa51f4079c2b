//! A shard: it registers, owns the slots for which it is preferred, and serves their keys from
//! memory. What it remembers of a slot is worth as much as its ownership: it begins with nothing,
//! and before it serves anything it looks whether the slot is still its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use althing_client::client::Client;
use althing_client::error::ClientError;
use althing_client::recipes::cached::cached::Cached;
use althing_client::recipes::election::Election;
use althing_client::recipes::hold::Hold;
use althing_client::sessions::Sessions;
use althing_client::watch;
use althing_client::znode::CreateMode;
use althing_core::code::Code;
use althing_core::ids::Zxid;

use crate::lines;
use crate::origin::Source;
use crate::slots::{OWNERS, SHARDS, SLOTS, owner_file, preferred, slot_of};
use crate::surroundings::Surroundings;

/// Whatever failed is tried again after this.
const REST: Duration = Duration::from_millis(300);

/// What becomes of what a shard knows of a slot that it loses?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// It forgets it.
    Cleared,
    /// The bug of this example: it is there again when the slot comes back.
    Kept,
}

/// A slot that is this shard's own.
struct Slot<R: Surroundings> {
    hold: Hold<R>,
    /// One request after the other, so that no read brings back what a write has replaced.
    kept: tokio::sync::Mutex<Kept>,
}

#[derive(Clone, Default)]
struct Kept {
    values: BTreeMap<String, u64>,
    writes: u64,
}

/// One shard.
pub struct Shard<R: Surroundings> {
    name: String,
    address: String,
    sessions: Sessions<R>,
    origin: Source<R>,
    memory: Memory,
    own: Mutex<BTreeMap<u32, Arc<Slot<R>>>>,
    lost: Mutex<BTreeMap<u32, BTreeMap<String, u64>>>,
}

impl<R: Surroundings> Shard<R> {
    /// A shard that others reach at `address`.
    pub fn new(
        name: &str,
        address: String,
        sessions: Sessions<R>,
        origin: Source<R>,
        memory: Memory,
    ) -> Arc<Shard<R>> {
        Arc::new(Shard {
            name: name.to_owned(),
            address,
            sessions,
            origin,
            memory,
            own: Mutex::default(),
            lost: Mutex::default(),
        })
    }

    /// Serves for ever.
    pub async fn run(self: Arc<Shard<R>>, listener: R::Listener) {
        let shard = Arc::clone(&self);
        self.sessions.runtime().spawn(shard.listen(listener));
        loop {
            if let Err(error) = self.belong().await {
                tracing::debug!(%error, "{} registers again", self.name);
            }
            self.sessions.runtime().sleep(REST).await;
        }
    }

    async fn listen(self: Arc<Shard<R>>, listener: R::Listener) {
        loop {
            let Ok(stream) = R::accept(&listener).await else {
                self.sessions.runtime().sleep(REST).await;
                continue;
            };
            let shard = Arc::clone(&self);
            self.sessions.runtime().spawn(async move {
                let answer = |question: String| {
                    let shard = Arc::clone(&shard);
                    async move { shard.answer(&question).await }
                };
                // Who asked has left, and asks again if it matters.
                let _left = lines::answer(stream, answer).await;
            });
        }
    }

    /// Is one of the shards, for one session.
    async fn belong(self: &Arc<Shard<R>>) -> Result<(), ClientError> {
        let client = self.sessions.client().await?;
        client.ensure(SHARDS).await?;
        client.ensure(OWNERS).await?;
        self.register(&client).await?;
        let wanted = Arc::new(watch::Sender::new(BTreeSet::new()));
        for slot in 0..SLOTS {
            let (shard, client) = (Arc::clone(self), client.clone());
            let wanted = wanted.subscribe();
            self.sessions
                .runtime()
                .spawn(shard.tend(client, slot, wanted));
        }
        let mut shards = Cached::children(&self.sessions, SHARDS).await?;
        loop {
            let there = shards.current();
            let names = || {
                there
                    .iter()
                    .flat_map(|there| &there.names)
                    .map(|name| &**name)
            };
            let mine = |slot: &u32| preferred(*slot, names()) == Some(&*self.name);
            wanted.send_replace((0..SLOTS).filter(mine).collect());
            tokio::select! {
                biased;
                () = ended(&client) => return Err(ClientError::SessionExpired),
                changed = shards.changed() => drop(changed?),
            }
        }
    }

    async fn register(&self, client: &Client<R>) -> Result<(), ClientError> {
        let here = format!("{SHARDS}/{}", self.name);
        loop {
            match client.create(&here, "", CreateMode::Ephemeral).await {
                // Left by an earlier life, whose session has still to end.
                Err(ClientError::Server(Code::NodeExists)) => {
                    let (stat, gone) = client.watch_exists(&here).await?;
                    match stat {
                        Some(stat) if stat.ephemeral_owner == client.session().0 => return Ok(()),
                        Some(_) => drop(gone.await?),
                        None => {}
                    }
                }
                other => return other.map(drop),
            }
        }
    }

    /// Owns one slot whenever that is wanted, until the session ends.
    async fn tend(
        self: Arc<Shard<R>>,
        client: Client<R>,
        slot: u32,
        mut wanted: watch::Receiver<BTreeSet<u32>>,
    ) {
        while !client.state().is_final() {
            if wanted
                .wait_for(|slots| slots.contains(&slot))
                .await
                .is_err()
            {
                return;
            }
            let unwanted = async {
                // Also when the session is over, and nobody wants anything any more.
                let _ended = wanted.wait_for(|slots| !slots.contains(&slot)).await;
            };
            tokio::select! {
                biased;
                outcome = self.own(&client, slot) => {
                    if outcome.is_err() {
                        self.sessions.runtime().sleep(REST).await;
                    }
                }
                () = unwanted => {}
            }
            self.lose(slot);
        }
    }

    async fn own(&self, client: &Client<R>, slot: u32) -> Result<(), ClientError> {
        let election = Election::new(client, &owner_file(slot))?;
        let hold = election.lead(self.address.as_str()).await?;
        // Nothing is served before what earlier owners have on its way is shut out.
        while self.origin.fence(slot, hold.token()).await.is_err() {
            if !hold.is_safe() {
                return hold.release().await;
            }
            self.sessions.runtime().sleep(REST).await;
        }
        let mut kept = Kept::default();
        if self.memory == Memory::Kept {
            let mut lost = self.lost.lock().expect(UNBROKEN);
            kept.values = lost.remove(&slot).unwrap_or_default();
        }
        let kept = tokio::sync::Mutex::new(kept);
        let own = Arc::new(Slot { hold, kept });
        self.slots().insert(slot, Arc::clone(&own));
        own.hold.lost().await;
        Ok(())
    }

    /// The slot is not its own any more. The last request that uses it gives the ownership up.
    fn lose(&self, slot: u32) {
        let lost = self.slots().remove(&slot);
        if let (Memory::Kept, Some(lost)) = (self.memory, lost)
            && let Ok(kept) = lost.kept.try_lock()
        {
            let mut attic = self.lost.lock().expect(UNBROKEN);
            attic.insert(slot, kept.values.clone());
        }
    }

    /// `get TOKEN KEY` or `put TOKEN KEY VALUE`, the token being that of the owner who is meant.
    async fn answer(&self, question: &str) -> String {
        let words: Vec<&str> = question.split(' ').collect();
        let answered = match words.as_slice() {
            ["get", token, key] => self.get(token, key).await.map(|value| value.to_string()),
            ["put", token, key, value] => match value.parse() {
                Ok(value) => self.put(token, key, value).await.map(|()| "ok".to_owned()),
                Err(_) => None,
            },
            _ => None,
        };
        answered.unwrap_or_else(|| "moved".to_owned())
    }

    async fn get(&self, token: &str, key: &str) -> Option<u64> {
        let slot = self.slot(token, key)?;
        let mut kept = slot.kept.lock().await;
        let value = match kept.values.get(key) {
            Some(value) => *value,
            None => {
                let value = self.origin.read(key).await.ok()?;
                kept.values.insert(key.to_owned(), value);
                value
            }
        };
        // Looked at last: what was read before was so while the slot was this shard's.
        slot.hold.is_safe().then_some(value)
    }

    async fn put(&self, token: &str, key: &str, value: u64) -> Option<()> {
        let slot = self.slot(token, key)?;
        let mut kept = slot.kept.lock().await;
        // Until the origin has answered nobody knows which value is right.
        kept.values.remove(key);
        kept.writes += 1;
        let stamp = (slot.hold.token(), kept.writes);
        self.origin
            .write(slot_of(key), stamp, key, value)
            .await
            .ok()?;
        kept.values.insert(key.to_owned(), value);
        Some(())
    }

    fn slot(&self, token: &str, key: &str) -> Option<Arc<Slot<R>>> {
        let token = Zxid(token.parse().ok()?);
        let slot = self.slots().get(&slot_of(key)).cloned()?;
        (slot.hold.token() == token && slot.hold.is_safe()).then_some(slot)
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<Slot<R>>>> {
        self.own.lock().expect(UNBROKEN)
    }
}

const UNBROKEN: &str = "no panic while the slots are looked at";

/// Ends with the client's session.
async fn ended<R: Surroundings>(client: &Client<R>) {
    let mut states = client.states();
    while states.next().await.is_some_and(|state| !state.is_final()) {}
}
