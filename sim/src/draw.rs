//! From a scenario and a seed to a concrete plan, before the run begins. Every kind of fault draws
//! from a stream of its own, so taking one kind away does not change what the others draw.

use std::time::Duration;

use crate::cast;
use crate::figures::{figure, magnitude, whole_number, with_figures};
use crate::plan::{Cue, Expects, Fault, FaultKind, Plan, Who};
use crate::random::{Stream, Streams};
use crate::scenario::Scenario;
use crate::soundness::check_plan;
use crate::span::Span;
use crate::swarm::{Between, CLIENTS, Kind, Ranges, SERVERS, Swarm};

/// Most faults of one kind that a seed draws: the twelve kinds together stay below the limit of a
/// plan, [`crate::soundness::FAULTS_MAX`].
const DRAWN_MAX: usize = 50;

/// The plan that `seed` draws from `scenario`.
///
/// # Panics
/// If the scenario was not checked by [`Scenario::parse`].
pub fn draw(scenario: &Scenario, seed: u64) -> Plan {
    let Some(swarm) = &scenario.swarm else {
        return scenario.plan.clone();
    };
    let mut plan = with_figures(&scenario.plan, &swarm.figures, &mut |path, range| {
        let mut stream = Streams::new(seed).fork(&format!("figures.{path}"));
        figure(range, &mut stream)
    })
    .expect("figures were checked");
    draw_faults(&mut plan, swarm, seed);
    check_plan(&plan).expect("what is drawn within checked ranges is sound");
    plan
}

fn draw_faults(plan: &mut Plan, swarm: &Swarm, seed: u64) {
    let mut drawn: Vec<(Duration, Fault)> = Vec::new();
    for kind in chosen_kinds(swarm, seed) {
        let ranges = swarm.faults[&kind].or(kind.ranges());
        let mut stream = Streams::new(seed).fork(&format!("faults.{}", kind.name()));
        drawn.extend(draw_kind(plan, kind, &ranges, &mut stream));
    }
    if drawn
        .iter()
        .any(|(_, fault)| matches!(fault.what, FaultKind::BitRot { .. }))
    {
        // Nobody else has a copy of what a server alone has lost.
        plan.expects = Expects::UnavailableNeverWrong;
    }
    // Stable: at the same time, in the order of the kinds.
    drawn.sort_by_key(|(at, _)| *at);
    plan.faults
        .extend(drawn.into_iter().map(|(_, fault)| fault));
}

/// The kinds that this seed enables. Each kind's lot comes from a stream of its own.
fn chosen_kinds(swarm: &Swarm, seed: u64) -> Vec<Kind> {
    let mode = Streams::new(seed).fork("faults.mode").unit();
    if mode < swarm.calm {
        return Vec::new();
    }
    let lot = |kind: Kind| {
        Streams::new(seed)
            .fork(&format!("faults.{}.lot", kind.name()))
            .unit()
    };
    let kinds = swarm.faults.iter();
    let open = kinds.filter(|(_, ranges)| ranges.chance.unwrap_or(CHANCE) > 0.0);
    if mode < swarm.calm + swarm.single {
        let lowest = open.min_by(|(a, _), (b, _)| lot(**a).total_cmp(&lot(**b)));
        return lowest.map(|(kind, _)| *kind).into_iter().collect();
    }
    let enabled = open.filter(|(kind, ranges)| lot(**kind) < ranges.chance.unwrap_or(CHANCE));
    enabled.map(|(kind, _)| *kind).collect()
}

/// How likely a seed enables a kind, unless the scenario says otherwise.
const CHANCE: f64 = 0.5;

fn draw_kind(
    plan: &Plan,
    kind: Kind,
    ranges: &Ranges,
    stream: &mut Stream,
) -> Vec<(Duration, Fault)> {
    let every = span_of(ranges.every, stream);
    let mut faults = Vec::new();
    let mut clock = Duration::ZERO;
    while faults.len() < DRAWN_MAX {
        clock += stream.exponential(every.0).max(Duration::from_millis(1));
        let at = Span::millis(u64::try_from(clock.as_millis()).expect("acts are short"));
        if at >= plan.lasts {
            break;
        }
        let fault = Fault {
            when: Cue::At { at },
            what: draw_one(plan, kind, ranges, stream),
        };
        faults.push((at.0, fault));
    }
    faults
}

fn span_of(range: Option<Between<Span>>, stream: &mut Stream) -> Span {
    let range = range.expect("the kind has defaults for what it draws");
    magnitude(range.least(), range.most(), stream)
}

fn number_of(range: Option<Between<i64>>, stream: &mut Stream) -> i64 {
    let range = range.expect("the kind has defaults for what it draws");
    whole_number(range.least(), range.most(), stream)
}

fn one_of<'a, T>(list: &'a [T], stream: &mut Stream) -> &'a T {
    &list[stream.below(list.len() as u64) as usize]
}

fn who_of(plan: &Plan, ranges: &Ranges, stream: &mut Stream) -> Who {
    let whom = ranges
        .whom
        .as_ref()
        .expect("the kind has defaults for what it draws");
    match one_of(whom, stream).as_str() {
        SERVERS => Who::Server(server_of(plan, stream)),
        CLIENTS => Who::Client(one_of(&cast::clients(&plan.workload), stream).clone()),
        name => Who::from(name.to_owned()),
    }
}

fn server_of(plan: &Plan, stream: &mut Stream) -> u8 {
    1 + stream.below(u64::from(plan.servers)) as u8
}

fn draw_one(plan: &Plan, kind: Kind, ranges: &Ranges, stream: &mut Stream) -> FaultKind {
    // The order of the draws is part of what a seed means.
    match kind {
        Kind::Crash => FaultKind::Crash {
            who: who_of(plan, ranges, stream),
            down: Some(span_of(ranges.down, stream)),
        },
        Kind::PowerLoss => FaultKind::PowerLoss {
            server: server_of(plan, stream),
            down: Some(span_of(ranges.down, stream)),
        },
        Kind::Pause => FaultKind::Pause {
            who: who_of(plan, ranges, stream),
            lasts: span_of(ranges.lasts, stream),
        },
        Kind::Cut => FaultKind::Cut {
            who: who_of(plan, ranges, stream),
            direction: *one_of(ranges.direction.as_ref().expect("has defaults"), stream),
            lasts: span_of(ranges.lasts, stream),
        },
        Kind::Reset => FaultKind::Reset {
            who: who_of(plan, ranges, stream),
        },
        Kind::SlowLink => FaultKind::SlowLink {
            who: who_of(plan, ranges, stream),
            by: span_of(ranges.by, stream),
            lasts: span_of(ranges.lasts, stream),
        },
        Kind::SlowDisk => FaultKind::SlowDisk {
            server: server_of(plan, stream),
            by: span_of(ranges.by, stream),
            lasts: span_of(ranges.lasts, stream),
        },
        Kind::FullDisk => FaultKind::FullDisk {
            server: server_of(plan, stream),
            lasts: span_of(ranges.lasts, stream),
        },
        Kind::SyncError => FaultKind::SyncError {
            server: server_of(plan, stream),
            down: Some(span_of(ranges.down, stream)),
        },
        Kind::BitRot => FaultKind::BitRot {
            server: server_of(plan, stream),
            place: *one_of(ranges.place.as_ref().expect("has defaults"), stream),
            down: span_of(ranges.down, stream),
        },
        Kind::WallJump => FaultKind::WallJump {
            server: server_of(plan, stream),
            by_ms: number_of(ranges.by_ms, stream),
        },
        Kind::ClockDrift => FaultKind::ClockDrift {
            server: server_of(plan, stream),
            ppm: i32::try_from(number_of(ranges.ppm, stream)).expect("drifts are checked"),
        },
    }
}
