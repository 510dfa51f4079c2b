//! One server, whole: the door through which everything comes in.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::config::Config;
use crate::ids::{ConnectionId, DirectoryId, Epoch, ServerId, SessionId, Token, Zxid};
use crate::node::barrier::Barriers;
use crate::node::company::Company;
use crate::node::connection::{Connection, Phase};
use crate::node::effect::Outbox;
use crate::node::event::Event;
use crate::node::input::{Input, Timer};
use crate::node::lane::Taken;
use crate::node::local::Locals;
use crate::node::throttle::Throttle;
use crate::prng::{Prng, Seed};
use crate::quorum::act::{Alarm, Part, Timing};
use crate::quorum::log::Ballot;
use crate::quorum::replica::{Beginning, Replica};
use crate::session::Heartbeats;
use crate::store::store::Store;
use crate::store::txn::{Attachment, Entry, Txn};
use crate::time::{Instant, Now};
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
    pub(super) incarnation: u64,
    pub(super) prng: Prng,
    pub(super) replica: Replica,
    pub(super) store: Store,
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    /// The connection of this server that speaks for a session.
    pub(super) attached: BTreeMap<SessionId, ConnectionId>,
    pub(super) watches: Watches,
    /// The leader's: who is alive.
    pub(super) heartbeats: Heartbeats,
    /// Everybody else's: who was heard of since the leader was told last.
    pub(super) touched: BTreeSet<SessionId>,
    /// Connections that came before this server served.
    pub(super) arrivals: Vec<ConnectionId>,
    /// The reign to whose leader everything was handed that the connections ask for.
    pub(super) handed_to: Option<(Epoch, ServerId)>,
    /// Transactions that are to be forwarded to the leader.
    pub(super) outgoing: Vec<Arc<Txn>>,
    /// What the connections asked for and was not executed.
    pub(super) unexecuted: usize,
    /// How much of it was executed, ever; and how much when it was looked at last.
    pub(super) executed_own: u64,
    pub(super) executed_own_before: u64,
    /// When what has no answer is asked again.
    pub(super) retry_at: Instant,
    /// The leader's: the last write of each session that it proposed, where the state does not say
    /// so yet.
    pub(super) pipelines: BTreeMap<SessionId, (Attachment, u64)>,
    /// The leader's: how far it has taken what each server hands it for sessions of its own.
    pub(super) lanes: BTreeMap<ServerId, Taken>,
    /// The leader's: what waits behind a wish for other members.
    pub(super) held: VecDeque<Arc<Txn>>,
    /// The leader's: the wishes for sessions that are proposed and not executed.
    pub(super) wishes: BTreeSet<Token>,
    /// The leader's: sessions whose end is to be proposed as soon as it can be.
    pub(super) expiring: BTreeSet<SessionId>,
    /// The leader's: when it looks for znodes whose time is over, and from where.
    pub(super) reap_at: Instant,
    pub(super) reap_from: u32,
    pub(super) barriers: Barriers,
    /// How often this server's clients have asked.
    pub(super) throttle: Throttle,
    /// Is there a leader?
    pub(super) company: Company,
    /// The sessions of this server alone.
    pub(super) locals: Locals,
    /// The mark of the last part of a snapshot that was ordered and is executed here.
    pub(super) restored: u64,
    /// When the clients are sent away, if there is no leader.
    pub(super) isolation_at: Instant,
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
    ///
    /// # Panics
    /// If the configuration contradicts itself.
    pub fn new(config: Config, recovered: Recovered, seed: Seed) -> Node {
        config.check();
        let mut prng = Prng::new(seed);
        let Recovered {
            directory,
            ballot,
            mut store,
            entries,
        } = recovered;
        store.rekey(prng.bits());
        let incarnation = prng.bits();
        let beginning = Beginning {
            server: config.server,
            directory,
            first: config.voters.clone(),
            ballot,
            executed: store.applied(),
            membership: store.membership().clone(),
            entries,
            incarnation,
            counter_max: config.counter_max,
        };
        let timing = Timing {
            election_timeout: config.election_timeout,
            beat: config.beat,
        };
        let replica = Replica::new(beginning, timing, prng.fork());
        let heartbeats = Heartbeats::new(config.tick / 4);
        let throttle = Throttle::new(config.rates);
        let locals = Locals::new(config.server, incarnation, config.tick / 4);
        let mut node = Node {
            config,
            incarnation,
            prng,
            recovered: replica.last(),
            replica,
            store,
            connections: BTreeMap::new(),
            attached: BTreeMap::new(),
            watches: Watches::new(),
            heartbeats,
            touched: BTreeSet::new(),
            arrivals: Vec::new(),
            handed_to: None,
            outgoing: Vec::new(),
            unexecuted: 0,
            executed_own: 0,
            executed_own_before: 0,
            retry_at: Instant::ORIGIN,
            pipelines: BTreeMap::new(),
            lanes: BTreeMap::new(),
            held: VecDeque::new(),
            wishes: BTreeSet::new(),
            expiring: BTreeSet::new(),
            reap_at: Instant::ORIGIN,
            reap_from: 0,
            barriers: Barriers::default(),
            throttle,
            company: Company::Led,
            locals,
            restored: 0,
            isolation_at: Instant::ORIGIN,
            tick_at: Instant::ORIGIN,
            stepped_at: Instant::ORIGIN,
            executed_since_snapshot: 0,
            snapshot_after: 0,
            is_making_snapshot: false,
            changes: Vec::new(),
        };
        node.snapshot_after = node.draw_snapshot_after();
        node
    }

    /// Takes one thing that happened; writes what should be done about it. Never blocks, never
    /// fails, bounded work.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Outbox) {
        let pause = self.notice_pause(now, out);
        match input {
            Input::Opened {
                connection,
                address,
                certified,
                request,
            } => {
                let mut client = Connection::new(address, request);
                if let Some(identity) = certified {
                    client.take_on(identity, &self.config.supers);
                }
                self.opened(now, client, connection, out);
            }
            Input::Asked {
                connection,
                xid,
                request,
            } => self.asked(now, connection, xid, request, out),
            Input::Closed { connection } => self.closed(connection),
            Input::Saved(ticket) => self.replica.saved(now, ticket),
            Input::Refused(ticket) => {
                let lost = self.replica.refused(now, ticket);
                self.take_back(now, &lost, out);
            }
            Input::SnapshotMade { zxid } => {
                self.is_making_snapshot = false;
                out.note(Event::SnapshotMade { zxid });
                self.replica.snapshot_made(zxid);
                self.replica.transfer_waiting();
            }
            Input::SnapshotRefused { zxid } => {
                self.is_making_snapshot = false;
                out.note(Event::SnapshotRefused { zxid });
            }
            Input::PeerJoined { server, directory } => self.peer_joined(server, directory),
            Input::Heard {
                from,
                directory,
                message,
            } => self.heard(now, from, directory, message, out),
            Input::PeerLost(server) => self.replica.peer_lost(now, server),
            Input::Suspected(server) => self.replica.suspected(now, server),
            Input::Drained => self.drained(now, out),
            Input::ChunkRead {
                to,
                zxid,
                offset,
                bytes,
                extent,
            } => self.replica.chunk_read(to, zxid, offset, bytes, extent),
            Input::ChunkMissed { to, zxid } => self.replica.chunk_missed(to, zxid),
            Input::ChunkTaken { zxid, offset } => self.replica.chunk_taken(zxid, offset),
            Input::ChunkRefused { zxid } => self.replica.chunk_refused(now, zxid),
            Input::Installed { store } => self.installed(*store, out),
            Input::Reconfigured { voters, learners } => {
                self.reconfigured(now, &voters, &learners, out);
            }
            Input::RestoreAsked(part) => self.restore_asked(now, part, out),
            Input::StopAsked => self.replica.hand_over(now),
            // The pause moved every session's deadline: the timer that was armed before it is void.
            Input::Timeout(Timer::Expiry(_) | Timer::Silence(_)) if pause == Pause::Noticed => {}
            Input::Timeout(timer) => self.timeout(now, timer, out),
        }
        self.settle(now, out);
    }

    fn timeout(&mut self, now: Now, timer: Timer, out: &mut Outbox) {
        match timer {
            Timer::Election => self.replica.rang(now, Alarm::Election),
            Timer::Quorum => self.replica.rang(now, Alarm::Quorum),
            Timer::Beat if self.replica.part() == Part::Leader => {
                self.replica.rang(now, Alarm::Beat);
                self.tend_members(now, out);
            }
            Timer::Beat => self.retry(now),
            Timer::Isolation => self.isolate(now, out),
            Timer::ReadOnly => self.begin_reading(now, out),
            Timer::Tick => self.tick_at = now.clock.after(self.config.tick / 2),
            Timer::Reap => self.reap(now, out),
            Timer::Expiry(session) => self.expire(now, session, out),
            Timer::Silence(session) => self.silent(session, out),
        }
    }

    /// Does what the step has brought about: acts, opens a won epoch, executes what is agreed,
    /// hands requests to a leader that is new, admits who waited for one.
    fn settle(&mut self, now: Now, out: &mut Outbox) {
        self.act(out);
        if self.replica.is_to_open() && self.replica.can_append(now) {
            self.lead(now, out);
        }
        self.execute_committed(now, out);
        self.hand_over_requests(now, out);
        self.release(now, out);
        self.keep_company(now, out);
        if !self.arrivals.is_empty() && self.is_ready() {
            for connection in core::mem::take(&mut self.arrivals) {
                self.admit(now, connection, out);
            }
        }
        self.act(out);
    }

    /// As long as there are sessions there is a step at least every half tick, so a longer gap
    /// means that this process did not run: the sessions' clients may have spoken meanwhile.
    fn notice_pause(&mut self, now: Now, out: &mut Outbox) -> Pause {
        let gap = now.clock.since(self.stepped_at);
        self.stepped_at = now.clock;
        if gap <= self.config.tick || !self.awaits_heartbeats() {
            return Pause::None;
        }
        self.heartbeats.pause(gap);
        self.locals.beats.pause(gap);
        out.note(Event::Paused { gap });
        Pause::Noticed
    }

    /// Are there sessions whose heartbeats this server waits for?
    pub(super) fn awaits_heartbeats(&self) -> bool {
        !self.heartbeats.is_empty() || !self.locals.beats.is_empty()
    }

    /// Does this server lead, and is its epoch open, with everything executed that was agreed
    /// before it?
    pub(super) fn is_serving(&self) -> bool {
        self.replica.part() == Part::Leader && self.store.applied().epoch() == self.replica.epoch()
    }

    /// Is there a leader, and has this server executed the beginning of its epoch? Then it knows
    /// everything that older epochs agreed on.
    pub(super) fn is_ready(&self) -> bool {
        self.replica.leader().is_some() && self.store.applied().epoch() == self.replica.epoch()
    }

    /// The timers that are armed, each with its hour; the shell sleeps until the earliest and steps
    /// [`Input::Timeout`]. Of the sessions only the one whose time-out passes first is listed.
    pub fn armed(&self) -> impl Iterator<Item = (Instant, Timer)> + use<> {
        self.timers().into_iter().flatten()
    }

    /// The armed timer whose hour comes first; asked several times in each turn of the shell.
    pub fn earliest(&self) -> Option<(Instant, Timer)> {
        self.timers().into_iter().flatten().min()
    }

    fn timers(&self) -> [Option<(Instant, Timer)>; 10] {
        let timer_of = |alarm| match alarm {
            Alarm::Election => Timer::Election,
            Alarm::Beat => Timer::Beat,
            Alarm::Quorum => Timer::Quorum,
        };
        let alarms = self.replica.armed();
        let [election, beat, quorum] = alarms.map(|armed| armed.map(|(at, it)| (at, timer_of(it))));
        let waits =
            self.unexecuted > 0 || self.barriers.are_waited_for() || self.locals.lane.waits();
        let retries = waits && self.replica.part() != Part::Leader && self.handed_to.is_some();
        let retry = retries.then_some((self.retry_at, Timer::Beat));
        let is_led = self.is_ready() || self.replica.is_alone();
        let isolated = !self.connections.is_empty() && !is_led && self.company != Company::Alone;
        let isolation = isolated.then_some((self.isolation_at, Timer::Isolation));
        let read_only = self.reads_only_at().map(|at| (at, Timer::ReadOnly));
        let tick = self
            .awaits_heartbeats()
            .then_some((self.tick_at, Timer::Tick));
        let expiry = match self.is_serving() {
            true => self.heartbeats.earliest(),
            false => None,
        };
        let expiry = expiry.map(|(at, session)| (at, Timer::Expiry(session)));
        let reaps = self.is_serving() && self.store.tree().reapable_count() > 0;
        let reap = reaps.then_some((self.reap_at, Timer::Reap));
        let silence = self.locals.beats.earliest();
        let silence = silence.map(|(at, session)| (at, Timer::Silence(session)));
        [
            election, beat, quorum, retry, isolation, read_only, tick, expiry, silence, reap,
        ]
    }

    /// The replicated state.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The agreement's state.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Asserts what must hold between any two steps; the simulator calls it after each.
    pub fn check(&self) {
        self.replica.check();
        self.watches.check();
        self.locals.check();
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
        let mut unexecuted = 0;
        for connection in self.connections.values() {
            unexecuted += connection.asked.len();
            let next = connection.queue.front();
            let ready = next.is_some_and(|next| next.what.is_ready(&self.barriers));
            assert!(!ready, "an answer that is ready does not wait");
            let reads = matches!(connection.phase, Phase::Reading { .. });
            assert!(
                !reads || self.company == Company::Alone,
                "who only reads is served as long as there is no leader"
            );
            if let Phase::Local { session, .. } = connection.phase {
                let is_here = self.locals.get(session).is_some();
                assert!(is_here, "a session of this server alone is served as one");
            }
        }
        assert!(
            unexecuted == self.unexecuted,
            "what is asked for is counted"
        );
        assert!(
            self.heartbeats.is_empty() || self.replica.part() == Part::Leader,
            "only a leader waits for heartbeats"
        );
        assert!(
            self.held.is_empty() || self.replica.part() == Part::Leader,
            "only a leader lets a wish wait"
        );
    }
}
