//! The stories that clients play.

use crate::world::stage::Stage;

/// Plays the story of the stage's plan; ends when everything that the story owes is done, which is
/// after the first act.
pub async fn perform(stage: Stage) {
    // Nobody reaches this goal, so a story that is not written yet cannot pass for one that is.
    let _unreached = stage.goal(format!("a story for {:?}", stage.workload()));
    stage.first_act_over().await;
}
