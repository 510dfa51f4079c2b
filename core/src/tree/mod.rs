//! The znodes: what the replicated state machine keeps for its clients.

pub mod acl;
pub mod data;
pub mod op;
pub mod path;
pub mod stat;
pub mod tree;
