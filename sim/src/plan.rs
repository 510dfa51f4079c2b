//! The plan of one run, as data: what a person writes, what a seed draws and what shrinking leaves
//! share this grammar. A plan is itself a valid scenario.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cue::Cue;
use crate::mix::Mix;
use crate::numbers::Numbers;
use crate::server_settings::ServerSettings;
use crate::span::Span;

/// A concrete run: nothing in it is drawn any more but what the streams of the seed decide.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The scenario's name: its file's, without `.toml`. A file may leave it out.
    #[serde(default)]
    pub name: String,
    /// How many servers there are, numbered from 1.
    #[serde(default = "one")]
    pub servers: u8,
    /// Those of them that have the log and do not vote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learners: Vec<u8>,
    /// The groups of those that vote (ZooKeeper's hierarchical quorums); none are a plain majority.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Vec<u8>>,
    /// What each server weighs in its group, by number; all the same if it is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<u32>,
    /// The first act: faults fall within it.
    pub lasts: Span,
    /// The second act: all is healed, and the goals must be reached within it.
    pub settles: Span,
    /// What must have happened at least once over the seeds of a campaign, by name of event,
    /// mark or fault; a campaign that misses one is vacuous.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reaches: Vec<String>,
    /// What the verdict expects of the service.
    #[serde(default)]
    pub expects: Expects,
    /// What is whole again in the second act.
    #[serde(default, skip_serializing_if = "Heals::is_everything")]
    pub heals: Heals,
    /// Which story the clients play, with its figures.
    pub workload: Workload,
    /// The network's weather between clients and servers.
    #[serde(default)]
    pub network: Weather,
    /// How fast the disks are.
    #[serde(default)]
    pub disk: DiskSpeed,
    /// Settings of the servers that differ from the defaults.
    #[serde(default)]
    pub server: ServerSettings,
    /// Clients of the story that never come onto the stage. They owe nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
    /// Of some clients the only operations that they do in the first act, by number; a client that
    /// is not named does all of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub operations: BTreeMap<String, Numbers>,
    /// The faults, in the order in which they were written or drawn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

fn one() -> u8 {
    1
}

/// What the service owes its clients in this scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expects {
    /// After the faults it serves, and the workload's goals are reached.
    #[default]
    Service,
    /// The faults destroy more than the service can survive: it may refuse for ever, but what it
    /// says must be right.
    UnavailableNeverWrong,
}

/// What is whole again in the second act.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Heals {
    /// Everything.
    #[default]
    Everything,
    /// Everything between the servers of a quorum that the seed draws; the others stay away.
    Quorum,
}

impl Heals {
    fn is_everything(&self) -> bool {
        *self == Heals::Everything
    }
}

/// A story that clients play; each has a module of its own under `workload/`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Workload {
    /// Owners keep the tree of services up to date; readers keep cached copies and never poll.
    ServiceTree {
        /// App servers and load balancers that cache.
        readers: u32,
        /// How often an owner changes something of its own.
        change_every: Span,
    },
    /// A master, its slaves, an app server and a load balancer around `/payment/db/shard37`.
    Shard {
        /// Slaves that race when the master dies.
        slaves: u32,
        /// The session time-out that everybody asks for.
        session: Span,
        /// How often the master writes to the store that its fencing token guards.
        write_every: Span,
    },
    /// Clients take turns with one lock.
    Lock {
        /// How many want it.
        clients: u32,
        /// How long each holds it.
        hold: Span,
        /// The session time-out that everybody asks for.
        session: Span,
    },
    /// One client rolls out many files with one multi; others check that they see all or nothing.
    Rollout {
        /// Files of one configuration.
        files: u32,
        /// Clients that check.
        readers: u32,
        /// How often a new configuration is rolled out.
        every: Span,
    },
    /// Clients do a random mixture of everything: the general-purpose load.
    Mix(Mix),
    /// A test's own: the service that it tries on the bed ([`crate::testbed`]). Only the test can
    /// play it, and it fills in what it has.
    #[serde(rename_all = "kebab-case")]
    Service {
        /// Its processes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        processes: Vec<String>,
        /// The parts that its processes play.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        parts: Vec<String>,
        /// The marks that it can reach.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        marks: Vec<String>,
        /// Its own faults.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        faults: Vec<String>,
    },
}

impl Workload {
    fn mix(&self) -> Option<&Mix> {
        match self {
            Workload::Mix(mix) => Some(mix),
            _ => None,
        }
    }

    /// Do clients wish for other members?
    pub fn wishes(&self) -> bool {
        self.mix().is_some_and(|mix| mix.wishes.is_some())
    }

    /// Are there clients that take a server which only lets them read?
    pub fn has_readers(&self) -> bool {
        self.mix().is_some_and(|mix| mix.readers > 0)
    }

    /// Do clients prove by SASL who they are?
    pub fn proves(&self) -> bool {
        self.mix().is_some_and(|mix| mix.proven > 0)
    }

    /// Does a client try to get into others' sessions?
    pub fn has_thief(&self) -> bool {
        self.mix().is_some_and(|mix| mix.thief.is_some())
    }

    /// Does a client set quotas?
    pub fn has_quotas(&self) -> bool {
        self.mix().is_some_and(|mix| mix.quotas.is_some())
    }
}

/// How packets fare when no fault is in force.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weather {
    /// Least one-way delay.
    pub delay_min: Span,
    /// Mean of the exponential part that is added to it.
    pub delay_mean: Span,
    /// How likely a packet is lost. A stream sends it again, so what its reader sees is a delay; a
    /// datagram is gone.
    pub loss: f64,
    /// How likely a message between two servers is lost, comes twice, or comes after those that
    /// were sent after it: what streams never do, and what servers must survive all the same.
    pub shuffle: f64,
}

impl Default for Weather {
    fn default() -> Weather {
        Weather {
            delay_min: Span::millis(1),
            delay_mean: Span::millis(1),
            loss: 0.0,
            shuffle: 0.0,
        }
    }
}

/// How long disks take when no fault is in force.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskSpeed {
    /// Median of a sync.
    pub sync_median: Span,
}

impl Default for DiskSpeed {
    fn default() -> DiskSpeed {
        DiskSpeed {
            sync_median: Span::millis(2),
        }
    }
}

/// One thing that goes wrong, and when.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What its randomness is called by, so that it stays the same when others are taken away; its
    /// place among the faults, from 0, if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// Its cue.
    pub when: Cue,
    /// What it is.
    pub what: FaultKind,
}

impl Fault {
    /// A fault that is called by its place.
    pub fn new(when: Cue, what: FaultKind) -> Fault {
        Fault {
            id: None,
            when,
            what,
        }
    }
}

/// Which server is struck: by its number, or by the part that it plays when the fault falls.
/// Written `2`, `"leader"` or `"follower"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "WhichKeys", into = "WhichKeys")]
pub enum Which {
    /// The server with this number, from 1.
    Number(u8),
    /// Whoever leads; nobody if nobody does.
    Leader,
    /// One that runs and does not lead, drawn when the fault falls.
    Follower,
}

/// A server as it is written.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "the number of a server, or `leader`, or `follower`"
)]
enum WhichKeys {
    Number(u8),
    Part(String),
}

impl Which {
    /// The part with this name.
    pub fn part(name: &str) -> Option<Which> {
        match name {
            "leader" => Some(Which::Leader),
            "follower" => Some(Which::Follower),
            _ => None,
        }
    }
}

impl TryFrom<WhichKeys> for Which {
    type Error = &'static str;

    fn try_from(keys: WhichKeys) -> Result<Which, Self::Error> {
        match keys {
            WhichKeys::Number(number) => Ok(Which::Number(number)),
            WhichKeys::Part(name) => {
                Which::part(&name).ok_or("a server is a number, or `leader`, or `follower`")
            }
        }
    }
}

impl From<Which> for WhichKeys {
    fn from(which: Which) -> WhichKeys {
        match which {
            Which::Number(number) => WhichKeys::Number(number),
            part => WhichKeys::Part(part.to_string()),
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Number(number) => write!(f, "server-{number}"),
            Which::Leader => f.write_str("leader"),
            Which::Follower => f.write_str("follower"),
        }
    }
}

/// Who is struck: a server, or a client by the name that its story gives it. Written `"server-1"`,
/// `"leader"` or `"slave-2"`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Who {
    /// A server.
    Server(Which),
    /// The client with this name, for example `slave-2`; stories may give names to parts, such as
    /// `master`, which is whoever plays that part when the fault falls.
    Client(String),
}

impl From<String> for Who {
    fn from(name: String) -> Who {
        let number = name.strip_prefix("server-").map(str::parse);
        match (number, Which::part(&name)) {
            (Some(Ok(number)), _) => Who::Server(Which::Number(number)),
            (_, Some(part)) => Who::Server(part),
            _ => Who::Client(name),
        }
    }
}

impl From<Who> for String {
    fn from(who: Who) -> String {
        who.to_string()
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Server(which) => which.fmt(f),
            Who::Client(name) => f.write_str(name),
        }
    }
}

/// What can go wrong.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FaultKind {
    /// The process is killed; the page cache stays. A client's process begins anew when it is
    /// started again.
    Crash {
        /// Whose.
        who: Who,
        /// Until it is started again; for ever if it is left out (servers start for the second
        /// act).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        down: Option<Span>,
    },
    /// The process is told to stop, as by an operator: it finishes what it has begun, and a leader
    /// hands over.
    Stop {
        /// Which server.
        server: Which,
        /// Until it is started again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        down: Option<Span>,
    },
    /// Every server in turn is told to stop, and started again.
    RollingRestart {
        /// How long each is down.
        down: Span,
        /// From the stop of one to the stop of the next.
        gap: Span,
    },
    /// The machine loses power: what was not synced is lost, kept or torn, piece by piece.
    PowerLoss {
        /// Which server.
        server: Which,
        /// Until it is started again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        down: Option<Span>,
    },
    /// All machines lose power in one moment.
    PowerCut {
        /// Until the first may be started again; the others follow within as much time again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        down: Option<Span>,
    },
    /// The process does not run for a while: a long garbage collection, a stopped machine.
    Pause {
        /// Whose.
        who: Who,
        /// For how long.
        lasts: Span,
    },
    /// Nothing passes between one and everybody else.
    Cut {
        /// Who is cut off.
        who: Who,
        /// In which direction.
        #[serde(default)]
        direction: Direction,
        /// For how long.
        lasts: Span,
    },
    /// Nothing passes between one server and the others; clients reach them all.
    Isolate {
        /// Which.
        server: Which,
        /// In which direction.
        #[serde(default)]
        direction: Direction,
        /// For how long.
        lasts: Span,
        /// The cut comes and goes with this period; it stays if it is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        flaps: Option<Span>,
    },
    /// Nothing passes between these servers and the others; clients reach them all.
    Split {
        /// The one side.
        servers: Vec<u8>,
        /// In which direction: `from` these is lost, or `to` these.
        #[serde(default)]
        direction: Direction,
        /// For how long.
        lasts: Span,
        /// As for `isolate`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        flaps: Option<Span>,
    },
    /// One server sees all others, whose lower half by number does not see the upper half.
    Bridge {
        /// Which sees all.
        server: Which,
        /// In which direction: `from` the lower half is lost, or `to` it.
        #[serde(default)]
        direction: Direction,
        /// For how long.
        lasts: Span,
        /// As for `isolate`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        flaps: Option<Span>,
    },
    /// Each server sees its neighbours by number only, the first and the last being neighbours.
    Ring {
        /// In which direction: `from` the one with the lower number is lost, or `to` it.
        #[serde(default)]
        direction: Direction,
        /// For how long.
        lasts: Span,
        /// As for `isolate`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        flaps: Option<Span>,
    },
    /// A client's connection is reset once.
    Reset {
        /// Whose.
        who: Who,
    },
    /// Every packet of one takes longer.
    SlowLink {
        /// Whose.
        who: Who,
        /// How much longer.
        by: Span,
        /// For how long.
        lasts: Span,
    },
    /// Every operation of a disk takes longer.
    SlowDisk {
        /// Which server's.
        server: Which,
        /// How much longer.
        by: Span,
        /// For how long.
        lasts: Span,
    },
    /// A disk has no space.
    FullDisk {
        /// Which server's.
        server: Which,
        /// For how long.
        lasts: Span,
    },
    /// The next sync fails, and what it should have made durable is lost when power is.
    SyncError {
        /// Which server's.
        server: Which,
        /// Until the server, which stops itself, is started again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        down: Option<Span>,
    },
    /// Bits of a file flip while the server is down: it is killed, damaged, and started again.
    BitRot {
        /// Which server's.
        server: Which,
        /// Where.
        place: RotPlace,
        /// Until it is started again.
        down: Span,
    },
    /// The disk dies: the server is killed, and started again with a blank one.
    LostDisk {
        /// Which server's.
        server: Which,
        /// Until it is started again.
        down: Span,
    },
    /// The gossip between servers is tampered with: datagrams are lost, copied, damaged and
    /// repeated long afterwards, and somebody who has the ensemble's key lies.
    PoisonedGossip {
        /// For how long.
        lasts: Span,
    },
    /// No datagram of the gossip comes through.
    SilencedGossip {
        /// For how long.
        lasts: Span,
    },
    /// The operator wants other members; who leads is told so.
    Reconfigure {
        /// The servers that shall vote.
        voters: Vec<u8>,
        /// The servers that shall have the log and not vote.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        learners: Vec<u8>,
    },
    /// An operator takes a snapshot of a server's state, and has it restored later, while clients
    /// are served.
    Restore {
        /// Of which server, and by which.
        server: Which,
        /// How old the snapshot is then.
        lasts: Span,
    },
    /// The wall clock jumps.
    WallJump {
        /// Which server's.
        server: Which,
        /// By how many milliseconds, back if negative.
        by_ms: i64,
    },
    /// The monotonic clock runs too fast or too slow from here on.
    ClockDrift {
        /// Which server's.
        server: Which,
        /// In millionths: 500 is too fast by 0.05 %.
        ppm: i32,
    },
    /// A fault of the test's own: what it does stands in the test ([`crate::testbed`]).
    Own {
        /// By the name that the test gave it.
        name: String,
        /// For how long; until the second act if it is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lasts: Option<Span>,
    },
}

/// One way or both.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Both ways.
    #[default]
    Both,
    /// What it sends is lost.
    From,
    /// What is sent to it is lost.
    To,
}

impl Direction {
    /// Every direction.
    pub const ALL: [Direction; 3] = [Direction::Both, Direction::From, Direction::To];
}

/// Where bits flip.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RotPlace {
    /// In the last record of the log, as a torn write would look: the server may cut it only if it
    /// was never acknowledged, so it must refuse, or have made it good.
    LogTail,
    /// In a record with good records after it: the server must refuse to start.
    LogMiddle,
    /// In the newest snapshot: the server must refuse, or use an older one with the log after it.
    Snapshot,
}

impl Plan {
    /// The numbers of the servers that vote when the ensemble is founded.
    pub fn voters(&self) -> Vec<u8> {
        let votes = |server: &u8| !self.learners.contains(server);
        (1..=self.servers).filter(votes).collect()
    }

    /// May the voters become others: by the operator's order, or as a client wishes?
    pub fn changes_voters(&self) -> bool {
        let orders = |fault: &Fault| matches!(fault.what, FaultKind::Reconfigure { .. });
        self.faults.iter().any(orders) || self.workload.wishes()
    }

    /// May snapshots be restored while clients are served?
    pub fn restores(&self) -> bool {
        let restores = |fault: &Fault| matches!(fault.what, FaultKind::Restore { .. });
        self.faults.iter().any(restores)
    }

    /// What the randomness of the fault at this place is called by.
    pub fn fault_id(&self, place: usize) -> u32 {
        let place_id = u32::try_from(place).expect("plans are short");
        self.faults[place].id.unwrap_or(place_id)
    }

    /// How many voters of an ensemble without groups may lose their disks for good without harm.
    pub fn minority(&self) -> usize {
        self.voters().len().saturating_sub(1) / 2
    }
}

impl FaultKind {
    /// The name by which verdicts count this fault; those of a test's own are counted by the names
    /// that the test gave them.
    pub fn name(&self) -> &'static str {
        match self {
            FaultKind::Crash { .. } => "crash",
            FaultKind::Stop { .. } => "stop",
            FaultKind::RollingRestart { .. } => "rolling-restart",
            FaultKind::PowerLoss { .. } => "power-loss",
            FaultKind::PowerCut { .. } => "power-cut",
            FaultKind::Pause { .. } => "pause",
            FaultKind::Cut { .. } => "cut",
            FaultKind::Isolate { .. } => "isolate",
            FaultKind::Split { .. } => "split",
            FaultKind::Bridge { .. } => "bridge",
            FaultKind::Ring { .. } => "ring",
            FaultKind::Reset { .. } => "reset",
            FaultKind::SlowLink { .. } => "slow-link",
            FaultKind::SlowDisk { .. } => "slow-disk",
            FaultKind::FullDisk { .. } => "full-disk",
            FaultKind::SyncError { .. } => "sync-error",
            FaultKind::BitRot { .. } => "bit-rot",
            FaultKind::LostDisk { .. } => "lost-disk",
            FaultKind::PoisonedGossip { .. } => "poisoned-gossip",
            FaultKind::SilencedGossip { .. } => "silenced-gossip",
            FaultKind::Reconfigure { .. } => "reconfigure",
            FaultKind::Restore { .. } => "restore",
            FaultKind::WallJump { .. } => "wall-jump",
            FaultKind::ClockDrift { .. } => "clock-drift",
            FaultKind::Own { .. } => "own",
        }
    }
}
