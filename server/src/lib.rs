//! The shell around one [`althing_core::node::node::Node`]: sockets, files, clock. Production runs
//! it on tokio, the simulator on its own [`shell::Shell`] and [`disk::Disk`].
//!
//! What both worlds run (no tokio runtime needed, only tokio's channels and I/O traits): [`drive`],
//! [`connection`], [`storage`]. What only production runs: [`tokio_shell`], [`os_disk`], [`main`].

pub mod disk;
pub mod os_disk;
pub mod shell;
pub mod storage;
