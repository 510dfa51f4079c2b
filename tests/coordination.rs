//! The recipes of the client under faults, each with a checker of its own. Lock, election and
//! cached reader have theirs in the scenarios.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use althing_client::client::Client;
use althing_client::error::ClientError;
use althing_client::recipes::barrier::{Barrier, DoubleBarrier};
use althing_client::recipes::counter::{Counter, CounterError};
use althing_client::recipes::group::Group;
use althing_client::recipes::hold::Hold;
use althing_client::recipes::lock::ReadWriteLock;
use althing_client::recipes::queue::Queue;
use althing_client::recipes::semaphore::Semaphore;
use althing_client::runtime::Runtime;
use althing_core::ids::Zxid;
use althing_sim::testbed::bed::{Bed, Process};
use althing_sim::testbed::ledger::{Entry, Ledger};

const SESSION: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_millis(200);

/// As a number of leases, or of those who meet.
fn three() -> NonZeroUsize {
    NonZeroUsize::new(3).expect("not zero")
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    Alone,
    Shared,
}

/// Something was held at this very moment.
#[derive(Debug)]
struct Held {
    token: Zxid,
    how: How,
}

/// Holds for a while, and writes down when it was certain to.
async fn hold_on<R: Runtime>(
    process: &Process,
    held: &Ledger<Held>,
    hold: Hold<R>,
    how: How,
) -> Result<(), ClientError> {
    let token = hold.token();
    for _ in 0..5 {
        if !hold.is_safe() {
            break;
        }
        held.record(process, Held { token, how });
        process.sleep(PAUSE / 2).await;
    }
    hold.release().await
}

/// From its first certain moment to its last, each token was held: `may` tells of whom it is right
/// that they hold at the same time.
fn judge_overlaps(entries: &[Entry<Held>], may: impl Fn(&[How]) -> bool) -> Result<(), String> {
    let mut spans: BTreeMap<Zxid, (Duration, Duration, How)> = BTreeMap::new();
    for entry in entries {
        let span = (entry.at, entry.at, entry.what.how);
        spans.entry(entry.what.token).or_insert(span).1 = entry.at;
    }
    for (from, _, _) in spans.values() {
        let together = spans
            .iter()
            .filter(|(_, span)| span.0 <= *from && *from <= span.1);
        let together = together.map(|(token, span)| (*token, span.2));
        let (tokens, hows): (Vec<Zxid>, Vec<How>) = together.unzip();
        if !may(&hows) {
            return Err(format!("{tokens:?} held at {from:?} together, as {hows:?}"));
        }
    }
    Ok(())
}

/// Does `work` again and again, in one session after the other.
async fn again_and_again<F>(process: Arc<Process>, work: impl Fn(Client<Sim>) -> F)
where
    F: Future<Output = Result<(), ClientError>>,
{
    let sessions = process.sessions(SESSION);
    loop {
        if let Ok(client) = sessions.client().await
            && let Err(error) = work(client).await
        {
            process.mark("begins-again", error.to_string());
        }
        process.sleep(PAUSE).await;
    }
}

type Sim = althing_sim::world::runtime::SimRuntime;

/// Waits until `there` says so, after the faults.
async fn in_the_end(bed: &Bed, what: &str, there: impl Fn() -> bool) {
    let goal = bed.goal(what);
    bed.faults_over().await;
    while !there() {
        bed.sleep(PAUSE).await;
    }
    goal.reached();
}

/// Waits until each of five has held again, after the faults.
async fn all_hold_again(bed: &Bed, what: &str, held: &Ledger<Held>) {
    bed.faults_over().await;
    let healed = bed.now();
    let holders = |held: &[Entry<Held>]| {
        let late = held.iter().filter(|entry| entry.at > healed);
        late.map(|entry| entry.who.clone()).collect::<BTreeSet<_>>()
    };
    in_the_end(bed, what, || held.read(holders).len() == 5).await;
}

/// Did so many hold at the same time?
fn held_together(held: &Ledger<Held>, count: usize) -> bool {
    held.read(|held| judge_overlaps(held, |hows| hows.len() < count))
        .is_err()
}

#[althing_sim::test(servers = 3, seeds = "0..8", lasts = "30s", settles = "40s")]
async fn a_semaphore_has_three_leases(bed: Bed) {
    let held = bed.ledger::<Held>("leased");
    held.finally("at most three leases", |entries| {
        judge_overlaps(entries, |hows| hows.len() <= 3)
    });
    let full = bed.sometimes("all-leased");
    for name in ["user-1", "user-2", "user-3", "user-4", "user-5"] {
        let held = held.clone();
        bed.process(name, move |process| {
            let process = Arc::new(process);
            let (user, held) = (process.clone(), held.clone());
            again_and_again(process, move |client| {
                let (user, held) = (user.clone(), held.clone());
                async move {
                    let hold = Semaphore::new(&client, "/leases", three())?
                        .acquire()
                        .await?;
                    hold_on(&user, &held, hold, How::Shared).await
                }
            })
        });
    }
    all_hold_again(&bed, "everybody has a lease again", &held).await;
    if held_together(&held, 3) {
        full.seen("three at once");
    }
}

#[althing_sim::test(servers = 3, seeds = "0..8", lasts = "30s", settles = "40s")]
async fn readers_share_and_writers_do_not(bed: Bed) {
    let held = bed.ledger::<Held>("read-or-written");
    let alone = |hows: &[How]| hows.len() == 1 || hows.iter().all(|how| *how == How::Shared);
    held.finally("a writer is alone", move |entries| {
        judge_overlaps(entries, alone)
    });
    let shared = bed.sometimes("readers-together");
    for (name, how) in [
        ("reader-1", How::Shared),
        ("reader-2", How::Shared),
        ("reader-3", How::Shared),
        ("writer-1", How::Alone),
        ("writer-2", How::Alone),
    ] {
        let held = held.clone();
        bed.process(name, move |process| {
            let process = Arc::new(process);
            let (user, held) = (process.clone(), held.clone());
            again_and_again(process, move |client| {
                let (user, held) = (user.clone(), held.clone());
                async move {
                    let lock = ReadWriteLock::new(&client, "/book")?;
                    let hold = match how {
                        How::Shared => lock.read().await?,
                        How::Alone => lock.write().await?,
                    };
                    hold_on(&user, &held, hold, how).await
                }
            })
        });
    }
    all_hold_again(&bed, "everybody reads or writes again", &held).await;
    if held_together(&held, 2) {
        shared.seen("several at once");
    }
}

#[derive(Debug)]
enum Addition {
    Begun,
    Done(i64),
}

#[althing_sim::test(servers = 3, seeds = "0..8", lasts = "30s", settles = "40s")]
async fn a_counter_counts_each_addition_once(bed: Bed) {
    let additions = bed.ledger::<Addition>("addition");
    let mut sums = BTreeSet::new();
    additions.always("every sum is told once", move |entry| match entry.what {
        Addition::Done(sum) if !sums.insert(sum) => {
            Err(format!("{} is told {sum}, too", entry.who))
        }
        _ => Ok(()),
    });
    for name in ["adder-1", "adder-2", "adder-3"] {
        let additions = additions.clone();
        bed.process(name, move |process| {
            let process = Arc::new(process);
            let (adder, additions) = (process.clone(), additions.clone());
            again_and_again(process, move |client| {
                let (adder, additions) = (adder.clone(), additions.clone());
                async move {
                    let counter = Counter::new(&client, "/count/all")?;
                    additions.record(&adder, Addition::Begun);
                    match counter.add(1).await {
                        Ok(sum) => additions.record(&adder, Addition::Done(sum)),
                        Err(CounterError::Client(error)) => return Err(error),
                        Err(error) => panic!("{error}"),
                    }
                    Ok(())
                }
            })
        });
    }
    bed.faults_over().await;
    let sessions = bed.observer("reader").sessions(SESSION);
    let (mut value, mut done) = (0, 0);
    while done < 30 {
        bed.sleep(PAUSE).await;
        let before = additions.read(|all| count(all, |what| matches!(what, Addition::Done(_))));
        if let Ok(client) = sessions.client().await
            && client.sync("/").await.is_ok()
            && let Ok(counter) = Counter::new(&client, "/count/all")
            && let Ok(found) = counter.value().await
        {
            (value, done) = (found, before);
            let begun = additions.read(|all| count(all, |what| matches!(what, Addition::Begun)));
            assert!(
                done <= value && value <= begun,
                "{done} <= {value} <= {begun}"
            );
        }
    }
    assert!(value > 0);
}

fn count<T>(entries: &[Entry<T>], of: impl Fn(&T) -> bool) -> i64 {
    let found = entries.iter().filter(|entry| of(&entry.what)).count();
    i64::try_from(found).expect("a short run")
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Job {
    Put(String),
    Taken(String),
    Done(String),
}

#[althing_sim::test(servers = 3, seeds = "0..8", lasts = "30s", settles = "60s")]
async fn a_queue_loses_nothing_and_does_nothing_again(bed: Bed) {
    let jobs = bed.ledger::<Job>("job");
    let mut done = BTreeSet::new();
    jobs.always("what is done is not taken again", move |entry| {
        match &entry.what {
            Job::Put(_) => {}
            Job::Taken(job) if done.contains(job) => {
                return Err(format!("{} takes {job} again", entry.who));
            }
            Job::Taken(_) => {}
            Job::Done(job) => drop(done.insert(job.clone())),
        }
        Ok(())
    });
    for name in ["producer-1", "producer-2"] {
        let jobs = jobs.clone();
        bed.process(name, move |process| produce(process, jobs.clone()));
    }
    for name in ["consumer-1", "consumer-2", "consumer-3"] {
        let jobs = jobs.clone();
        bed.process(name, move |process| {
            let process = Arc::new(process);
            let (consumer, jobs) = (process.clone(), jobs.clone());
            again_and_again(process, move |client| {
                let (consumer, jobs) = (consumer.clone(), jobs.clone());
                async move {
                    let taken = Queue::new(&client, "/queue")?.take().await?;
                    let job = String::from_utf8_lossy(taken.data()).into_owned();
                    // What is done is done in another session's time, if this one is not safe.
                    if taken.claim().is_safe() {
                        jobs.record(&consumer, Job::Taken(job.clone()));
                    }
                    consumer.sleep(PAUSE).await;
                    taken.done().await?;
                    jobs.record(&consumer, Job::Done(job));
                    Ok(())
                }
            })
        });
    }
    let all_taken = |jobs: &[Entry<Job>]| {
        let of = |pick: fn(&Job) -> Option<&String>| -> BTreeSet<String> {
            jobs.iter()
                .filter_map(|entry| pick(&entry.what))
                .cloned()
                .collect()
        };
        let put = of(|job| match job {
            Job::Put(job) => Some(job),
            _ => None,
        });
        let taken = of(|job| match job {
            Job::Taken(job) => Some(job),
            _ => None,
        });
        !put.is_empty() && put.is_subset(&taken)
    };
    in_the_end(&bed, "every job is taken", || jobs.read(all_taken)).await;
}

/// Puts jobs until the faults are over, each under a name of its own.
async fn produce(process: Process, jobs: Ledger<Job>) {
    let sessions = process.sessions(SESSION);
    let mut number = 0;
    while !process.bed().are_faults_over() {
        if let Ok(client) = sessions.client().await
            && let Ok(queue) = Queue::new(&client, "/queue")
        {
            number += 1;
            let job = format!("{}-{}-{number}", process.name, process.life);
            if queue.put(job.as_str()).await.is_ok() {
                jobs.record(&process, Job::Put(job));
            }
        }
        process.sleep(PAUSE * 2).await;
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Meeting {
    Comes,
    Works,
    Left,
}

#[althing_sim::test(servers = 3, seeds = "0..8", lasts = "20s", settles = "60s")]
async fn nobody_begins_before_all_have_come(bed: Bed) {
    let meeting = bed.ledger::<Meeting>("meeting");
    let mut come = BTreeSet::new();
    meeting.always("nobody begins before all have come", move |entry| {
        match entry.what {
            Meeting::Comes => drop(come.insert(entry.who.clone())),
            Meeting::Works if come.len() < 3 => {
                return Err(format!("{} begins, and {come:?} have come", entry.who));
            }
            Meeting::Works | Meeting::Left => {}
        }
        Ok(())
    });
    for name in ["party-1", "party-2", "party-3"] {
        let meeting = meeting.clone();
        bed.process(name, move |process| attend(process, meeting.clone()));
    }
    let left = |meeting: &[Entry<Meeting>]| {
        let left = meeting.iter().filter(|entry| entry.what == Meeting::Left);
        left.map(|entry| entry.who.clone()).collect::<BTreeSet<_>>()
    };
    in_the_end(&bed, "all have left", || meeting.read(left).len() == 3).await;
}

/// Takes part once; who is killed on the way, or loses its session, comes again.
async fn attend(process: Process, meeting: Ledger<Meeting>) {
    let sessions = process.sessions(SESSION);
    loop {
        if let Ok(client) = sessions.client().await {
            let part = async {
                let barrier = DoubleBarrier::new(&client, "/meeting", three())?;
                meeting.record(&process, Meeting::Comes);
                let entered = barrier.enter(&process.name).await?;
                meeting.record(&process, Meeting::Works);
                process.sleep(PAUSE).await;
                entered.leave().await
            };
            if part.await.is_ok() {
                return meeting.record(&process, Meeting::Left);
            }
        }
        process.sleep(PAUSE).await;
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Passed;

#[althing_sim::test(servers = 3, seeds = "0..6", lasts = "20s", settles = "40s")]
async fn a_barrier_holds_until_it_is_opened_and_a_group_knows_its_members(bed: Bed) {
    let passed = bed.ledger::<Passed>("passed");
    let sessions = bed.observer("operator").sessions(SESSION);
    loop {
        if let Ok(client) = sessions.client().await
            && let Ok(barrier) = Barrier::new(&client, "/gate/closed")
            && barrier.close().await.is_ok()
        {
            break;
        }
        bed.sleep(PAUSE).await;
    }
    for name in ["walker-1", "walker-2"] {
        let passed = passed.clone();
        bed.process(name, move |process| {
            let process = Arc::new(process);
            let (walker, passed) = (process.clone(), passed.clone());
            again_and_again(process, move |client| {
                let (walker, passed) = (walker.clone(), passed.clone());
                async move {
                    Barrier::new(&client, "/gate/closed")?.wait().await?;
                    passed.record(&walker, Passed);
                    let group = Group::new(&client, "/walkers")?;
                    group.join(&walker.name, "here").await?.lost().await;
                    Ok(())
                }
            })
        });
    }
    bed.faults_over().await;
    assert!(passed.read(<[_]>::is_empty), "it was closed");
    let there = bed.goal("both are in the group");
    loop {
        if let Ok(client) = sessions.client().await
            && let Ok(barrier) = Barrier::new(&client, "/gate/closed")
            && barrier.open().await.is_ok()
            && let Ok(group) = Group::new(&client, "/walkers")
            && let Ok(members) = group.members().await
            && members.len() == 2
        {
            assert!(members.iter().all(|member| member.data == "here".into()));
            return there.reached();
        }
        bed.sleep(PAUSE).await;
    }
}
