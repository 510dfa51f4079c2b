//! One snapshot file: its format, how it is written, and how it is read.
//!
//! A header (magic, versions, position, CRC-32C), then pieces of the state, each framed as length,
//! CRC-32C, bytes; then a trailer: a frame of length 0 whose bytes are the number of pieces. Each
//! checksum covers the frame's place too. The file is complete and synced before it gets its name,
//! so anything wrong in it is damage, never an interrupted write.

use std::future::poll_fn;
use std::task::Poll;

use althing_core::codec::malformed::Malformed;
use althing_core::codec::snapshot::{
    SNAPSHOT_VERSION, SNAPSHOT_VERSION_MIN, SnapshotDecoder, SnapshotEncoder,
};
use althing_core::ids::Zxid;
use althing_core::store::store::Store;

use crate::disk::{Disk, DiskFile};
use crate::storage::error::{Failure, StorageError};
use crate::storage::names;
use crate::storage::settings::{SNAPSHOT_PIECE_BYTES, SNAPSHOT_PIECE_BYTES_MAX};

/// The version of this format.
const FILE_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"ALTHSNAP";
const HEADER_BYTES: usize = 28;
const FRAME_HEAD_BYTES: usize = 8;
const COUNT_BYTES: usize = 8;

const REMEDY: &str = "Neither do an older snapshot and the log replace it, so the server does not \
    start. Restore the data directory from a backup, or move it away to start empty";

/// Writes the state under its temporary name, synced; pauses after each piece.
///
/// # Errors
/// Want of space leaves a file with the temporary name behind.
pub async fn write<D: Disk>(disk: &D, store: Store) -> Result<(), Failure> {
    let zxid = store.applied();
    let name = names::temporary(&names::snapshot(zxid));
    let created = disk.create(&name).await;
    let file = created.map_err(Failure::io(&name, "create"))?;
    let mut offset = 0;
    let mut pieces: u64 = 0;
    let mut bytes = header(zxid);
    let mut encoder = SnapshotEncoder::new(store);
    loop {
        let written = file.write_at(offset, &bytes).await;
        written.map_err(Failure::io(&name, "write"))?;
        offset += bytes.len() as u64;
        pause().await;
        bytes.clear();
        bytes.extend_from_slice(&[0; FRAME_HEAD_BYTES]);
        if !encoder.next(SNAPSHOT_PIECE_BYTES, &mut bytes) {
            break;
        }
        let piece = bytes.len() - FRAME_HEAD_BYTES;
        assert!((1..=SNAPSHOT_PIECE_BYTES_MAX).contains(&piece), "{piece}");
        frame(offset, piece as u32, &mut bytes);
        pieces += 1;
    }
    bytes.extend_from_slice(&pieces.to_be_bytes());
    frame(offset, 0, &mut bytes);
    let written = file.write_at(offset, &bytes).await;
    written.map_err(Failure::io(&name, "write"))?;
    file.sync().await.map_err(Failure::io(&name, "sync"))
}

fn header(zxid: Zxid) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FILE_VERSION.to_be_bytes());
    bytes.extend_from_slice(&SNAPSHOT_VERSION.to_be_bytes());
    bytes.extend_from_slice(&zxid.0.to_be_bytes());
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    assert!(bytes.len() == HEADER_BYTES);
    bytes
}

/// Fills in the head of the frame at `offset`, whose bytes are there already.
fn frame(offset: u64, length: u32, bytes: &mut [u8]) {
    let checksum = checksum(offset, length, &bytes[FRAME_HEAD_BYTES..]);
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes[4..8].copy_from_slice(&checksum.to_be_bytes());
}

fn checksum(offset: u64, length: u32, bytes: &[u8]) -> u32 {
    let place = crc32c::crc32c(&offset.to_be_bytes());
    let place = crc32c::crc32c_append(place, &length.to_be_bytes());
    crc32c::crc32c_append(place, bytes)
}

/// Lets other tasks of this thread run.
async fn pause() {
    let mut paused = false;
    poll_fn(|context| match paused {
        true => Poll::Ready(()),
        false => {
            paused = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

/// Reads the snapshot at `zxid` from the file of that name.
///
/// # Errors
/// [`StorageError::Damaged`] if it is not what was written; an older one may replace it.
pub async fn read<D: Disk>(disk: &D, name: &str, zxid: Zxid) -> Result<Store, StorageError> {
    let opened = disk.open(name).await;
    let file = opened.map_err(StorageError::io(name, "open"))?;
    let mut reader = Reader::new(&file, name).await?;
    let mut decoder = SnapshotDecoder::new();
    reader.pieces(zxid, |piece| decoder.feed(piece)).await?;
    let finished = decoder.finish();
    let store = finished.map_err(|error| reader.damaged(reader.len, error.to_string()))?;
    if store.applied() != zxid {
        let what = format!("it holds the state at {}", store.applied());
        return Err(reader.damaged(0, what));
    }
    Ok(store)
}

/// The position of the snapshot in this file, as its header tells it.
///
/// # Errors
/// [`StorageError::Damaged`] if it is not the header of a snapshot.
pub async fn position<D: Disk>(disk: &D, name: &str) -> Result<Zxid, StorageError> {
    let opened = disk.open(name).await;
    let file = opened.map_err(StorageError::io(name, "open"))?;
    Reader::new(&file, name).await?.header().await
}

/// Makes sure that a file of that name is the snapshot at `zxid`, as it was written: by its
/// checksums alone, without making a state of it.
///
/// # Errors
/// [`StorageError::Damaged`] if it is not.
pub async fn check<F: DiskFile>(file: &F, name: &str, zxid: Zxid) -> Result<(), StorageError> {
    let mut reader = Reader::new(file, name).await?;
    reader.pieces(zxid, |_| Ok(())).await
}

enum Frame {
    Piece(Vec<u8>),
    Trailer(u64),
}

struct Reader<'a, F> {
    file: &'a F,
    name: String,
    offset: u64,
    len: u64,
}

impl<'a, F: DiskFile> Reader<'a, F> {
    async fn new(file: &'a F, name: &str) -> Result<Reader<'a, F>, StorageError> {
        let len = file.len().await.map_err(StorageError::io(name, "read"))?;
        Ok(Reader {
            file,
            name: name.to_owned(),
            offset: 0,
            len,
        })
    }

    /// Reads all of it, and gives each piece to `each`.
    async fn pieces(
        &mut self,
        zxid: Zxid,
        mut each: impl FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<(), StorageError> {
        let found = self.header().await?;
        if found != zxid {
            let what = format!("the header is that of {}", names::snapshot(found));
            return Err(self.damaged(0, what));
        }
        let mut pieces: u64 = 0;
        loop {
            let begin = self.offset;
            match self.frame().await? {
                Frame::Piece(piece) => {
                    each(&piece).map_err(|error| self.damaged(begin, error.to_string()))?;
                }
                Frame::Trailer(count) if count == pieces && self.offset == self.len => {
                    return Ok(());
                }
                Frame::Trailer(_) => {
                    let what = format!("the end, after {pieces} pieces, is not where it was");
                    return Err(self.damaged(begin, what));
                }
            }
            pieces += 1;
            pause().await;
        }
    }

    /// Reads the header; tells the position.
    async fn header(&mut self) -> Result<Zxid, StorageError> {
        let bytes = self.take(HEADER_BYTES).await?;
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four"));
        if bytes[..8] != MAGIC || word(24) != crc32c::crc32c(&bytes[..24]) {
            return Err(self.damaged(0, "this is not the header of a snapshot".to_owned()));
        }
        for (format, found, oldest, known) in [
            ("file", word(8), FILE_VERSION, FILE_VERSION),
            ("snapshot", word(12), SNAPSHOT_VERSION_MIN, SNAPSHOT_VERSION),
        ] {
            if !(oldest..=known).contains(&found) {
                return Err(StorageError::Unsupported {
                    file: self.name.clone(),
                    format,
                    found,
                    known,
                });
            }
        }
        Ok(Zxid((u64::from(word(16)) << 32) | u64::from(word(20))))
    }

    async fn frame(&mut self) -> Result<Frame, StorageError> {
        let begin = self.offset;
        let head = self.take(FRAME_HEAD_BYTES).await?;
        let length = u32::from_be_bytes(head[..4].try_into().expect("four"));
        let expected = u32::from_be_bytes(head[4..].try_into().expect("four"));
        if length as usize > SNAPSHOT_PIECE_BYTES_MAX {
            return Err(self.damaged(begin, format!("no piece has {length} bytes")));
        }
        let bytes = match length {
            0 => self.take(COUNT_BYTES).await?,
            _ => self.take(length as usize).await?,
        };
        if checksum(begin, length, &bytes) != expected {
            return Err(self.damaged(begin, "a piece's checksum is wrong".to_owned()));
        }
        Ok(match length {
            0 => Frame::Trailer(u64::from_be_bytes(
                bytes.try_into().expect("as many as were taken"),
            )),
            _ => Frame::Piece(bytes),
        })
    }

    /// Reads the next `bytes` bytes.
    async fn take(&mut self, bytes: usize) -> Result<Vec<u8>, StorageError> {
        let begin = self.offset;
        if self.len - begin < bytes as u64 {
            return Err(self.damaged(begin, "the file ends too early".to_owned()));
        }
        let read = self.file.read_at(begin, bytes).await;
        let read = read.map_err(StorageError::io(&self.name, "read"))?;
        if read.len() < bytes {
            return Err(self.damaged(begin, "the file ends too early".to_owned()));
        }
        self.offset += bytes as u64;
        Ok(read)
    }

    fn damaged(&self, offset: u64, what: String) -> StorageError {
        StorageError::Damaged {
            file: self.name.clone(),
            offset,
            what,
            remedy: REMEDY.to_owned(),
        }
    }
}
