//! The znodes: what the replicated state machine keeps for its clients.

pub mod acl;
mod acls;
pub mod data;
mod digest;
mod ephemerals;
mod execute;
mod index;
mod kept;
pub mod op;
pub mod owner;
mod pages;
pub mod path;
pub mod quota;
mod quotas;
pub mod reap;
pub mod restoring;
mod slab;
pub mod stat;
#[cfg(test)]
pub(crate) mod steps;
pub mod tree;
#[cfg(test)]
pub(crate) mod twin;
mod undo;
pub mod usage;
pub mod walk;
pub mod whole;
mod znode;
