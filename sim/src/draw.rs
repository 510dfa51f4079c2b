//! From a scenario and a seed to a concrete plan, before the run begins. Every kind of fault draws
//! from a stream of its own, so taking one kind away does not change what the others draw.

use std::time::Duration;

use toml::{Table, Value};

use crate::cast;
use crate::plan::{Cue, Expects, Fault, FaultKind, Plan, Who};
use crate::random::{Stream, Streams};
use crate::scenario::Scenario;
use crate::soundness::{KeyPath, Step, Unsound, check_plan};
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

/// Refuses figures whose ends do not make a sound plan.
pub fn check_figures(plan: &Plan, figures: &Table) -> Result<(), Unsound> {
    let ends: [fn(&Value) -> Result<Value, String>; 2] = [
        |range| Ok(ends_of(range)?.0.clone()),
        |range| Ok(ends_of(range)?.1.clone()),
    ];
    for end in ends {
        let drawn = with_figures(plan, figures, &mut |_, range| {
            let mut stream = Streams::new(0).fork("check");
            figure(range, &mut stream)?;
            end(range)
        })?;
        check_plan(&drawn).map_err(|unsound| match known_in(figures, &unsound.key) {
            true => Unsound {
                key: under_figures(&unsound.key),
                ..unsound
            },
            false => unsound,
        })?;
    }
    Ok(())
}

fn under_figures(key: &KeyPath) -> KeyPath {
    let mut path = KeyPath::new("swarm.figures");
    path.0.extend(key.0.iter().cloned());
    path
}

fn known_in(figures: &Table, key: &KeyPath) -> bool {
    let mut value: Option<&Value> = None;
    for step in &key.0 {
        let Step::Key(name) = step else { return false };
        let table = value.map_or(Some(figures), Value::as_table);
        match table.and_then(|table| table.get(name)) {
            Some(inner) => value = Some(inner),
            None => return false,
        }
    }
    true
}

type Choose<'a> = dyn FnMut(&str, &Value) -> Result<Value, String> + 'a;

/// The plan with its figures replaced by what `choose` makes of the ranges.
fn with_figures(plan: &Plan, figures: &Table, choose: &mut Choose<'_>) -> Result<Plan, Unsound> {
    let table = Table::try_from(plan).expect("a plan is a table");
    let mut plan = Value::Table(table);
    overlay(&mut plan, figures, &KeyPath::default(), choose)?;
    as_plan(plan, KeyPath::new("swarm.figures"))
}

fn as_plan(value: Value, key: KeyPath) -> Result<Plan, Unsound> {
    value.try_into().map_err(|error: toml::de::Error| Unsound {
        key,
        message: error.message().to_owned(),
    })
}

fn overlay(
    whole: &mut Value,
    figures: &Table,
    path: &KeyPath,
    choose: &mut Choose<'_>,
) -> Result<(), Unsound> {
    for (name, range) in figures {
        let here = path.key(name);
        if let Value::Table(inner) = range {
            if at(whole, &here).is_none() {
                return Err(Unsound {
                    key: under_figures(&here),
                    message: format!("the scenario has no table `{here}`"),
                });
            }
            overlay(whole, inner, &here, choose)?;
            continue;
        }
        let chosen = choose(&here.to_string(), range).map_err(|message| Unsound {
            key: under_figures(&here),
            message,
        })?;
        let table = at(whole, path).and_then(Value::as_table_mut);
        table
            .expect("its table was found above")
            .insert(name.clone(), chosen);
        // Figure by figure, so that an error is known to be this one's.
        as_plan(whole.clone(), under_figures(&here))?;
    }
    Ok(())
}

fn at<'a>(whole: &'a mut Value, path: &KeyPath) -> Option<&'a mut Value> {
    let mut value = whole;
    for step in &path.0 {
        let Step::Key(name) = step else { return None };
        value = value.get_mut(name)?;
    }
    Some(value)
}

fn ends_of(range: &Value) -> Result<(&Value, &Value), String> {
    match range {
        Value::Array(ends) => match ends.as_slice() {
            [least, most] => Ok((least, most)),
            _ => Err("a range is one value, or the least and the most in an array".to_owned()),
        },
        one => Ok((one, one)),
    }
}

fn figure(range: &Value, stream: &mut Stream) -> Result<Value, String> {
    match ends_of(range)? {
        (Value::Integer(least), Value::Integer(most)) if least <= most => {
            Ok(Value::Integer(whole_number(*least, *most, stream)))
        }
        (Value::Float(least), Value::Float(most)) if least <= most => {
            Ok(Value::Float(least + (most - least) * stream.unit()))
        }
        (Value::String(least), Value::String(most)) => {
            let parse = |text: &str| {
                humantime::parse_duration(text)
                    .map(Span)
                    .map_err(|error| format!("`{text}` is no span of time: {error}"))
            };
            let (least, most) = (parse(least)?, parse(most)?);
            if least > most {
                return Err("the least stands before the most".to_owned());
            }
            Ok(Value::String(magnitude(least, most, stream).to_string()))
        }
        (Value::Integer(_), Value::Integer(_)) | (Value::Float(_), Value::Float(_)) => {
            Err("the least stands before the most".to_owned())
        }
        _ => Err("the ends of a range are two numbers of a kind, or two spans of time".to_owned()),
    }
}

fn whole_number(least: i64, most: i64, stream: &mut Stream) -> i64 {
    let width = most.abs_diff(least).saturating_add(1);
    least.wrapping_add_unsigned(stream.below(width))
}

/// A span in a range, every doubling in it as likely as every other, so that a range from 100 ms to
/// 30 s is not nearly always seconds. In whole milliseconds, and without logarithms, whose last
/// bits differ between machines.
fn magnitude(least: Span, most: Span, stream: &mut Stream) -> Span {
    let millis = |span: Span| u64::try_from(span.0.as_millis()).expect("spans are checked");
    // One millisecond is added for the while, so that a range may begin at zero.
    let (least, most) = (millis(least) + 1, millis(most) + 1);
    let doublings = (0..)
        .find(|n| least << n >= most)
        .expect("spans are checked");
    if doublings == 0 {
        return Span::millis(least - 1);
    }
    let low = least << stream.below(doublings);
    let high = most.min(low * 2);
    Span::millis(low + stream.below(high - low + 1) - 1)
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
