//! The configurations that are explored: each is fine in one part of the protocol and coarse in the
//! others, and says how far it goes.

use althing_core::config::LocalSessions;
use althing_core::ids::ServerId;
use althing_core::voters::{Share, Voters};

use crate::explore::bounds::{Counts, Kind, Rules, Saves, Wish};
use crate::explore::client::Want;
use crate::explore::wire::Order;

/// How much of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// Ends within seconds; `cargo test` explores it.
    Small,
    /// As far as a machine goes.
    Large,
}

/// One configuration.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Its name.
    pub name: &'static str,
    /// What it looks at.
    pub about: &'static str,
    /// How much of it.
    pub size: Size,
    /// What happens before the exploring begins; commands of stories.
    pub prelude: &'static [&'static str],
    /// The rules of the prelude and of the exploring.
    pub rules: Rules,
    /// Events that must be seen: a search without them has looked at nothing.
    pub marks: &'static [&'static str],
}

/// Server 1 founds the ensemble and leads epoch 1.
const FOUNDED: &[&str] = &["settle", "server 1 campaigns", "settle"];
/// And a client has a session at the leader.
const SERVED: &[&str] = &["settle", "server 1 campaigns", "settle", "open 1", "settle"];
/// And its client is at a follower.
const FORWARDED: &[&str] = &["settle", "server 1 campaigns", "settle", "open 2", "settle"];
/// A server alone; its znode is there, and it has two clients.
const WATCHED: &[&str] = &[
    "settle",
    "server 1 campaigns",
    "settle",
    "open 1",
    "settle",
    "ask c1 found",
    "settle",
    "open 1",
    "settle",
];
/// Two logs end in different epochs: server 1 has a write of epoch 1 that nobody else has, and
/// server 3 has opened epoch 2 in its own log only. Server 1 has asked for votes in vain since.
const FORKED: &[&str] = &[
    "settle",
    "server 1 campaigns",
    "settle",
    "open 1",
    "settle",
    "ask c1 create",
    "save 1",
    "deliver drop=(2,3)",
    "restart 1",
    "deliver drop=(1,2,3)",
    "suspect 2 1",
    "server 3 campaigns",
    "deliver drop=(1)",
    "deliver",
    "save 3",
    "deliver drop=(1)",
    "save 2",
    "deliver",
    "save 3",
    "restart 3",
    "deliver drop=(1,2,3)",
    "server 1 campaigns",
    "settle",
];

/// Server 3 was away so long that the log of the others begins after its end, and is back.
const BEHIND: &[&str] = &[
    "settle",
    "server 1 campaigns",
    "settle",
    "cut 1 3",
    "cut 2 3",
    "open 1",
    "settle",
    "restart 1",
    "restart 2",
    "settle",
    "server 1 campaigns",
    "settle",
    "join 1 3",
    "join 2 3",
    "deliver 3>1 greeting",
];

/// The configuration of this name.
pub fn find(name: &str) -> Option<Configuration> {
    all()
        .into_iter()
        .find(|configuration| configuration.name == name)
}

/// All of them.
pub fn all() -> Vec<Configuration> {
    let sizes = [Size::Small, Size::Large];
    let grains = [
        sessions,
        founding,
        election,
        replication,
        crashes,
        tails,
        succession,
        rollover,
        forwarding,
        lanes,
        transfer,
        membership,
        weights,
        lost_disk,
        full_disk,
    ];
    let all = sizes
        .iter()
        .flat_map(|size| grains.map(|grain| grain(*size)));
    all.collect()
}

fn named(size: Size, small: &'static str, large: &'static str) -> &'static str {
    match size {
        Size::Small => small,
        Size::Large => large,
    }
}

/// The first number if small, the second one if large.
fn either(size: Size, small: u8, large: u8) -> u8 {
    match size {
        Size::Small => small,
        Size::Large => large,
    }
}

fn sessions(size: Size) -> Configuration {
    let more = either(size, 0, 1);
    let mut rules = Rules::quiet(1);
    rules.wants = vec![Want::Set, Want::Watch, Want::Lend, Want::Close];
    rules.epoch_max = 3;
    rules.allowed = Counts::of(&[
        (Kind::Election, 1),
        (Kind::Open, more),
        (Kind::Move, 1),
        (Kind::Leave, more),
        (Kind::Ask, 3 + more),
        (Kind::Restart, 1),
        (Kind::Refusal, 1),
        (Kind::Expiry, 1),
    ]);
    Configuration {
        name: named(size, "sessions", "sessions-large"),
        about: "clients of one server: watches, moves, time-outs, full disks, crashes",
        size,
        prelude: WATCHED,
        rules,
        marks: &["watch-fired", "session-expired", "saves-refused"],
    }
}

/// The rules of three servers whose messages keep the order of their links.
fn three(size: Size, flight_small: u8, flight_large: u8) -> Rules {
    let mut rules = Rules::quiet(3);
    rules.order = Order::Link;
    rules.flight_max = usize::from(either(size, flight_small, flight_large));
    rules
}

fn founding(size: Size) -> Configuration {
    let mut rules = three(size, 6, 8);
    rules.saves = Saves::AtOnce;
    rules.epoch_max = u32::from(either(size, 2, 3));
    rules.allowed = Counts::of(&[
        (Kind::Election, either(size, 1, 3)),
        (Kind::Beat, either(size, 0, 1)),
        (Kind::Drop, 1),
        (Kind::Restart, 1),
    ]);
    Configuration {
        name: named(size, "founding", "founding-large"),
        about: "three blank servers found an ensemble, with losses and a crash",
        size,
        prelude: &[],
        rules,
        marks: &["elected", "epoch-opened"],
    }
}

fn election(size: Size) -> Configuration {
    let mut rules = three(size, 5, 6);
    rules.order = match size {
        Size::Small => Order::Link,
        Size::Large => Order::Any,
    };
    rules.saves = Saves::AtOnce;
    rules.epoch_max = u32::from(either(size, 3, 4));
    rules.allowed = Counts::of(&[
        (Kind::Election, either(size, 2, 3)),
        (Kind::Quorum, 1),
        (Kind::Suspicion, 1),
        (Kind::Drop, 1),
        (Kind::Restart, either(size, 0, 1)),
    ]);
    Configuration {
        name: named(size, "election", "election-large"),
        about: "trial and real votes of three servers, one of which leads",
        size,
        prelude: FOUNDED,
        rules,
        marks: &["canvassed", "campaigned", "elected", "followed", "deposed"],
    }
}

fn replication(size: Size) -> Configuration {
    let mut rules = three(size, 5, 6);
    rules.order = match size {
        Size::Small => Order::Link,
        Size::Large => Order::Any,
    };
    rules.epoch_max = 2;
    rules.allowed = Counts::of(&[
        (Kind::Ask, 2),
        (Kind::Beat, 1),
        (Kind::Drop, 1),
        (Kind::Double, 1),
        (Kind::Flap, either(size, 0, 1)),
    ]);
    Configuration {
        name: named(size, "replication", "replication-large"),
        about: "a leader and two followers: writes, beats, losses, saves at any time",
        size,
        prelude: SERVED,
        rules,
        marks: &["executed"],
    }
}

fn crashes(size: Size) -> Configuration {
    let mut rules = three(size, 4, 5);
    rules.epoch_max = u32::from(either(size, 2, 3));
    rules.candidates = vec![ServerId(2), ServerId(3)];
    rules.allowed = Counts::of(&[
        (Kind::Ask, 1),
        (Kind::Election, either(size, 1, 2)),
        (Kind::Restart, 1),
        (Kind::Suspicion, either(size, 0, 1)),
    ]);
    Configuration {
        name: named(size, "crashes", "crashes-large"),
        about: "a write, a crash of any server at any moment, and an election",
        size,
        prelude: SERVED,
        rules,
        marks: &["elected", "log-cut"],
    }
}

fn tails(size: Size) -> Configuration {
    let mut rules = three(size, 2, 4);
    rules.epoch_max = u32::from(either(size, 4, 5));
    rules.candidates = vec![ServerId(1), ServerId(3)];
    rules.allowed = Counts::of(&[
        (Kind::Election, either(size, 2, 3)),
        (Kind::Restart, 1),
        (Kind::Beat, either(size, 0, 1)),
        (Kind::Drop, either(size, 0, 1)),
    ]);
    Configuration {
        name: named(size, "tails", "tails-large"),
        about: "two logs end in different epochs: which end stays is decided, and crashes undo nothing",
        size,
        prelude: FORKED,
        rules,
        marks: &["elected", "log-cut"],
    }
}

fn rollover(size: Size) -> Configuration {
    let mut rules = three(size, 4, 5);
    rules.counter_max = 2;
    rules.epoch_max = 3;
    rules.candidates = vec![ServerId(2)];
    rules.allowed = Counts::of(&[
        (Kind::Ask, 2),
        (Kind::Election, either(size, 0, 1)),
        (Kind::Drop, either(size, 0, 1)),
        (Kind::Restart, 1),
        (Kind::Beat, either(size, 0, 1)),
    ]);
    Configuration {
        name: named(size, "rollover", "rollover-large"),
        about: "a leader whose epoch's counter is exhausted goes on in the next epoch",
        size,
        prelude: SERVED,
        rules,
        marks: &["elected", "executed"],
    }
}

fn succession(size: Size) -> Configuration {
    let mut rules = three(size, 6, 7);
    rules.saves = Saves::AtOnce;
    rules.epoch_max = 3;
    rules.candidates = vec![ServerId(2), ServerId(3)];
    rules.allowed = Counts::of(&[
        (Kind::Ask, 1),
        (Kind::Stop, 1),
        (Kind::Quorum, 1),
        (Kind::Election, 1),
        (Kind::Drop, 1),
        (Kind::Restart, either(size, 0, 1)),
    ]);
    Configuration {
        name: named(size, "succession", "succession-large"),
        about: "a leader that is told to stop hands over, with a write on its way",
        size,
        prelude: SERVED,
        rules,
        marks: &["handed-over", "elected"],
    }
}

fn forwarding(size: Size) -> Configuration {
    let mut rules = three(size, 4, 5);
    rules.saves = Saves::AtOnce;
    rules.epoch_max = 2;
    rules.doors = vec![ServerId(2), ServerId(3)];
    rules.wants = vec![Want::Create, Want::Sync];
    rules.candidates = vec![ServerId(3)];
    rules.allowed = Counts::of(&[
        (Kind::Ask, either(size, 1, 2)),
        (Kind::Beat, 1),
        (Kind::Election, either(size, 0, 1)),
        (Kind::Move, 1),
        (Kind::Drop, either(size, 0, 1)),
        (Kind::Double, either(size, 0, 1)),
        (Kind::Restart, 1),
    ]);
    Configuration {
        name: named(size, "forwarding", "forwarding-large"),
        about: "requests through followers, forwarded again; a session that moves; syncs",
        size,
        prelude: FORWARDED,
        rules,
        marks: &["reforwarded", "attached", "executed"],
    }
}

fn lanes(size: Size) -> Configuration {
    let mut rules = three(size, 4, 5);
    rules.local_sessions = LocalSessions::On;
    rules.saves = Saves::AtOnce;
    rules.epoch_max = u32::from(either(size, 2, 3));
    rules.doors = vec![ServerId(2)];
    rules.candidates = vec![ServerId(3)];
    rules.allowed = Counts::of(&[
        (Kind::Ask, either(size, 2, 3)),
        (Kind::Beat, 1),
        (Kind::Election, 1),
        // The old leader lives, and what is on its way to it arrives.
        (Kind::Suspicion, 1),
        (Kind::Drop, either(size, 0, 1)),
        (Kind::Double, either(size, 0, 1)),
        (Kind::Flap, either(size, 0, 1)),
        (Kind::Move, either(size, 0, 1)),
        (Kind::Restart, either(size, 0, 1)),
    ]);
    Configuration {
        name: named(size, "lanes", "lanes-large"),
        about: "writes of a session that is one server's alone, through leaders that come and go",
        size,
        prelude: FORWARDED,
        rules,
        marks: &["reforwarded", "elected", "executed"],
    }
}

fn transfer(size: Size) -> Configuration {
    let mut rules = three(size, 4, 5);
    rules.epoch_max = 3;
    rules.snapshot_every = 2;
    rules.candidates = vec![ServerId(2)];
    rules.allowed = Counts::of(&[
        (Kind::Ask, either(size, 0, 1)),
        (Kind::Beat, 1),
        (Kind::Drop, 1),
        (Kind::Double, either(size, 0, 1)),
        (Kind::Miss, 1),
        (Kind::Restart, 1),
        (Kind::Election, either(size, 0, 1)),
    ]);
    Configuration {
        name: named(size, "transfer", "transfer-large"),
        about: "a snapshot for a server that is far behind, with losses, crashes and a missing file",
        size,
        prelude: BEHIND,
        rules,
        marks: &["transfer-begun", "installed"],
    }
}

fn membership(size: Size) -> Configuration {
    let mut rules = Rules::quiet(4);
    rules.founders = 3;
    rules.order = Order::Link;
    rules.saves = Saves::AtOnce;
    rules.flight_max = usize::from(either(size, 5, 6));
    rules.epoch_max = 2;
    rules.candidates = vec![ServerId(2), ServerId(4)];
    let voters = |names: &[u8]| Wish {
        voters: names.iter().copied().map(ServerId).collect(),
        learners: [].into(),
    };
    rules.wishes = vec![voters(&[2, 3, 4]), voters(&[1, 2])];
    rules.allowed = Counts::of(&[
        (Kind::Reconfigure, 1),
        (Kind::Election, 1),
        (Kind::Beat, either(size, 0, 1)),
        (Kind::Drop, either(size, 0, 1)),
        (Kind::Restart, either(size, 0, 1)),
        (Kind::Suspicion, either(size, 0, 1)),
    ]);
    Configuration {
        name: named(size, "membership", "membership-large"),
        about: "members change by joint consensus, and somebody stands meanwhile",
        size,
        prelude: FOUNDED,
        rules,
        marks: &["reconfigured", "elected"],
    }
}

/// Three equal votes become those of two groups; server 2 loses its own in the larger size.
fn weights(size: Size) -> Configuration {
    let mut rules = three(size, 4, 5);
    rules.saves = Saves::AtOnce;
    rules.epoch_max = 2;
    rules.candidates = vec![ServerId(2), ServerId(3)];
    let grouped = |shares: [(u32, u32); 3]| Wish {
        voters: {
            let share = |(server, (group, weight))| (ServerId(server), Share { group, weight });
            Voters::in_groups((1..).zip(shares).map(share).collect())
        },
        learners: [].into(),
    };
    rules.wishes = vec![grouped([(1, 2), (1, 1), (2, 1)])];
    if size == Size::Large {
        rules.wishes.push(grouped([(1, 1), (1, 0), (1, 1)]));
    }
    rules.allowed = Counts::of(&[
        (Kind::Reconfigure, 1),
        (Kind::Ask, 1),
        (Kind::Election, 1),
        (Kind::Drop, either(size, 0, 1)),
        (Kind::Restart, either(size, 0, 1)),
        (Kind::Suspicion, 1),
    ]);
    Configuration {
        name: named(size, "weights", "weights-large"),
        about: "voters come into groups and get weights, and somebody stands meanwhile",
        size,
        prelude: SERVED,
        rules,
        marks: &["reconfigured", "elected"],
    }
}

fn lost_disk(size: Size) -> Configuration {
    let mut rules = three(size, 4, 5);
    rules.saves = Saves::AtOnce;
    rules.epoch_max = u32::from(either(size, 2, 3));
    rules.candidates = vec![ServerId(2), ServerId(3)];
    rules.allowed = Counts::of(&[
        (Kind::Ask, 1),
        (Kind::Replace, 1),
        (Kind::Election, either(size, 1, 2)),
        (Kind::Suspicion, 1),
        (Kind::Beat, either(size, 0, 1)),
    ]);
    Configuration {
        name: named(size, "lost-disk", "lost-disk-large"),
        about: "a server loses its disk at any moment and is admitted again",
        size,
        prelude: SERVED,
        rules,
        marks: &["reconfigured", "elected"],
    }
}

fn full_disk(size: Size) -> Configuration {
    let mut rules = three(size, 4, 5);
    rules.epoch_max = u32::from(either(size, 2, 3));
    rules.candidates = vec![ServerId(2)];
    rules.allowed = Counts::of(&[
        (Kind::Ask, either(size, 1, 2)),
        (Kind::Refusal, 1),
        (Kind::Wait, 1),
        (Kind::Election, either(size, 0, 1)),
        (Kind::Restart, either(size, 0, 1)),
        (Kind::Beat, 1),
    ]);
    Configuration {
        name: named(size, "full-disk", "full-disk-large"),
        about: "a disk that is full at any moment: what waited is taken back, a leader hands over",
        size,
        prelude: SERVED,
        rules,
        marks: &["saves-refused", "handed-over"],
    }
}
