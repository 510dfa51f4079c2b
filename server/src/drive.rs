//! Drives the node: steps what happens, does what it wants done.
//!
//! In turns: all messages that wait are stepped (up to a limit), each followed by its effects, then
//! the timers that are due, then every client and every other server that was told something is
//! handed its bytes at once.
//! What waited when a timer came due is stepped before it: a heartbeat that has arrived counts.

use std::collections::BTreeSet;
use std::future::Future;
use std::mem;
use std::pin::pin;

use althing_core::config::Reconfiguring;
use althing_core::ids::{ConnectionId, ServerId};
use althing_core::node::effect::{Effect, Outbox};
use althing_core::node::event::Event;
use althing_core::node::input::{Input, Timer};
use althing_core::node::node::Node;
use althing_core::node::reply::Reply;
use althing_core::store::store::Store;
use althing_core::time::{Instant, Now};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;

use crate::alarm::Alarm;
use crate::audit::{AuditLog, Audited, Who};
use crate::clients::{Asked, Clients, Fate};
use crate::ending::{Left, Phase};
use crate::limits::{BATCH_MAX, TIMERS_MAX};
use crate::mail::{Counters, LinkNews, Mailbox, Message, View};
use crate::namespaces::Namespaces;
use crate::observers::Observers;
use crate::peers::links::{Links, Loss};
use crate::peers::neighbours::Neighbours;
use crate::shell::{Order, Shell};
use crate::statistics::Statistics;
use crate::storage::error::StorageError;
use crate::storage::log::LogJob;
use crate::storage::reader::ReadJob;
use crate::storage::taker::Piece;

/// Steps one node, and does what it wants done.
pub struct Drive<S: Shell> {
    shell: S,
    node: Node,
    outbox: Outbox,
    inbox: UnboundedReceiver<Message>,
    mailbox: Mailbox,
    clients: Clients,
    links: Links,
    observers: Observers,
    /// `None` for a server on its own.
    neighbours: Option<Neighbours<S>>,
    statistics: Statistics,
    namespaces: Namespaces,
    started: Instant,
    log: UnboundedSender<LogJob>,
    snapshots: UnboundedSender<Store>,
    reader: UnboundedSender<ReadJob>,
    /// Saves that were asked for and are not answered.
    saving: usize,
    phase: Phase,
    /// As long as this is held, clients are accepted.
    accepting: Option<watch::Sender<()>>,
    audit: Option<AuditLog>,
}

/// The channels between the drive and the tasks around it, and whom it looks after.
pub struct Channels<S: Shell> {
    /// Messages to the drive.
    pub inbox: UnboundedReceiver<Message>,
    /// The other end of `inbox`, for what the drive tells itself.
    pub mailbox: Mailbox,
    /// To the log.
    pub log: UnboundedSender<LogJob>,
    /// To the writer of snapshots.
    pub snapshots: UnboundedSender<Store>,
    /// To the reader of snapshots.
    pub reader: UnboundedSender<ReadJob>,
    /// The servers that are to learn and not to vote.
    pub observers: BTreeSet<ServerId>,
    /// May clients change the members?
    pub reconfiguring: Reconfiguring,
    /// With whom links are kept up.
    pub neighbours: Option<Neighbours<S>>,
    /// Held as long as clients are accepted.
    pub accepting: watch::Sender<()>,
    /// The audit log, if there is one.
    pub audit: Option<AuditLog>,
}

/// Why the drive woke.
enum Wake {
    Stop,
    Mail,
    Alarm,
}

impl<S: Shell> Drive<S> {
    /// A drive of `node`.
    pub fn new(shell: S, node: Node, clients: Clients, channels: Channels<S>) -> Drive<S> {
        let started = shell.now().clock;
        Drive {
            shell,
            node,
            outbox: Outbox::new(),
            inbox: channels.inbox,
            mailbox: channels.mailbox,
            clients,
            links: Links::default(),
            observers: Observers::new(channels.observers, channels.reconfiguring),
            neighbours: channels.neighbours,
            statistics: Statistics::default(),
            namespaces: Namespaces::default(),
            started,
            log: channels.log,
            snapshots: channels.snapshots,
            reader: channels.reader,
            saving: 0,
            phase: Phase::Serving,
            accepting: Some(channels.accepting),
            audit: channels.audit,
        }
    }

    /// Runs until `stop` ends, and then until nothing is under way any more.
    ///
    /// # Errors
    /// If the storage fails: the server must not go on.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) -> Result<(), StorageError> {
        let mut stop = pin!(stop);
        let mut alarm = Alarm::default();
        let mut batch = Vec::with_capacity(BATCH_MAX);
        self.fire(self.shell.now());
        self.drained(self.shell.now());
        loop {
            alarm.set(&self.shell, self.wakes_at());
            let wake = tokio::select! {
                biased;
                () = &mut stop, if self.phase == Phase::Serving => Wake::Stop,
                _ = self.inbox.recv_many(&mut batch, BATCH_MAX) => Wake::Mail,
                () = alarm.rings() => Wake::Alarm,
            };
            if matches!(wake, Wake::Stop) {
                self.stop();
            }
            self.take(&mut batch)?;
            self.take_what_waits_before_timers(&mut batch)?;
            let now = self.shell.now();
            self.fire(now);
            self.drained(now);
            self.go_on_with_the_end(now.clock);
            if self.phase == Phase::Ended {
                return Ok(());
            }
        }
    }

    /// The next hour at which something is to be done although nothing happens.
    fn wakes_at(&self) -> Option<Instant> {
        let timer = self.earliest().map(|(at, _)| at);
        let phase = self.phase.wakes_at(self.shell.now().clock);
        [timer, phase].into_iter().flatten().min()
    }

    fn earliest(&self) -> Option<(Instant, Timer)> {
        self.node.earliest()
    }

    /// Steps a batch of messages, all at one reading of the clocks.
    fn take(&mut self, batch: &mut Vec<Message>) -> Result<(), StorageError> {
        let now = self.shell.now();
        for message in batch.drain(..) {
            self.take_one(now, message)?;
        }
        Ok(())
    }

    /// If a timer is due, steps the messages that have come by now, and not those that come
    /// meanwhile: under any load, the timer's turn comes.
    fn take_what_waits_before_timers(
        &mut self,
        batch: &mut Vec<Message>,
    ) -> Result<(), StorageError> {
        let now = self.shell.now().clock;
        if self.earliest().is_none_or(|(at, _)| at > now) {
            return Ok(());
        }
        let mut waiting = self.inbox.len();
        while waiting > 0 {
            for _ in 0..waiting.min(BATCH_MAX) {
                batch.extend(self.inbox.try_recv());
            }
            waiting = waiting.saturating_sub(BATCH_MAX);
            self.take(batch)?;
            self.drained(self.shell.now());
        }
        Ok(())
    }

    fn take_one(&mut self, now: Now, message: Message) -> Result<(), StorageError> {
        match message {
            Message::Opened {
                connection,
                address,
                certified,
                request,
                outbound,
                received,
            } => {
                let statistics = &mut self.statistics;
                self.clients
                    .open(connection, address, outbound, received, statistics);
                let address = address.ip();
                let opened = Input::Opened {
                    connection,
                    address,
                    certified,
                    request,
                };
                self.step(now, opened);
                if let Phase::Closing { .. } = self.phase {
                    self.clients.close(connection);
                }
            }
            // A server that stops answers what it has begun, and begins nothing.
            Message::Asked { .. } | Message::HasRead { .. } if self.phase != Phase::Serving => {}
            Message::Asked { connection, asked } => {
                match self.clients.ask(connection, asked, &mut self.statistics) {
                    Fate::Step(asked) => self.ask(now, connection, asked),
                    Fate::Wait | Fate::Drop => {}
                }
            }
            Message::HasRead { connection } => {
                while let Some(asked) = self.clients.next_deferred(connection) {
                    self.ask(now, connection, asked);
                }
            }
            Message::Gone { connection } => {
                self.clients.remove(connection);
                self.step(now, Input::Closed { connection });
            }
            Message::OfLink(news) => self.take_of_link(now, news),
            Message::Suspected(server) => self.step(now, Input::Suspected(server)),
            Message::Stored(input) => self.stored(now, input),
            Message::StorageFailed(error) => return Err(error),
            Message::Ordered(Order::Reconfigure { voters, learners }) => {
                self.step(now, Input::Reconfigured { voters, learners });
            }
            Message::Ordered(Order::Restore(part)) => self.step(now, Input::RestoreAsked(part)),
            Message::Reset(Counters::OfServer) => self.statistics.reset(),
            Message::Reset(Counters::OfClients) => self.clients.reset_statistics(),
            Message::Query(query) => query(&View {
                now,
                started: self.started,
                node: &self.node,
                clients: &self.clients,
                audit: self.audit.as_ref(),
                links: &self.links,
                statistics: &self.statistics,
                namespaces: &self.namespaces,
            }),
        }
        Ok(())
    }

    fn take_of_link(&mut self, now: Now, news: LinkNews) {
        match news {
            LinkNews::Linked { other, outgoing } => {
                self.links.add(other.server, outgoing);
                self.observers.linked();
                let (server, directory) = (other.server, other.directory);
                self.step(now, Input::PeerJoined { server, directory });
            }
            LinkNews::Heard {
                from,
                message,
                unstepped,
            } => {
                let heard = Input::Heard {
                    from: from.server,
                    directory: from.directory,
                    message: *message,
                };
                self.step(now, heard);
                drop(unstepped);
            }
            LinkNews::Unlinked { server, outgoing } => {
                if self.links.remove(server, &outgoing) == Loss::Last {
                    self.step(now, Input::PeerLost(server));
                }
            }
        }
    }

    fn ask(&mut self, now: Now, connection: ConnectionId, asked: Asked) {
        if self.audit.is_some()
            && let Some(audited) = Audited::of(&asked.request)
        {
            let (session, identities) = self.node.asker(connection);
            let who = Who {
                session,
                identities,
            };
            self.clients.audit(connection, who, audited);
        }
        let asked = Input::Asked {
            connection,
            xid: asked.xid,
            request: asked.request,
        };
        self.step(now, asked);
    }

    fn stored(&mut self, now: Now, input: Input) {
        if let Input::Saved(_) | Input::Refused(_) = input {
            assert!(self.saving > 0, "an answer to a save that nobody asked for");
            self.saving -= 1;
        }
        // What only older snapshots need may go; and after a refusal the node builds on what the
        // log has, so the log may take records again.
        let job = match input {
            Input::SnapshotMade { zxid } => Some(LogJob::Prune { up_to: zxid }),
            Input::Refused(ticket) => Some(LogJob::Resume { ticket }),
            _ => None,
        };
        self.shell.observe_input(now, &input);
        self.node.step(now, input, &mut self.outbox);
        job.into_iter().for_each(|job| self.append(job));
        self.perform(now);
    }

    fn step(&mut self, now: Now, input: Input) {
        self.shell.observe_input(now, &input);
        self.node.step(now, input, &mut self.outbox);
        self.perform(now);
    }

    /// Does what the last step wants done.
    fn perform(&mut self, now: Now) {
        self.shell.observe_node(now, &self.node);
        let mut effects = mem::take(&mut self.outbox.effects);
        for effect in effects.drain(..) {
            self.shell.observe_effect(now, &effect);
            match effect {
                Effect::Reply { connection, reply } => {
                    self.audit_answer(now, connection, &reply);
                    let statistics = &mut self.statistics;
                    self.clients
                        .reply(connection, &reply, now.clock, statistics);
                }
                Effect::Close { connection } => self.clients.close(connection),
                Effect::Save { ticket, record } => {
                    self.saving += 1;
                    self.append(LogJob::Save { ticket, record });
                }
                // A writer that has ended has told so: the message is on its way.
                Effect::MakeSnapshot { store } => drop(self.snapshots.send(*store)),
                Effect::Send { to, message } => self.links.send(to, &message),
                // A reader that has ended has told so: the message is on its way.
                Effect::ReadChunk { to, zxid, offset } => {
                    let _ = self.reader.send(ReadJob { to, zxid, offset });
                }
                Effect::TakeChunk {
                    zxid,
                    offset,
                    bytes,
                    extent,
                } => self.append(LogJob::Take(Piece {
                    zxid,
                    offset,
                    bytes,
                    extent,
                })),
                Effect::Note(event) => {
                    self.statistics.observe(&event);
                    self.namespaces.observe(&event);
                    self.note(now, &event);
                    self.observers.observe(&event);
                    if let Some(neighbours) = &mut self.neighbours {
                        neighbours.observe(&event);
                    }
                }
            }
        }
        // Its allocation serves the next step.
        self.outbox.effects = effects;
    }

    /// Tells the audit log of an answer to a change.
    fn audit_answer(&self, now: Now, connection: ConnectionId, reply: &Reply) {
        if let Some(audit) = &self.audit
            && let Reply::Answer { result, .. } = reply
            && let Some((who, audited)) = self.clients.audited(connection)
        {
            let mut who = who.clone();
            // It may have asked before it was told its session.
            who.session = who.session.or_else(|| self.node.asker(connection).0);
            audit.answered(now.wall, &who, audited, result);
        }
    }

    /// Takes note of what the node lets know.
    fn note(&mut self, now: Now, event: &Event) {
        match (event, &self.audit) {
            (Event::LimitReached { connection, limit }, _) => {
                let statistics = &mut self.statistics;
                self.clients
                    .refused(*connection, *limit, now.clock, statistics);
            }
            (
                Event::SessionClosed {
                    session,
                    ephemerals: 1..,
                    ..
                },
                Some(audit),
            ) => audit.session_ended(now.wall, *session),
            _ => {}
        }
    }

    fn append(&self, job: LogJob) {
        // A log that has ended has told so: the message is on its way.
        let _ = self.log.send(job);
    }

    /// Steps the timers that are due.
    fn fire(&mut self, now: Now) {
        for _ in 0..TIMERS_MAX {
            match self.earliest() {
                Some((at, timer)) if at <= now.clock => self.step(now, Input::Timeout(timer)),
                _ => return,
            }
        }
    }

    /// All that waited is stepped: what has gathered is said, and leaves.
    fn drained(&mut self, now: Now) {
        if let Some(neighbours) = &mut self.neighbours {
            neighbours.attend(self.node.replica().membership());
        }
        if let Some(wish) = self.observers.wish(&self.node, &self.links) {
            self.step(now, wish);
        }
        self.step(now, Input::Drained);
        self.hand_over();
    }

    fn hand_over(&mut self) {
        self.shell.observe_leaving();
        self.links.hand_over();
        for connection in self.clients.hand_over() {
            self.mailbox.send(Message::HasRead { connection });
        }
    }

    fn stop(&mut self) {
        tracing::info!(clients = self.clients.count(), "the server stops");
        self.accepting = None;
        let now = self.shell.now();
        self.step(now, Input::StopAsked);
        self.phase = Phase::begin(now.clock);
    }

    /// Goes on with the stop, if there is one, as far as that is possible now.
    fn go_on_with_the_end(&mut self, now: Instant) {
        if self.phase == Phase::Serving {
            return;
        }
        while let Some(next) = self.phase.next(now, self.left()) {
            if let Phase::Closing { .. } = next {
                let Left {
                    saving, unanswered, ..
                } = self.left();
                if saving > 0 || unanswered > 0 {
                    tracing::warn!(saving, unanswered, "stopped without waiting for everything");
                }
                self.clients.close_all();
                self.hand_over();
            }
            self.phase = next;
        }
    }

    fn left(&self) -> Left {
        Left {
            role: self.node.status().role,
            saving: self.saving,
            unanswered: self.clients.unanswered(),
            clients: self.clients.count(),
            links: self.links.count(),
        }
    }
}
