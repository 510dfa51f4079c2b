//! One run: a plan, a seed, and what came of them. The same code, plan and seed always give the
//! same run, wherever and beside whatever it runs.

use std::collections::BTreeMap;
use std::time::Duration;

use madsim::Config;
use madsim::runtime::Runtime;

use crate::backstage::{Backstage, Recording};
use crate::history::{History, Violation};
use crate::outage::unavailable;
use crate::plan::Plan;
use crate::testbed::bed::Bed;
use crate::vacancy::leaderless;
use crate::workload;
use crate::world::caught;
use crate::world::theatre::{self, Played};

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Everything that happened.
    pub history: History,
    /// What went on behind it, if that was to be recorded.
    pub backstage: Backstage,
    /// Of everything that happened: equal for two runs of the same plan and seed.
    pub digest: u128,
    /// How many things happened.
    pub events: u64,
    /// How much time passed in the world.
    pub simulated: Duration,
    /// How often what happened, by name of event, mark or fault.
    pub counts: BTreeMap<String, u64>,
    /// How many operations each client came to in the first act.
    pub operations: BTreeMap<String, u32>,
    /// The rules that the world itself saw broken: assertions, liveness, garbage.
    pub violations: Vec<Violation>,
    /// How long clients were without an acknowledged write although they wanted one.
    pub unavailable: Duration,
    /// How long nobody led.
    pub leaderless: Duration,
}

/// Plays the plan's own story.
pub fn run(plan: &Plan, seed: u64) -> Run {
    run_story(plan, seed, workload::perform)
}

/// As [`run`], with so much written down; what happens is the same.
pub fn run_recorded(plan: &Plan, seed: u64, recording: Recording) -> Run {
    run_story_recorded(plan, seed, recording, workload::perform)
}

/// Plays `story` on the bed that `plan` describes, in a thread of its own, since some state of
/// the runtime beneath belongs to its thread.
pub fn run_story<F>(plan: &Plan, seed: u64, story: impl FnOnce(Bed) -> F + Send) -> Run
where
    F: Future<Output = ()> + 'static,
{
    run_story_recorded(plan, seed, Recording::Stage, story)
}

/// As [`run_story`], with so much written down; what happens is the same.
pub fn run_story_recorded<F>(
    plan: &Plan,
    seed: u64,
    recording: Recording,
    story: impl FnOnce(Bed) -> F + Send,
) -> Run
where
    F: Future<Output = ()> + 'static,
{
    let ended = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(format!("seed {seed}"));
        let play = || {
            caught::keep_panics_of_this_thread();
            let play = || {
                Runtime::with_seed_and_config(seed, Config::default())
                    .block_on(theatre::play(plan, seed, recording, story))
            };
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(play))
                .map_err(|payload| caught::message(&*payload))
        };
        let thread = thread.spawn_scoped(scope, play);
        thread.expect("a thread can be spawned").join()
    });
    match ended.expect("panics are caught within the thread") {
        Ok(Played {
            recorded,
            simulated,
            operations,
        }) => Run {
            operations,
            unavailable: unavailable(&recorded.history, simulated),
            leaderless: leaderless(&recorded.history, simulated),
            events: recorded.history.moments.len() as u64,
            history: recorded.history,
            backstage: recorded.backstage,
            digest: recorded.digest,
            simulated,
            counts: recorded.counts,
            violations: recorded.violations,
        },
        Err(panic) => Run {
            violations: vec![Violation {
                invariant: "A2 simulator",
                at: Duration::ZERO,
                detail: format!("the simulator or the story itself panicked: {panic}"),
                session: None,
            }],
            ..Run::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use althing_client::client::Client;
    use althing_client::config::ClientConfig;
    use althing_client::error::ClientError;
    use althing_client::znode::{CreateMode, Version};

    use super::*;
    use crate::backstage::{Astray, Behind, Deed, MessageId};
    use crate::plan::{Fault, Heals, Weather};
    use crate::span::Span;
    use crate::testbed::bed::Process;

    const PLAN: &str = r#"
        name = "counters"
        servers = 1
        lasts = "40s"
        settles = "30s"
        [workload.mix]
        clients = 2
        rest = "10ms"
        znodes = 2
        session = "10s"
    "#;

    const FAULTS: &str = r#"
        faults = [
            { when = { at = "3s" }, what = { crash = { who = "server-1", down = "1s" } } },
            { when = { at = "8s" }, what = { power-loss = { server = 1, down = "2s" } } },
            { when = { at = "13s" }, what = { cut = { who = "counter-1", lasts = "2s" } } },
            { when = { at = "17s" }, what = { pause = { who = "server-1", lasts = "2s" } } },
            { when = { at = "20s" }, what = { full-disk = { server = 1, lasts = "1s" } } },
            { when = { at = "23s" }, what = { sync-error = { server = 1, down = "1s" } } },
            { when = { at = "27s" }, what = { crash = { who = "counter-2", down = "1s" } } },
            { when = { at = "30s" }, what = { reset = { who = "counter-1" } } },
            { when = { at = "31s" }, what = { slow-disk = { server = 1, by = "50ms", lasts = "2s" } } },
            { when = { at = "34s" }, what = { slow-link = { who = "counter-2", by = "50ms", lasts = "2s" } } },
            { when = { then = "1s" }, what = { wall-jump = { server = 1, by_ms = -60000 } } },
            { when = { then = "100ms" }, what = { clock-drift = { server = 1, ppm = 500 } } },
        ]
    "#;

    fn plan() -> Plan {
        toml::from_str(PLAN).expect("a plan")
    }

    fn faults(text: &str) -> Vec<Fault> {
        #[derive(serde::Deserialize)]
        struct Faults {
            faults: Vec<Fault>,
        }
        let faults: Faults = toml::from_str(text).expect("faults");
        faults.faults
    }

    /// Two clients count in znodes of their own: each write must find what the one before it left.
    async fn count(bed: Bed) {
        for number in 1..=2 {
            let goal = std::sync::Mutex::new(Some(bed.goal(format!("counter {number}"))));
            let goal = std::sync::Arc::new(goal);
            bed.process(&format!("counter-{number}"), move |process| {
                let goal = goal.clone();
                async move {
                    while !process.bed().are_faults_over() {
                        if let Err(error) = count_in_a_session(&process).await {
                            process.mark("session-lost", error.to_string());
                        }
                    }
                    count_in_a_session(&process).await.expect("all is well");
                    let goal = goal.lock().expect("no panic").take();
                    goal.expect("reached once").reached();
                }
            });
        }
        bed.everybody_left().await;
    }

    async fn count_in_a_session(process: &Process) -> Result<(), ClientError> {
        let config = ClientConfig::new(process.bed().servers());
        let client = Client::connect(process.runtime.clone(), config).await?;
        let path = format!("/{}", process.name);
        client.ensure(&path).await?;
        let mut last = client.get_data(&path).await?.stat.version;
        for _ in 0..200 {
            match client.set_data(&path, "x", Version::Any).await {
                Ok(stat) => {
                    assert!(stat.version > last, "{} after {last}", stat.version);
                    last = stat.version;
                }
                Err(ClientError::ConnectionLoss) => process.mark("in-doubt", ""),
                Err(error) => return Err(error),
            }
            let here = client.get_data(&path).await;
            if let Ok(znode) = here {
                assert!(znode.stat.version >= last);
            }
        }
        let mine = CreateMode::EphemeralSequential;
        client.create(&format!("{path}/x-"), "", mine).await?;
        client.close().await
    }

    #[test]
    fn a_quiet_run_reaches_its_goals() {
        let run = run_story(&plan(), 1, count);
        assert_eq!(run.violations, []);
        assert!(run.counts["executed"] > 1000, "{:?}", run.counts);
        assert_eq!(run.counts.get("link-ended"), run.counts.get("link-opened"));
        assert_eq!(run.unavailable, Duration::ZERO);
    }

    #[test]
    fn a_run_with_every_fault_reaches_its_goals() {
        let mut plan = plan();
        plan.faults = faults(FAULTS);
        let run = run_story(&plan, 2, count);
        assert_eq!(run.violations, []);
        for fault in &plan.faults {
            let name = fault.what.name();
            assert!(run.counts.contains_key(name), "{name}: {:?}", run.counts);
        }
        assert!(run.counts["in-doubt"] > 0);
        assert!(run.counts["stopped"] > 0);
        let outage = run.unavailable.as_secs();
        assert!((1..30).contains(&outage), "{outage} s");
    }

    const ENSEMBLE_FAULTS: &str = r#"
        faults = [
            { when = { at = "3s" }, what = { crash = { who = "leader", down = "1s" } } },
            { when = { at = "6s" }, what = { isolate = { server = "leader", lasts = "2s" } } },
            { when = { at = "9s" }, what = { split = { servers = [1, 2], lasts = "2s", direction = "from" } } },
            { when = { at = "12s" }, what = { bridge = { server = "follower", lasts = "2s", flaps = "300ms" } } },
            { when = { at = "15s" }, what = { ring = { lasts = "2s" } } },
            { when = { at = "18s" }, what = { stop = { server = "leader", down = "500ms" } } },
            { when = { at = "20s" }, what = { rolling-restart = { down = "300ms", gap = "1s" } } },
            { when = { at = "27s" }, what = { power-cut = { down = "500ms" } } },
            { when = { at = "31s" }, what = { lost-disk = { server = 2, down = "500ms" } } },
            { when = { at = "34s" }, what = { reconfigure = { voters = [1, 2, 3], learners = [4] } } },
            { when = { then = "2s" }, what = { slow-disk = { server = "leader", by = "50ms", lasts = "1s" } } },
        ]
    "#;

    #[test]
    fn an_ensemble_survives_every_fault() {
        let mut plan = plan();
        plan.servers = 5;
        plan.network.shuffle = 0.05;
        plan.faults = faults(ENSEMBLE_FAULTS);
        let run = run_story(&plan, 8, count);
        assert_eq!(run.violations, []);
        for fault in &plan.faults {
            let name = fault.what.name();
            assert!(run.counts.contains_key(name), "{name}: {:?}", run.counts);
        }
        // Leaders were killed, cut off and told to stop, and the power failed.
        assert!(run.counts["elected"] >= 5, "{:?}", run.counts);
        assert!(run.counts["stopped"] >= 6, "{:?}", run.counts);
        assert!(run.counts["disk-lost"] == 1 && run.counts["reconfigured"] > 0);
        let vacant = run.leaderless.as_secs();
        assert!((1..20).contains(&vacant), "{vacant} s");
    }

    #[test]
    fn a_quorum_is_enough_for_the_second_act() {
        let mut plan = plan();
        plan.servers = 5;
        plan.heals = Heals::Quorum;
        let run = run_story(&plan, 9, count);
        assert_eq!(run.violations, []);
        assert_eq!(run.counts["retired"], 2);
    }

    #[test]
    fn a_seed_is_a_run() {
        let mut plan = plan();
        plan.faults = faults(FAULTS);
        let plan = &plan;
        let (first, second) = std::thread::scope(|scope| {
            let first = scope.spawn(|| run_story(plan, 3, count));
            let second = scope.spawn(|| run_story(plan, 3, count));
            (first.join().expect("a run"), second.join().expect("a run"))
        });
        let difference = (first.history.moments.iter())
            .zip(&second.history.moments)
            .position(|(a, b)| a != b);
        assert_eq!(difference, None, "the two runs differ");
        assert_eq!(first.digest, second.digest);
        assert_eq!(first.events, second.events);
        assert_ne!(first.digest, run_story(plan, 4, count).digest);
    }

    #[test]
    fn a_panic_of_the_story_is_a_red_run() {
        let run = run_story(&plan(), 5, |_| async { panic!("the plot has a hole") });
        assert_eq!(run.violations.len(), 1);
        assert_eq!(run.violations[0].invariant, "A2 simulator");
        assert!(run.violations[0].detail.contains("the plot has a hole"));
    }

    #[test]
    fn a_panic_of_a_player_is_a_violation() {
        let run = run_story(&plan(), 6, |bed| async move {
            bed.process("fool", |_| async { panic!("falls") });
            bed.everybody_left().await;
        });
        assert_eq!(run.violations.len(), 1);
        assert_eq!(run.violations[0].invariant, "A1 assertion");
    }

    #[test]
    fn a_goal_that_is_missed_is_named() {
        let run = run_story(&plan(), 7, |bed| async move {
            let _goal = bed.goal("world peace");
            std::future::pending::<()>().await;
        });
        assert_eq!(run.violations.len(), 1);
        assert!(run.violations[0].detail.contains("world peace"));
    }

    #[test]
    fn what_is_recorded_backstage_changes_nothing_and_follows_each_message() {
        let plan = Plan {
            servers: 3,
            lasts: Span::secs(12),
            network: Weather {
                shuffle: 0.1,
                ..Weather::default()
            },
            faults: faults(
                r#"faults = [
                    { when = { at = "4s" }, what = { isolate = { server = "leader", lasts = "3s" } } },
                    { when = { at = "9s" }, what = { crash = { who = "leader", down = "1s" } } },
                ]"#,
            ),
            ..plan()
        };
        let bare = run(&plan, 11);
        let told = run_recorded(&plan, 11, Recording::Backstage);
        assert_eq!((bare.digest, bare.events), (told.digest, told.events));
        assert_eq!(bare.history.moments, told.history.moments);
        assert_eq!(bare.backstage, Backstage::default());

        let mut said = BTreeMap::new();
        let mut heard: BTreeMap<MessageId, u32> = BTreeMap::new();
        let mut astray: BTreeMap<MessageId, Astray> = BTreeMap::new();
        let mut fates: BTreeMap<Astray, u32> = BTreeMap::new();
        let mut before = (Duration::ZERO, 0);
        for Behind { at, after, deed } in &told.backstage.deeds {
            assert!((*at, *after) >= before, "deeds are in order");
            before = (*at, *after);
            match deed {
                Deed::Said { server, to, id, .. } => drop(said.insert(*id, (*server, *to))),
                Deed::Heard { server, from, id } => {
                    assert_eq!(said[id], (*from, *server));
                    *heard.entry(*id).or_default() += 1;
                }
                Deed::Strayed { id, fate } => {
                    astray.insert(*id, *fate);
                    *fates.entry(*fate).or_default() += 1;
                }
                _ => {}
            }
        }
        for (id, fate) in &astray {
            let times = heard.get(id).copied().unwrap_or(0);
            let most = match fate {
                Astray::Unsent | Astray::Lost => 0,
                Astray::Doubled => 2,
                Astray::Late => 1,
            };
            assert!(times <= most, "{id:?}: {fate:?}, heard {times} times");
        }
        let twice = heard.iter().filter(|(_, times)| **times == 2);
        assert!(twice.count() > 5, "{fates:?}");
        let all = [Astray::Unsent, Astray::Lost, Astray::Doubled, Astray::Late];
        assert!(all.iter().all(|fate| fates.contains_key(fate)), "{fates:?}");
        let gone = said.len() - heard.len() - astray_unheard(&astray);
        assert!(
            heard.len() > 500 && gone < heard.len() / 20,
            "{gone} of {}",
            said.len()
        );
    }

    fn astray_unheard(astray: &BTreeMap<MessageId, Astray>) -> usize {
        let unheard = |fate: &&Astray| matches!(fate, Astray::Unsent | Astray::Lost);
        astray.values().filter(unheard).count()
    }
}
