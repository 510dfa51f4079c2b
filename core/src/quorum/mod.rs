//! Agreement on one sequence of transactions.

pub mod log;
pub mod replica;
