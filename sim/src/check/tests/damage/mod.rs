//! Damage to good histories, by what is damaged; [`kinds`] lists all of it.

mod agreed;
mod answers;
mod ensemble;
mod handshakes;
pub mod kinds;
mod living;
mod places;
mod positions;
mod readers;
mod stats;
mod watched;
