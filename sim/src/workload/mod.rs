//! The stories that clients play, one module each, and what the tellers of stories share.

use crate::plan::Workload;
use crate::testbed::bed::Bed;

pub mod board;
pub mod deeds;
mod governor;
mod lock;
mod mix;
pub mod persistence;
pub mod rare;
mod rarely;
mod rollout;
mod service_tree;
mod shard;
pub mod store;
mod stranger;
mod thief;
mod warden;

/// Plays the story of the bed's plan; ends when everything that the story owes is done, which is
/// after the first act.
pub async fn perform(bed: Bed) {
    let bed = &bed;
    match bed.workload().clone() {
        Workload::ServiceTree {
            readers,
            change_every,
        } => service_tree::play(bed, readers, change_every.0).await,
        Workload::Shard {
            slaves,
            session,
            write_every,
        } => shard::play(bed, slaves, session.0, write_every.0).await,
        Workload::Lock {
            clients,
            hold,
            session,
        } => lock::play(bed, clients, hold.0, session.0).await,
        Workload::Rollout {
            files,
            readers,
            every,
        } => rollout::play(bed, files, readers, every.0).await,
        Workload::Mix(figures) => mix::play(bed, figures).await,
        Workload::Service { .. } => {
            panic!("a test's own story is played by the test: see docs/testbed.md")
        }
    }
}
