//! The files of Apache ZooKeeper 3.5 to 3.9: read, replayed and written. Nothing here touches a
//! directory: bytes in, values out.
//!
//! | file | what it is |
//! |---|---|
//! | [`source`], [`compression`], [`snappy`] | a stream of jute values, each with its place; compressed streams |
//! | [`txn`], [`log`] | one transaction; the transactions of a log, and how it ends |
//! | [`snapshot`], [`writing`] | a snapshot, read and checked; written |
//! | [`tree`], [`quotas`], [`digest`] | ZooKeeper's tree, as transactions change it; what it counts; its digest |
//! | [`password`] | the password that ZooKeeper gives a session |

pub mod compression;
pub mod digest;
pub mod log;
pub mod password;
pub mod quotas;
pub mod snappy;
pub mod snapshot;
pub mod source;
pub mod tree;
pub mod txn;
pub mod writing;
