//! One server, whole: the door through which everything comes in.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use xxhash_rust::xxh3::Xxh3;

use crate::config::Config;
use crate::ids::{ConnectionId, DirectoryId, Password, SessionId, Token, Zxid};
use crate::node::connection::{Connection, Phase, Waiting};
use crate::node::effect::Outbox;
use crate::node::event::{Event, Refusal};
use crate::node::input::{Input, Timer};
use crate::node::reply::{ConnectResponse, Reply};
use crate::node::request::ConnectRequest;
use crate::node::waiter::{Held, Proposed, Waiter};
use crate::prng::{Prng, Seed};
use crate::quorum::log::Ballot;
use crate::quorum::replica::{Part, Progress, Replica};
use crate::session::Heartbeats;
use crate::store::store::Store;
use crate::store::txn::{Action, Entry};
use crate::time::{Duration, Instant, Now};
use crate::tree::op::Change;
use crate::watch::Watches;

/// What the storage found at a server's start.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The data directory.
    pub directory: DirectoryId,
    /// The last ballot that was saved.
    pub ballot: Ballot,
    /// The newest snapshot; the empty state if there is none.
    pub store: Store,
    /// The log after the snapshot, in order and without gaps.
    pub entries: Vec<Entry>,
}

/// Did this process run since the step before?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pause {
    /// It did.
    None,
    /// It did not, for a while.
    Noticed,
}

/// One server of an ensemble, without its shell.
#[derive(Clone, Debug)]
pub struct Node {
    pub(super) config: Config,
    pub(super) directory: DirectoryId,
    pub(super) incarnation: u64,
    prng: Prng,
    pub(super) replica: Replica,
    pub(super) store: Store,
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    /// The connection of this server that speaks for a session.
    pub(super) attached: BTreeMap<SessionId, ConnectionId>,
    pub(super) watches: Watches,
    pub(super) heartbeats: Heartbeats,
    /// Connections that came before this server served.
    pub(super) arrivals: Vec<ConnectionId>,
    pub(super) held: VecDeque<Held>,
    pub(super) proposed: VecDeque<Proposed>,
    pub(super) election_at: Instant,
    pub(super) tick_at: Instant,
    /// When the last step was; a long gap is a pause of this process.
    stepped_at: Instant,
    /// The end of the log that the storage found: what is executed up to there is no news.
    pub(super) recovered: Zxid,
    pub(super) executed_since_snapshot: u32,
    pub(super) snapshot_after: u32,
    pub(super) is_making_snapshot: bool,
    /// Kept for its allocation; empty between steps.
    pub(super) changes: Vec<Change>,
}

impl Node {
    /// A server at its start.
    pub fn new(config: Config, recovered: Recovered, seed: Seed) -> Node {
        assert!(
            config.session_timeout_min <= config.session_timeout_max,
            "session time-outs"
        );
        assert!(
            config.snapshot_every > 0,
            "a snapshot is made after at least one transaction"
        );
        let mut prng = Prng::new(seed);
        let Recovered {
            directory,
            ballot,
            mut store,
            entries,
        } = recovered;
        store.rekey(prng.bits());
        let (server, voters) = (config.server, config.voters.clone());
        let incarnation = prng.bits();
        let applied = store.applied();
        let executed_since_snapshot = 0;
        let replica = Replica::new(server, voters, ballot, applied, entries, incarnation);
        let heartbeats = Heartbeats::new(config.tick / 4);
        let mut node = Node {
            config,
            directory,
            incarnation,
            prng,
            recovered: replica.last(),
            replica,
            store,
            connections: BTreeMap::new(),
            attached: BTreeMap::new(),
            watches: Watches::new(),
            heartbeats,
            arrivals: Vec::new(),
            held: VecDeque::new(),
            proposed: VecDeque::new(),
            election_at: Instant::ORIGIN,
            tick_at: Instant::ORIGIN,
            stepped_at: Instant::ORIGIN,
            executed_since_snapshot,
            snapshot_after: 0,
            is_making_snapshot: false,
            changes: Vec::new(),
        };
        node.snapshot_after = node.draw_snapshot_after();
        node
    }

    /// Between half of what is configured and all of it, so that the servers of an ensemble do not
    /// make their snapshots at the same time.
    pub(super) fn draw_snapshot_after(&mut self) -> u32 {
        let half = self.config.snapshot_every.div_ceil(2);
        half + self.prng.below(half)
    }

    /// Takes one thing that happened; writes what should be done about it. Never blocks, never
    /// fails, bounded work.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Outbox) {
        let pause = self.notice_pause(now, out);
        match input {
            Input::Opened {
                connection,
                address,
                request,
            } => {
                let known = self
                    .connections
                    .insert(connection, Connection::new(address, request));
                assert!(known.is_none(), "connection {connection} was opened before");
                if self.is_serving() {
                    self.admit(now, connection, out);
                } else {
                    self.arrivals.push(connection);
                }
            }
            Input::Asked {
                connection,
                xid,
                request,
            } => {
                self.asked(now, connection, xid, request, out);
            }
            Input::Closed { connection } => self.closed(connection),
            Input::Saved(ticket) => match self.replica.saved(ticket) {
                Progress::Nothing => {}
                Progress::Won(_) => self.lead(now, out),
                Progress::Committed(_) => self.execute_committed(now, out),
            },
            Input::Refused(ticket) => {
                let lost = self.replica.refused(ticket);
                self.take_back(now, &lost, out);
                self.propose_held(now, out);
            }
            Input::SnapshotMade { zxid } => {
                self.is_making_snapshot = false;
                out.note(Event::SnapshotMade { zxid });
            }
            Input::SnapshotRefused { zxid } => {
                self.is_making_snapshot = false;
                out.note(Event::SnapshotRefused { zxid });
            }
            // The pause moved every session's deadline: the timer that was armed before it is void.
            Input::Timeout(Timer::Expiry(_)) if pause == Pause::Noticed => {}
            Input::Timeout(timer) => self.timeout(now, timer, out),
            Input::PeerJoined { .. }
            | Input::Heard { .. }
            | Input::PeerLost(_)
            | Input::Suspected(_)
            | Input::Drained
            | Input::ChunkRead { .. }
            | Input::ChunkMissed { .. }
            | Input::ChunkTaken { .. }
            | Input::ChunkRefused { .. }
            | Input::Installed { .. }
            | Input::Reconfigured { .. }
            | Input::StopAsked => {}
        }
    }

    fn timeout(&mut self, now: Now, timer: Timer, out: &mut Outbox) {
        match timer {
            Timer::Election => {
                if self.replica.can_campaign() {
                    self.campaign(out);
                }
            }
            Timer::Beat | Timer::Quorum | Timer::Isolation => {}
            Timer::Tick => self.tick_at = now.clock.after(self.config.tick / 2),
            Timer::Expiry(session) => self.expire(now, session, out),
        }
    }

    /// As long as there are sessions there is a step at least every half tick, so a longer gap
    /// means that this process did not run: the sessions' clients may have spoken meanwhile.
    fn notice_pause(&mut self, now: Now, out: &mut Outbox) -> Pause {
        let gap = now.clock.since(self.stepped_at);
        self.stepped_at = now.clock;
        if gap <= self.config.tick || self.heartbeats.is_empty() {
            return Pause::None;
        }
        self.heartbeats.pause(gap);
        out.note(Event::Paused { gap });
        Pause::Noticed
    }

    /// Is the epoch open, and everything executed that was agreed before it?
    fn is_serving(&self) -> bool {
        let opened = self.store.applied().epoch() == self.replica.epoch();
        self.replica.part() == Part::Leader && opened
    }

    /// A connection's first frame: opens a session for it, or attaches it to its session.
    pub(super) fn admit(&mut self, now: Now, id: ConnectionId, out: &mut Outbox) {
        let Some(Phase::Connecting { request, .. }) = self
            .connections
            .get(&id)
            .map(|connection| &connection.phase)
        else {
            return;
        };
        let request = request.clone();
        if request.last_zxid_seen > self.store.applied() {
            self.refuse_connection(id, Refusal::Behind, out);
            return;
        }
        let timeout_ms = self.negotiate(request.timeout_ms);
        let token = Token {
            incarnation: self.incarnation,
            connection: id,
        };
        let action = match request.session {
            None => Action::OpenSession {
                password: self.prng.password(),
                timeout_ms,
                token,
            },
            Some(session) => {
                let password = request.password;
                match self.store.sessions().get(&session) {
                    Some(known) if known.password == password => Action::Attach {
                        session,
                        password,
                        timeout_ms,
                        token,
                    },
                    _ => {
                        self.refuse_connection(id, Refusal::NoSession, out);
                        return;
                    }
                }
            }
        };
        let identities = self.identities_of(id);
        self.submit(
            now,
            Held {
                waiter: Waiter::Attaching(id),
                identities,
                action,
            },
            out,
        );
    }

    fn negotiate(&self, wished_ms: i32) -> u32 {
        let millis = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        let least = millis(self.config.session_timeout_min);
        let most = millis(self.config.session_timeout_max);
        u32::try_from(wished_ms).unwrap_or(0).clamp(least, most)
    }

    /// Refuses a connection. One whose session is gone is told so; every other is only closed, and
    /// its client tries another server.
    pub(super) fn refuse_connection(
        &mut self,
        id: ConnectionId,
        refusal: Refusal,
        out: &mut Outbox,
    ) {
        let Some(Phase::Connecting {
            request: ConnectRequest { read_only, .. },
            ..
        }) = self
            .connections
            .get(&id)
            .map(|connection| &connection.phase)
        else {
            return;
        };
        if refusal == Refusal::NoSession {
            let response = ConnectResponse {
                timeout_ms: 0,
                session: None,
                password: Password::NONE,
                read_only: read_only.map(|_| false),
            };
            out.reply(id, Reply::Connected(response));
        }
        out.note(Event::ConnectionRefused {
            connection: id,
            refusal,
        });
        self.close_connection(id, out);
    }

    fn closed(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        if let Some(session) = connection.session()
            && self.attached.get(&session) == Some(&id)
        {
            self.attached.remove(&session);
        }
        self.watches.forget(id);
        self.arrivals.retain(|arrival| *arrival != id);
    }

    /// The timers that are armed, each with its hour; the shell sleeps until the earliest and steps
    /// [`Input::Timeout`]. Of the sessions only the one whose time-out passes first is listed.
    pub fn armed(&self) -> impl Iterator<Item = (Instant, Timer)> {
        let election = self
            .replica
            .can_campaign()
            .then_some((self.election_at, Timer::Election));
        let tick = (!self.heartbeats.is_empty()).then_some((self.tick_at, Timer::Tick));
        let expiry = match self.is_serving() {
            true => self.heartbeats.earliest(),
            false => None,
        };
        let expiry = expiry.map(|(at, session)| (at, Timer::Expiry(session)));
        [election, tick, expiry].into_iter().flatten()
    }

    /// The replicated state.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A digest of the state that matters to the protocol: not the clock, not the generator, not
    /// the counters of events.
    pub fn fingerprint(&self) -> u128 {
        let mut hash = Xxh3::new();
        self.replica
            .digest_into(|number| hash.update(&number.to_le_bytes()));
        hash.update(&self.store.digest().to_le_bytes());
        let mut hash_text = |text: &dyn core::fmt::Debug| {
            hash.update(alloc::format!("{text:?}").as_bytes());
        };
        for (id, connection) in &self.connections {
            hash_text(id);
            hash_text(connection);
        }
        hash_text(&self.arrivals);
        hash_text(&self.held);
        hash_text(&self.proposed);
        self.watches.all().for_each(|watch| hash_text(&watch));
        self.heartbeats
            .sessions()
            .for_each(|session| hash_text(&session));
        hash.digest128()
    }

    /// Asserts what must hold between any two steps; the simulator calls it after each.
    pub fn check(&self) {
        self.replica.check();
        self.watches.check();
        assert!(
            self.changes.is_empty(),
            "changes are told in the step that brings them about"
        );
        assert!(
            self.store.applied() <= self.replica.committed(),
            "executed, but not agreed"
        );
        for (session, id) in &self.attached {
            let connection = self
                .connections
                .get(id)
                .expect("a session's connection is there");
            assert!(
                connection.session() == Some(*session),
                "a session's connection is its own"
            );
        }
        for connection in self.connections.values() {
            let ready = connection
                .queue
                .front()
                .is_some_and(|next| next.what != Waiting::Txn);
            assert!(!ready, "an answer that is ready does not wait");
        }
        let zxids = self.proposed.iter().map(|proposed| proposed.zxid);
        assert!(
            zxids.is_sorted(),
            "proposals wait in the order of their positions"
        );
    }
}
