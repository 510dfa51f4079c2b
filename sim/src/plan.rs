//! The plan of one run, as data: what a person writes, what a seed draws and what shrinking leaves
//! share this grammar. A plan is itself a valid scenario.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// A concrete run: nothing in it is drawn any more but what the streams of the seed decide.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The scenario's name: its file's, without `.toml`. A file may leave it out.
    #[serde(default)]
    pub name: String,
    /// How many servers there are.
    #[serde(default = "one")]
    pub servers: u8,
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
    Mix {
        /// How many clients.
        clients: u32,
        /// How long a client rests between two requests, at most.
        rest: Span,
        /// How many znodes they share.
        znodes: u32,
        /// The session time-out that everybody asks for.
        session: Span,
    },
}

/// How packets fare when no fault is in force.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weather {
    /// Least one-way delay.
    pub delay_min: Span,
    /// Mean of the exponential part that is added to it.
    pub delay_mean: Span,
    /// How likely a packet is lost. A stream sends it again, so what its reader sees is a delay.
    pub loss: f64,
}

impl Default for Weather {
    fn default() -> Weather {
        Weather {
            delay_min: Span::millis(1),
            delay_mean: Span::millis(1),
            loss: 0.0,
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

/// Settings of the servers, by the names that their configuration files use.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct ServerSettings {
    /// The tick.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick_time: Option<Span>,
    /// Transactions between two snapshots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snap_count: Option<u32>,
    /// Bytes of one log segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment_bytes: Option<u64>,
}

/// One thing that goes wrong, and when.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Its cue.
    pub when: Cue,
    /// What it is.
    pub what: FaultKind,
}

/// When a fault falls.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "CueKeys", into = "CueKeys")]
pub enum Cue {
    /// At this time of the run.
    At {
        /// Since the beginning.
        at: Span,
    },
    /// When something has happened.
    On {
        /// The name of an event of a server or of a mark of the workload.
        on: String,
        /// The how manieth time; counts from 1.
        nth: u32,
        /// How long after it.
        after: Span,
    },
    /// When the fault that stands before this one in the plan has fallen.
    Then {
        /// How long after it.
        then: Span,
    },
}

/// The keys of a cue as they are written.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CueKeys {
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nth: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    then: Option<Span>,
}

impl TryFrom<CueKeys> for Cue {
    type Error = &'static str;

    fn try_from(keys: CueKeys) -> Result<Cue, Self::Error> {
        let plain = keys.nth.is_none() && keys.after.is_none();
        match (keys.at, keys.on, keys.then) {
            (Some(at), None, None) if plain => Ok(Cue::At { at }),
            (None, None, Some(then)) if plain => Ok(Cue::Then { then }),
            (None, Some(on), None) => Ok(Cue::On {
                on,
                nth: keys.nth.unwrap_or(1),
                after: keys.after.unwrap_or_default(),
            }),
            (None, None, None) => Err("a cue needs one of `at`, `on` and `then`"),
            (_, None, _) if !plain => Err("`nth` and `after` belong to a cue with `on`"),
            _ => Err("a cue has only one of `at`, `on` and `then`"),
        }
    }
}

impl From<Cue> for CueKeys {
    fn from(cue: Cue) -> CueKeys {
        match cue {
            Cue::At { at } => CueKeys {
                at: Some(at),
                ..CueKeys::default()
            },
            Cue::On { on, nth, after } => CueKeys {
                on: Some(on),
                nth: (nth != 1).then_some(nth),
                after: (after != Span::default()).then_some(after),
                ..CueKeys::default()
            },
            Cue::Then { then } => CueKeys {
                then: Some(then),
                ..CueKeys::default()
            },
        }
    }
}

/// Who is struck: a server, or a client by the name that its story gives it. Written `"server-1"`
/// or `"slave-2"`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Who {
    /// The server with this number, from 1.
    Server(u8),
    /// The client with this name, for example `slave-2`; stories may give names to parts, such as
    /// `master`, which is whoever plays that part when the fault falls.
    Client(String),
}

impl From<String> for Who {
    fn from(name: String) -> Who {
        let number = name.strip_prefix("server-").map(str::parse);
        match number {
            Some(Ok(number)) => Who::Server(number),
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
            Who::Server(number) => write!(f, "server-{number}"),
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
    /// The machine loses power: what was not synced is lost, kept or torn, piece by piece.
    PowerLoss {
        /// Which server.
        server: u8,
        /// Until it is started again.
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
        server: u8,
        /// How much longer.
        by: Span,
        /// For how long.
        lasts: Span,
    },
    /// A disk has no space.
    FullDisk {
        /// Which server's.
        server: u8,
        /// For how long.
        lasts: Span,
    },
    /// The next sync fails, and what it should have made durable is lost when power is.
    SyncError {
        /// Which server's.
        server: u8,
        /// Until the server, which stops itself, is started again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        down: Option<Span>,
    },
    /// Bits of a file flip while the server is down: it is killed, damaged, and started again.
    BitRot {
        /// Which server's.
        server: u8,
        /// Where.
        place: RotPlace,
        /// Until it is started again.
        down: Span,
    },
    /// The wall clock jumps.
    WallJump {
        /// Which server's.
        server: u8,
        /// By how many milliseconds, back if negative.
        by_ms: i64,
    },
    /// The monotonic clock runs too fast or too slow from here on.
    ClockDrift {
        /// Which server's.
        server: u8,
        /// In millionths: 500 is too fast by 0.05 %.
        ppm: i32,
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

impl FaultKind {
    /// The name by which verdicts count this fault.
    pub fn name(&self) -> &'static str {
        match self {
            FaultKind::Crash { .. } => "crash",
            FaultKind::PowerLoss { .. } => "power-loss",
            FaultKind::Pause { .. } => "pause",
            FaultKind::Cut { .. } => "cut",
            FaultKind::Reset { .. } => "reset",
            FaultKind::SlowLink { .. } => "slow-link",
            FaultKind::SlowDisk { .. } => "slow-disk",
            FaultKind::FullDisk { .. } => "full-disk",
            FaultKind::SyncError { .. } => "sync-error",
            FaultKind::BitRot { .. } => "bit-rot",
            FaultKind::WallJump { .. } => "wall-jump",
            FaultKind::ClockDrift { .. } => "clock-drift",
        }
    }
}
