//! The shell around one [`althing_core::node::node::Node`]: sockets, files, clock. Production runs
//! it on tokio, the simulator on its own [`shell::Shell`] and [`disk::Disk`].
//!
//! What both worlds run (no tokio runtime needed, only tokio's channels and I/O traits): [`drive`],
//! [`connection`], [`storage`]. What only production runs: [`tokio_shell`], [`os_disk`], [`main`].

pub mod accept;
pub mod admission;
pub mod clients;
pub mod connection;
pub mod disk;
pub mod drive;
pub mod four_letter;
pub mod frames;
pub mod limits;
pub mod mail;
pub mod os_disk;
pub mod outbound;
pub mod reports;
pub mod server;
pub mod shell;
pub mod statistics;
pub mod storage;
