//! The `[swarm]` table of a scenario: what a seed draws. Every seed enables a random subset of the
//! kinds of faults, since a bug that needs one kind often hides behind another.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plan::{Direction, FaultKind, RotPlace};
use crate::span::Span;

/// What a seed draws besides what the scenario writes down.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swarm {
    /// The share of the seeds that draw no fault at all.
    #[serde(default = "calm")]
    pub calm: f64,
    /// The share of the seeds that draw faults of exactly one kind.
    #[serde(default = "single")]
    pub single: f64,
    /// The kinds of faults, each with its ranges.
    #[serde(default)]
    pub faults: BTreeMap<Kind, Ranges>,
    /// The faults of a test's own, by the names that it gave them, each with its ranges.
    #[serde(default)]
    pub own: BTreeMap<String, Ranges>,
    /// A table of the plan's shape, with ranges in the place of figures.
    #[serde(default)]
    pub figures: toml::Table,
}

fn calm() -> f64 {
    0.05
}

fn single() -> f64 {
    0.15
}

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Crash,
    Stop,
    RollingRestart,
    PowerLoss,
    PowerCut,
    Pause,
    Cut,
    Isolate,
    Split,
    Bridge,
    Ring,
    Reset,
    SlowLink,
    SlowDisk,
    FullDisk,
    SyncError,
    BitRot,
    LostDisk,
    PoisonedGossip,
    SilencedGossip,
    Reconfigure,
    Restore,
    WallJump,
    ClockDrift,
    /// Those of a test's own. They stand in a table of their own, by their names.
    #[serde(skip)]
    Own,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 25] = [
        Kind::Crash,
        Kind::Stop,
        Kind::RollingRestart,
        Kind::PowerLoss,
        Kind::PowerCut,
        Kind::Pause,
        Kind::Cut,
        Kind::Isolate,
        Kind::Split,
        Kind::Bridge,
        Kind::Ring,
        Kind::Reset,
        Kind::SlowLink,
        Kind::SlowDisk,
        Kind::FullDisk,
        Kind::SyncError,
        Kind::BitRot,
        Kind::LostDisk,
        Kind::PoisonedGossip,
        Kind::SilencedGossip,
        Kind::Reconfigure,
        Kind::Restore,
        Kind::WallJump,
        Kind::ClockDrift,
        Kind::Own,
    ];

    /// The kind of a fault.
    pub fn of(fault: &FaultKind) -> Kind {
        let of_this_name = |kind: &Kind| kind.name() == fault.name();
        let kind = Kind::ALL.into_iter().find(of_this_name);
        kind.expect("every fault is of a kind")
    }

    /// As scenario files and verdicts spell it; the same as [`FaultKind::name`].
    pub fn name(self) -> &'static str {
        match self {
            Kind::Crash => "crash",
            Kind::Stop => "stop",
            Kind::RollingRestart => "rolling-restart",
            Kind::PowerLoss => "power-loss",
            Kind::PowerCut => "power-cut",
            Kind::Pause => "pause",
            Kind::Cut => "cut",
            Kind::Isolate => "isolate",
            Kind::Split => "split",
            Kind::Bridge => "bridge",
            Kind::Ring => "ring",
            Kind::Reset => "reset",
            Kind::SlowLink => "slow-link",
            Kind::SlowDisk => "slow-disk",
            Kind::FullDisk => "full-disk",
            Kind::SyncError => "sync-error",
            Kind::BitRot => "bit-rot",
            Kind::LostDisk => "lost-disk",
            Kind::PoisonedGossip => "poisoned-gossip",
            Kind::SilencedGossip => "silenced-gossip",
            Kind::Reconfigure => "reconfigure",
            Kind::Restore => "restore",
            Kind::WallJump => "wall-jump",
            Kind::ClockDrift => "clock-drift",
            Kind::Own => "own",
        }
    }

    /// The fewest servers among which such a fault can fall.
    pub fn servers_min(self) -> u8 {
        match self {
            Kind::Isolate | Kind::Split | Kind::Reconfigure => 2,
            Kind::PoisonedGossip | Kind::SilencedGossip => 2,
            // With fewer the disk of one is a quorum's, or everybody is everybody's neighbour.
            Kind::LostDisk | Kind::Bridge => 3,
            Kind::Ring => 4,
            _ => 1,
        }
    }

    /// Does such a fault strike servers only?
    pub fn strikes_servers_only(self) -> bool {
        !matches!(
            self,
            Kind::Crash | Kind::Pause | Kind::Cut | Kind::Reset | Kind::SlowLink
        )
    }

    /// The ranges of what a fault of this kind has, where a scenario does not give its own. What is
    /// `None` here does not belong to the kind.
    #[allow(
        clippy::too_many_lines,
        reason = "one arm for each kind, and no two share a thought"
    )]
    pub fn ranges(self) -> Ranges {
        let empty = Ranges {
            every: Some(Between::spans(10_000, 60_000)),
            ..Ranges::default()
        };
        let servers = Some(vec![SERVERS.to_owned()]);
        let everybody = Some(vec![SERVERS.to_owned(), CLIENTS.to_owned()]);
        let down = Some(Between::spans(100, 20_000));
        match self {
            Kind::Crash | Kind::Stop | Kind::PowerLoss | Kind::SyncError => Ranges {
                whom: servers,
                down,
                ..empty
            },
            Kind::LostDisk | Kind::PowerCut => Ranges { down, ..empty },
            Kind::RollingRestart => Ranges {
                down: Some(Between::spans(100, 3_000)),
                gap: Some(Between::spans(500, 10_000)),
                ..empty
            },
            Kind::Pause => Ranges {
                whom: everybody,
                lasts: Some(Between::spans(100, 30_000)),
                ..empty
            },
            Kind::Cut => Ranges {
                whom: everybody,
                direction: Some(Direction::ALL.to_vec()),
                lasts: Some(Between::spans(100, 20_000)),
                ..empty
            },
            Kind::Isolate | Kind::Split | Kind::Bridge | Kind::Ring => Ranges {
                whom: matches!(self, Kind::Isolate | Kind::Bridge)
                    .then(|| vec![SERVERS.to_owned(), LEADER.to_owned()]),
                direction: Some(Direction::ALL.to_vec()),
                lasts: Some(Between::spans(100, 20_000)),
                flaps: Some(Between::spans(100, 5_000)),
                ..empty
            },
            Kind::Reset => Ranges {
                whom: Some(vec![CLIENTS.to_owned()]),
                ..empty
            },
            Kind::SlowLink => Ranges {
                whom: everybody,
                by: Some(Between::spans(10, 1_000)),
                lasts: Some(Between::spans(1_000, 30_000)),
                ..empty
            },
            Kind::SlowDisk => Ranges {
                whom: servers,
                by: Some(Between::spans(10, 3_000)),
                lasts: Some(Between::spans(1_000, 30_000)),
                ..empty
            },
            Kind::FullDisk => Ranges {
                whom: servers,
                lasts: Some(Between::spans(500, 10_000)),
                ..empty
            },
            Kind::BitRot => Ranges {
                place: Some(vec![
                    RotPlace::LogTail,
                    RotPlace::LogMiddle,
                    RotPlace::Snapshot,
                ]),
                down,
                ..empty
            },
            Kind::PoisonedGossip | Kind::SilencedGossip => Ranges {
                lasts: Some(Between::spans(1_000, 30_000)),
                ..empty
            },
            Kind::Reconfigure => empty,
            Kind::Restore => Ranges {
                whom: servers,
                lasts: Some(Between::spans(500, 10_000)),
                ..empty
            },
            Kind::Own => Ranges {
                lasts: Some(Between::spans(500, 10_000)),
                ..empty
            },
            Kind::WallJump => Ranges {
                whom: servers,
                by_ms: Some(Between::Two([-300_000, 300_000])),
                ..empty
            },
            Kind::ClockDrift => Ranges {
                whom: servers,
                ppm: Some(Between::Two([-5_000, 5_000])),
                ..empty
            },
        }
    }
}

/// In `whom`: any server of the plan.
pub const SERVERS: &str = "servers";
/// In `whom`: any client of the story.
pub const CLIENTS: &str = "clients";
/// In `whom`: whoever leads when the fault falls.
const LEADER: &str = "leader";

/// What is drawn for one kind of fault.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ranges {
    /// How likely a seed has faults of this kind at all; a half if it is left out.
    pub chance: Option<f64>,
    /// The mean time between two of them; the seed draws the mean, then the times.
    pub every: Option<Between<Span>>,
    /// Who is struck: names and parts, or `servers`, or `clients`; each as likely as the others.
    pub whom: Option<Vec<String>>,
    /// Until what was stopped is started again.
    pub down: Option<Between<Span>>,
    /// How long it lasts.
    pub lasts: Option<Between<Span>>,
    /// From the stop of one server to the stop of the next.
    pub gap: Option<Between<Span>>,
    /// With which period a cut comes and goes; every second one does.
    pub flaps: Option<Between<Span>>,
    /// How much longer things take.
    pub by: Option<Between<Span>>,
    /// How far the wall clock jumps, in milliseconds.
    pub by_ms: Option<Between<i64>>,
    /// How fast the clock drifts, in millionths.
    pub ppm: Option<Between<i64>>,
    /// Where bits flip.
    pub place: Option<Vec<RotPlace>>,
    /// What a cut stops.
    pub direction: Option<Vec<Direction>>,
}

impl Ranges {
    /// The keys that are given here, and `None` in `known`.
    pub fn beyond(&self, known: &Ranges) -> Option<&'static str> {
        let keys = [
            ("whom", self.whom.is_some(), known.whom.is_some()),
            ("down", self.down.is_some(), known.down.is_some()),
            ("lasts", self.lasts.is_some(), known.lasts.is_some()),
            ("gap", self.gap.is_some(), known.gap.is_some()),
            ("flaps", self.flaps.is_some(), known.flaps.is_some()),
            ("by", self.by.is_some(), known.by.is_some()),
            ("by_ms", self.by_ms.is_some(), known.by_ms.is_some()),
            ("ppm", self.ppm.is_some(), known.ppm.is_some()),
            ("place", self.place.is_some(), known.place.is_some()),
            (
                "direction",
                self.direction.is_some(),
                known.direction.is_some(),
            ),
        ];
        keys.into_iter()
            .find(|(_, given, known)| *given && !known)
            .map(|(key, _, _)| key)
    }

    /// These, completed with `defaults`.
    pub fn or(&self, defaults: Ranges) -> Ranges {
        let own = self.clone();
        Ranges {
            chance: own.chance.or(defaults.chance),
            every: own.every.or(defaults.every),
            whom: own.whom.or(defaults.whom),
            down: own.down.or(defaults.down),
            lasts: own.lasts.or(defaults.lasts),
            gap: own.gap.or(defaults.gap),
            flaps: own.flaps.or(defaults.flaps),
            by: own.by.or(defaults.by),
            by_ms: own.by_ms.or(defaults.by_ms),
            ppm: own.ppm.or(defaults.ppm),
            place: own.place.or(defaults.place),
            direction: own.direction.or(defaults.direction),
        }
    }
}

/// A range: one value, or the least and the most.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "one value, or the least and the most in an array"
)]
pub enum Between<T> {
    /// Always this.
    One(T),
    /// Anything from the first to the second, both included.
    Two([T; 2]),
}

impl<T: Copy> Between<T> {
    /// The least.
    pub fn least(&self) -> T {
        match self {
            Between::One(value) => *value,
            Between::Two([least, _]) => *least,
        }
    }

    /// The most.
    pub fn most(&self) -> T {
        match self {
            Between::One(value) => *value,
            Between::Two([_, most]) => *most,
        }
    }
}

impl Between<Span> {
    const fn spans(least_ms: u64, most_ms: u64) -> Between<Span> {
        Between::Two([Span::millis(least_ms), Span::millis(most_ms)])
    }
}
