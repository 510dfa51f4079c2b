//! The machine: what happened goes in, datagrams and hints come out.
//!
//! It runs beside the node, which does not know of it; the shell carries this server's report from
//! the node to it, and its suspicions to the node. It is a function of its inputs: time is an
//! argument, and its randomness is the entropy of its birth.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use crate::gossip::datagram::{Datagram, Refusal};
use crate::gossip::incarnation::Incarnation;
use crate::gossip::key::Key;
use crate::gossip::news::{News, Report};
use crate::gossip::pace::{GRACE, GREETING_PERIOD, LATENESS_MAX, LEAP_MAX};
use crate::gossip::peers::{Board, Peer, Urgency, Verdict, Vitality};
use crate::gossip::replay::Heard;
use crate::gossip::swim::{Member, Swim, absent};
use crate::ids::ServerId;
use crate::prng::{Prng, Seed};
use crate::time::Instant;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum GossipInput {
    /// These are the servers of the ensemble; this one may be among them.
    Configured(BTreeSet<ServerId>),
    /// This server's node says this of itself; told when it changes, and every now and then.
    Reported(Report),
    /// A datagram came, from whomever.
    Heard(Vec<u8>),
    /// What [`Gossip::armed`] told is due.
    Timeout,
}

/// One thing to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GossipEffect {
    /// Send this; it may be lost.
    Send {
        /// To whom.
        to: ServerId,
        /// What.
        bytes: Vec<u8>,
    },
    /// Tell the node that this server does not answer.
    Suspect(ServerId),
    /// Know this; nothing depends on it.
    Note(GossipEvent),
}

/// Something to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GossipEvent {
    /// A server answers, or no longer does.
    Turned {
        /// Which.
        server: ServerId,
        /// How it is now.
        vitality: Vitality,
    },
    /// Others knew a newer life of this server, or took it for dead: it goes on as a new one.
    Renewed {
        /// The new life.
        incarnation: Incarnation,
    },
}

/// Where [`Gossip::step`] writes its effects; the shell keeps one and drains it.
#[derive(Clone, Debug, Default)]
pub struct GossipOutbox {
    /// In the order in which they are to be done.
    pub effects: Vec<GossipEffect>,
}

/// Counters since the start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GossipFigures {
    /// Datagrams that were sent.
    pub sent: u64,
    /// Datagrams that came and were taken.
    pub heard: u64,
    /// Those that came and were dropped, by reason.
    pub refused: BTreeMap<Refusal, u64>,
    /// How often a server was suspected.
    pub suspicions: u64,
    /// How often this server had to go on as a new life.
    pub renewals: u64,
    /// What the SWIM library complained of although it was nobody's doing; it is always 0.
    pub faults: u64,
}

/// What is told at birth.
#[derive(Clone, Debug)]
pub struct GossipConfig {
    /// Who this server is.
    pub server: ServerId,
    /// The ensemble's key.
    pub key: Key,
}

/// Was the last timer stepped when it was due?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Punctuality {
    InTime,
    /// It was late, and all timers were put off for it; they are not put off twice in a row, so
    /// that on a machine that is always late time goes on nevertheless.
    Excused,
}

/// Gossip for one server.
pub struct Gossip {
    server: ServerId,
    key: Key,
    birth: u64,
    /// The other servers.
    others: BTreeSet<ServerId>,
    swim: Swim,
    board: Board,
    /// What was heard of each, against repetitions.
    heard: BTreeMap<ServerId, Heard>,
    /// How many datagrams went to each.
    sent: BTreeMap<ServerId, u64>,
    /// As of the end of the last step.
    vitality: BTreeMap<ServerId, Vitality>,
    incarnation: Incarnation,
    greets_at: Instant,
    punctuality: Punctuality,
    figures: GossipFigures,
}

impl Gossip {
    /// The gossip of a server that was just started.
    pub fn new(config: GossipConfig, seed: Seed) -> Gossip {
        let mut prng = Prng::new(own_seed(seed));
        let birth = prng.bits().max(1);
        let incarnation = Incarnation { number: 0, birth };
        let own = Member {
            server: config.server,
            incarnation,
        };
        Gossip {
            server: config.server,
            key: config.key,
            birth,
            others: BTreeSet::new(),
            swim: Swim::new(own, prng),
            board: Board::default(),
            heard: BTreeMap::new(),
            sent: BTreeMap::new(),
            vitality: BTreeMap::new(),
            incarnation,
            greets_at: Instant::ORIGIN,
            punctuality: Punctuality::InTime,
            figures: GossipFigures::default(),
        }
    }

    /// Takes one thing that happened; writes what should be done about it.
    pub fn step(&mut self, now: Instant, input: GossipInput, out: &mut GossipOutbox) {
        match input {
            GossipInput::Configured(servers) => self.configure(now, servers),
            GossipInput::Reported(report) => {
                let incarnation = self.incarnation;
                let urgency = self.board.publish(now, self.server, incarnation, report);
                if urgency == Urgency::Now {
                    self.tell_all(out);
                }
            }
            GossipInput::Heard(bytes) => match self.hear(now, &bytes, out) {
                Ok(()) => self.figures.heard += 1,
                Err(refusal) => *self.figures.refused.entry(refusal).or_default() += 1,
            },
            GossipInput::Timeout => self.fire(now),
        }
        self.notice(now, out);
        for (to, swim) in self.swim.take_sends() {
            if self.others.contains(&to) {
                self.send(to, swim, out);
            }
        }
    }

    /// When something is to be done although nothing happens: then step
    /// [`GossipInput::Timeout`].
    pub fn armed(&self) -> Option<Instant> {
        let greets_at = (!self.others.is_empty()).then_some(self.greets_at);
        [greets_at, self.swim.armed()].into_iter().flatten().min()
    }

    /// Every server, in the order of their ids, this one among them.
    pub fn peers(&self, now: Instant) -> Vec<Peer> {
        let own = (self.server, Vitality::Alive);
        let mut all: BTreeMap<ServerId, Vitality> = self.vitality.clone();
        all.extend([own]);
        let line = |(server, vitality)| Peer {
            server,
            vitality,
            news: self.board.of(server, now),
        };
        all.into_iter().map(line).collect()
    }

    /// Counters since the start.
    pub fn figures(&self) -> GossipFigures {
        GossipFigures {
            faults: self.swim.faults,
            ..self.figures.clone()
        }
    }

    /// Which life of this server it is.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    fn configure(&mut self, now: Instant, mut servers: BTreeSet<ServerId>) {
        servers.remove(&self.server);
        if servers == self.others {
            return;
        }
        self.others = servers;
        let belongs = |server: ServerId| self.others.contains(&server) || server == self.server;
        self.board.keep(belongs);
        self.heard.retain(|server, _| belongs(*server));
        self.vitality.retain(|server, _| belongs(*server));
        self.greets_at = now;
    }

    fn fire(&mut self, now: Instant) {
        let Some(due) = self.armed() else {
            return;
        };
        let late = now.since(due);
        if late > LATENESS_MAX && self.punctuality == Punctuality::InTime {
            self.punctuality = Punctuality::Excused;
            let by = late + GRACE;
            self.swim.delay(by);
            self.greets_at = self.greets_at.after(by);
            return;
        }
        self.punctuality = Punctuality::InTime;
        self.swim.fire(now);
        if self.greets_at <= now {
            self.greets_at = now.after(GREETING_PERIOD);
            for server in absent(&self.swim, &self.others) {
                self.swim.greet(now, server);
            }
        }
    }

    fn hear(&mut self, now: Instant, bytes: &[u8], out: &mut GossipOutbox) -> Result<(), Refusal> {
        let datagram = Datagram::open(bytes, &self.key, self.server)?;
        if !self.others.contains(&datagram.sender) {
            return Err(Refusal::Misaddressed);
        }
        let sender = Member {
            server: datagram.sender,
            incarnation: datagram.incarnation,
        };
        if !self.plausible(sender) {
            return Err(Refusal::Malformed);
        }
        let heard = self.heard.entry(sender.server).or_default();
        if !heard.is_new(sender.incarnation, datagram.number) {
            return Err(Refusal::Repeated);
        }
        let mut told_of_own = self.believable(datagram.believed);
        for news in &datagram.news {
            if news.server == self.server {
                told_of_own = told_of_own.max(self.believable(news.incarnation));
            }
        }
        if !datagram.swim.is_empty() {
            let strained = self
                .swim
                .strain(&datagram.swim, sender, |member| self.plausible(member))
                .map_err(|_| Refusal::Malformed)?;
            told_of_own = told_of_own.max(strained.told_of_own);
            let understood = self.swim.heard(now, &strained.bytes);
            understood.map_err(|_| Refusal::Malformed)?;
        }
        self.outlive(now, told_of_own);
        self.take_news(now, datagram.news, out);
        Ok(())
    }

    fn take_news(&mut self, now: Instant, news: Vec<News>, out: &mut GossipOutbox) {
        let mut verdict = Verdict::Known;
        for news in news {
            let member = Member {
                server: news.server,
                incarnation: news.incarnation,
            };
            if news.server == self.server {
                if news.incarnation == self.incarnation
                    && self.board.hear_of_itself(&news) == Verdict::Invented
                {
                    verdict = Verdict::Invented;
                }
            } else if self.plausible(member) {
                self.board.take(now, news);
            }
        }
        if verdict == Verdict::Invented {
            self.tell_all(out);
        }
    }

    /// Goes on as a newer life than `told`, if others know that one of this server.
    fn outlive(&mut self, now: Instant, told: Incarnation) {
        if told <= self.swim.own().incarnation {
            return;
        }
        // One more than what is plausible: the numbers cannot be used up.
        if let Some(incarnation) = told.outlived(self.birth) {
            self.swim.renew(now, incarnation);
        }
    }

    /// Sees what the last step has changed: this server's own life, and who answers.
    fn notice(&mut self, now: Instant, out: &mut GossipOutbox) {
        let incarnation = self.swim.own().incarnation;
        if incarnation != self.incarnation {
            self.incarnation = incarnation;
            self.figures.renewals += 1;
            self.board.republish(now, self.server, incarnation);
            let renewed = GossipEvent::Renewed { incarnation };
            out.effects.push(GossipEffect::Note(renewed));
            self.tell_all(out);
        }
        let mut has_turned = false;
        for server in &self.others {
            let known = self.swim.of(*server);
            let vitality = known.map_or(Vitality::Unknown, |(_, vitality)| vitality);
            let before = self.vitality.insert(*server, vitality);
            let before = before.unwrap_or(Vitality::Unknown);
            if before == vitality {
                continue;
            }
            let (server, answered) = (*server, before < Vitality::Suspect);
            has_turned = true;
            let turned = GossipEvent::Turned { server, vitality };
            out.effects.push(GossipEffect::Note(turned));
            if answered && vitality >= Vitality::Suspect {
                self.figures.suspicions += 1;
                out.effects.push(GossipEffect::Suspect(server));
            }
        }
        if has_turned {
            self.swim.spread(now);
        }
    }

    /// Tells every other server the news, in datagrams of their own.
    fn tell_all(&mut self, out: &mut GossipOutbox) {
        for server in self.others.clone() {
            self.send(server, Vec::new(), out);
        }
    }

    fn send(&mut self, to: ServerId, swim: Vec<u8>, out: &mut GossipOutbox) {
        let number = self.sent.get(&to).map_or(0, |number| number + 1);
        self.sent.insert(to, number);
        let datagram = Datagram {
            sender: self.server,
            receiver: to,
            incarnation: self.swim.own().incarnation,
            believed: self.newest(to),
            number,
            swim,
            news: self.board.to_tell(self.server, to, &self.others),
        };
        let (bytes, told) = datagram.seal(&self.key);
        let mut others = datagram.news[..told].iter().rev();
        if let Some(last) = others.find(|news| news.server != self.server) {
            self.board.told(last.server);
        }
        self.figures.sent += 1;
        out.effects.push(GossipEffect::Send { to, bytes });
    }

    /// The newest life of a server that is known here.
    fn newest(&self, server: ServerId) -> Incarnation {
        if server == self.server {
            return self.swim.own().incarnation;
        }
        let answering = self.swim.of(server).map(|(incarnation, _)| incarnation);
        let newest = answering.max(self.board.incarnation(server));
        newest.unwrap_or(Incarnation::UNKNOWN)
    }

    /// May this be a life of a server of this ensemble?
    fn plausible(&self, member: Member) -> bool {
        let belongs = self.others.contains(&member.server) || member.server == self.server;
        let number_max = self.newest(member.server).number.saturating_add(LEAP_MAX);
        belongs && member.incarnation.birth != 0 && member.incarnation.number <= number_max
    }

    /// `told`, if it may be a life of this server.
    fn believable(&self, told: Incarnation) -> Incarnation {
        let own = Member {
            server: self.server,
            incarnation: told,
        };
        match self.plausible(own) {
            true => told,
            false => Incarnation::UNKNOWN,
        }
    }
}

/// The entropy of gossip alone: what it draws goes over the network, and must tell nothing of what
/// the node draws from the same entropy.
fn own_seed(seed: Seed) -> Seed {
    let digest = Sha256::new()
        .chain_update(b"althing gossip 1")
        .chain_update(seed.0)
        .finalize();
    Seed(digest.into())
}
