//! A small service with clients that ask at random, in one thread and in true time: what comes of
//! it is a good history. The servers are the core's own nodes, beside which the reference is tried.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use althing_core::ids::{ConnectionId, Zxid};
use althing_core::node::event::Event;
use althing_core::node::input::Input;
use althing_core::node::reply::Reply;
use althing_core::prng::{Prng, Seed};
use althing_core::quorum::message::Message;
use althing_core::store::store::Store;

use crate::check::tests::clients::Client;
use crate::check::tests::servers::Server;
use crate::history::{History, Hold, LinkId, Moment, Sent, What};

/// A direction of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    Up,
    Down,
}

/// What is to happen. Servers go by their index.
pub enum Coming {
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
    /// The oldest save of this life is durable.
    Synced(usize, u32),
    /// What a server said in one life reaches another in one of its lives.
    Message {
        from: (usize, u32),
        to: (usize, u32),
        message: Box<Message>,
    },
    /// Something that a server is told in this life.
    Told(usize, u32, Box<Input>),
    /// A server loses power, and is back later; perhaps with a blank disk.
    PowerLoss(usize, Disk),
    /// A server starts.
    Start(usize),
    /// Nothing passes between a server and the others.
    Cut(usize),
    /// It does again.
    Mend(usize),
}

/// What becomes of a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disk {
    Kept,
    Lost,
}

/// How a history shall be.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub seed: u64,
    pub seconds: u64,
    pub servers: u8,
    pub clients: usize,
    pub power_losses: u32,
    /// How often a server is cut off from the others.
    pub cuts: u32,
    /// How often a server loses its disk.
    pub wipes: u32,
}

/// The whole.
pub struct Service {
    pub now: Duration,
    rng: Prng,
    coming: BTreeMap<(Duration, u64), Coming>,
    pub numbers: u64,
    history: History,
    pub servers: Vec<Server>,
    /// Snapshots that servers made, by the bytes that stand for them.
    pub snapshots: Vec<Store>,
    /// By sender and receiver: when the last message arrives.
    pub said: BTreeMap<(usize, usize), Duration>,
    /// The servers that are cut off.
    pub cut_off: BTreeSet<usize>,
    /// The faults that fell.
    pub struck: usize,
    pub clients: Vec<Client>,
    pub links: BTreeMap<LinkId, usize>,
    /// Whose link it was, also after its end.
    pub owners: BTreeMap<LinkId, usize>,
    /// To which server it was.
    pub hosts: BTreeMap<LinkId, usize>,
    /// Links to a server that was not there, or is no more.
    pub dead: BTreeSet<LinkId>,
    pub last: BTreeMap<(LinkId, Way), Duration>,
}

/// A good history.
pub fn good_history(wish: Wish) -> History {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&wish.seed.to_le_bytes());
    let mut service = Service {
        now: Duration::ZERO,
        rng: Prng::new(Seed(bytes)),
        coming: BTreeMap::new(),
        numbers: 0,
        history: History::default(),
        servers: (1..=wish.servers).map(Server::new).collect(),
        snapshots: Vec::new(),
        said: BTreeMap::new(),
        cut_off: BTreeSet::new(),
        struck: 0,
        clients: (0..wish.clients).map(|_| Client::default()).collect(),
        links: BTreeMap::new(),
        owners: BTreeMap::new(),
        hosts: BTreeMap::new(),
        dead: BTreeSet::new(),
        last: BTreeMap::new(),
    };
    service.plan(wish);
    service.run(Duration::from_secs(wish.seconds));
    service.history
}

impl Service {
    fn plan(&mut self, wish: Wish) {
        for server in 0..self.servers.len() {
            self.schedule(Duration::ZERO, Coming::Start(server));
        }
        for client in 0..self.clients.len() {
            self.clients[client].name = Some(Arc::from(format!("client-{client}")));
            self.schedule(Duration::from_millis(20), Coming::Turn(client));
        }
        let millis = wish.seconds as u32 * 1000;
        for (count, fault) in [
            (wish.power_losses, 0),
            (wish.cuts, 1),
            // One disk at a time: two blank ones of three would be more than a quorum survives.
            (wish.wipes.min(1), 2),
        ] {
            for _ in 0..count {
                let at = Duration::from_millis(u64::from(self.below(millis)));
                let server = self.below(self.servers.len() as u32) as usize;
                let fault = match fault {
                    0 => Coming::PowerLoss(server, Disk::Kept),
                    1 => Coming::Cut(server),
                    _ => Coming::PowerLoss(server, Disk::Lost),
                };
                self.schedule(at, fault);
            }
        }
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        self.rng.below(bound)
    }

    pub fn schedule(&mut self, after: Duration, what: Coming) {
        self.schedule_at(self.now + after, what);
    }

    pub fn schedule_at(&mut self, at: Duration, what: Coming) {
        self.numbers += 1;
        self.coming.insert((at, self.numbers), what);
    }

    pub fn record(&mut self, what: What) {
        self.history.moments.push(Moment { at: self.now, what });
    }

    fn run(&mut self, until: Duration) {
        loop {
            let armed = self.armed();
            let next = self.coming.first_key_value().map(|(key, _)| key.0);
            match (next, armed) {
                (_, Some((due, server, timer))) if next.is_none_or(|next| due < next) => {
                    self.now = due;
                    if due >= until {
                        return;
                    }
                    self.step(server, Input::Timeout(timer));
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
            Coming::Gone(link) => self.gone(link),
            Coming::Down(link, reply) => self.down(link, reply),
            Coming::Ended(link) => {
                self.gone(link);
                self.end(link);
            }
            Coming::Synced(server, life) => self.synced(server, life),
            Coming::Message { from, to, message } => self.message(from, to, *message),
            Coming::Told(server, life, input) => {
                if self.servers[server].life == life {
                    self.step(server, *input);
                }
            }
            Coming::PowerLoss(server, disk) => self.power_loss(server, disk),
            Coming::Start(server) => self.start(server),
            Coming::Cut(server) => self.cut(server),
            Coming::Mend(server) => self.mend(server),
        }
    }

    /// The end of a link reaches its server.
    fn gone(&mut self, link: LinkId) {
        if self.dead.insert(link) {
            let connection = ConnectionId(link.0);
            self.step(self.hosts[&link], Input::Closed { connection });
        }
    }
}

/// Adds a lock that clients take turns with, and a store that its tokens guard: the tokens are
/// positions of the history.
pub fn add_lock(history: &mut History) {
    let tokens: Vec<(Duration, Zxid)> = history
        .moments
        .iter()
        .filter_map(|moment| match &moment.what {
            What::Said {
                event: Event::Executed { zxid, .. },
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
