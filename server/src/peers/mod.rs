//! The links to the other servers of the ensemble; both worlds run this very code.
//!
//! Of a pair of servers the one with the higher id dials the other ([`dialer`]), which accepts
//! ([`door`]), as long as the other is one of the [`neighbours`]. Both introduce themselves
//! ([`introduction`]), and from then on a [`link`] carries messages both ways. [`links`] is the
//! drive's view of them, [`outgoing`] what waits to be written.
//!
//! A link may lose what it was given, by breaking or for want of room: the protocol repeats by
//! timers whatever matters.

pub mod dialer;
pub mod door;
pub mod introduction;
pub mod link;
pub mod links;
pub mod neighbours;
pub mod outgoing;
pub mod repeats;

#[cfg(test)]
mod tests;
