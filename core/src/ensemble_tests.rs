//! Ensembles of nodes as plain values, under a random schedule: messages are late, doubled and
//! lost, servers crash and forget what was not saved, timers fire when they like. Whatever happens,
//! servers agree and nothing acknowledged is lost; left alone afterwards, they serve.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use crate::code::Code;
use crate::config::{Config, Reconfiguring, Supers};
use crate::ids::{ConnectionId, DirectoryId, Password, ServerId, SessionId, Ticket, Xid, Zxid};
use crate::listed::{Address, ListedServer};
use crate::node::auth::digest_id;
use crate::node::effect::{Effect, Outbox};
use crate::node::event::Event;
use crate::node::input::Input;
use crate::node::node::{Node, Recovered};
use crate::node::reply::{Reply, Response};
use crate::node::request::{ConnectRequest, Request};
use crate::node::status::Role;
use crate::prng::{Prng, Seed};
use crate::quorum::log::{Ballot, Record};
use crate::quorum::message::{Extent, Message};
use crate::store::roster::{ANY_CONFIG, Wish};
use crate::store::store::Store;
use crate::store::txn::Entry;
use crate::time::{Duration, Instant, Now, WallTime};
use crate::tree::acl::{Acl, AclEntry, Identity, Perms};
use crate::tree::data::Data;
use crate::tree::op::{Create, Lifetime, Naming, Op, Telling};
use crate::tree::path::Place;
use crate::voters::{Share, Voters};

/// What one server has on its disk.
#[derive(Clone, Debug, Default)]
struct Disk {
    directory: DirectoryId,
    ballot: Ballot,
    base: Store,
    entries: Vec<Entry>,
    snapshots: BTreeMap<Zxid, Store>,
    incoming: u64,
}

impl Disk {
    fn take(&mut self, record: &Record) {
        match record {
            Record::Ballot(ballot) => self.ballot = *ballot,
            Record::Entry(entry) => self.entries.push(entry.clone()),
            Record::Cut(after) => self.entries.retain(|entry| entry.zxid <= *after),
        }
    }
}

struct Server {
    node: Option<Node>,
    disk: Disk,
    saving: VecDeque<(Ticket, Record)>,
    lives: u64,
    connection: u64,
    session: Option<(SessionId, Password)>,
    xid: i32,
    waits: bool,
}

struct Cluster {
    now: u64,
    random: Prng,
    servers: BTreeMap<ServerId, Server>,
    voters: Voters,
    /// In the order of sending, by pair.
    wires: BTreeMap<(ServerId, ServerId), VecDeque<(DirectoryId, Message)>>,
    digests: BTreeMap<Zxid, u128>,
    acknowledged: BTreeMap<Zxid, ServerId>,
    leaders: BTreeMap<u32, ServerId>,
    notes: BTreeMap<&'static str, u32>,
    snapshot_every: u32,
    counter_max: u32,
    /// Do clients wish for other members?
    wishes: bool,
    /// What came of their wishes.
    granted: u32,
    refused: BTreeSet<Code>,
    /// What happened, if anybody wants to read it.
    story: Option<Vec<alloc::string::String>>,
}

const PIECE: u64 = 2;

fn tell(story: &mut Option<Vec<alloc::string::String>>, now: u64, what: core::fmt::Arguments<'_>) {
    if let Some(story) = story {
        story.push(alloc::format!("{now} {what}"));
    }
}

impl Cluster {
    fn new(seed: u64, count: u8, snapshot_every: u32, counter_max: u32) -> Cluster {
        let voters = (1..=count).map(ServerId).collect();
        Cluster::of(seed, voters, snapshot_every, counter_max)
    }

    fn of(seed: u64, voters: Voters, snapshot_every: u32, counter_max: u32) -> Cluster {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut cluster = Cluster {
            now: 0,
            random: Prng::new(Seed(bytes)),
            servers: BTreeMap::new(),
            voters: voters.clone(),
            wires: BTreeMap::new(),
            digests: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            leaders: BTreeMap::new(),
            notes: BTreeMap::new(),
            snapshot_every,
            counter_max,
            wishes: false,
            granted: 0,
            refused: BTreeSet::new(),
            story: std::env::var_os("STORY").map(|_| Vec::new()),
        };
        for id in voters.servers().iter().copied() {
            let disk = Disk {
                directory: DirectoryId(cluster.random.bits().into()),
                ..Disk::default()
            };
            let server = Server {
                node: None,
                disk,
                saving: VecDeque::new(),
                lives: 0,
                connection: 0,
                session: None,
                xid: 0,
                waits: false,
            };
            cluster.servers.insert(id, server);
        }
        for id in cluster.ids() {
            cluster.start(id);
        }
        cluster
    }

    fn ids(&self) -> Vec<ServerId> {
        self.servers.keys().copied().collect()
    }

    fn any(&mut self) -> ServerId {
        let ids = self.ids();
        ids[self.random.below(ids.len() as u32) as usize]
    }

    fn clock(&self) -> Now {
        Now {
            clock: Instant::ORIGIN.after(Duration::from_millis(self.now)),
            wall: WallTime(self.now as i64),
        }
    }

    fn start(&mut self, id: ServerId) {
        let mut entropy = [0; 32];
        for chunk in entropy.chunks_mut(8) {
            chunk.copy_from_slice(&self.random.bits().to_le_bytes());
        }
        let config = Config {
            voters: self.voters.clone(),
            snapshot_every: self.snapshot_every,
            counter_max: self.counter_max,
            addresses: addresses(self.voters.len()),
            reconfiguring: Reconfiguring::On,
            supers: Supers {
                digest: Some(digest_id("super:admin")),
                subject: None,
                sasl: None,
            },
            ..Config::standalone(id)
        };
        let server = self.servers.get_mut(&id).unwrap();
        server.lives += 1;
        let disk = &server.disk;
        let recovered = Recovered {
            directory: disk.directory,
            ballot: disk.ballot,
            store: disk.base.clone(),
            entries: disk
                .entries
                .iter()
                .filter(|entry| entry.zxid > disk.base.applied())
                .cloned()
                .collect(),
        };
        server.node = Some(Node::new(config, recovered, Seed(entropy)));
        for other in self.ids() {
            if other != id && self.servers[&other].node.is_some() {
                self.wires.remove(&(id, other));
                self.wires.remove(&(other, id));
                let (mine, its) = (self.directory(id), self.directory(other));
                self.step(
                    id,
                    Input::PeerJoined {
                        server: other,
                        directory: its,
                    },
                );
                self.step(
                    other,
                    Input::PeerJoined {
                        server: id,
                        directory: mine,
                    },
                );
            }
        }
    }

    fn directory(&self, id: ServerId) -> DirectoryId {
        self.servers[&id].disk.directory
    }

    fn crash(&mut self, id: ServerId) {
        let server = self.servers.get_mut(&id).unwrap();
        if server.node.take().is_none() {
            return;
        }
        tell(&mut self.story, self.now, format_args!("crash {id}"));
        server.saving.clear();
        server.waits = false;
        server.disk.incoming = 0;
        for other in self.ids() {
            self.wires.remove(&(id, other));
            self.wires.remove(&(other, id));
            if other != id {
                self.step(other, Input::PeerLost(id));
            }
        }
    }

    fn step(&mut self, id: ServerId, input: Input) {
        let now = self.clock();
        let mut out = Outbox::new();
        for input in [input, Input::Drained] {
            let Some(node) = &mut self.servers.get_mut(&id).unwrap().node else {
                return;
            };
            node.step(now, input, &mut out);
            node.check();
            node.replica().check_log();
        }
        for effect in out.effects {
            self.perform(id, effect);
        }
    }

    fn perform(&mut self, id: ServerId, effect: Effect) {
        let directory = self.directory(id);
        let server = self.servers.get_mut(&id).unwrap();
        match effect {
            Effect::Send { to, message } => {
                tell(
                    &mut self.story,
                    self.now,
                    format_args!("{id}->{to} {message:?}"),
                );
                let wire = self.wires.entry((id, to)).or_default();
                wire.push_back((directory, message));
            }
            Effect::Save { ticket, record } => server.saving.push_back((ticket, record)),
            Effect::MakeSnapshot { store } => {
                let zxid = store.applied();
                server.disk.snapshots.insert(zxid, (*store).clone());
                server.disk.base = *store;
                self.step(id, Input::SnapshotMade { zxid });
            }
            Effect::ReadChunk { to, zxid, offset } => {
                let input = match server.disk.snapshots.contains_key(&zxid) {
                    true => Input::ChunkRead {
                        to,
                        zxid,
                        offset,
                        bytes: alloc::vec![id.0],
                        extent: match offset + 1 < PIECE {
                            true => Extent::More,
                            false => Extent::Last,
                        },
                    },
                    false => Input::ChunkMissed { to, zxid },
                };
                self.step(id, input);
            }
            Effect::TakeChunk {
                zxid,
                offset,
                bytes,
                extent,
            } => {
                server.disk.incoming = match offset {
                    0 => 1,
                    _ => server.disk.incoming + 1,
                };
                if extent == Extent::More {
                    let offset = server.disk.incoming;
                    self.step(id, Input::ChunkTaken { zxid, offset });
                    return;
                }
                self.flush(id);
                let store = self.servers[&ServerId(bytes[0])].disk.snapshots[&zxid].clone();
                let disk = &mut self.servers.get_mut(&id).unwrap().disk;
                disk.base = store.clone();
                disk.entries.clear();
                disk.snapshots.insert(zxid, store.clone());
                let store = alloc::boxed::Box::new(store);
                self.step(id, Input::Installed { store });
            }
            Effect::Reply { reply, .. } => self.replied(id, reply),
            Effect::Close { connection } => {
                server.waits = false;
                self.step(id, Input::Closed { connection });
            }
            Effect::Note(event) => self.noted(id, event),
        }
    }

    fn replied(&mut self, id: ServerId, reply: Reply) {
        let server = self.servers.get_mut(&id).unwrap();
        match reply {
            Reply::Connected(response) => {
                server.session = response.session.map(|session| (session, response.password));
            }
            Reply::Answer { zxid, result, .. } => {
                server.waits = false;
                if result.is_ok() {
                    self.acknowledged.insert(zxid, id);
                }
                match result {
                    Ok(Response::Data { data, .. }) => {
                        let text = data.expect("a text");
                        let version = alloc::format!("version={:x}", zxid.0);
                        assert!(text.ends_with(version.as_bytes()), "of its own transaction");
                        self.granted += 1;
                    }
                    Err(code) => {
                        self.refused.insert(code);
                    }
                    Ok(_) => {}
                }
            }
            _ => {}
        }
    }

    fn noted(&mut self, id: ServerId, event: Event) {
        tell(&mut self.story, self.now, format_args!("{id} {event:?}"));
        *self.notes.entry(event.name()).or_default() += 1;
        match event {
            Event::Executed { zxid, digest } | Event::Installed { zxid, digest } => {
                let known = self.digests.entry(zxid).or_insert(digest);
                assert_eq!(*known, digest, "{id} differs at {zxid}: {:#?}", self.story);
            }
            Event::Elected { epoch, leader } => {
                let known = self.leaders.entry(epoch.0).or_insert(leader);
                assert_eq!(*known, leader, "two leaders in epoch {epoch}");
            }
            _ => {}
        }
    }

    /// Everything that was asked to be saved is saved.
    fn flush(&mut self, id: ServerId) {
        while let Some((ticket, record)) = self.servers.get_mut(&id).unwrap().saving.pop_front() {
            self.servers.get_mut(&id).unwrap().disk.take(&record);
            self.step(id, Input::Saved(ticket));
        }
    }

    fn deliver(&mut self, pair: (ServerId, ServerId)) {
        let Some((directory, message)) = self.wires.get_mut(&pair).and_then(VecDeque::pop_front)
        else {
            return;
        };
        let from = pair.0;
        self.step(
            pair.1,
            Input::Heard {
                from,
                directory,
                message,
            },
        );
    }

    /// The client of a server does the next thing.
    fn ask(&mut self, id: ServerId) {
        let server = self.servers.get_mut(&id).unwrap();
        if server.waits || server.node.is_none() {
            return;
        }
        server.waits = true;
        let connection = ConnectionId(server.lives << 32 | server.connection);
        let is_open = server.node.as_ref().is_some_and(|node| {
            node.connections()
                .any(|known| known.connection == connection)
        });
        if !is_open {
            server.connection += 1;
            let connection = ConnectionId(server.lives << 32 | server.connection);
            let session = server.session.take();
            let request = ConnectRequest {
                protocol_version: 0,
                last_zxid_seen: Zxid::ZERO,
                timeout_ms: 4000,
                session: session.map(|(session, _)| session),
                password: session.map_or(Password::NONE, |(_, password)| password),
                read_only: None,
            };
            let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
            server.waits = false;
            self.step(
                id,
                Input::Opened {
                    connection,
                    address,
                    certified: None,
                    request,
                },
            );
            return;
        }
        server.xid += 1;
        let xid = Xid(server.xid);
        let place = alloc::format!("/{id}-{}-{}", server.lives, server.xid);
        let create = Create {
            place: Place::exact(&place).unwrap(),
            data: None,
            acl: Acl(Arc::from([AclEntry {
                perms: Perms::ALL,
                who: Identity::new("world", "anyone"),
            }])),
            lifetime: Lifetime::Persistent,
            naming: Naming::Exact,
            telling: Telling::Path,
        };
        let wishes = self.wishes;
        let drawn = self.random.below(self.voters.len() as u32) as u8 + 1;
        let request = match server.xid % 5 {
            1 if wishes && server.xid % 2 == 0 => wish(drawn, server.xid),
            1 if wishes => Request::Auth {
                scheme: "digest".into(),
                credential: Data::from("super:admin"),
            },
            0 => Request::Sync {
                path: crate::tree::path::Path::parse("/").unwrap(),
            },
            _ => Request::Write(Op::Create(create)),
        };
        self.step(
            id,
            Input::Asked {
                connection,
                xid,
                request,
            },
        );
    }

    fn fire(&mut self, id: ServerId) {
        let now = self.clock().clock;
        let Some(node) = &self.servers[&id].node else {
            return;
        };
        let due = node.armed().filter(|(at, _)| *at <= now).min();
        if let Some((_, timer)) = due {
            self.step(id, Input::Timeout(timer));
        }
    }

    fn pairs(&self) -> Vec<(ServerId, ServerId)> {
        let wires = self.wires.iter();
        wires
            .filter(|(_, wire)| !wire.is_empty())
            .map(|(pair, _)| *pair)
            .collect()
    }

    /// One random thing.
    fn hazard(&mut self) {
        self.now += u64::from(self.random.below(4));
        let id = self.any();
        let pairs = self.pairs();
        match self.random.below(1000) {
            0..=399 if !pairs.is_empty() => {
                let pair = pairs[self.random.below(pairs.len() as u32) as usize];
                self.deliver(pair);
            }
            0..=399 => {}
            400..=419 if !pairs.is_empty() => {
                let pair = pairs[self.random.below(pairs.len() as u32) as usize];
                self.wires.get_mut(&pair).unwrap().pop_front();
            }
            420..=439 if !pairs.is_empty() => {
                let pair = pairs[self.random.below(pairs.len() as u32) as usize];
                let wire = self.wires.get_mut(&pair).unwrap();
                let again = wire[self.random.below(wire.len() as u32) as usize].clone();
                wire.push_back(again);
            }
            400..=439 => {}
            440..=699 => {
                let server = self.servers.get_mut(&id).unwrap();
                if let Some((ticket, record)) = server.saving.pop_front() {
                    server.disk.take(&record);
                    self.step(id, Input::Saved(ticket));
                }
            }
            700..=849 => self.fire(id),
            850..=985 => self.ask(id),
            986..=987 => self.crash(id),
            988 => self.step(id, Input::StopAsked),
            989..=990 => {
                let other = self.any();
                self.step(id, Input::Suspected(other));
            }
            _ if self.servers[&id].node.is_none() => self.start(id),
            _ => {}
        }
    }

    /// Time passes without faults.
    fn calm(&mut self, millis: u64) {
        for id in self.ids() {
            if self.servers[&id].node.is_none() {
                self.start(id);
            }
        }
        let end = self.now + millis;
        while self.now < end {
            self.now += 1;
            for id in self.ids() {
                self.flush(id);
                for _ in 0..4 {
                    self.fire(id);
                }
                if self.now.is_multiple_of(7) {
                    self.ask(id);
                }
            }
            for pair in self.pairs() {
                while self.wires.get(&pair).is_some_and(|wire| !wire.is_empty()) {
                    self.deliver(pair);
                }
            }
        }
    }

    fn assert_service(&mut self) {
        let before = self.acknowledged.len();
        self.calm(5_000);
        let story = core::mem::take(&mut self.story);
        let roles: Vec<Role> = self
            .servers
            .values()
            .map(|server| server.node.as_ref().unwrap().status().role)
            .collect();
        let leaders = roles.iter().filter(|role| **role == Role::Leader).count();
        assert_eq!(leaders, 1, "{roles:?} {story:#?}");
        assert!(
            self.acknowledged.len() > before + 10,
            "no progress: {roles:?} {story:#?}"
        );
        let applied: BTreeSet<Zxid> = self
            .servers
            .values()
            .map(|server| server.node.as_ref().unwrap().store().applied())
            .collect();
        let last = *applied.last().unwrap();
        for zxid in self.acknowledged.keys() {
            assert!(*zxid <= last, "{zxid} was acknowledged and is lost");
            assert!(self.digests.contains_key(zxid), "{zxid} was never executed");
        }
    }
}

fn addresses(servers: usize) -> BTreeMap<ServerId, Address> {
    let listed = |id: u8| {
        let server = ListedServer::parse(&alloc::format!("server-{id}:1:2;3"));
        (ServerId(id), server.expect("a server").at)
    };
    (1..=servers as u8).map(listed).collect()
}

/// A server leaves, or comes back, as a voter or as an observer; sometimes the wish is outdated.
fn wish(id: u8, xid: i32) -> Request {
    let line = |role| {
        Some(Arc::from(alloc::format!(
            "server.{id}=server-{id}:1:2:{role};3"
        )))
    };
    let leaving = Some(Arc::from(alloc::format!("{id}")));
    let (joining, leaving) = match xid % 3 {
        0 => (None, leaving),
        1 => (line("participant"), None),
        _ => (line("observer"), None),
    };
    Request::Reconfigure(Wish {
        joining,
        leaving,
        members: None,
        version: if xid % 4 == 0 { 7 } else { ANY_CONFIG },
    })
}

/// What clients wish is decided once, whatever happens to the servers meanwhile, and all servers
/// tell the same configuration.
#[test]
fn members_change_as_clients_wish() {
    let (mut granted, mut refused) = (0, BTreeSet::new());
    for seed in 0..8 {
        let mut cluster = Cluster::new(seed, 5, [100_000, 20][seed as usize % 2], u32::MAX);
        cluster.wishes = true;
        cluster.calm(2_000);
        for _ in 0..2_000 {
            cluster.hazard();
        }
        cluster.assert_service();
        granted += cluster.granted;
        refused.append(&mut cluster.refused);
    }
    assert!(granted > 20, "{granted}");
    let never: Vec<Code> = [Code::NoAuth, Code::BadVersion, Code::BadArguments]
        .into_iter()
        .filter(|code| !refused.contains(code))
        .collect();
    assert!(never.is_empty(), "{never:?} never happened: {refused:?}");
}

#[test]
fn three_servers_elect_one_and_serve() {
    let mut cluster = Cluster::new(1, 3, 100_000, u32::MAX);
    cluster.assert_service();
    let notes = &cluster.notes;
    assert_eq!(notes.get("elected"), Some(&1), "{notes:?}");
}

/// What an epoch's counter cannot count goes into the next epoch, under the same leader.
#[test]
fn a_leader_whose_counter_is_exhausted_goes_on_in_the_next_epoch() {
    let mut cluster = Cluster::new(1, 3, 100_000, 20);
    cluster.assert_service();
    let leaders: BTreeSet<ServerId> = cluster.leaders.values().copied().collect();
    assert_eq!(leaders.len(), 1, "{:?}", cluster.leaders);
    assert!(cluster.leaders.len() > 10, "{:?}", cluster.leaders);
    let beyond = |zxid: &&Zxid| zxid.counter() > 20;
    assert_eq!(cluster.acknowledged.keys().find(beyond), None);
}

#[test]
fn in_groups_they_agree_and_come_back() {
    for seed in 0..6 {
        let share = |id: u8| Share {
            group: (id / 3).into(),
            weight: (id % 4).into(),
        };
        let shares = (1..=6).map(|id| (ServerId(id), share(id)));
        let mut cluster = Cluster::of(seed, Voters::in_groups(shares.collect()), 20, u32::MAX);
        (0..3_000).for_each(|_| cluster.hazard());
        cluster.assert_service();
    }
}

/// `SEED` is the first seed, `SEEDS` is how many; with `STORY` a failure tells all that happened.
#[test]
fn whatever_happens_they_agree_and_come_back() {
    let seeds: u64 = std::env::var("SEEDS").map_or(20, |seeds| seeds.parse().unwrap());
    let first: u64 = std::env::var("SEED").map_or(0, |seed| seed.parse().unwrap());
    let mut notes: BTreeMap<&'static str, u32> = BTreeMap::new();
    for seed in first..first + seeds {
        let count = [3, 3, 3, 5, 2][seed as usize % 5];
        let every = [100_000, 20][seed as usize / 5 % 2];
        let counter_max = [u32::MAX, 30][seed as usize / 10 % 2];
        std::eprintln!("seed {seed}");
        let mut cluster = Cluster::new(seed, count, every, counter_max);
        for _ in 0..3_000 {
            cluster.hazard();
        }
        cluster.assert_service();
        for (name, count) in &cluster.notes {
            *notes.entry(name).or_default() += count;
        }
    }
    std::eprintln!("{notes:#?}");
    for mark in [
        "elected",
        "log-cut",
        "reforwarded",
        "deposed",
        "handed-over",
    ] {
        assert!(notes.contains_key(mark), "{mark} never happened: {notes:?}");
    }
}
