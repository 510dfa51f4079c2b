//! The testbed, as its users see it: tests of small services, green ones and ones with a bug that
//! must be found, told and found again.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use althing_client::client::Client;
use althing_client::error::ClientError;
use althing_client::recipes::election::Election;
use althing_client::runtime::Runtime;
use althing_client::znode::Version;
use althing_core::ids::Zxid;
use althing_sim::testbed::bed::{Bed, Process};
use althing_sim::testbed::ledger::Ledger;
use althing_sim::testbed::trial::{Trial, Unplayable};
use althing_sim::testbed::wishes::Wishes;
use althing_sim::verdict::Verdict;

const FILE: &str = "/masters/reports";
const SESSION: Duration = Duration::from_secs(4);

/// A process began a term.
#[derive(Debug)]
struct Elected(Zxid);

/// Stands for election again and again, and writes down each term.
async fn stand<R: Runtime>(client: &Client<R>, won: impl Fn(Zxid)) -> Result<(), ClientError> {
    let hold = Election::new(client, FILE)?.lead("here").await?;
    won(hold.token());
    tokio::select! {
        biased;
        () = hold.lost() => {}
        () = client.runtime().sleep(Duration::from_secs(5)) => {}
    }
    hold.release().await
}

async fn candidate(process: Process, terms: Ledger<Elected>) {
    let sessions = process.sessions(SESSION);
    loop {
        if let Ok(client) = sessions.client().await {
            let won = |token| {
                process.plays("master");
                terms.record(&process, Elected(token));
            };
            if let Err(error) = stand(&client, won).await {
                process.mark("stands-again", error.to_string());
            }
        }
        process.sleep(Duration::from_millis(200)).await;
    }
}

/// A token is given once, and the next is larger.
fn tokens_rise(terms: &Ledger<Elected>) {
    let mut last = Zxid::ZERO;
    terms.always("a later master has a larger token", move |entry| {
        let Elected(token) = entry.what;
        if token <= last {
            return Err(format!("{} is given {token} after {last}", entry.who));
        }
        last = token;
        Ok(())
    });
}

#[althing_sim::test(servers = 3, seeds = "0..6", lasts = "40s", settles = "30s")]
async fn one_master(bed: Bed) {
    let terms = bed.ledger::<Elected>("elected-master");
    tokens_rise(&terms);
    let changed = bed.sometimes("master-changed");
    for name in ["reporter-1", "reporter-2", "reporter-3"] {
        let terms = terms.clone();
        bed.process(name, move |process| candidate(process, terms.clone()));
    }
    let served = bed.goal("somebody is master after the faults");
    bed.faults_over().await;
    let healed = bed.now();
    while terms.read(|terms| terms.last().is_none_or(|last| last.at < healed)) {
        bed.sleep(Duration::from_secs(1)).await;
    }
    served.reached();
    let masters = terms.read(|terms| {
        let names = terms.iter().map(|term| term.who.clone());
        names.collect::<BTreeSet<_>>().len()
    });
    if masters > 1 {
        changed.seen(format!("{masters} were master"));
    }
}

/// Without processes of its own, only the ensemble is struck.
#[althing_sim::test(seeds = "0..8", lasts = "20s")]
async fn an_observer_alone_sees_what_it_wrote(bed: Bed) {
    let sessions = bed.observer("writer").sessions(SESSION);
    let mut written = false;
    loop {
        let over = bed.are_faults_over();
        if let Ok(client) = sessions.client().await {
            if written && over && client.sync("/greeting").await.is_ok() {
                if let Ok(found) = client.exists("/greeting").await {
                    return assert!(found.is_some(), "it was written, and is gone");
                }
            } else {
                written |= client.ensure("/greeting").await.is_ok();
            }
        }
        bed.sleep(Duration::from_secs(1)).await;
    }
}

/// What processes do to one counter: they read it, and later write back one more.
#[derive(Debug)]
struct Counted(u64);

/// Increments a counter without looking whether somebody else did meanwhile: updates get lost.
async fn careless(process: Process, counts: Ledger<Counted>) {
    let sessions = process.sessions(SESSION);
    loop {
        if let Ok(client) = sessions.client().await
            && let Ok(Some(count)) = count_once(&client).await
        {
            counts.record(&process, Counted(count));
        }
        process.sleep(Duration::from_millis(300)).await;
    }
}

async fn count_once<R: Runtime>(client: &Client<R>) -> Result<Option<u64>, ClientError> {
    client.ensure("/count").await?;
    let znode = client.get_data("/count").await?;
    let text = String::from_utf8_lossy(&znode.data).into_owned();
    let next = text.parse::<u64>().unwrap_or(0) + 1;
    client
        .set_data("/count", next.to_string().as_str(), Version::Any)
        .await?;
    Ok(Some(next))
}

async fn two_count(bed: Bed) {
    let counts = bed.ledger::<Counted>("counted");
    let mut seen = BTreeSet::new();
    counts.always("no update is lost", move |entry| {
        let Counted(count) = entry.what;
        match seen.insert(count) {
            true => Ok(()),
            false => Err(format!("{} counts {count} again", entry.who)),
        }
    });
    for name in ["counter-1", "counter-2"] {
        let counts = counts.clone();
        bed.process(name, move |process| careless(process, counts.clone()));
    }
}

fn counting() -> Trial {
    let trial = Trial::new("counting").source("tests/testbed.rs");
    trial
        .lasts(Duration::from_secs(20))
        .played_by(|seed| format!("ALTHING_SEED={seed} me"))
}

#[test]
fn a_red_seed_is_told_and_its_plan_plays_again() {
    let report = counting().seeds(3..6).play(two_count).expect("a trial");
    assert_eq!(report.verdict(), Verdict::Red, "{}", report.text());
    assert_eq!(report.broken(), Some("no update is lost"));
    let text = report.text();
    // Two that do not look are wrong without any fault: the rehearsal says so.
    assert!(
        text.contains("FAIL no update is lost counting seed=3"),
        "{text}"
    );
    assert!(text.contains("ALTHING_SEED=3 me"), "{text}");
    assert!(
        text.contains("counted Counted(1)"),
        "the timeline is missing: {text}"
    );
    let saved = text
        .split("ALTHING_PLAN=")
        .nth(1)
        .expect("the plan is saved");
    let file = saved.split_whitespace().next().expect("a path");
    let plan = std::fs::read_to_string(file).expect("the plan");
    assert!(plan.contains("which breaks no update is lost"), "{plan}");
    assert!(
        plan.contains("processes = [\"counter-1\", \"counter-2\"]"),
        "{plan}"
    );
    let again = Wishes {
        seeds: Some(3..4),
        plan: Some(Path::new(file).to_owned()),
        ..Wishes::default()
    };
    let again = counting().wishes(&again).play(two_count).expect("a trial");
    assert_eq!(again.broken(), Some("no update is lost"));
    assert_eq!(
        again.tally().reds[0].violations,
        report.tally().reds[0].violations
    );
}

/// Red as soon as its process is killed, and by nothing else. The test below plays it.
#[althing_sim::test(servers = 1, seeds = "8..14", lasts = "20s", settles = "10s")]
#[ignore = "red on purpose"]
async fn nobody_begins_anew(bed: Bed) {
    let lives = bed.ledger::<u32>("life");
    lives.always("one life each", |entry| match entry.what {
        1 => Ok(()),
        life => Err(format!("{} is in its life {life}", entry.who)),
    });
    bed.process("worker", move |process| {
        let lives = lives.clone();
        async move {
            lives.record(&process, process.life);
            std::future::pending().await
        }
    });
    bed.faults_over().await;
}

/// What a user sees of a red test: one who has only written the attribute.
#[test]
fn the_attribute_shrinks_a_red_seed_and_draws_it() {
    let output = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "nobody_begins_anew", "--ignored", "--nocapture"])
        .env("ALTHING_JOBS", "2")
        .env_remove("ALTHING_SEED")
        .env_remove("ALTHING_SEEDS")
        .output();
    let output = output.expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{told}");
    let line = |beginning: &str| {
        let found = told
            .lines()
            .find_map(|line| line.trim().strip_prefix(beginning));
        found.unwrap_or_else(|| panic!("no line begins with {beginning}: {told}"))
    };
    assert!(
        line("FAIL one life each").contains("is in its life 2"),
        "{told}"
    );
    assert!(line("shrunk: ").starts_with("1 fault, "), "{told}");
    let plans = told
        .lines()
        .filter_map(|line| line.trim().strip_prefix("plan: "));
    let files = plans.filter_map(|told| told.split_whitespace().next());
    let shrunk = files
        .into_iter()
        .find(|file| file.ends_with("-shrunk.toml"));
    let shrunk = std::fs::read_to_string(shrunk.expect("its plan")).expect("it is saved");
    // Of all that the swarm has drawn, what kills the process once.
    assert_eq!(shrunk.matches("[[faults]]").count(), 1, "{shrunk}");
    assert!(shrunk.contains("crash = { who = \"worker\""), "{shrunk}");
    let page = std::fs::read_to_string(line("page: ")).expect("the page");
    assert!(
        page.contains("one life each") && page.contains("worker"),
        "a page of something else"
    );
}

/// A service whose operator restarts everybody at once: a fault that only the test knows.
async fn deployed(bed: Bed) {
    let down = bed.sometimes("nobody-there");
    let names = ["worker-1", "worker-2"];
    for name in names {
        bed.process(name, |_process| std::future::pending());
    }
    bed.fault("deploy")
        .every(Duration::from_secs(3)..=Duration::from_secs(5))
        .lasts(Duration::from_secs(1)..=Duration::from_secs(2))
        .chance(1.0)
        .heals(move |bed| names.iter().for_each(|name| bed.bring_back(name)))
        .strikes(move |bed| {
            names.iter().for_each(|name| bed.take_down(name));
            down.seen("");
        });
}

#[test]
fn a_fault_of_the_tests_own_is_drawn_counted_and_healed() {
    let trial = Trial::new("deployed")
        .servers(1)
        .seeds(0..6)
        .lasts(Duration::from_secs(20));
    let report = trial.play(deployed).expect("a trial");
    assert_eq!(report.verdict(), Verdict::Green, "{}", report.text());
    assert!(report.tally().counts["deploy"] > 6, "{}", report.text());
    assert!(report.text().contains("deploy"), "{}", report.text());
    assert_eq!(
        report.tally().counts["deploy"],
        report.tally().counts["nobody-there"]
    );
}

#[test]
fn a_campaign_that_never_meets_its_subject_is_vacuous() {
    let calm = Trial::new("deployed")
        .servers(1)
        .seeds(0..6)
        .lasts(Duration::from_secs(2));
    let report = calm.without_faults().play(deployed).expect("a trial");
    assert_eq!(report.verdict(), Verdict::Vacuous, "{}", report.text());
    assert!(
        report
            .text()
            .contains("never reached: nobody-there, in 6 seeds")
    );
}

#[test]
fn a_test_that_is_not_a_function_of_its_seed_is_told_what_to_avoid() {
    static RUNS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let trial = Trial::new("forgetful")
        .servers(1)
        .seeds(0..1)
        .lasts(Duration::from_secs(2));
    let report = trial.play(|bed: Bed| async move {
        let run = RUNS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        bed.mark("begun", format!("run {run} of this process"));
    });
    let report = report.expect("a trial");
    assert_eq!(
        report.verdict(),
        Verdict::NonDeterministic,
        "{}",
        report.text()
    );
    assert!(
        report.text().contains("what outlives a run: statics"),
        "{}",
        report.text()
    );
    assert!(
        report.text().contains("run 2 of this process"),
        "{}",
        report.text()
    );
}

#[test]
fn a_panic_and_an_error_of_the_test_are_violations() {
    let trial = || {
        Trial::new("wrong")
            .servers(1)
            .seeds(0..1)
            .lasts(Duration::from_secs(2))
    };
    let panics = trial().play(|_bed| async { assert_eq!(1 + 1, 3, "sums") });
    let panics = panics.expect("a trial");
    assert_eq!(panics.broken(), Some("A1 assertion"));
    assert!(
        panics.text().contains("the test: assertion"),
        "{}",
        panics.text()
    );
    let fails = trial().play(|_bed| async { Err::<(), _>("no luck") });
    assert!(
        fails
            .expect("a trial")
            .text()
            .contains("the test: \"no luck\"")
    );
}

#[test]
fn a_scenario_of_a_test_names_only_what_the_test_has() {
    let folder = std::env::temp_dir().join(format!("althing-testbed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let scenario = |name: &str, fault: &str| {
        let text = format!(
            "servers = 1\nlasts = \"20s\"\nsettles = \"20s\"\n[workload.service]\n\n[[faults]]\n\
             when = {{ at = \"3s\" }}\nwhat = {{ {fault} }}\n"
        );
        std::fs::write(folder.join(name), text).expect("a file");
        let trial = Trial::new(name).folder(&folder).scenario(name).seeds(0..1);
        trial.play(deployed)
    };
    let right = scenario("right.toml", "own = { name = \"deploy\", lasts = \"2s\" }");
    let right = right.expect("a trial");
    assert_eq!(right.tally().counts["deploy"], 1, "{}", right.text());
    let crash = scenario(
        "crash.toml",
        "crash = { who = \"worker-1\", down = \"1s\" }",
    );
    assert_eq!(crash.expect("a trial").tally().counts["crash"], 1);
    let wrong = scenario("wrong.toml", "own = { name = \"deplay\" }");
    let told = wrong.expect_err("it is refused").to_string();
    let expected = "wrong.toml:8:18: faults[0].what.own.name: the test has no fault `deplay` of \
                    its own; it has: deploy";
    assert!(told.starts_with(expected), "{told}");
    let text = "lasts = \"1s\"\nsettles = \"1s\"\n[workload.lock]\nclients = 1\nhold = \"1s\"\n\
                session = \"9s\"\n";
    std::fs::write(folder.join("lock.toml"), text).expect("a file");
    let lock = Trial::new("lock")
        .folder(&folder)
        .scenario("lock.toml")
        .play(deployed);
    assert!(matches!(lock, Err(Unplayable::ForeignStory(_))));
    std::fs::remove_dir_all(&folder).expect("it is there");
}
