//! Proofs of the storage: lives that end by kill, power loss and failure; damage; real files.

mod books;
mod crash_disk;
mod cuts;
mod damage;
mod feeder;
mod files;
mod fuzz;
mod identity;
mod limits;
mod lives;
mod transfer;
