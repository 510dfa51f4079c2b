//! The client against a scripted server: the tests say frame by frame what it hears.

mod fake;
mod read_only;
mod recipes;
mod sasl;
mod session;
