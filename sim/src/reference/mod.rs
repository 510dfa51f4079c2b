//! The reference: a small, slow, obvious model of the whole service, written from ZooKeeper's
//! guarantees and not from the core: they share values (`Txn`, `Op`, `Stat`) and no logic.

pub mod access;
pub mod config;
pub mod quotas;
pub mod reference;
pub mod sasl;
pub mod tree;
