//! A small service with clients that ask at random, in one thread and in true time: what comes of
//! it is a good history. The server is the core's own node, beside which the reference is tried.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use althing_core::config::Config;
use althing_core::ids::{ConnectionId, Password, ServerId, SessionId, Ticket, Xid, Zxid};
use althing_core::node::effect::{Effect, Outbox};
use althing_core::node::input::Input;
use althing_core::node::node::{Node, Recovered};
use althing_core::node::reply::{Reply, Response};
use althing_core::node::request::{ConnectRequest, Request, SetWatches};
use althing_core::prng::{Prng, Seed};
use althing_core::quorum::log::{Ballot, Record};
use althing_core::store::store::Store;
use althing_core::store::txn::Entry;
use althing_core::time::{Instant, Now, WallTime};
use althing_core::tree::data::Data;
use althing_core::tree::op::Telling;

use crate::history::{History, Hold, LinkId, Moment, Received, Sent, What};

const SERVER: ServerId = ServerId(1);
const SESSION_MS: i32 = 4000;

/// A direction of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Up,
    Down,
}

/// What is to happen.
enum Coming {
    /// A client's turn.
    Turn(usize),
    /// A frame reaches the server.
    Up(LinkId, Sent),
    /// The end of a link reaches the server.
    Gone(LinkId),
    /// A frame reaches its client.
    Down(LinkId, Reply),
    /// The server closed a link.
    Ended(LinkId),
    /// The oldest save is durable.
    Synced(u32),
    /// The server loses power, and is back later.
    PowerLoss,
    /// The server starts.
    Start,
}

#[derive(Default)]
struct Client {
    name: Option<Arc<str>>,
    link: Option<LinkId>,
    session: Option<(SessionId, Password)>,
    xid: i32,
    seen: Zxid,
    /// Requests without an answer, in order.
    open: VecDeque<Arc<Request>>,
    is_connected: bool,
    /// It has forgotten to speak until then.
    silent_until: Duration,
}

/// The whole.
pub struct Service {
    now: Duration,
    rng: Prng,
    coming: BTreeMap<(Duration, u64), Coming>,
    numbers: u64,
    history: History,
    node: Option<Node>,
    life: u32,
    snapshot: Store,
    durable: Vec<Record>,
    saving: VecDeque<(Ticket, Record)>,
    clients: Vec<Client>,
    links: BTreeMap<LinkId, usize>,
    /// Whose link it was, also after its end.
    owners: BTreeMap<LinkId, usize>,
    /// Links to a server that was not there, or is no more.
    dead: BTreeSet<LinkId>,
    last: BTreeMap<(LinkId, Way), Duration>,
}

/// A good history of about `seconds`, of `clients` clients, with `power_losses`.
pub fn good_history(seed: u64, seconds: u64, clients: usize, power_losses: u32) -> History {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut service = Service {
        now: Duration::ZERO,
        rng: Prng::new(Seed(bytes)),
        coming: BTreeMap::new(),
        numbers: 0,
        history: History::default(),
        node: None,
        life: 0,
        snapshot: Store::new(),
        durable: Vec::new(),
        saving: VecDeque::new(),
        clients: (0..clients).map(|_| Client::default()).collect(),
        links: BTreeMap::new(),
        owners: BTreeMap::new(),
        dead: BTreeSet::new(),
        last: BTreeMap::new(),
    };
    service.schedule(Duration::ZERO, Coming::Start);
    for client in 0..clients {
        service.clients[client].name = Some(Arc::from(format!("client-{client}")));
        service.schedule(Duration::from_millis(20), Coming::Turn(client));
    }
    for _ in 0..power_losses {
        let at = Duration::from_millis(u64::from(service.below(seconds as u32 * 1000)));
        service.schedule(at, Coming::PowerLoss);
    }
    service.run(Duration::from_secs(seconds));
    service.history
}

impl Service {
    /// A number below `bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        self.rng.below(bound)
    }

    fn schedule(&mut self, after: Duration, what: Coming) {
        self.schedule_at(self.now + after, what);
    }

    fn schedule_at(&mut self, at: Duration, what: Coming) {
        self.numbers += 1;
        self.coming.insert((at, self.numbers), what);
    }

    fn record(&mut self, what: What) {
        self.history.moments.push(Moment { at: self.now, what });
    }

    fn run(&mut self, until: Duration) {
        loop {
            let armed = self.node.as_ref().and_then(|node| node.armed().min());
            let next = self.coming.first_key_value().map(|(key, _)| key.0);
            let due = armed.map(|(at, _)| Duration::from_nanos(at.0).max(self.now));
            match (next, due) {
                (_, Some(due)) if next.is_none_or(|next| due < next) => {
                    self.now = due;
                    let (_, timer) = armed.expect("something is armed");
                    self.step(Input::Timeout(timer));
                }
                (Some(_), _) => {
                    let ((at, _), what) = self.coming.pop_first().expect("something comes");
                    self.now = at;
                    if at >= until {
                        return;
                    }
                    self.happen(what);
                }
                (None, _) => return,
            }
        }
    }

    fn happen(&mut self, what: Coming) {
        match what {
            Coming::Turn(client) => self.turn(client),
            Coming::Up(link, frame) => self.up(link, frame),
            Coming::Gone(link) => {
                self.step(Input::Closed {
                    connection: ConnectionId(link.0),
                });
            }
            Coming::Down(link, reply) => self.down(link, reply),
            Coming::Ended(link) => {
                let connection = ConnectionId(link.0);
                self.step(Input::Closed { connection });
                self.end(link);
            }
            Coming::Synced(life) if life == self.life && self.node.is_some() => {
                if let Some((ticket, record)) = self.saving.pop_front() {
                    if let Record::Entry(entry) = &record {
                        self.record(What::Durable {
                            server: SERVER,
                            zxid: entry.zxid,
                        });
                    }
                    self.durable.push(record);
                    self.step(Input::Saved(ticket));
                }
            }
            Coming::Synced(_) => {}
            Coming::PowerLoss => self.power_loss(),
            Coming::Start => self.start(),
        }
    }

    fn power_loss(&mut self) {
        if self.node.take().is_none() {
            return;
        }
        self.record(What::Killed { server: SERVER });
        // What was not durable survives up to some point.
        let survive = self.below(self.saving.len() as u32 + 1) as usize;
        let survivors: Vec<_> = self.saving.drain(..).take(survive).collect();
        self.durable
            .extend(survivors.into_iter().map(|(_, record)| record));
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        self.dead.extend(self.owners.keys());
        links.into_iter().for_each(|link| self.end(link));
        let down = Duration::from_millis(u64::from(100 + self.below(3000)));
        self.schedule(down, Coming::Start);
    }

    fn start(&mut self) {
        self.life += 1;
        let life = self.life;
        self.record(What::Started {
            server: SERVER,
            life,
        });
        let mut ballot = Ballot::default();
        let mut entries: Vec<Entry> = Vec::new();
        for record in &self.durable {
            match record {
                Record::Ballot(newer) => ballot = *newer,
                Record::Entry(entry) if entry.zxid > self.snapshot.applied() => {
                    entries.push(entry.clone());
                }
                Record::Entry(_) => {}
            }
        }
        let store = self.snapshot.clone();
        let snapshot = store.applied();
        let found = Arc::from(entries.as_slice());
        self.record(What::Recovered {
            server: SERVER,
            snapshot,
            entries: found,
        });
        let mut config = Config::standalone(SERVER);
        config.snapshot_every = 200;
        let seed = Seed([life as u8; 32]);
        self.node = Some(Node::new(
            config,
            Recovered {
                ballot,
                store,
                entries,
            },
            seed,
        ));
    }

    fn step(&mut self, input: Input) {
        let Some(mut node) = self.node.take() else {
            return;
        };
        let now = Now {
            clock: Instant(self.now.as_nanos() as u64),
            wall: WallTime(1_700_000_000_000 + self.now.as_millis() as i64),
        };
        let mut out = Outbox::new();
        node.step(now, input, &mut out);
        node.check();
        self.node = Some(node);
        for effect in out.effects {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
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
                if let Record::Entry(Entry { zxid, txn }) = &record {
                    let (zxid, txn) = (*zxid, txn.clone());
                    self.record(What::Saving {
                        server: SERVER,
                        zxid,
                        txn,
                    });
                }
                self.saving.push_back((ticket, record));
                let delay = Duration::from_micros(u64::from(500 + self.below(4000)));
                self.schedule(delay, Coming::Synced(self.life));
            }
            Effect::MakeSnapshot { store } => {
                let zxid = store.applied();
                self.snapshot = *store;
                self.step(Input::SnapshotMade { zxid });
            }
            Effect::Note(event) => self.record(What::Said {
                server: SERVER,
                event,
            }),
        }
    }

    /// When something that leaves now arrives: streams keep their order.
    fn arrival(&mut self, link: LinkId, way: Way) -> Duration {
        let delay = Duration::from_micros(u64::from(300 + self.below(8000)));
        let before = self.last.get(&(link, way)).copied().unwrap_or_default();
        let at = (self.now + delay).max(before);
        self.last.insert((link, way), at);
        at
    }

    fn end(&mut self, link: LinkId) {
        let Some(client) = self.links.remove(&link) else {
            return;
        };
        let name = self.name(client);
        let known = &mut self.clients[client];
        known.link = None;
        known.is_connected = false;
        known.open.clear();
        self.record(What::LinkEnded { client: name, link });
    }

    fn name(&self, client: usize) -> Arc<str> {
        self.clients[client]
            .name
            .clone()
            .expect("clients have names")
    }

    fn up(&mut self, link: LinkId, frame: Sent) {
        if self.node.is_none() || self.dead.contains(&link) {
            self.dead.insert(link);
            self.end(link);
            return;
        }
        let connection = ConnectionId(link.0);
        self.record(What::Asked {
            server: SERVER,
            connection,
        });
        match frame {
            Sent::Connect(request) => {
                let address = address(self.owners[&link]);
                self.step(Input::Opened {
                    connection,
                    address,
                    request,
                });
            }
            Sent::Request { xid, request } => {
                let request = Request::clone(&request);
                self.step(Input::Asked {
                    connection,
                    xid,
                    request,
                });
            }
        }
    }

    fn down(&mut self, link: LinkId, mut reply: Reply) {
        let Some(client) = self.links.get(&link).copied() else {
            return;
        };
        let name = self.name(client);
        let known = &mut self.clients[client];
        let frame = match &mut reply {
            Reply::Connected(response) => {
                known.is_connected = response.session.is_some();
                known.session = response.session.map(|session| (session, response.password));
                if known.session.is_none() {
                    known.seen = Zxid::ZERO;
                }
                Received::Connected(response.clone())
            }
            Reply::Event(event) => {
                known.seen = known.seen.max(event.zxid);
                Received::Reply {
                    reply: reply.clone(),
                    request: None,
                }
            }
            Reply::Answer { zxid, result, .. } => {
                known.seen = known.seen.max(*zxid);
                // What the wire does not carry is not there.
                if let Ok(Response::Done(althing_core::tree::op::Done::Created {
                    stat,
                    telling: Telling::Path,
                    ..
                })) = result
                {
                    *stat = althing_core::tree::stat::Stat::default();
                }
                let request = known.open.pop_front();
                if request.as_deref() == Some(&Request::CloseSession) {
                    known.session = None;
                    known.is_connected = false;
                    known.seen = Zxid::ZERO;
                }
                Received::Reply {
                    reply: reply.clone(),
                    request,
                }
            }
        };
        self.record(What::Received {
            client: name,
            link,
            frame,
        });
    }

    fn send(&mut self, client: usize, frame: Sent) {
        let link = self.clients[client].link.expect("there is a link");
        let name = self.name(client);
        self.record(What::Sent {
            client: name,
            link,
            frame: frame.clone(),
        });
        let at = self.arrival(link, Way::Up);
        self.schedule_at(at, Coming::Up(link, frame));
    }

    fn ask(&mut self, client: usize, xid: Xid, request: Request) {
        let request = Arc::new(request);
        self.clients[client].open.push_back(request.clone());
        self.send(client, Sent::Request { xid, request });
    }

    fn turn(&mut self, client: usize) {
        let rest = Duration::from_millis(u64::from(1 + self.below(250)));
        self.schedule(rest, Coming::Turn(client));
        if self.clients[client].silent_until > self.now {
            return;
        }
        if self.clients[client].link.is_none() {
            self.connect(client);
            return;
        }
        if !self.clients[client].is_connected {
            return;
        }
        match self.below(100) {
            0 => {
                let silence = Duration::from_millis(u64::from(1000 + self.below(9000)));
                self.clients[client].silent_until = self.now + silence;
            }
            1 => {
                let link = self.clients[client].link.expect("there is a link");
                self.end(link);
                let at = self.arrival(link, Way::Up);
                self.schedule_at(at, Coming::Gone(link));
            }
            2 => {
                self.next(client, Request::CloseSession);
                self.clients[client].is_connected = false;
            }
            3 => {
                let credential = Data::from(["ann:secret", "bob:pass"][self.below(2) as usize]);
                let scheme = "digest".to_owned();
                self.ask(client, Xid::AUTH, Request::Auth { scheme, credential });
            }
            4..12 => self.ask(client, Xid::PING, Request::Ping),
            _ => {
                for _ in 0..1 + self.below(3) {
                    let request = self.request();
                    self.next(client, request);
                }
            }
        }
    }

    fn next(&mut self, client: usize, request: Request) {
        self.clients[client].xid += 1;
        let xid = Xid(self.clients[client].xid);
        self.ask(client, xid, request);
    }

    fn connect(&mut self, client: usize) {
        self.numbers += 1;
        let link = LinkId(self.numbers);
        self.links.insert(link, client);
        self.owners.insert(link, client);
        let known = &mut self.clients[client];
        known.link = Some(link);
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: known.seen,
            timeout_ms: SESSION_MS,
            session: known.session.map(|(session, _)| session),
            password: known
                .session
                .map_or(Password::NONE, |(_, password)| password),
            read_only: Some(false),
        };
        let reconnects = request.session.is_some();
        let relative_zxid = known.seen;
        let name = self.name(client);
        let (server, address) = (SERVER, address(client));
        self.record(What::LinkOpened {
            client: name,
            link,
            server,
            address,
        });
        self.send(client, Sent::Connect(request));
        if reconnects {
            let data = vec![self.path(), self.path()];
            let exist = vec![self.path()];
            let child = vec![self.path(), self.path()];
            let watches = SetWatches {
                relative_zxid,
                data,
                exist,
                child,
            };
            self.ask(client, Xid::SET_WATCHES, Request::SetWatches(watches));
        }
    }
}

fn address(client: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, client as u8 + 1))
}

/// Adds a lock that clients take turns with, and a store that its tokens guard: the tokens are
/// positions of the history.
pub fn add_lock(history: &mut History) {
    let tokens: Vec<(Duration, Zxid)> = history
        .moments
        .iter()
        .filter_map(|moment| match &moment.what {
            What::Said {
                event: althing_core::node::event::Event::Executed { zxid, .. },
                ..
            } => Some((moment.at, *zxid)),
            _ => None,
        })
        .collect();
    let mut newest = Zxid::ZERO;
    let mut added = Vec::new();
    for (turn, (at, token)) in tokens
        .into_iter()
        .filter(|(_, zxid)| zxid.counter() % 50 == 7)
        .enumerate()
    {
        if token <= newest {
            continue;
        }
        let client: Arc<str> = Arc::from(format!("client-{}", turn % 3));
        let lock: Arc<str> = Arc::from("/lock");
        let held = |hold| What::Held {
            client: client.clone(),
            lock: lock.clone(),
            token,
            hold,
        };
        let guarded = What::Guarded {
            client: client.clone(),
            token,
            newest,
            accepted: true,
        };
        for what in [held(Hold::Begins), guarded, held(Hold::Ends)] {
            added.push(Moment { at, what });
        }
        newest = token;
    }
    history.moments.extend(added);
    history.moments.sort_by_key(|moment| moment.at);
}
