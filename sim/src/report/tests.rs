//! The report of a short run with a cut and a crash: what is in it, in what order, how long.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use althing_core::ids::Zxid;
use serde_json::Value;

use crate::backstage::{Astray, Recording};
use crate::history::{History, Received, Violation, What};
use crate::plan::Plan;
use crate::report::causes::{Arrows, Graph};
use crate::report::cut;
use crate::report::drawing::{Drawing, Title, draw};
use crate::report::mermaid;
use crate::report::page::{PAGE_BYTES_MAX, assemble, page};
use crate::report::perfetto;
use crate::report::scene::{LaneKind, Scene, Source, Worth, positions, worth};
use crate::report::spans::{self, Blow, Role};
use crate::report::weave::weave;
use crate::run::{Run, run_recorded};

const SEED: u64 = 4;
const PLAN: &str = r#"
    name = "cut-</script>-mid-write"
    servers = 3
    lasts = "9s"
    settles = "20s"
    [workload.mix]
    clients = 3
    rest = "40ms"
    znodes = 4
    session = "8s"
    [network]
    shuffle = 0.03
    [[faults]]
    when = { at = "3s" }
    what = { isolate = { server = "leader", lasts = "2s" } }
    [[faults]]
    when = { at = "7s" }
    what = { crash = { who = "leader", down = "1s" } }
"#;

struct Played {
    plan: Plan,
    run: Run,
    /// An answer that somebody finds wrong.
    violation: Violation,
}

fn played() -> &'static Played {
    static PLAYED: OnceLock<Played> = OnceLock::new();
    PLAYED.get_or_init(|| {
        let plan: Plan = toml::from_str(PLAN).expect("a plan");
        let run = run_recorded(&plan, SEED, Recording::Backstage);
        assert_eq!(run.violations, []);
        let violation = wrong_answer(&run.history);
        Played {
            plan,
            run,
            violation,
        }
    })
}

/// The first answer to a write after the cut has healed, as if it were wrong.
fn wrong_answer(history: &History) -> Violation {
    use althing_core::node::reply::Reply;
    use althing_core::node::request::Request;
    let found = history.moments.iter().find_map(|moment| {
        let What::Received { client, frame, .. } = &moment.what else {
            return None;
        };
        let Received::Reply { reply, request } = frame else {
            return None;
        };
        let (Reply::Answer { zxid, result, .. }, Some(request)) = (reply, request) else {
            return None;
        };
        let write = matches!(**request, Request::Write(_)) && result.is_ok();
        (write && moment.at > Duration::from_secs(6)).then(|| Violation {
            invariant: "W2 result",
            at: moment.at,
            detail: format!("the answer to {client} at {zxid} is wrong <b>&"),
            session: None,
        })
    });
    found.expect("somebody writes after the cut")
}

fn scene<'a>(played: &'a Played, violations: &'a [Violation]) -> (Scene<'a>, Graph) {
    let Played { plan, run, .. } = played;
    let scene = Scene::new(plan, &run.history, &run.backstage, violations);
    let graph = weave(&scene);
    assert_eq!(graph.len(), scene.points.len());
    (scene, graph)
}

fn title<'a>(played: &'a Played, violations: &'a [Violation]) -> Title<'a> {
    Title {
        plan: &played.plan,
        seed: SEED,
        command: "cargo sim replay x --seed 4",
        violations,
    }
}

fn drawn(violations: &[Violation], most: usize) -> Value {
    let played = played();
    let (scene, graph) = scene(played, violations);
    let drawing: Drawing = draw(&title(played, violations), &scene, &graph, None, most);
    serde_json::to_value(&drawing).expect("a drawing can be written")
}

fn column<'a>(drawing: &'a Value, name: &str) -> &'a Vec<Value> {
    drawing["points"][name].as_array().expect("a column")
}

#[test]
fn lanes_are_servers_with_their_disks_and_then_clients() {
    let (scene, _) = scene(played(), &[]);
    let names: Vec<&str> = scene.lanes.iter().map(|lane| lane.name.as_str()).collect();
    assert_eq!(
        names[..6],
        [
            "server-1", "disk-1", "server-2", "disk-2", "server-3", "disk-3"
        ]
    );
    let clients = scene.lanes[6..].iter();
    assert_eq!(
        clients.filter(|lane| lane.kind == LaneKind::Client).count(),
        3
    );
    assert_eq!(
        scene.named("the link of server-2 (disk-1), not server-22"),
        [1, 2]
    );
    let mut last = Duration::ZERO;
    for point in &scene.points {
        assert!(point.at >= last, "points are in the order of time");
        last = point.at;
    }
}

#[test]
fn every_answer_goes_back_over_the_log_to_its_request() {
    let played = played();
    let violations = std::slice::from_ref(&played.violation);
    let (scene, graph) = scene(played, violations);
    let failure = (0..scene.points.len())
        .find(|point| matches!(scene.points[*point].source, Source::Violation(_)))
        .expect("it is there");
    let near = graph.cone(&[failure], Arrows::Near);
    let all = graph.cone(&[failure], Arrows::All);
    assert!(near.iter().zip(&all).all(|(near, all)| *all || !near));
    let count = |cone: &[bool]| cone.iter().filter(|within| **within).count();
    assert!(
        count(&near) * 5 < count(&all),
        "{} {}",
        count(&near),
        count(&all)
    );
    // The client asks, a server takes it, it is saved on a quorum's disks, executed and answered.
    let members = |test: &dyn Fn(&What) -> bool| -> BTreeSet<usize> {
        let points = (0..near.len()).filter(|point| near[*point]);
        let found = points.filter(|point| match scene.points[*point].source {
            Source::Moment(what) => test(what),
            _ => false,
        });
        found.filter_map(|point| scene.points[point].lane).collect()
    };
    assert!(!members(&|what| matches!(what, What::Sent { .. })).is_empty());
    let disks = members(&|what| matches!(what, What::Durable { .. }));
    assert!(disks.len() >= 2, "{disks:?}");
    let words: Vec<String> = (0..near.len())
        .filter(|point| near[*point])
        .map(|point| scene.words(point).1)
        .collect();
    for part in ["append (", "appended (", "executed "] {
        assert!(words.iter().any(|words| words.contains(part)), "{part}");
    }
}

#[test]
fn most_frames_and_messages_have_a_cause() {
    let (scene, graph) = scene(played(), &[]);
    let (mut received, mut explained) = (0, 0);
    for (point, place) in scene.points.iter().enumerate() {
        if let Source::Moment(What::Received { .. }) = place.source {
            received += 1;
            explained += usize::from(graph.is_explained(point));
        }
    }
    assert!(
        received > 100 && explained == received,
        "{explained} of {received}"
    );
    for letter in scene.letters.values() {
        assert!(
            letter
                .heard
                .iter()
                .all(|heard| { graph.near(*heard).any(|cause| cause == letter.said) })
        );
    }
    let fates: BTreeSet<Astray> = scene
        .letters
        .values()
        .filter_map(|letter| letter.fate)
        .collect();
    assert_eq!(fates.len(), 4, "{fates:?}");
}

#[test]
fn spans_are_roles_faults_and_saves() {
    let played = played();
    let (scene, _) = scene(played, &[]);
    let spans = spans::find(&played.plan, &scene);
    let led: BTreeSet<u32> = (spans.roles.iter())
        .filter(|role| role.role == Role::Leader)
        .map(|role| role.epoch.0)
        .collect();
    assert!(led.len() >= 3, "{led:?}");
    let down = spans.roles.iter().filter(|role| role.role == Role::Down);
    let down: Vec<u64> = down.map(|role| (role.to - role.from).as_secs()).collect();
    assert_eq!(down, [1]);
    let lasted = |fault: &Blow| fault.to.map(|to| (to - fault.from).as_secs());
    let faults: Vec<_> = (spans.faults.iter())
        .map(|fault| (fault.kind, fault.lanes.len(), lasted(fault)))
        .collect();
    assert_eq!(faults, [("isolate", 1, Some(2)), ("crash", 1, Some(1))]);
    assert!(spans.saves.len() > 50 && spans.saves.iter().all(|save| save.from <= save.to));
    // Only who is started anew executes its log again.
    let back = |steps: &Vec<_>| steps.windows(2).filter(|pair| pair[0] >= pair[1]).count();
    let positions = |steps: &Vec<(Duration, Zxid)>| steps.iter().map(|(_, zxid)| *zxid).collect();
    let executed: Vec<Vec<Zxid>> = spans.executed.values().map(positions).collect();
    assert_eq!(executed.iter().map(back).sum::<usize>(), 1);
}

#[test]
fn a_drawing_is_bounded_keeps_what_matters_and_counts_what_it_leaves_out() {
    let played = played();
    let violations = std::slice::from_ref(&played.violation);
    let whole = drawn(violations, usize::MAX / 8);
    assert_eq!(whole["left_out"]["routine"], 0);
    assert_eq!(whole["left_out"]["others"], 0);
    let all = column(&whole, "after").len();
    let small = drawn(violations, 700);
    let kept = column(&small, "after").len();
    // A message is kept with both its ends.
    assert!((350..=1_000).contains(&kept), "{kept} of {all}");
    let left_out = |name: &str| small["left_out"][name].as_u64().expect("a count") as usize;
    let inside = kept + left_out("routine") + left_out("others");
    assert_eq!(inside + left_out("outside"), all);
    let words = small["words"].as_array().expect("words");
    let words = words.iter().filter_map(Value::as_str);
    assert_eq!(words.filter(|words| words.starts_with("W2")).count(), 1);
    for drawing in [&whole, &small] {
        for name in ["lane", "look", "weight", "words", "session", "cone", "why"] {
            assert_eq!(column(drawing, name).len(), column(drawing, "after").len());
        }
        for (place, why) in column(drawing, "why").iter().enumerate() {
            let offsets = why.as_array().expect("offsets").iter();
            for offset in offsets.map(|offset| offset.as_u64().expect("a number") as usize) {
                assert!((1..=place).contains(&offset), "causes come first");
            }
        }
    }
    let cones: BTreeSet<u64> = (column(&small, "cone").iter())
        .map(|cone| cone.as_u64().expect("a number"))
        .collect();
    assert_eq!(cones, BTreeSet::from([0, 1, 2]));
}

#[test]
fn a_window_is_around_its_focus() {
    let (scene, _) = scene(played(), &[]);
    let none = vec![false; scene.points.len()];
    let focus = Duration::from_secs(5);
    let cut = cut::choose(&scene, Some(focus), &none, 400);
    assert!(
        cut.from < focus && focus < cut.to,
        "{:?} {:?}",
        cut.from,
        cut.to
    );
    assert!(cut.to - cut.from < Duration::from_secs(4));
    let whole = cut::choose(&scene, None, &none, 1_000_000);
    assert_eq!((whole.from, whole.to), (Duration::ZERO, scene.ended));
    let story = scene
        .points
        .iter()
        .filter(|point| worth(point) == Worth::Story)
        .count();
    assert!(story > 30 && story * 4 < scene.points.len(), "{story}");
}

#[test]
fn a_page_is_short_and_nothing_in_it_ends_its_data() {
    let played = played();
    let violations = std::slice::from_ref(&played.violation);
    let (scene, graph) = scene(played, violations);
    let page = page(&title(played, violations), &scene, &graph, None);
    assert!(page.len() < PAGE_BYTES_MAX, "{}", page.len());
    assert!(!page.contains("{{"), "every place is filled");
    assert_eq!(
        page.matches("</script>").count(),
        2,
        "the data's end and the script's"
    );
    assert!(page.contains("<title>cut-&lt;/script>-mid-write seed 4</title>"));
    for loads in ["http:", "https:", "src=", "@import", "fetch("] {
        let own = page.replace("http://www.w3.org", "");
        assert!(!own.contains(loads), "{loads}");
    }
    let (_, data) = page.split_once("id=\"data\">").expect("data");
    let (data, _) = data.split_once("</script>").expect("its end");
    let data: Value = serde_json::from_str(data).expect("JSON");
    assert_eq!(data["name"], "cut-</script>-mid-write");
    assert_eq!(data["violations"][0]["invariant"], "W2 result");
}

#[test]
fn what_is_put_in_is_not_looked_at_again() {
    let page = assemble("\"{{script}} <!-- \u{2028}\"", "a & b", 7);
    assert!(page.contains("id=\"data\">\"{{script}} \\u003c!-- \\u2028\"</script>"));
    assert!(page.contains("<title>a &amp; b seed 7</title>"));
}

#[test]
fn a_trace_has_tracks_slices_and_whole_arrows() {
    let played = played();
    let violations = std::slice::from_ref(&played.violation);
    let (scene, _) = scene(played, violations);
    let trace: Value =
        serde_json::from_str(&perfetto::trace(&played.plan, &scene, None)).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let phase = |wanted: &'static str| events.iter().filter(move |event| event["ph"] == wanted);
    let names: Vec<&str> = phase("M")
        .filter_map(|event| event["args"]["name"].as_str())
        .collect();
    for name in ["server-1", "disk-3", "client-2", "role", "saves"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(phase("X").all(|event| event["dur"].as_u64() > Some(0)));
    assert!(phase("X").any(|event| event["name"] == "leader of epoch 1"));
    assert!(phase("i").any(|event| {
        event["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("W2"))
    }));
    let ends = |wanted| -> Vec<(u64, u64)> {
        phase(wanted)
            .map(|event| {
                (
                    event["id"].as_u64().expect("id"),
                    event["ts"].as_u64().expect("ts"),
                )
            })
            .collect()
    };
    let (begins, comes) = (ends("s"), ends("f"));
    assert!(begins.len() > 300 && begins.len() == comes.len());
    assert!(
        begins
            .iter()
            .zip(&comes)
            .all(|(from, to)| from.0 == to.0 && from.1 <= to.1)
    );
}

#[test]
fn a_sequence_is_bounded_and_its_labels_are_only_words() {
    let played = played();
    let violations = std::slice::from_ref(&played.violation);
    for violations in [violations, &[]] {
        let (scene, graph) = scene(played, violations);
        let text = mermaid::sequence(&scene, &graph, None);
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("sequenceDiagram"));
        let (participants, rest): (Vec<&str>, Vec<&str>) =
            lines.partition(|line| line.starts_with("    participant "));
        assert!(participants.len() >= 3);
        assert!(
            (20..=mermaid::LINES_MAX + 1).contains(&rest.len()),
            "{}",
            rest.len()
        );
        for line in rest {
            let (head, label) = line.split_once(": ").expect("a label");
            assert!(
                head.starts_with("    L") || head.starts_with("    Note over L"),
                "{line}"
            );
            let bare = label.replace("#35;", "").replace("#59;", "");
            let mut entities = bare.split('#').skip(1);
            assert!(entities.all(|entity| entity.contains(';')), "{line}");
            assert!(!label.contains(['<', '"', '%', '&']), "{line}");
        }
        assert_eq!(text.contains("W2 result"), !violations.is_empty());
    }
}

#[test]
fn positions_are_found_in_words() {
    let found = positions("server-1 has 2.17 (not 1.3s) and 3.4, 10.0.0.1 and 1.7.");
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["2.17", "3.4", "1.7"]);
}
