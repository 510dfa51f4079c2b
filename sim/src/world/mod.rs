//! The simulated world: network, disks, clocks, servers, clients, and who does them harm.

pub mod agenda;
pub mod caught;
pub mod net;
pub mod record;
pub mod runtime;
pub mod stage;
pub mod stream;
pub mod tap;
pub mod theatre;
pub mod world;
