//! What programs do with znodes, sessions and watches again and again, written on nothing but the
//! client's public interface.

pub mod barrier;
pub mod cached;
pub mod counter;
pub mod election;
pub mod group;
pub mod hold;
mod line;
pub mod lock;
mod once;
pub mod queue;
pub mod retried;
pub mod semaphore;
