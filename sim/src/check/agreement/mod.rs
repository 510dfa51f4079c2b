//! What servers save, take back, recover, elect and execute, held against Raft's rules: I1 to I5.
//! What is left of it is the agreed sequence `L`.

pub mod agreement;
mod disks;
mod elections;
pub(super) mod entries;
mod members;
mod won;
