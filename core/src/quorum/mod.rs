//! Agreement on one sequence of transactions.

pub mod act;
mod disk;
mod election;
mod follower;
mod incoming;
mod leader;
pub mod log;
mod members;
pub mod message;
mod reconfiguration;
mod reign;
pub mod replica;
mod saving;
#[cfg(test)]
mod tests;
mod transfer;
mod window;
