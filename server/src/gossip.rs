//! Gossip, as every server of an ensemble runs it: datagrams and time go into the machine of the
//! core, its datagrams and suspicions come out.
//!
//! It runs beside the drive and asks it now and then what this server has to say of itself, so a
//! drive that hangs is seen by the others: its news grow old although its process answers.

use std::collections::BTreeSet;

use althing_core::gossip::gossip::{
    Gossip, GossipConfig, GossipEffect, GossipEvent, GossipFigures, GossipInput, GossipOutbox,
};
use althing_core::gossip::incarnation::Incarnation;
use althing_core::gossip::key::Key;
use althing_core::gossip::news::{Label, Report, Role};
use althing_core::gossip::peers::{Peer, Vitality};
use althing_core::ids::{DirectoryId, ServerId};
use althing_core::node::status;
use althing_core::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

use crate::alarm::Alarm;
use crate::mail::{Mailbox, Message, View};
use crate::shell::Shell;

/// How often the drive is asked for news: a new leader is known everywhere after this, and a drive
/// that has nothing else to do is hardly disturbed.
const LOOK_PERIOD: Duration = Duration::from_millis(250);

/// Datagrams that are taken in a row before timers have a turn: under a flood of them, those of the
/// ensemble's own servers still go out.
const DATAGRAMS_IN_A_ROW_MAX: u32 = 256;

/// How long is waited when the operating system has refused to read a datagram.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// What a server is told about gossip at its start.
#[derive(Clone, Debug)]
pub struct GossipSetup {
    /// The ensemble's key.
    pub key: Key,
    /// Where clients reach this server, as the others are told.
    pub endpoint: String,
}

/// What gossip knows.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Every server, in the order of their ids.
    pub peers: Vec<Peer>,
    /// Which life of this server it is.
    pub incarnation: Incarnation,
    /// Counters since the start.
    pub figures: GossipFigures,
}

/// Asks gossip what it knows. Each client has one question at a time, and they are limited.
#[derive(Clone, Debug)]
pub struct Inquiry {
    sender: mpsc::UnboundedSender<oneshot::Sender<Survey>>,
}

impl Inquiry {
    /// Asks; nothing comes from gossip that has ended.
    pub fn ask(&self) -> oneshot::Receiver<Survey> {
        let (sender, receiver) = oneshot::channel();
        // Dropped with what gossip that has ended would have answered: the receiver sees it.
        let _ = self.sender.send(sender);
        receiver
    }
}

/// The task.
pub struct Gossiping<S: Shell> {
    shell: S,
    mailbox: Mailbox,
    machine: Gossip,
    outbox: GossipOutbox,
    inquiries: mpsc::UnboundedReceiver<oneshot::Sender<Survey>>,
    card: Card,
    looks_at: Instant,
}

/// What this server says of itself that never changes.
#[derive(Clone, Debug)]
struct Card {
    directory: DirectoryId,
    endpoint: String,
    /// The servers of the configuration, until the ensemble has agreed on others.
    configured: BTreeSet<ServerId>,
}

/// What the drive answers.
struct Look {
    report: Report,
    members: BTreeSet<ServerId>,
}

/// Why the task woke.
enum Wake {
    Looked(Option<Look>),
    Inquired(Option<oneshot::Sender<Survey>>),
    Datagram(Vec<u8>),
    Refused,
    Alarm,
}

impl<S: Shell> Gossiping<S> {
    /// The gossip of this server, with the servers of its configuration.
    pub fn new(
        shell: S,
        mailbox: Mailbox,
        setup: GossipSetup,
        (server, directory): (ServerId, DirectoryId),
        configured: BTreeSet<ServerId>,
    ) -> (Gossiping<S>, Inquiry) {
        let (sender, inquiries) = mpsc::unbounded_channel();
        let config = GossipConfig {
            server,
            key: setup.key,
        };
        let gossiping = Gossiping {
            machine: Gossip::new(config, shell.entropy()),
            outbox: GossipOutbox::default(),
            inquiries,
            card: Card {
                directory,
                endpoint: setup.endpoint,
                configured,
            },
            looks_at: shell.now().clock,
            shell,
            mailbox,
        };
        (gossiping, Inquiry { sender })
    }

    /// Runs until the drive has ended.
    pub async fn run(mut self) {
        let configured = self.card.configured.clone();
        self.step(GossipInput::Configured(configured));
        let mut alarm = Alarm::default();
        let mut look: Option<oneshot::Receiver<Look>> = None;
        let mut in_a_row = 0;
        loop {
            let now = self.shell.now().clock;
            let wait_for_look = look.is_none().then_some(self.looks_at);
            let wakes_at = [wait_for_look, self.machine.armed()];
            alarm.set(&self.shell, wakes_at.into_iter().flatten().min());
            if look.is_none() && now >= self.looks_at {
                self.looks_at = now.after(LOOK_PERIOD);
                look = Some(self.look());
                continue;
            }
            let wake = tokio::select! {
                biased;
                looked = answer_to(&mut look), if look.is_some() => Wake::Looked(looked),
                inquiry = self.inquiries.recv() => Wake::Inquired(inquiry),
                datagram = self.shell.datagram(), if in_a_row < DATAGRAMS_IN_A_ROW_MAX => {
                    match datagram {
                        Ok(bytes) => Wake::Datagram(bytes),
                        Err(error) => {
                            tracing::debug!(%error, "no datagram could be read");
                            Wake::Refused
                        }
                    }
                }
                () = alarm.rings() => Wake::Alarm,
                () = std::future::ready(()), if in_a_row >= DATAGRAMS_IN_A_ROW_MAX => Wake::Alarm,
            };
            in_a_row = match wake {
                Wake::Datagram(_) => in_a_row + 1,
                _ => 0,
            };
            match wake {
                Wake::Looked(Some(looked)) => {
                    look = None;
                    self.step(GossipInput::Configured(looked.members));
                    self.step(GossipInput::Reported(looked.report));
                }
                // The drive has ended, or nobody can ask any more: the server stops.
                Wake::Looked(None) | Wake::Inquired(None) => return,
                Wake::Inquired(Some(answer)) => self.answer(answer),
                Wake::Datagram(bytes) => self.step(GossipInput::Heard(bytes)),
                Wake::Refused => {
                    let until = self.shell.now().clock.after(REFUSED_PAUSE);
                    self.shell.sleep_until(until).await;
                    self.fire();
                }
                Wake::Alarm => self.fire(),
            }
        }
    }

    fn fire(&mut self) {
        let now = self.shell.now().clock;
        if self.machine.armed().is_some_and(|at| at <= now) {
            self.step(GossipInput::Timeout);
        }
    }

    fn step(&mut self, input: GossipInput) {
        let now = self.shell.now().clock;
        self.machine.step(now, input, &mut self.outbox);
        for effect in self.outbox.effects.drain(..) {
            match effect {
                GossipEffect::Send { to, bytes } => self.shell.send_datagram(to, &bytes),
                GossipEffect::Suspect(server) => self.mailbox.send(Message::Suspected(server)),
                GossipEffect::Note(event) => note(event),
            }
        }
    }

    /// Asks the drive what this server is.
    fn look(&self) -> oneshot::Receiver<Look> {
        let (looked, answer) = oneshot::channel();
        let card = self.card.clone();
        self.mailbox.send(Message::Query(Box::new(move |view| {
            // Gossip may have ended.
            let _ = looked.send(seen(view, card));
        })));
        answer
    }

    fn answer(&self, answer: oneshot::Sender<Survey>) {
        let now = self.shell.now().clock;
        // Whoever asked may have left.
        let _ = answer.send(Survey {
            peers: self.machine.peers(now),
            incarnation: self.machine.incarnation(),
            figures: self.machine.figures(),
        });
    }
}

async fn answer_to(look: &mut Option<oneshot::Receiver<Look>>) -> Option<Look> {
    match look {
        Some(look) => look.await.ok(),
        None => std::future::pending().await,
    }
}

fn seen(view: &View<'_>, card: Card) -> Look {
    let status = view.node.status();
    let agreed = view.node.store().membership();
    let report = Report {
        role: match status.role {
            status::Role::Looking | status::Role::ReadOnly => Role::Looking,
            status::Role::Standalone | status::Role::Leader => Role::Leader,
            status::Role::Follower => Role::Follower,
            status::Role::Observer => Role::Learner,
        },
        epoch: status.epoch,
        leader: status.leader,
        applied: status.applied,
        endpoint: Label::fitting(&card.endpoint),
        release: Label::fitting(env!("CARGO_PKG_VERSION")),
        directory: card.directory,
    };
    let members = match agreed.is_empty() {
        true => card.configured,
        false => agreed.members(),
    };
    Look { report, members }
}

fn note(event: GossipEvent) {
    match event {
        GossipEvent::Turned {
            server,
            vitality: vitality @ (Vitality::Alive | Vitality::Unknown),
        } => tracing::info!(%server, vitality = vitality.name(), "gossip has news of a server"),
        GossipEvent::Turned { server, vitality } => {
            tracing::warn!(%server, vitality = vitality.name(), "gossip has news of a server");
        }
        GossipEvent::Renewed { incarnation } => {
            tracing::info!(%incarnation, "gossip took this server for another life of it");
        }
    }
}
