//! The configurations that are explored: each is fine in one part of the protocol and coarse in the
//! others, and says how far it goes.

use althing_core::ids::ServerId;

use crate::explore::bounds::{Counts, Kind, Rules, Saves};
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
/// And its znode is there, and there are two of them.
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

/// The configuration of this name.
pub fn find(name: &str) -> Option<Configuration> {
    all()
        .into_iter()
        .find(|configuration| configuration.name == name)
}

/// All of them.
pub fn all() -> Vec<Configuration> {
    let sizes = [Size::Small, Size::Large];
    let grains = [sessions, election, replication, crashes];
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

fn election(size: Size) -> Configuration {
    let mut rules = Rules::quiet(3);
    rules.saves = Saves::AtOnce;
    rules.epoch_max = u32::from(either(size, 3, 4));
    rules.flight_max = usize::from(either(size, 5, 6));
    rules.allowed = Counts::of(&[
        (Kind::Election, either(size, 2, 3)),
        (Kind::Quorum, either(size, 1, 2)),
        (Kind::Suspicion, either(size, 1, 2)),
        (Kind::Drop, either(size, 0, 1)),
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
    let mut rules = Rules::quiet(3);
    rules.order = match size {
        Size::Small => Order::Link,
        Size::Large => Order::Any,
    };
    rules.flight_max = usize::from(either(size, 5, 6));
    rules.epoch_max = 2;
    rules.allowed = Counts::of(&[
        (Kind::Ask, 2),
        (Kind::Beat, 1),
        (Kind::Drop, 1),
        (Kind::Double, either(size, 0, 1)),
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
    let mut rules = Rules::quiet(3);
    rules.order = Order::Link;
    rules.flight_max = usize::from(either(size, 4, 5));
    rules.epoch_max = u32::from(either(size, 2, 3));
    rules.candidates = vec![ServerId(2), ServerId(3)];
    rules.allowed = Counts::of(&[
        (Kind::Ask, 1),
        (Kind::Election, 1 + either(size, 0, 1)),
        (Kind::Restart, 1),
        (Kind::Suspicion, 1),
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
