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
    PowerLoss,
    Pause,
    Cut,
    Reset,
    SlowLink,
    SlowDisk,
    FullDisk,
    SyncError,
    BitRot,
    WallJump,
    ClockDrift,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 12] = [
        Kind::Crash,
        Kind::PowerLoss,
        Kind::Pause,
        Kind::Cut,
        Kind::Reset,
        Kind::SlowLink,
        Kind::SlowDisk,
        Kind::FullDisk,
        Kind::SyncError,
        Kind::BitRot,
        Kind::WallJump,
        Kind::ClockDrift,
    ];

    /// The kind of a fault.
    pub fn of(fault: &FaultKind) -> Kind {
        match fault {
            FaultKind::Crash { .. } => Kind::Crash,
            FaultKind::PowerLoss { .. } => Kind::PowerLoss,
            FaultKind::Pause { .. } => Kind::Pause,
            FaultKind::Cut { .. } => Kind::Cut,
            FaultKind::Reset { .. } => Kind::Reset,
            FaultKind::SlowLink { .. } => Kind::SlowLink,
            FaultKind::SlowDisk { .. } => Kind::SlowDisk,
            FaultKind::FullDisk { .. } => Kind::FullDisk,
            FaultKind::SyncError { .. } => Kind::SyncError,
            FaultKind::BitRot { .. } => Kind::BitRot,
            FaultKind::WallJump { .. } => Kind::WallJump,
            FaultKind::ClockDrift { .. } => Kind::ClockDrift,
        }
    }

    /// As scenario files and verdicts spell it; the same as [`FaultKind::name`].
    pub fn name(self) -> &'static str {
        match self {
            Kind::Crash => "crash",
            Kind::PowerLoss => "power-loss",
            Kind::Pause => "pause",
            Kind::Cut => "cut",
            Kind::Reset => "reset",
            Kind::SlowLink => "slow-link",
            Kind::SlowDisk => "slow-disk",
            Kind::FullDisk => "full-disk",
            Kind::SyncError => "sync-error",
            Kind::BitRot => "bit-rot",
            Kind::WallJump => "wall-jump",
            Kind::ClockDrift => "clock-drift",
        }
    }

    /// The ranges of what a fault of this kind has, where a scenario does not give its own. What is
    /// `None` here does not belong to the kind.
    pub fn ranges(self) -> Ranges {
        let empty = Ranges {
            every: Some(Between::spans(10_000, 60_000)),
            ..Ranges::default()
        };
        let servers = Some(vec![SERVERS.to_owned()]);
        let everybody = Some(vec![SERVERS.to_owned(), CLIENTS.to_owned()]);
        let down = Some(Between::spans(100, 20_000));
        match self {
            Kind::Crash => Ranges {
                whom: servers,
                down,
                ..empty
            },
            Kind::PowerLoss | Kind::SyncError => Ranges { down, ..empty },
            Kind::Pause => Ranges {
                whom: everybody,
                lasts: Some(Between::spans(100, 30_000)),
                ..empty
            },
            Kind::Cut => Ranges {
                whom: everybody,
                direction: Some(vec![Direction::Both, Direction::From, Direction::To]),
                lasts: Some(Between::spans(100, 20_000)),
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
                by: Some(Between::spans(10, 3_000)),
                lasts: Some(Between::spans(1_000, 30_000)),
                ..empty
            },
            Kind::FullDisk => Ranges {
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
            Kind::WallJump => Ranges {
                by_ms: Some(Between::Two([-300_000, 300_000])),
                ..empty
            },
            Kind::ClockDrift => Ranges {
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

/// What is drawn for one kind of fault.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ranges {
    /// How likely a seed has faults of this kind at all; a half if it is left out.
    pub chance: Option<f64>,
    /// The mean time between two of them; the seed draws the mean, then the times.
    pub every: Option<Between<Span>>,
    /// Who is struck: names, or `servers`, or `clients`; each as likely as the others.
    pub whom: Option<Vec<String>>,
    /// Until what was stopped is started again.
    pub down: Option<Between<Span>>,
    /// How long it lasts.
    pub lasts: Option<Between<Span>>,
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
