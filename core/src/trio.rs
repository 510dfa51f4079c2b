//! Three servers in memory, for tests that ask them one thing after the other: every disk takes
//! what it is given at once, and messages arrive in order unless a link is cut.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use crate::code::Code;
use crate::config::Config;
use crate::ids::{ConnectionId, DirectoryId, Password, ServerId, SessionId, Xid, Zxid};
use crate::node::effect::{Effect, Outbox};
use crate::node::event::Event;
use crate::node::input::Input;
use crate::node::node::{Node, Recovered};
use crate::node::reply::{ConnectResponse, Reply, Response};
use crate::node::request::{ConnectRequest, Request};
use crate::node::status::Role;
use crate::prng::Seed;
use crate::quorum::log::{Ballot, Record};
use crate::quorum::message::Message;
use crate::store::txn::Entry;
use crate::time::{Duration, Instant, Now, WallTime};

/// The servers, by their numbers.
pub(crate) const SERVERS: [ServerId; 3] = [ServerId(1), ServerId(2), ServerId(3)];

/// A client's connection, and what it was told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Client {
    pub server: ServerId,
    pub connection: ConnectionId,
}

#[derive(Default)]
struct Disk {
    ballot: Ballot,
    entries: Vec<Entry>,
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

pub(crate) struct Trio {
    config: fn(Config) -> Config,
    millis: u64,
    lives: u8,
    connections: u64,
    xid: i32,
    nodes: BTreeMap<ServerId, Node>,
    disks: BTreeMap<ServerId, Disk>,
    wire: VecDeque<(ServerId, ServerId, Message)>,
    /// Servers that hear nobody, and are heard by nobody.
    cut: BTreeSet<ServerId>,
    /// Who hears nobody.
    deaf: BTreeSet<ServerId>,
    told: BTreeMap<Client, Vec<Reply>>,
    closed: BTreeSet<Client>,
    /// Everything that servers have noted, with who it was.
    pub events: Vec<(ServerId, Event)>,
}

fn directory(server: ServerId) -> DirectoryId {
    DirectoryId(server.0.into())
}

/// What a client was given at its connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Given {
    pub session: Option<SessionId>,
    pub password: Password,
    pub timeout_ms: i32,
    pub read_only: Option<bool>,
}

impl From<&ConnectResponse> for Given {
    fn from(response: &ConnectResponse) -> Given {
        Given {
            session: response.session,
            password: response.password,
            timeout_ms: response.timeout_ms,
            read_only: response.read_only,
        }
    }
}

/// Of a client without a session.
pub(crate) fn stranger() -> ConnectRequest {
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid::ZERO,
        timeout_ms: 10_000,
        session: None,
        password: Password::NONE,
        read_only: Some(false),
    }
}

/// Of a client that comes back.
pub(crate) fn returning(given: Given) -> ConnectRequest {
    ConnectRequest {
        session: given.session,
        password: given.password,
        ..stranger()
    }
}

impl Trio {
    /// Three servers, one of which leads.
    pub fn new(config: fn(Config) -> Config) -> Trio {
        let mut trio = Trio {
            config,
            millis: 0,
            lives: 0,
            connections: 0,
            xid: 0,
            nodes: BTreeMap::new(),
            disks: BTreeMap::new(),
            wire: VecDeque::new(),
            cut: BTreeSet::new(),
            deaf: BTreeSet::new(),
            told: BTreeMap::new(),
            closed: BTreeSet::new(),
            events: Vec::new(),
        };
        for server in SERVERS {
            trio.start(server);
        }
        trio.pass(3000);
        trio
    }

    /// Starts a server on its disk; ends its life before, if it lives.
    pub fn start(&mut self, server: ServerId) {
        self.separate(server);
        self.closed.extend(self.clients_of(server));
        self.lives += 1;
        let disk = self.disks.entry(server).or_default();
        let recovered = Recovered {
            directory: directory(server),
            ballot: disk.ballot,
            entries: disk.entries.clone(),
            ..Recovered::default()
        };
        let mut config = Config::standalone(server);
        config.voters = SERVERS.into_iter().collect();
        let seed = Seed([self.lives; 32]);
        let node = Node::new((self.config)(config), recovered, seed);
        self.nodes.insert(server, node);
        self.join(server);
    }

    fn clients_of(&self, server: ServerId) -> Vec<Client> {
        let told = self.told.keys().copied();
        told.filter(|client| client.server == server).collect()
    }

    /// Cuts a server off.
    pub fn separate(&mut self, server: ServerId) {
        self.wire
            .retain(|(from, to, _)| *from != server && *to != server);
        self.cut.insert(server);
        for other in SERVERS.into_iter().filter(|other| *other != server) {
            self.step(other, Input::PeerLost(server));
            self.step(server, Input::PeerLost(other));
        }
    }

    /// What others say to a server gets lost from here on, until it is back.
    pub fn deafen(&mut self, server: ServerId) {
        self.deaf.insert(server);
    }

    /// The server is back.
    pub fn join(&mut self, server: ServerId) {
        self.cut.remove(&server);
        self.deaf.remove(&server);
        for other in SERVERS.into_iter().filter(|other| *other != server) {
            if !self.cut.contains(&other) && self.nodes.contains_key(&other) {
                for (here, there) in [(server, other), (other, server)] {
                    let directory = directory(there);
                    let server = there;
                    self.step(here, Input::PeerJoined { server, directory });
                }
            }
        }
    }

    pub fn node(&self, server: ServerId) -> &Node {
        &self.nodes[&server]
    }

    /// Who leads, of those that are not cut off.
    pub fn leader(&self) -> ServerId {
        let leads = |server: &ServerId| {
            !self.cut.contains(server) && self.nodes[server].status().role == Role::Leader
        };
        let mut leaders = SERVERS.into_iter().filter(leads);
        let leader = leaders.next().expect("somebody leads");
        assert_eq!(leaders.next(), None, "one at a time");
        leader
    }

    /// One that does not lead.
    pub fn follower(&self) -> ServerId {
        let leader = self.leader();
        let mut others = SERVERS.into_iter().filter(|server| *server != leader);
        others.next().expect("there are three")
    }

    /// Something happens to a server.
    pub fn step(&mut self, server: ServerId, input: Input) {
        let now = Now {
            clock: Instant::ORIGIN.after(Duration::from_millis(self.millis)),
            wall: WallTime(0),
        };
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let Some(node) = self.nodes.get_mut(&server) else {
                return;
            };
            let mut out = Outbox::new();
            node.step(now, input, &mut out);
            if inputs.is_empty() {
                node.step(now, Input::Drained, &mut out);
            }
            node.check();
            for effect in out.effects {
                inputs.extend(self.perform(server, effect));
            }
        }
    }

    fn perform(&mut self, server: ServerId, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Send { to, message } => {
                if !self.cut.contains(&server) && !self.cut.contains(&to) {
                    self.wire.push_back((server, to, message));
                }
                None
            }
            Effect::Save { ticket, record } => {
                let disk = self.disks.get_mut(&server).expect("it was started");
                disk.take(&record);
                Some(Input::Saved(ticket))
            }
            Effect::MakeSnapshot { store } => {
                let zxid = store.applied();
                Some(Input::SnapshotRefused { zxid })
            }
            Effect::Reply { connection, reply } => {
                let client = Client { server, connection };
                self.told.entry(client).or_default().push(reply);
                None
            }
            Effect::Close { connection } => {
                self.closed.insert(Client { server, connection });
                Some(Input::Closed { connection })
            }
            Effect::Note(event) => {
                self.events.push((server, event));
                None
            }
            other => panic!("nobody is far behind: {other:?}"),
        }
    }

    /// Delivers what is under way, and what that brings about.
    pub fn deliver(&mut self) {
        while let Some((from, to, message)) = self.wire.pop_front() {
            if self.deaf.contains(&to) {
                continue;
            }
            let heard = Input::Heard {
                from,
                directory: directory(from),
                message,
            };
            self.step(to, heard);
        }
    }

    /// Loses the messages that are under way.
    pub fn lose(&mut self) {
        self.wire.clear();
    }

    /// Keeps back the messages that are under way.
    pub fn keep_back(&mut self) -> VecDeque<(ServerId, ServerId, Message)> {
        core::mem::take(&mut self.wire)
    }

    /// Messages that were kept back are under way again.
    pub fn come_late(&mut self, messages: VecDeque<(ServerId, ServerId, Message)>) {
        self.wire.extend(messages);
    }

    /// Time passes; everybody does what is due, and says what there is to say.
    pub fn pass(&mut self, millis: u64) {
        for _ in 0..millis {
            self.millis += 1;
            let now = Instant::ORIGIN.after(Duration::from_millis(self.millis));
            for server in SERVERS {
                let due = |node: &Node| node.earliest().filter(|(at, _)| *at <= now);
                while let Some((_, timer)) = due(&self.nodes[&server]) {
                    self.step(server, Input::Timeout(timer));
                }
            }
            self.deliver();
        }
    }

    /// A client connects; nobody has answered yet.
    pub fn open(&mut self, server: ServerId, request: ConnectRequest) -> Client {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        let client = Client { server, connection };
        self.told.insert(client, Vec::new());
        let opened = Input::Opened {
            connection,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            certified: None,
            request,
        };
        self.step(server, opened);
        client
    }

    /// A client connects, and is answered.
    pub fn connect(&mut self, server: ServerId, request: ConnectRequest) -> (Client, Connected) {
        let client = self.open(server, request);
        self.deliver();
        let connected = match self.told(client).first() {
            Some(Reply::Connected(response)) if response.timeout_ms == 0 => Connected::Expired,
            Some(Reply::Connected(response)) => Connected::As(response.into()),
            Some(other) => panic!("{other:?}"),
            None => Connected::Not,
        };
        (client, connected)
    }

    /// A client that is served in a new session.
    pub fn newcomer(&mut self, server: ServerId) -> (Client, Given) {
        match self.connect(server, stranger()) {
            (client, Connected::As(response)) => (client, response),
            other => panic!("{other:?}"),
        }
    }

    /// A client asks, and is not answered yet.
    pub fn send(&mut self, client: Client, request: Request) -> Xid {
        self.xid += 1;
        let xid = Xid(self.xid);
        let asked = Input::Asked {
            connection: client.connection,
            xid,
            request,
        };
        self.step(client.server, asked);
        xid
    }

    /// A client asks, and is answered.
    pub fn ask(&mut self, client: Client, request: Request) -> Result<Response, Code> {
        let xid = self.send(client, request);
        self.deliver();
        // What the leader has agreed on the others execute when it says that it lives.
        self.pass(60);
        self.answer(client, xid).expect("an answer")
    }

    pub fn told(&self, client: Client) -> &[Reply] {
        &self.told[&client]
    }

    pub fn answer(&self, client: Client, asked: Xid) -> Option<Result<Response, Code>> {
        self.told(client).iter().find_map(|reply| match reply {
            Reply::Answer { xid, result, .. } if *xid == asked => Some(result.clone()),
            _ => None,
        })
    }

    /// A client is gone.
    pub fn hang_up(&mut self, client: Client) {
        let connection = client.connection;
        self.step(client.server, Input::Closed { connection });
        self.closed.insert(client);
    }

    pub fn is_closed(&self, client: Client) -> bool {
        self.closed.contains(&client)
    }

    /// Do the servers know this session as one of all?
    pub fn is_of_all(&self, session: SessionId) -> bool {
        let knows = |node: &Node| node.store().sessions().contains_key(&session);
        let all = self.nodes.values().filter(|node| knows(node)).count();
        assert!(all == 0 || all == 3, "all know it, or none");
        all == 3
    }
}

/// How a client was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Connected {
    /// In this session.
    As(Given),
    /// Its session is over.
    Expired,
    /// Not yet, or never.
    Not,
}
