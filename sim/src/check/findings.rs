//! What the checkers found, bounded, by the names of the invariants.

use std::collections::BTreeMap;
use std::time::Duration;

use althing_core::ids::SessionId;

use crate::history::Violation;

/// Most violations that are kept of one invariant: one is enough to fail, a few show a pattern.
pub const PER_INVARIANT_MAX: usize = 8;

/// Every invariant by its name, and what it says. `A1`, `A2` and `L1` are judged by the world as it
/// runs; the others by the checkers, over the history.
pub const INVARIANTS: &[(&str, &str)] = &[
    ("A1 assertion", "no assertion of the production code fails"),
    (
        "A2 simulator",
        "neither the simulator nor a story panics, and a seed gives one run only",
    ),
    (
        "L1 liveness",
        "after the faults the service serves and the story's goals are reached",
    ),
    (
        "L2 convergence",
        "after the faults every server that runs has executed what is agreed",
    ),
    (
        "L3 steady leader",
        "some seconds after the faults, if messages come in time, nobody else is elected",
    ),
    (
        "L4 polite stop",
        "when servers are only told to stop, the clients of the others keep their connections",
    ),
    (
        "L5 leader stickiness",
        "a leader that a healthy quorum hears is not deposed, whatever becomes of the others",
    ),
    (
        "L6 pre-vote",
        "nobody stands for election with a log for which no quorum can vote",
    ),
    (
        "L7 abdication",
        "a leader that another has replaced knows it some seconds later, if servers are not slow",
    ),
    (
        "L8 reaping",
        "an empty container, or a childless znode whose time to live is over, goes soon",
    ),
    (
        "G1 garbage",
        "whatever a server sends can be read and answers something",
    ),
    (
        "I1 agreement",
        "one position holds one transaction and one digest, on every server and in every life",
    ),
    (
        "I2 zxid",
        "positions increase, are dense within an epoch, and an epoch has one leader",
    ),
    (
        "I3 durability",
        "what anybody was shown was durable on a quorum by then, and every recovery finds it",
    ),
    (
        "I4 no rollback",
        "a position that a reply shows is one that was agreed",
    ),
    (
        "I5 election safety",
        "an epoch has one leader, by the durable votes of a quorum, which nobody gives twice",
    ),
    (
        "I5 append only",
        "a leader neither cuts nor rewrites its own log",
    ),
    (
        "I5 log matching",
        "two logs that hold one position hold the same there and before it",
    ),
    (
        "I5 completeness",
        "a leader's log holds everything that was agreed before its epoch",
    ),
    (
        "I5 state machine",
        "what was agreed is never cut, rewritten or left out, on any server",
    ),
    (
        "W1 linearizable",
        "a write takes effect between its asking and its answer, in the order of real time",
    ),
    (
        "W2 result",
        "a write's answer is what the reference says at its position",
    ),
    (
        "W3 order",
        "answers and executions keep the order of the requests, and nothing follows a lost write",
    ),
    (
        "W4 atomic",
        "a multi is done whole or not at all, and its answer has ZooKeeper's shape",
    ),
    (
        "W5 once",
        "a write executes at most once, and nothing executes that nobody sent",
    ),
    (
        "R1 read",
        "a read's answer is what the reference says at the position in its header",
    ),
    (
        "R2 monotone",
        "a session never sees an older state than it has seen, over all its connections",
    ),
    ("R3 own writes", "a session sees its own writes"),
    (
        "R4 sync",
        "what follows a sync sees all that anybody was told before the sync was sent",
    ),
    (
        "R5 linearizable",
        "a linearizable read sees all that anybody was told before it was sent",
    ),
    (
        "R6 timely",
        "an answer shows what was agreed before it was asked; in an ensemble, not long before",
    ),
    ("V1 one-shot", "a watch is told once"),
    (
        "V2 true event",
        "an event is what a watch was waiting for: its znode, its kind, its position",
    ),
    (
        "V3 no lost watch",
        "an event arrives before any answer that shows the state it tells of",
    ),
    (
        "V4 event order",
        "events arrive in the order of their positions",
    ),
    (
        "V5 re-arm",
        "setWatches tells at once, and once, what changed since, and leaves the others",
    ),
    (
        "V6 watches kept",
        "checkWatches and removeWatches find the watches that are there, and no others",
    ),
    (
        "E1 not early",
        "a session heard of within its time-out does not expire; a leader's pause does not count",
    ),
    (
        "E2 not late",
        "a session that is not heard of expires soon after its time-out",
    ),
    (
        "E3 ephemerals go",
        "the end of a session deletes exactly its ephemerals",
    ),
    (
        "E4 no orphan",
        "an ephemeral's session is open, and only ended sessions are told that they expired",
    ),
    (
        "E5 identity",
        "session ids are unique, and only the password attaches to a session",
    ),
    (
        "E6 negotiation",
        "a session's time-out is the wish, within 2 and 20 ticks, and what the client is told",
    ),
    (
        "T1 sequence",
        "sequence numbers under one parent increase and never come again",
    ),
    (
        "T2 stat",
        "all eleven fields of a Stat are those of the reference",
    ),
    (
        "T3 access",
        "nobody does, sees or is told what the list does not grant, nor as somebody else",
    ),
    (
        "T4 proof",
        "who proves by SASL to know a password is let in, and nobody else; no challenge comes twice",
    ),
    (
        "M1 mutex",
        "two clients whose processes run never hold one lock together, even if they hear nothing",
    ),
    (
        "M2 fencing",
        "the guarded store takes no token older than one it has seen, and refuses no other",
    ),
    (
        "M3 election",
        "one token has one holder, and while it is held nobody else takes it away",
    ),
    (
        "N1 read only",
        "only who asked is served without a leader; it reads, and nothing that needs one is done",
    ),
    (
        "N2 whole again",
        "soon after its server could find a leader, no client is only let read",
    ),
    (
        "N3 at home",
        "a session of one server alone is served there only, until the ensemble takes it over",
    ),
    (
        "Q1 quota",
        "the stats of a quota say how many znodes and bytes there are below it, at every moment",
    ),
    (
        "Q2 rate",
        "who asks no more often than its rate is not refused for it, and nobody is granted more",
    ),
    (
        "O1 restored",
        "whoever is told that a snapshot is restored finds its znodes there, but for those of sessions",
    ),
];

/// The violations found so far.
#[derive(Debug, Default)]
pub struct Findings {
    found: Vec<Violation>,
    counts: BTreeMap<&'static str, usize>,
}

impl Findings {
    /// Notes that `invariant` was broken, unless it is known well enough.
    ///
    /// # Panics
    /// If the invariant is not one of [`INVARIANTS`]: what is not listed cannot be looked up.
    pub fn add(
        &mut self,
        invariant: &'static str,
        at: Duration,
        session: Option<SessionId>,
        detail: impl FnOnce() -> String,
    ) {
        let known = INVARIANTS.iter().any(|(name, _)| *name == invariant);
        assert!(known, "{invariant} is not listed");
        let count = self.counts.entry(invariant).or_default();
        *count += 1;
        if *count <= PER_INVARIANT_MAX {
            self.found.push(Violation {
                invariant,
                at,
                detail: detail(),
                session,
            });
        }
    }

    /// All of them, by time.
    pub fn sorted(mut self) -> Vec<Violation> {
        self.found
            .sort_by(|a, b| (a.at, a.invariant).cmp(&(b.at, b.invariant)));
        self.found
    }
}
