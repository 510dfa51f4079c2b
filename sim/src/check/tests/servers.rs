//! The servers of the small service: nodes as plain values, between which messages travel in order,
//! and whose disks are lists of records.

use std::collections::VecDeque;
use std::time::Duration;

use althing::witness::{self, Witness};
use althing_core::config::Config;
use althing_core::ids::{DirectoryId, ServerId, Ticket};
use althing_core::node::effect::{Effect, Outbox};
use althing_core::node::input::{Input, Timer};
use althing_core::node::node::{Node, Recovered};
use althing_core::prng::Seed;
use althing_core::quorum::log::{Ballot, Record};
use althing_core::quorum::message::{Extent, Message};
use althing_core::store::store::Store;
use althing_core::store::txn::Entry;
use althing_core::time::{Instant, Now, WallTime};

use crate::check::tests::service::{Coming, Disk, Service, Way};
use crate::history::{LinkId, What};

/// One server.
pub struct Server {
    pub id: ServerId,
    pub node: Option<Node>,
    pub life: u32,
    directory: DirectoryId,
    ballot: Ballot,
    snapshot: Store,
    /// What is durable after the snapshot.
    entries: Vec<Entry>,
    saving: VecDeque<(Ticket, Record)>,
    witness: Witness,
}

impl Server {
    pub fn new(id: u8) -> Server {
        let id = ServerId(id);
        Server {
            id,
            node: None,
            life: 0,
            directory: DirectoryId(u128::from(id.0)),
            ballot: Ballot::default(),
            snapshot: Store::new(),
            entries: Vec::new(),
            saving: VecDeque::new(),
            witness: Witness::default(),
        }
    }

    fn keep(&mut self, record: Record) {
        match record {
            Record::Ballot(newer) => self.ballot = newer,
            Record::Entry(entry) => self.entries.push(entry),
            Record::Cut(after) => self.entries.retain(|entry| entry.zxid <= after),
        }
    }
}

impl Service {
    /// The timer that is due first, with its hour and whose it is.
    pub fn armed(&self) -> Option<(Duration, usize, Timer)> {
        let servers = self.servers.iter().enumerate();
        let armed = servers.flat_map(|(server, known)| {
            let timers = known.node.iter().flat_map(|node| node.armed());
            timers.map(move |(at, timer)| (at, server, timer))
        });
        let (at, server, timer) = armed.min()?;
        Some((Duration::from_nanos(at.0).max(self.now), server, timer))
    }

    fn life(&self, server: usize) -> (usize, u32) {
        (server, self.servers[server].life)
    }

    pub fn power_loss(&mut self, server: usize, disk: Disk) {
        if self.servers[server].node.take().is_none() {
            return;
        }
        let id = self.servers[server].id;
        self.record(What::Killed { server: id });
        // What was not durable survives up to some point.
        let survive = self.below(self.servers[server].saving.len() as u32 + 1) as usize;
        let known = &mut self.servers[server];
        let survivors: Vec<_> = known.saving.drain(..).take(survive).collect();
        survivors
            .into_iter()
            .for_each(|(_, record)| known.keep(record));
        if disk == Disk::Lost {
            let directory = DirectoryId(known.directory.0 + (1 << 64));
            *known = Server {
                directory,
                life: known.life,
                ..Server::new(id.0)
            };
        }
        let of_server = |(_, host): &(&LinkId, &usize)| **host == server;
        let hosted: Vec<LinkId> = self
            .hosts
            .iter()
            .filter(of_server)
            .map(|(link, _)| *link)
            .collect();
        self.dead.extend(&hosted);
        hosted.into_iter().for_each(|link| self.end(link));
        for other in self.others(server) {
            self.step(other, Input::PeerLost(id));
        }
        let down = Duration::from_millis(u64::from(100 + self.below(3000)));
        self.schedule(down, Coming::Start(server));
    }

    /// The other servers that run.
    fn others(&self, server: usize) -> Vec<usize> {
        let runs = |other: &usize| *other != server && self.servers[*other].node.is_some();
        (0..self.servers.len()).filter(runs).collect()
    }

    pub fn start(&mut self, server: usize) {
        let voters = self.servers.iter().map(|server| server.id).collect();
        let known = &mut self.servers[server];
        known.life += 1;
        let (id, life) = (known.id, known.life);
        known.witness = Witness::default();
        let base = known.snapshot.applied();
        known.entries.retain(|entry| entry.zxid > base);
        let recovered = Recovered {
            directory: known.directory,
            ballot: known.ballot,
            store: known.snapshot.clone(),
            entries: known.entries.clone(),
        };
        let found = What::done(id, witness::recovered(&recovered));
        let mut config = Config::standalone(id);
        config.voters = voters;
        config.snapshot_every = 200;
        config.reap_interval = Duration::from_secs(1);
        let mut seed = [life as u8; 32];
        seed[0] = id.0;
        known.node = Some(Node::new(config, recovered, Seed(seed)));
        self.record(What::Started { server: id, life });
        self.record(found);
        for other in self.others(server) {
            self.link(server, other);
        }
    }

    /// Two servers find each other.
    fn link(&mut self, one: usize, other: usize) {
        if self.cut_off.contains(&one) || self.cut_off.contains(&other) {
            return;
        }
        for (here, there) in [(one, other), (other, one)] {
            let joined = Input::PeerJoined {
                server: self.servers[there].id,
                directory: self.servers[there].directory,
            };
            let at = self.said.entry((there, here)).or_default();
            *at = (*at).max(self.now);
            let (at, (server, life)) = (*at, self.life(here));
            self.schedule_at(at, Coming::Told(server, life, Box::new(joined)));
        }
    }

    /// Cuts a server off; its links hang for a while, and then they end or go on.
    pub fn cut(&mut self, server: usize) {
        if !self.cut_off.insert(server) {
            return;
        }
        self.struck += 1;
        let (index, kind) = (1000 + server, "cut");
        let detail = format!("server {}", self.servers[server].id);
        self.record(What::Struck {
            index,
            kind,
            detail,
        });
        let lasts = Duration::from_millis(u64::from(50 + self.below(8000)));
        self.schedule(lasts, Coming::Mend(server));
    }

    pub fn mend(&mut self, server: usize) {
        self.cut_off.remove(&server);
        if self.servers[server].node.is_some() {
            for other in self.others(server) {
                let (here, there) = (self.servers[server].id, self.servers[other].id);
                self.step(server, Input::PeerLost(there));
                self.step(other, Input::PeerLost(here));
                self.link(server, other);
            }
        }
        // Until everybody has caught up it is no calm.
        let (index, kind) = (1000 + server, "cut");
        self.record(What::Healed { index, kind });
    }

    /// A message arrives, if both still live the lives in which it was sent.
    pub fn message(&mut self, from: (usize, u32), to: (usize, u32), message: Message) {
        if from != self.life(from.0) || to != self.life(to.0) {
            return;
        }
        if self.cut_off.contains(&from.0) || self.cut_off.contains(&to.0) {
            return;
        }
        let known = &self.servers[from.0];
        let heard = Input::Heard {
            from: known.id,
            directory: known.directory,
            message,
        };
        self.step(to.0, heard);
    }

    /// The oldest save is durable.
    pub fn synced(&mut self, server: usize, life: u32) {
        let known = &mut self.servers[server];
        if known.life != life || known.node.is_none() {
            return;
        }
        if let Some((ticket, record)) = known.saving.pop_front() {
            known.keep(record);
            self.step(server, Input::Saved(ticket));
        }
    }

    /// Steps a node, which then says what has gathered.
    pub fn step(&mut self, server: usize, input: Input) {
        self.step_once(server, input);
        self.step_once(server, Input::Drained);
    }

    fn step_once(&mut self, server: usize, input: Input) {
        let known = &mut self.servers[server];
        let Some(mut node) = known.node.take() else {
            return;
        };
        let now = Now {
            clock: Instant(self.now.as_nanos() as u64),
            wall: WallTime(1_700_000_000_000 + self.now.as_millis() as i64),
        };
        let mut seen = Vec::new();
        let id = known.id;
        let mut see = |deed| seen.push(What::done(id, deed));
        known.witness.input(&input, &mut see);
        let mut out = Outbox::new();
        node.step(now, input, &mut out);
        node.check();
        known.node = Some(node);
        seen.into_iter().for_each(|what| self.record(what));
        for effect in out.effects {
            let mut seen = Vec::new();
            let witness = &mut self.servers[server].witness;
            witness.effect(&effect, |deed| seen.push(What::done(id, deed)));
            seen.into_iter().for_each(|what| self.record(what));
            self.perform(server, effect);
        }
    }

    fn perform(&mut self, server: usize, effect: Effect) {
        match effect {
            Effect::Reply { connection, reply } => {
                let link = LinkId(connection.0);
                let at = self.arrival(link, Way::Down);
                self.schedule_at(at, Coming::Down(link, reply));
            }
            Effect::Close { connection } => {
                let link = LinkId(connection.0);
                let at = self.arrival(link, Way::Down);
                self.schedule_at(at, Coming::Ended(link));
            }
            Effect::Save { ticket, record } => {
                self.servers[server].saving.push_back((ticket, record));
                let delay = Duration::from_micros(u64::from(500 + self.below(4000)));
                let (_, life) = self.life(server);
                self.schedule(delay, Coming::Synced(server, life));
            }
            Effect::MakeSnapshot { store } => {
                let zxid = store.applied();
                self.servers[server].snapshot = *store;
                self.tell(server, Input::SnapshotMade { zxid });
            }
            Effect::Send { to, message } => self.send_message(server, to, message),
            Effect::ReadChunk { to, zxid, offset } => {
                assert_eq!(offset, 0, "a snapshot travels in one piece");
                let snapshot = &self.servers[server].snapshot;
                let chunk = match snapshot.applied() == zxid {
                    true => {
                        self.snapshots.push(snapshot.clone());
                        Input::ChunkRead {
                            to,
                            zxid,
                            offset,
                            bytes: (self.snapshots.len() as u64 - 1).to_le_bytes().to_vec(),
                            extent: Extent::Last,
                        }
                    }
                    false => Input::ChunkMissed { to, zxid },
                };
                self.tell(server, chunk);
            }
            Effect::TakeChunk { zxid, bytes, .. } => {
                let index = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
                let store = self.snapshots[index as usize].clone();
                assert_eq!(store.applied(), zxid, "the snapshot that was sent");
                self.install(server, store);
            }
            Effect::Note(_) => {}
        }
    }

    fn tell(&mut self, server: usize, input: Input) {
        let (_, life) = self.life(server);
        let told = Coming::Told(server, life, Box::new(input));
        self.schedule(Duration::ZERO, told);
    }

    fn send_message(&mut self, server: usize, to: ServerId, message: Message) {
        let to = usize::from(to.0) - 1;
        let delay = Duration::from_micros(u64::from(100 + self.below(1500)));
        let before = self.said.entry((server, to)).or_default();
        *before = (*before).max(self.now + delay);
        let at = *before;
        let coming = Coming::Message {
            from: self.life(server),
            to: self.life(to),
            message: Box::new(message),
        };
        self.schedule_at(at, coming);
    }

    /// Another server's snapshot comes in the order of the saves: those that were asked for before
    /// it are done first.
    fn install(&mut self, server: usize, store: Store) {
        while !self.servers[server].saving.is_empty() {
            let (_, life) = self.life(server);
            self.synced(server, life);
        }
        let known = &mut self.servers[server];
        known.entries.clear();
        known.snapshot = store.clone();
        let store = Box::new(store);
        self.tell(server, Input::Installed { store });
    }
}
