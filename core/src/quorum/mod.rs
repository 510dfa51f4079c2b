//! Agreement on one sequence of transactions.

pub mod log;
pub mod message;
pub mod replica;
