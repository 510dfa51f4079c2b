//! The public interface for trying a service of one's own: write a test around an async function
//! that gets a [`bed::Bed`], and it is played over many seeds, through crashes, partitions, pauses
//! and power loss, and held against every invariant of the service and against its own.
//!
//! ```
//! use althing_client::error::ClientError;
//! use althing_client::znode::CreateMode;
//! use althing_sim::testbed::bed::Bed;
//!
//! #[althing_sim::test(servers = 3, seeds = "0..20", lasts = "20s")]
//! async fn a_registration_goes_with_its_process(bed: Bed) -> Result<(), ClientError> {
//!     bed.process("worker", |process| async move {
//!         if let Ok(client) = process.client().await {
//!             let registered = client.create("/worker", "here", CreateMode::Ephemeral).await;
//!             process.mark("registered", format!("{:?}", registered.is_ok()));
//!         }
//!     });
//!     bed.faults_over().await;
//!     Ok(())
//! }
//! # fn main() {}
//! ```
//!
//! The way of a trial: a [`trial::Trial`] rehearses the test without faults, which tells its
//! [`roster::Roster`] (processes, parts, marks, own faults); each seed then draws a plan for it;
//! [`crate::campaign`] plays the seeds; the [`report::Report`] says what they come to. Our own
//! stories ([`crate::workload`]) are told on the same bed. docs/testbed.md is the tutorial.

pub mod attribute;
pub mod bed;
pub mod ending;
pub mod invariant;
pub mod ledger;
pub mod own_fault;
pub mod report;
pub mod roster;
pub mod sometimes;
pub mod trial;
pub mod unsteady;
pub mod wishes;
