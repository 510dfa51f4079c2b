//! The simulated world: network, disks, clocks, servers, clients, and who does them harm.

pub mod agenda;
pub mod blows;
pub mod caught;
pub mod clock;
pub mod connection;
mod datagrams;
pub mod disk;
pub mod ether;
pub mod faults;
pub mod house;
pub mod link;
pub mod listener;
pub mod net;
pub mod operation;
pub mod partition;
pub mod platter;
pub mod poison;
pub mod record;
pub mod reign;
pub mod rot;
pub mod runtime;
pub mod shell;
pub mod stream;
pub mod tap;
pub mod theatre;
pub mod wiretap;
pub mod world;
