//! Writes a snapshot as ZooKeeper reads it, without the digest that only newer releases know.

use std::collections::BTreeMap;
use std::io::{self, Write};

use althing_core::tree::acl::Acl;
use simd_adler32::Adler32;

use crate::zookeeper::snapshot::{MAGIC, VERSION};
use crate::zookeeper::tree::{Node, Stat};

/// The number of the database; ZooKeeper gives it no meaning.
const DATABASE: i64 = -1;

/// The snapshot that holds `nodes`, parents first, and no sessions.
///
/// # Errors
/// If `out` takes no more.
pub fn write(nodes: &[(String, Node)], out: impl Write) -> io::Result<()> {
    let mut sink = Sink {
        out,
        checksum: Adler32::new(),
    };
    sink.put(&MAGIC)?;
    sink.int(VERSION)?;
    sink.long(DATABASE)?;
    sink.int(0)?;
    let numbers = sink.acls(nodes)?;
    for (path, node) in nodes {
        // ZooKeeper's root has the empty path here, since `/` is the end.
        let told = match path.as_str() {
            "/" => "",
            path => path,
        };
        sink.buffer(Some(told.as_bytes()))?;
        sink.buffer(node.data.as_deref())?;
        sink.long(numbers[&node.acl])?;
        sink.stat(&node.stat)?;
    }
    sink.buffer(Some(b"/"))?;
    let checksum = sink.checksum.finish();
    sink.long(i64::from(checksum))?;
    sink.buffer(Some(b"/"))?;
    sink.out.flush()
}

struct Sink<W> {
    out: W,
    checksum: Adler32,
}

impl<W: Write> Sink<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.checksum.write(bytes);
        self.out.write_all(bytes)
    }

    fn int(&mut self, number: i32) -> io::Result<()> {
        self.put(&number.to_be_bytes())
    }

    fn long(&mut self, number: i64) -> io::Result<()> {
        self.put(&number.to_be_bytes())
    }

    fn count(&mut self, count: usize) -> io::Result<()> {
        let count = i32::try_from(count).map_err(io::Error::other)?;
        self.int(count)
    }

    fn buffer(&mut self, bytes: Option<&[u8]>) -> io::Result<()> {
        let Some(bytes) = bytes else {
            return self.int(-1);
        };
        self.count(bytes.len())?;
        self.put(bytes)
    }

    /// Writes each list once; tells their numbers.
    fn acls<'a>(&mut self, nodes: &'a [(String, Node)]) -> io::Result<BTreeMap<&'a Acl, i64>> {
        let mut numbers = BTreeMap::new();
        for (_, node) in nodes {
            let next = numbers.len() as i64 + 1;
            numbers.entry(&node.acl).or_insert(next);
        }
        self.count(numbers.len())?;
        for (acl, number) in &numbers {
            self.long(*number)?;
            self.count(acl.0.len())?;
            for entry in acl.0.iter() {
                self.int(entry.perms.0)?;
                self.buffer(Some(entry.who.scheme.as_bytes()))?;
                self.buffer(Some(entry.who.id.as_bytes()))?;
            }
        }
        Ok(numbers)
    }

    fn stat(&mut self, stat: &Stat) -> io::Result<()> {
        for long in [stat.czxid, stat.mzxid, stat.ctime, stat.mtime] {
            self.long(long)?;
        }
        for int in [stat.version, stat.cversion, stat.aversion] {
            self.int(int)?;
        }
        self.long(stat.owner)?;
        self.long(stat.pzxid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    use crate::zookeeper::snapshot;
    use crate::zookeeper::source::Fault;

    fn node(data: Option<&[u8]>, acl: Acl, zxid: i64) -> Node {
        Node {
            data: data.map(<[u8]>::to_vec),
            acl,
            stat: Stat {
                czxid: zxid,
                mzxid: zxid + 1,
                ctime: 5,
                mtime: 6,
                version: -1,
                cversion: 7,
                aversion: 8,
                owner: 0,
                pzxid: zxid + 2,
            },
        }
    }

    fn some() -> Vec<(String, Node)> {
        let open = Acl::open;
        [
            ("/", node(Some(b""), open(), 0)),
            ("/a", node(None, Acl::read_only(), 1)),
            ("/a/b", node(Some(b"data"), open(), 9)),
        ]
        .map(|(path, node)| (path.to_owned(), node))
        .to_vec()
    }

    fn written() -> Vec<u8> {
        let mut out = Vec::new();
        write(&some(), &mut out).unwrap();
        out
    }

    #[test]
    fn what_is_written_is_read() {
        let read = snapshot::read(&*written()).unwrap();
        let expected: BTreeMap<String, Node> = some().into_iter().collect();
        assert_eq!(read.tree.nodes(), &expected);
        assert_eq!(read.digest, None);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let whole = written();
        // The text of the seal is not looked at, as in ZooKeeper.
        for at in 0..whole.len() - 5 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            assert!(snapshot::read(&*bytes).is_err(), "byte {at}");
        }
        for cut in 0..whole.len() {
            assert!(snapshot::read(&whole[..cut]).is_err(), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn damage_never_panics(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            more in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut bytes = written();
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.extend(more);
            if let Err(Fault::Io(error)) = snapshot::read(&*bytes) {
                panic!("{error}");
            }
        }
    }
}
