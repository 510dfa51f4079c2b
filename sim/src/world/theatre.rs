//! One performance from its opening to its end: two acts, a director of mishaps, and the verdict
//! on whether everything that was owed came about.

use std::time::Duration;

use crate::plan::Plan;
use crate::world::record::Recorded;
use crate::world::stage::Stage;
use crate::world::world::World;

/// Plays `story`; what was recorded, and how long it took in true time. To be called inside the
/// runtime.
pub async fn play<F>(plan: &Plan, seed: u64, story: impl FnOnce(Stage) -> F) -> (Recorded, Duration)
where
    F: Future<Output = ()> + 'static,
{
    let world = World::new(plan, seed);
    let driver = madsim::task::spawn(world.agenda.clone().drive());
    let stage = Stage::new(world.clone(), plan);
    let mut story = madsim::task::spawn_local(story(stage.clone()));
    world.agenda.sleep(plan.lasts.0).await;
    stage.begin_second_act();
    let ended = async {
        let _ended = (&mut story).await;
        stage.goals_reached().await;
    };
    let settled = tokio::select! {
        biased;
        () = ended => true,
        () = world.agenda.sleep(plan.settles.0) => false,
    };
    if !settled {
        let open = stage.open_goals().join(", ");
        world.recorder.violate("L1 liveness", open);
    }
    stage.clear();
    let simulated = world.agenda.now();
    driver.abort();
    (world.recorder.finish(), simulated)
}
