//! One performance from its opening to its end: two acts, a director of mishaps, and the verdict
//! on whether everything that was owed came about.

use std::collections::BTreeMap;
use std::time::Duration;

use madsim::task::spawn;

use crate::backstage::Recording;
use crate::history::What;
use crate::plan::{Expects, Heals, Plan};
use crate::testbed::bed::Bed;
use crate::world::blows::Means;
use crate::world::faults::Director;
use crate::world::house::House;
use crate::world::record::Recorded;
use crate::world::world::World;

/// How long ended tasks are given to be dropped, so that a run leaves no memory behind.
const CURTAIN: Duration = Duration::from_millis(1);

/// What a performance leaves behind.
pub struct Played {
    /// What was recorded.
    pub recorded: Recorded,
    /// How long it took in true time.
    pub simulated: Duration,
    /// How many operations each client came to in the first act.
    pub operations: BTreeMap<String, u32>,
}

/// Plays `story`. To be called inside the runtime.
pub async fn play<F>(
    plan: &Plan,
    seed: u64,
    recording: Recording,
    story: impl FnOnce(Bed) -> F,
) -> Played
where
    F: Future<Output = ()> + 'static,
{
    let world = World::new(plan, seed, recording);
    let driver = spawn(world.agenda.clone().drive());
    let bed = Bed::new(world.clone(), plan);
    let (house, ends) = House::new(&world, plan);
    let watch = spawn(house.clone().watch(ends));
    let director = Director::new(Means::new(&world, &bed, &house), plan);
    director.begin();
    house.start_all();
    let mut story = madsim::task::spawn_local(story(bed.clone()));

    world.agenda.sleep_until(plan.lasts.0).await;
    world.recorder.record(What::SecondAct);
    director.heal_all();
    if plan.heals == Heals::Quorum {
        director.retire_minority();
    }
    bed.begin_second_act();
    let ended = async {
        // It cannot fail: nobody aborts it, and its panic ends the whole run.
        let _ended = (&mut story).await;
        bed.goals_reached().await;
    };
    let settled = tokio::select! {
        biased;
        () = ended => true,
        () = world.agenda.sleep(plan.settles.0) => false,
    };
    if !settled && plan.expects == Expects::Service {
        let missed = missed(plan, &bed, &house);
        world.recorder.violate("L1 liveness", missed);
    }

    bed.judge();
    let simulated = world.agenda.now();
    let (recorded, operations) = (world.recorder.finish(), bed.operations());
    story.abort();
    watch.abort();
    bed.clear();
    house.clear();
    world.agenda.sleep(CURTAIN).await;
    driver.abort();
    world.net.clear();
    world.agenda.clear();
    Played {
        recorded,
        simulated,
        operations,
    }
}

/// What did not come about although everything was healed.
fn missed(plan: &Plan, bed: &Bed, house: &House) -> String {
    let mut missed = bed.open_goals();
    if missed.is_empty() {
        missed.push("the end of the story".to_owned());
    }
    missed.extend(house.refusals());
    let settles = plan.settles;
    format!(
        "not reached within {settles} after all was healed: {}",
        missed.join("; ")
    )
}
