//! What all servers agree on: the tree and the sessions, changed by transactions only.

pub mod roster;
pub mod store;
#[cfg(test)]
mod total;
pub mod txn;
