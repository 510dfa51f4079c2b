//! What programs do with znodes, sessions and watches again and again, written on nothing but the
//! client's public interface.

pub mod cached;
pub mod election;
pub mod hold;
pub mod lock;
pub mod retried;
