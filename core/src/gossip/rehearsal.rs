//! Several machines on a simulated network, for tests: loss, delay, dead servers, cut paths.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::gossip::gossip::{
    Gossip, GossipConfig, GossipEffect, GossipEvent, GossipInput, GossipOutbox,
};
use crate::gossip::key::Key;
use crate::gossip::news::{Label, Report, Role};
use crate::gossip::peers::{Peer, Vitality};
use crate::ids::{DirectoryId, Epoch, ServerId, Zxid};
use crate::prng::{Prng, Seed};
use crate::time::{Duration, Instant};

/// How often a server's node is asked for its report.
const REPORT_PERIOD: Duration = Duration::from_millis(250);

enum Act {
    Deliver { to: ServerId, bytes: Vec<u8> },
    Report(ServerId),
}

/// The stage.
pub(super) struct Rehearsal {
    pub(super) now: Instant,
    pub(super) servers: BTreeMap<ServerId, Gossip>,
    pub(super) reports: BTreeMap<ServerId, Report>,
    /// Of a thousand datagrams so many are lost.
    pub(super) loss_permille: u32,
    /// Datagrams from the first to the second are lost.
    pub(super) cut: BTreeSet<(ServerId, ServerId)>,
    /// Who was suspected, by whom, when.
    pub(super) suspected: Vec<(Instant, ServerId, ServerId)>,
    /// Every datagram that was sent, if they are kept.
    pub(super) recorded: Option<Vec<(ServerId, Vec<u8>)>>,
    pub(super) prng: Prng,
    acts: BTreeMap<(Instant, u64), Act>,
    acts_planned: u64,
    all: BTreeSet<ServerId>,
    lives: u8,
}

pub(super) fn key() -> Key {
    Key::from_secret(b"a secret of the ensemble")
}

pub(super) fn report(server: ServerId) -> Report {
    Report {
        role: Role::Follower,
        epoch: Epoch(1),
        leader: Some(ServerId(1)),
        applied: Zxid::new(Epoch(1), 7),
        endpoint: Label::fitting("10.0.0.1:2181"),
        release: Label::fitting("0.1.0"),
        directory: DirectoryId(server.0.into()),
    }
}

impl Rehearsal {
    /// Servers 1 to `count`, all started at once.
    pub(super) fn new(count: u8, seed: u8) -> Rehearsal {
        let all: BTreeSet<ServerId> = (1..=count).map(ServerId).collect();
        let mut rehearsal = Rehearsal {
            now: Instant::ORIGIN,
            servers: BTreeMap::new(),
            reports: BTreeMap::new(),
            loss_permille: 0,
            cut: BTreeSet::new(),
            suspected: Vec::new(),
            recorded: None,
            prng: Prng::new(Seed([seed; 32])),
            acts: BTreeMap::new(),
            acts_planned: 0,
            all: all.clone(),
            lives: 0,
        };
        all.into_iter().for_each(|server| rehearsal.start(server));
        rehearsal
    }

    /// A server starts, or starts again.
    pub(super) fn start(&mut self, server: ServerId) {
        self.lives += 1;
        let mut seed = [self.lives; 32];
        seed[0] = server.0;
        let config = GossipConfig { server, key: key() };
        self.servers.insert(server, Gossip::new(config, Seed(seed)));
        self.reports.insert(server, report(server));
        let all = self.all.clone();
        self.step(server, GossipInput::Configured(all));
        let first_ms = u64::from(self.prng.below(250));
        self.plan(Duration::from_millis(first_ms), Act::Report(server));
    }

    /// The process dies.
    pub(super) fn kill(&mut self, server: ServerId) {
        self.servers.remove(&server);
        let report_of = |act: &Act| matches!(act, Act::Report(of) if *of == server);
        self.acts.retain(|_, act| !report_of(act));
    }

    /// The process stands still for this long: what comes waits.
    pub(super) fn pause(&mut self, server: ServerId, pause: Duration) {
        let paused = self.servers.remove(&server).expect("a server that runs");
        let until = self.now.after(pause);
        let mut waiting = Vec::new();
        while let Some((at, act)) = self.next_act(until) {
            self.now = at;
            match act {
                Some(Act::Deliver { to, bytes }) if to == server => waiting.push(bytes),
                Some(Act::Report(of)) if of == server => self.plan(pause, Act::Report(of)),
                act => self.play(act),
            }
        }
        self.now = until;
        self.servers.insert(server, paused);
        for bytes in waiting {
            self.step(server, GossipInput::Heard(bytes));
        }
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, time: Duration) {
        let until = self.now.after(time);
        while let Some((at, act)) = self.next_act(until) {
            self.now = at;
            self.play(act);
        }
        self.now = until;
    }

    /// Lets time pass until `done`; how long it was, or `None` after `most`.
    pub(super) fn run_until(
        &mut self,
        most: Duration,
        done: impl Fn(&Rehearsal) -> bool,
    ) -> Option<Duration> {
        let began = self.now;
        let step = Duration::from_millis(10);
        while !done(self) {
            if self.now.since(began) >= most {
                return None;
            }
            self.run(step);
        }
        Some(self.now.since(began))
    }

    pub(super) fn step(&mut self, server: ServerId, input: GossipInput) {
        let mut out = GossipOutbox::default();
        let Some(gossip) = self.servers.get_mut(&server) else {
            return;
        };
        gossip.step(self.now, input, &mut out);
        assert_eq!(gossip.figures().faults, 0, "foca complains");
        for effect in out.effects {
            match effect {
                GossipEffect::Send { to, bytes } => self.send(server, to, bytes),
                GossipEffect::Suspect(whom) => self.suspected.push((self.now, server, whom)),
                GossipEffect::Note(GossipEvent::Turned { .. } | GossipEvent::Renewed { .. }) => {}
            }
        }
    }

    /// What `server` knows of `other`.
    pub(super) fn peer(&self, server: ServerId, other: ServerId) -> Peer {
        let peers = self.servers[&server].peers(self.now);
        let mut peers = peers.into_iter();
        peers
            .find(|peer| peer.server == other)
            .expect("a server of the ensemble")
    }

    /// Does every server that runs know each of them as living, with its present report?
    pub(super) fn has_converged(&self) -> bool {
        self.servers.keys().all(|server| {
            self.servers.keys().all(|other| {
                let peer = self.peer(*server, *other);
                let newest = &self.reports[other];
                let known = peer
                    .news
                    .is_some_and(|(news, _)| !news.report.differs(newest));
                peer.vitality == Vitality::Alive && known
            })
        })
    }

    fn send(&mut self, from: ServerId, to: ServerId, bytes: Vec<u8>) {
        if let Some(recorded) = &mut self.recorded {
            recorded.push((to, bytes.clone()));
        }
        let lost = self.prng.below(1000) < self.loss_permille;
        if lost || self.cut.contains(&(from, to)) {
            return;
        }
        let delay_us = 50 + u64::from(self.prng.below(2000));
        self.plan(Duration::from_micros(delay_us), Act::Deliver { to, bytes });
    }

    fn plan(&mut self, after: Duration, act: Act) {
        self.acts_planned += 1;
        self.acts
            .insert((self.now.after(after), self.acts_planned), act);
    }

    /// The next thing that happens up to `until`; no act is a timer's.
    fn next_act(&mut self, until: Instant) -> Option<(Instant, Option<Act>)> {
        let act = self.acts.first_key_value().map(|((at, _), _)| *at);
        let timer = self.servers.values().filter_map(Gossip::armed).min();
        let at = [act, timer].into_iter().flatten().min()?.max(self.now);
        if at > until {
            return None;
        }
        match act {
            Some(due) if timer.is_none_or(|timer| due <= timer) => {
                let (_, act) = self.acts.pop_first().expect("it was looked at");
                Some((at, Some(act)))
            }
            _ => Some((at, None)),
        }
    }

    fn play(&mut self, act: Option<Act>) {
        match act {
            Some(Act::Deliver { to, bytes }) => self.step(to, GossipInput::Heard(bytes)),
            Some(Act::Report(server)) => {
                let report = self.reports[&server].clone();
                self.step(server, GossipInput::Reported(report));
                self.plan(REPORT_PERIOD, Act::Report(server));
            }
            None => {
                let now = self.now;
                let is_due = |gossip: &Gossip| gossip.armed().is_some_and(|at| at <= now);
                let due = self.servers.iter().find(|(_, gossip)| is_due(gossip));
                let (server, _) = due.expect("somebody's timer is due");
                self.step(*server, GossipInput::Timeout);
            }
        }
    }
}
