//! What a configuration allows: which servers, which grain, and how much may happen.

use std::collections::BTreeSet;

use althing_core::config::{Config, LocalSessions};
use althing_core::ids::ServerId;
use althing_core::node::input::Timer;
use althing_core::voters::Voters;

use crate::explore::client::Want;
use crate::explore::disk::Honesty;
use crate::explore::wire::Order;

/// Kinds of things that happen only as often as a configuration allows, so that its states are
/// finite.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A server's election timer fires.
    Election,
    /// A server's beat fires.
    Beat,
    /// A leader looks whether a quorum still answers.
    Quorum,
    /// A server without a leader sends its clients away.
    Isolation,
    /// The beat by which pauses are noticed.
    Tick,
    /// A session's time-out passes.
    Expiry,
    /// A message is lost.
    Drop,
    /// A message arrives twice.
    Double,
    /// A server crashes and starts again.
    Restart,
    /// A server crashes, loses its disk and starts again with a blank one.
    Replace,
    /// A disk is full.
    Refusal,
    /// Gossip suspects a server.
    Suspicion,
    /// A link breaks and comes up again, as one end sees it.
    Flap,
    /// A client connects.
    Open,
    /// A client connects to another server with its session.
    Move,
    /// A client's connection breaks.
    Leave,
    /// A client asks for something.
    Ask,
    /// The operator wants other members.
    Reconfigure,
    /// The operator stops a server, which goes on as if it had been started again at once.
    Stop,
    /// A snapshot that was to be read is gone.
    Miss,
    /// A second passes at a server, and at no other.
    Wait,
}

impl Kind {
    /// All of them, with the words of tables and stories.
    pub const NAMES: [(Kind, &'static str); 21] = [
        (Kind::Election, "elections"),
        (Kind::Beat, "beats"),
        (Kind::Quorum, "quorum checks"),
        (Kind::Isolation, "isolations"),
        (Kind::Tick, "ticks"),
        (Kind::Expiry, "expiries"),
        (Kind::Drop, "drops"),
        (Kind::Double, "duplicates"),
        (Kind::Restart, "crashes"),
        (Kind::Replace, "lost disks"),
        (Kind::Refusal, "full disks"),
        (Kind::Suspicion, "suspicions"),
        (Kind::Flap, "broken links"),
        (Kind::Open, "connects"),
        (Kind::Move, "moves"),
        (Kind::Leave, "disconnects"),
        (Kind::Ask, "requests"),
        (Kind::Reconfigure, "reconfigurations"),
        (Kind::Stop, "stops"),
        (Kind::Miss, "missed snapshots"),
        (Kind::Wait, "waits"),
    ];

    /// The kind of this timer.
    pub fn of_timer(timer: Timer) -> Kind {
        match timer {
            Timer::Election => Kind::Election,
            Timer::Beat => Kind::Beat,
            Timer::Quorum => Kind::Quorum,
            // No server of an explored ensemble is in read-only mode.
            Timer::Isolation | Timer::ReadOnly => Kind::Isolation,
            // Never armed: what the explorer's clients create stays, or goes with its session.
            Timer::Tick | Timer::Reap => Kind::Tick,
            Timer::Expiry(_) | Timer::Silence(_) => Kind::Expiry,
        }
    }
}

/// How often each kind of thing happens, or may.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts([u8; Kind::NAMES.len()]);

impl Counts {
    /// These, and nothing else.
    pub fn of(counts: &[(Kind, u8)]) -> Counts {
        let mut all = Counts::default();
        for (kind, count) in counts {
            all.0[*kind as usize] = *count;
        }
        all
    }

    /// How often?
    pub fn get(&self, kind: Kind) -> u8 {
        self.0[kind as usize]
    }

    /// Once more.
    pub fn count(&mut self, kind: Kind) {
        let count = &mut self.0[kind as usize];
        *count = count.saturating_add(1);
    }

    /// As bytes, for digests.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Those that are not zero, with their words.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u8)> {
        let all = Kind::NAMES
            .iter()
            .map(|(kind, name)| (*name, self.get(*kind)));
        all.filter(|(_, count)| *count > 0)
    }
}

/// When is a save done?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Saves {
    /// With what asked for it: disks are not what is looked at.
    AtOnce,
    /// Some time later, in the order of the asking.
    Later,
}

/// The members that an operator wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    /// The voters, perhaps in groups.
    pub voters: Voters,
    /// The learners.
    pub learners: BTreeSet<ServerId>,
}

/// What is explored, how finely, and how far.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How many servers there are, from 1 on.
    pub servers: u8,
    /// The first so many found the ensemble; the others are blank and wait for their admission.
    pub founders: u8,
    /// How often each kind of thing may happen.
    pub allowed: Counts,
    /// No server goes past this epoch: states beyond it are counted and not looked behind.
    pub epoch_max: u32,
    /// Messages in flight; what is sent beyond is lost.
    pub flight_max: usize,
    /// In which order messages arrive.
    pub order: Order,
    /// When saves are done.
    pub saves: Saves,
    /// Where clients may connect.
    pub doors: Vec<ServerId>,
    /// What clients ask for.
    pub wants: Vec<Want>,
    /// What the operator may want.
    pub wishes: Vec<Wish>,
    /// Who stands for election when nobody leads; the others only vote. Which ones is without loss
    /// if they are all alike.
    pub candidates: Vec<ServerId>,
    /// A snapshot is made after so many transactions.
    pub snapshot_every: u32,
    /// The last position of an epoch.
    pub counter_max: u32,
    /// Of how many pieces a snapshot is.
    pub pieces: u8,
    /// Do disks keep what they say is saved?
    pub honesty: Honesty,
    /// Whose new sessions are.
    pub local_sessions: LocalSessions,
}

impl Rules {
    /// An ensemble of `servers` in which nothing happens.
    pub fn quiet(servers: u8) -> Rules {
        Rules {
            servers,
            founders: servers,
            allowed: Counts::default(),
            epoch_max: 4,
            flight_max: 6,
            order: Order::Any,
            saves: Saves::Later,
            doors: vec![ServerId(1)],
            wants: vec![Want::Create],
            wishes: Vec::new(),
            candidates: (1..=servers).map(ServerId).collect(),
            snapshot_every: 100_000,
            counter_max: u32::MAX,
            pieces: 2,
            honesty: Honesty::Honest,
            local_sessions: LocalSessions::Off,
        }
    }

    /// The rules of stories: nothing is bounded, since a story says everything that happens.
    pub fn roomy(servers: u8) -> Rules {
        Rules {
            flight_max: 1000,
            ..Rules::quiet(servers)
        }
    }

    /// The same servers, and nothing is bounded.
    pub fn unbounded(&self) -> Rules {
        Rules {
            founders: self.founders,
            snapshot_every: self.snapshot_every,
            counter_max: self.counter_max,
            pieces: self.pieces,
            local_sessions: self.local_sessions,
            ..Rules::roomy(self.servers)
        }
    }

    /// The names of all servers.
    pub fn all(&self) -> impl Iterator<Item = ServerId> + use<> {
        (1..=self.servers).map(ServerId)
    }

    /// What a server is told at its start.
    pub fn config(&self, server: ServerId) -> Config {
        let mut config = Config::standalone(server);
        // One that is not a founder knows of the others what its file says.
        config.voters = self
            .all()
            .filter(|other| other.0 <= self.founders || *other == server)
            .collect();
        config.snapshot_every = self.snapshot_every;
        config.counter_max = self.counter_max;
        config.local_sessions = self.local_sessions;
        config
    }
}
