//! Gossip that is tampered with: silenced, or mixed with copies, old datagrams, damage and lies.
//!
//! The liar has the ensemble's key. What it sends is authentic: others are dead, others lead, lives
//! and versions are what no server ever had.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use althing_core::gossip::datagram::Datagram;
use althing_core::gossip::incarnation::Incarnation;
use althing_core::gossip::key::Key;
use althing_core::gossip::news::{Label, News, Report, Role};
use althing_core::ids::{DirectoryId, Epoch, ServerId, Zxid};

use crate::random::{Stream, Streams};

/// The secret of every simulated ensemble.
pub const SECRET: &[u8] = b"the secret of the simulated ensemble";

/// Old datagrams that are kept: some are from the last second, some from the beginning.
const RECORDED_MAX: usize = 64;
/// Once so many are kept, a datagram takes the place of another with this probability.
const RECORDED: f64 = 0.05;
/// How likely a datagram is lost, comes with a copy, a damaged copy, an old one, a lie.
const LOST: f64 = 0.2;
const COPIED: f64 = 0.2;
const DAMAGED: f64 = 0.2;
const STALE: f64 = 0.3;
const LIE: f64 = 0.5;

/// One datagram on its way.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Where it comes from, or seems to.
    pub from: ServerId,
    /// Where it goes.
    pub to: ServerId,
    /// What it is.
    pub bytes: Vec<u8>,
}

struct State {
    random: Stream,
    key: Key,
    /// How many faults of each kind are in force.
    silences: u32,
    poisonings: u32,
    recorded: Vec<Sent>,
}

/// A handle: all clones are the same poison.
#[derive(Clone)]
pub struct Poison(Arc<Mutex<State>>);

impl Poison {
    /// None yet.
    pub fn new(streams: Streams) -> Poison {
        Poison(Arc::new(Mutex::new(State {
            random: streams.fork("gossip.poison"),
            key: Key::from_secret(SECRET),
            silences: 0,
            poisonings: 0,
            recorded: Vec::new(),
        })))
    }

    /// From now on no datagram comes through.
    pub fn silence(&self) {
        self.state().silences += 1;
    }

    /// Takes one [`Poison::silence`] back.
    pub fn break_silence(&self) {
        self.state().silences -= 1;
    }

    /// From now on datagrams are tampered with.
    pub fn poison(&self) {
        self.state().poisonings += 1;
    }

    /// Takes one [`Poison::poison`] back.
    pub fn purify(&self) {
        self.state().poisonings -= 1;
    }

    /// What goes over the network when `sent` is sent.
    pub fn taint(&self, sent: Sent) -> Vec<Sent> {
        let mut state = self.state();
        state.record(&sent);
        if state.silences > 0 {
            return Vec::new();
        }
        if state.poisonings == 0 {
            return vec![sent];
        }
        let mut tainted = Vec::new();
        if state.random.chance(COPIED) {
            tainted.push(sent.clone());
        }
        if state.random.chance(DAMAGED) {
            tainted.push(state.damaged(&sent));
        }
        if state.random.chance(STALE) {
            tainted.push(state.stale());
        }
        if state.random.chance(LIE) {
            tainted.extend(state.lie());
        }
        if !state.random.chance(LOST) {
            tainted.push(sent);
        }
        tainted
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic within")
    }
}

impl State {
    fn record(&mut self, sent: &Sent) {
        if self.recorded.len() < RECORDED_MAX {
            self.recorded.push(sent.clone());
        } else if self.random.chance(RECORDED) {
            let place = self.random.index(RECORDED_MAX);
            self.recorded[place] = sent.clone();
        }
    }

    fn damaged(&mut self, sent: &Sent) -> Sent {
        let mut damaged = sent.clone();
        let bits = 1 + self.random.index(8);
        for _ in 0..bits {
            let at = self.random.index(damaged.bytes.len());
            damaged.bytes[at] ^= 1 << self.random.index(8);
        }
        damaged
    }

    fn stale(&mut self) -> Sent {
        let place = self.random.index(self.recorded.len());
        self.recorded[place].clone()
    }

    /// A datagram of one that has the key and means harm; modelled on an old one, so that sender
    /// and receiver are lives that the receiver believes in. Nothing if the old one does not open.
    fn lie(&mut self) -> Option<Sent> {
        let model = self.stale();
        let mut lie = Datagram::open(&model.bytes, &self.key, model.to).ok()?;
        let accused = self.accused(lie.receiver)?;
        let claim = Claim {
            sender: (lie.sender, lie.incarnation),
            receiver: (lie.receiver, lie.believed),
            accused,
            state: self.random.index(3) as u8,
        };
        lie.swim = claim.bytes();
        lie.news = vec![self.invention(accused.0, accused.1)];
        lie.number = self.far(lie.number);
        if self.random.chance(0.2) {
            lie.believed.number = self.far(lie.believed.number);
        }
        let (bytes, _) = lie.seal(&self.key);
        let (from, to) = (model.from, model.to);
        Some(Sent { from, to, bytes })
    }

    /// Whom a lie is about: a server whose datagrams were seen, the receiver itself among them, or
    /// one that there is not.
    fn accused(&mut self, receiver: ServerId) -> Option<(ServerId, Incarnation)> {
        if self.random.chance(0.05) {
            let incarnation = Incarnation {
                number: 0,
                birth: 1,
            };
            return Some((ServerId(250), incarnation));
        }
        let seen: BTreeSet<ServerId> = self.recorded.iter().map(|sent| sent.from).collect();
        let seen: Vec<ServerId> = seen.into_iter().collect();
        let accused = seen[self.random.index(seen.len())];
        let of_accused = self
            .recorded
            .iter()
            .rev()
            .find(|sent| sent.from == accused)?;
        let opened = Datagram::open(&of_accused.bytes, &self.key, of_accused.to).ok()?;
        let mut incarnation = opened.incarnation;
        if accused == receiver && self.random.chance(0.5) {
            incarnation.number = self.far(incarnation.number);
        }
        Some((accused, incarnation))
    }

    fn invention(&mut self, server: ServerId, mut incarnation: Incarnation) -> News {
        let roles = [Role::Looking, Role::Follower, Role::Leader, Role::Learner];
        if self.random.chance(0.2) {
            incarnation.number = self.far(incarnation.number);
        }
        News {
            server,
            incarnation,
            version: self.far(0),
            report: Report {
                role: roles[self.random.index(roles.len())],
                epoch: Epoch(self.random.below(u64::from(Epoch::MAX.0) + 1) as u32),
                leader: Some(ServerId(1 + self.random.below(255) as u8)),
                applied: Zxid(self.random.bits()),
                endpoint: Label::fitting("nowhere:1"),
                release: Label::fitting("99.0"),
                directory: DirectoryId(self.random.bits().into()),
            },
        }
    }

    /// A number from here on: near, far, or the last.
    fn far(&mut self, from: u64) -> u64 {
        match self.random.index(4) {
            0 => u64::MAX,
            1 => from.saturating_add(1 + self.random.below(1 << 40)),
            _ => from.saturating_add(1 + self.random.below(16)),
        }
    }
}

/// What a datagram of SWIM says of one member, in the spelling of `althing_core::gossip`.
struct Claim {
    sender: (ServerId, Incarnation),
    receiver: (ServerId, Incarnation),
    accused: (ServerId, Incarnation),
    /// Alive, suspect, down.
    state: u8,
}

impl Claim {
    fn bytes(&self) -> Vec<u8> {
        const GOSSIP: u8 = 8;
        const ONE: u16 = 1;
        // More objections than anybody raises, so that it beats what is known.
        const OBJECTIONS: u16 = 1000;
        let mut bytes = Vec::new();
        put_member(&mut bytes, self.sender);
        bytes.extend(0_u16.to_be_bytes());
        put_member(&mut bytes, self.receiver);
        bytes.push(GOSSIP);
        bytes.extend(ONE.to_be_bytes());
        put_member(&mut bytes, self.accused);
        bytes.extend(OBJECTIONS.to_be_bytes());
        bytes.push(self.state);
        bytes
    }
}

fn put_member(bytes: &mut Vec<u8>, (server, incarnation): (ServerId, Incarnation)) {
    bytes.push(server.0);
    bytes.extend(incarnation.number.to_be_bytes());
    bytes.extend(incarnation.birth.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use althing_core::gossip::gossip::{
        Gossip, GossipConfig, GossipEffect, GossipInput, GossipOutbox,
    };
    use althing_core::gossip::peers::Vitality;
    use althing_core::prng::Seed;
    use althing_core::time::{Duration, Instant};

    use super::*;

    /// Three machines that hear each other, and what `poison` lets through.
    struct Hall {
        machines: Vec<Gossip>,
        poison: Poison,
        now: Instant,
        suspicions: usize,
    }

    impl Hall {
        fn new() -> Hall {
            let machine = |number: u8| {
                let config = GossipConfig {
                    server: ServerId(number),
                    key: Key::from_secret(SECRET),
                };
                Gossip::new(config, Seed([number; 32]))
            };
            let mut hall = Hall {
                machines: (1..=3).map(machine).collect(),
                poison: Poison::new(Streams::new(1)),
                now: Instant::ORIGIN,
                suspicions: 0,
            };
            let all: BTreeSet<ServerId> = (1..=3).map(ServerId).collect();
            for place in 0..3 {
                hall.step(place, GossipInput::Configured(all.clone()));
            }
            hall
        }

        fn step(&mut self, place: usize, input: GossipInput) {
            let mut inputs = vec![(place, input)];
            while let Some((place, input)) = inputs.pop() {
                let mut out = GossipOutbox::default();
                self.machines[place].step(self.now, input, &mut out);
                for effect in out.effects {
                    match effect {
                        GossipEffect::Send { to, bytes } => {
                            let from = ServerId(u8::try_from(place + 1).expect("of three"));
                            for sent in self.poison.taint(Sent { from, to, bytes }) {
                                if let 1..=3 = sent.to.0 {
                                    let to = usize::from(sent.to.0) - 1;
                                    inputs.push((to, GossipInput::Heard(sent.bytes)));
                                }
                            }
                        }
                        GossipEffect::Suspect(_) => self.suspicions += 1,
                        GossipEffect::Note(_) => {}
                    }
                }
            }
        }

        fn run(&mut self, time: Duration) {
            let until = self.now.after(time);
            while self.now < until {
                self.now = self.now.after(Duration::from_millis(10));
                for place in 0..3 {
                    if self.machines[place]
                        .armed()
                        .is_some_and(|at| at <= self.now)
                    {
                        self.step(place, GossipInput::Timeout);
                    }
                }
            }
        }

        fn all_alive(&self) -> bool {
            let of = |machine: &Gossip| machine.peers(self.now);
            let mut peers = self.machines.iter().flat_map(of);
            peers.all(|peer| peer.vitality == Vitality::Alive)
        }
    }

    #[test]
    fn poison_harms_and_passes() {
        let mut hall = Hall::new();
        hall.run(Duration::from_secs(5));
        assert!(hall.all_alive());
        assert_eq!(hall.suspicions, 0);
        hall.poison.poison();
        hall.run(Duration::from_secs(20));
        assert!(
            hall.suspicions > 10,
            "nobody believes the lies: {}",
            hall.suspicions
        );
        hall.poison.purify();
        hall.run(Duration::from_secs(10));
        assert!(hall.all_alive(), "the harm stays");
    }

    #[test]
    fn silence_makes_everybody_suspect_everybody() {
        let mut hall = Hall::new();
        hall.run(Duration::from_secs(5));
        hall.poison.silence();
        hall.run(Duration::from_secs(20));
        assert_eq!(hall.suspicions, 6);
        hall.poison.break_silence();
        hall.run(Duration::from_secs(5));
        assert!(hall.all_alive());
    }
}
