//! A run in the trace-event format, which Perfetto (ui.perfetto.dev) and Chrome's tracing read: a
//! track for each server, disk and client, slices for what lasts, arrows for messages.

use std::time::Duration;

use serde_json::{Value, json};

use crate::history::Violation;
use crate::plan::Plan;
use crate::report::cut;
use crate::report::scene::{LaneKind, Scene, Source};
use crate::report::spans;
use crate::telling::Weight;

/// Points of a trace: about 10 MB, which any of the tools opens at once.
const POINTS_MAX: usize = 60_000;
/// How long a moment is drawn: arrows hang on slices, which need a length.
const MOMENT_US: u64 = 20;
/// The process of what happens to nobody in particular.
const WORLD: u64 = 1_000;
/// The tracks of what a server is, beside what it does.
const ROLES: u64 = 1;

/// The trace, as JSON.
pub fn trace(plan: &Plan, scene: &Scene<'_>, focus: Option<Duration>) -> String {
    let mut events = tracks(scene);
    let spans = spans::find(plan, scene);
    for role in &spans.roles {
        let name = format!("{} of epoch {}", role.role.name(), role.epoch);
        events.push(slice(track(role.lane, ROLES), &name, role.from, role.to));
    }
    for save in &spans.saves {
        let name = format!("saves up to {}", save.zxid);
        events.push(slice(track(save.lane, ROLES), &name, save.from, save.to));
    }
    for fault in &spans.faults {
        let name = format!("{} {}: {}", fault.index, fault.kind, fault.detail);
        let place = (WORLD, fault.index as u64 + 1);
        events.push(slice(
            place,
            &name,
            fault.from,
            fault.to.unwrap_or(fault.from),
        ));
    }
    let first = scene.points.iter().find_map(|point| match point.source {
        Source::Violation(Violation { at, .. }) => Some(*at),
        _ => None,
    });
    let all = vec![false; scene.points.len()];
    let cut = cut::choose(scene, focus.or(first), &all, POINTS_MAX);
    let mut kept = vec![false; scene.points.len()];
    for point in &cut.points {
        kept[*point] = true;
        events.push(moment(scene, *point));
    }
    for (id, letter) in &scene.letters {
        for heard in letter.heard.iter().filter(|heard| kept[**heard]) {
            if !kept[letter.said] {
                continue;
            }
            for (phase, point) in [("s", letter.said), ("f", *heard)] {
                let (process, thread) = place(scene, point);
                events.push(json!({
                    "ph": phase, "bp": "e", "cat": "message", "name": letter.message.name(),
                    "id": id.0, "pid": process, "tid": thread,
                    "ts": micros(scene.points[point].at),
                }));
            }
        }
    }
    let trace = json!({ "displayTimeUnit": "ms", "traceEvents": events });
    serde_json::to_string(&trace).expect("a trace can be written")
}

fn tracks(scene: &Scene<'_>) -> Vec<Value> {
    let mut events = Vec::new();
    let named = |what: &str, (process, thread): (u64, u64), name: &str| json!({ "ph": "M", "name": what, "pid": process, "tid": thread, "args": { "name": name } });
    events.push(named("process_name", (WORLD, 0), "faults and violations"));
    for (lane, described) in scene.lanes.iter().enumerate() {
        let moments = track(lane, 0);
        events.push(named("process_name", moments, &described.name));
        events.push(named("thread_name", moments, "moments"));
        let lasting = match described.kind {
            LaneKind::Server => "role",
            LaneKind::Disk => "saves",
            LaneKind::Client => continue,
        };
        events.push(named("thread_name", track(lane, ROLES), lasting));
    }
    events
}

/// Process and thread of a lane: lanes are processes, which keep their order.
fn track(lane: usize, thread: u64) -> (u64, u64) {
    (lane as u64 + 1, thread)
}

fn place(scene: &Scene<'_>, point: usize) -> (u64, u64) {
    match scene.points[point].lane {
        Some(lane) => track(lane, 0),
        None => (WORLD, 0),
    }
}

fn slice((process, thread): (u64, u64), name: &str, from: Duration, to: Duration) -> Value {
    let (begin, end) = (micros(from), micros(to));
    json!({
        "ph": "X", "name": name, "pid": process, "tid": thread,
        "ts": begin, "dur": (end - begin).max(1),
    })
}

fn moment(scene: &Scene<'_>, point: usize) -> Value {
    let (process, thread) = place(scene, point);
    let (weight, words) = scene.words(point);
    let at = micros(scene.points[point].at);
    match weight {
        Weight::Fault | Weight::Failure => json!({
            "ph": "i", "s": "g", "name": words, "pid": process, "tid": thread, "ts": at,
        }),
        _ => json!({
            "ph": "X", "name": words, "pid": process, "tid": thread, "ts": at, "dur": MOMENT_US,
        }),
    }
}

fn micros(at: Duration) -> u64 {
    at.as_micros() as u64
}
