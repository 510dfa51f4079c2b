//! How a snapshot is packed, by the end of its name, as ZooKeeper tells it.

use std::io::{BufReader, Read};

use flate2::read::MultiGzDecoder;

use crate::zookeeper::snappy::SnappyReader;

/// How a snapshot is packed: `snapshot.compression.method`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// Not at all.
    None,
    /// `.gz`.
    Gzip,
    /// `.snappy`.
    Snappy,
}

impl Compression {
    /// That of a file of this name.
    pub fn of(name: &str) -> Compression {
        match name.rsplit_once('.') {
            Some((_, end)) if end.eq_ignore_ascii_case("gz") => Compression::Gzip,
            Some((_, end)) if end.eq_ignore_ascii_case("snappy") => Compression::Snappy,
            _ => Compression::None,
        }
    }

    /// What `input` holds, unpacked.
    pub fn unpacked<'a>(self, input: impl Read + 'a) -> Box<dyn Read + 'a> {
        let input = BufReader::new(input);
        match self {
            Compression::None => Box::new(input),
            Compression::Gzip => Box::new(BufReader::new(MultiGzDecoder::new(input))),
            Compression::Snappy => Box::new(SnappyReader::new(input)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_name_tells() {
        for (name, expected) in [
            ("snapshot.1f", Compression::None),
            ("snapshot.1f.gz", Compression::Gzip),
            ("snapshot.1f.snappy", Compression::Snappy),
            ("snapshot.1f.GZ", Compression::Gzip),
        ] {
            assert_eq!(Compression::of(name), expected, "{name}");
        }
    }
}
