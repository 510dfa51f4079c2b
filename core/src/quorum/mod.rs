//! Agreement on one sequence of transactions.

pub mod replica;
