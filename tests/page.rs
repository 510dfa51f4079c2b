//! The page of a run, as a browser is to show it: of a green run and of one with a wrong answer,
//! written where `tests/page/run` finds them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use althing_core::node::reply::{Reply, Response};
use althing_sim::backstage::Recording;
use althing_sim::check::check;
use althing_sim::draw::draw;
use althing_sim::history::{History, Received, What};
use althing_sim::library::Library;
use althing_sim::performance::perform_recorded;
use althing_sim::report::page::PAGE_BYTES_MAX;
use althing_sim::report::write::{PAGE, Report, SEQUENCE, TRACE, write};

const SCENARIO: &str = "leader-cut-off-mid-write";
const SEED: u64 = 1;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("page")
        .join(name)
}

/// Makes the first read after `from` that found data claim a version that was never written.
fn damage(history: &mut History, from: Duration) {
    let answers = history.moments.iter_mut().filter(|moment| moment.at > from);
    let found = answers.filter_map(|moment| match &mut moment.what {
        What::Received {
            frame:
                Received::Reply {
                    reply:
                        Reply::Answer {
                            result: Ok(Response::Data { stat, .. }),
                            ..
                        },
                    ..
                },
            ..
        } => Some(stat),
        _ => None,
    });
    let stat = found.into_iter().next().expect("somebody reads");
    stat.version += 1;
}

#[test]
fn pages_of_a_green_and_of_a_red_run_are_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let library = Library::at(root.expect("the workspace"));
    let entry = library.open(SCENARIO).expect("the scenario");
    let plan = draw(&entry.scenario, SEED);
    let mut played = perform_recorded(&plan, SEED, Recording::Backstage);
    assert_eq!(played.outcome.violations, []);
    for name in ["green", "red"] {
        let violations = check(&plan, &played.history);
        assert_eq!(violations.is_empty(), name == "green", "{violations:?}");
        let command = format!("cargo sim replay {} --seed {SEED}", entry.file.display());
        let report = Report {
            plan: &plan,
            seed: SEED,
            command: &command,
            history: &played.history,
            backstage: &played.backstage,
            violations: &violations,
            around: None,
        };
        write(&folder(name), &report).expect("it can be written");
        let bytes = |file| fs::metadata(folder(name).join(file)).expect("a file").len();
        assert!((100_000..PAGE_BYTES_MAX as u64).contains(&bytes(PAGE)));
        assert!(bytes(SEQUENCE) < 40_000);
        let trace = fs::read_to_string(folder(name).join(TRACE)).expect("a trace");
        let trace: serde_json::Value = serde_json::from_str(&trace).expect("JSON");
        assert!(
            trace["traceEvents"]
                .as_array()
                .is_some_and(|events| events.len() > 10_000)
        );
        damage(&mut played.history, Duration::from_secs(14));
    }
}
