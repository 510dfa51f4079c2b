//! The marks that clients put on what they create.

use althing_core::tree::data::Data;

/// What tells one creation from another, where the log does not: in sessions of one server alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Of which connection.
    pub connection: u8,
    /// The how manieth of it; counts from 1.
    pub number: u8,
}

impl Mark {
    /// As a znode's data.
    pub fn data(self) -> Data {
        Data::from(&[self.connection, self.number][..])
    }

    /// The mark in a znode's data, if it has one.
    pub fn read(data: &[u8]) -> Option<Mark> {
        let [connection, number] = *data else {
            return None;
        };
        Some(Mark { connection, number })
    }
}
