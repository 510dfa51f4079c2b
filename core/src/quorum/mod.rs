//! Agreement on one sequence of transactions.

mod disk;
mod election;
mod follower;
mod leader;
pub mod log;
mod members;
pub mod message;
pub mod replica;
mod window;
