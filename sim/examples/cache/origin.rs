//! The origin: the slow database behind the cache. For the cache it remembers, of each slot, the
//! newest stamp of a write (the owner's token, and the owner's own count), and refuses older ones.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use althing_client::runtime::Runtime;
use althing_core::ids::Zxid;

use crate::lines;

/// How long a shard waits for the origin.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the origin has on its disk.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    stamps: BTreeMap<u32, (u64, u64)>,
    values: BTreeMap<String, u64>,
}

impl Origin {
    /// Answers a question: `fence SLOT TOKEN`, `read KEY` or `write SLOT TOKEN COUNT KEY VALUE`.
    pub fn answer(&mut self, question: &str) -> String {
        self.understood(question)
            .unwrap_or_else(|| "unknown".to_owned())
    }

    fn understood(&mut self, question: &str) -> Option<String> {
        let words: Vec<&str> = question.split(' ').collect();
        match words.as_slice() {
            ["fence", slot, token] => {
                let fenced = self.stamp(slot.parse().ok()?, (token.parse().ok()?, 0));
                Some(fenced.to_owned())
            }
            ["read", key] => Some(self.values.get(*key).copied().unwrap_or(0).to_string()),
            ["write", slot, token, count, key, value] => {
                let value = value.parse().ok()?;
                let stamp = (token.parse().ok()?, count.parse().ok()?);
                let stamped = self.stamp(slot.parse().ok()?, stamp);
                if stamped == "ok" {
                    self.values.insert((*key).to_owned(), value);
                }
                Some(stamped.to_owned())
            }
            _ => None,
        }
    }

    fn stamp(&mut self, slot: u32, stamp: (u64, u64)) -> &'static str {
        let newest = self.stamps.entry(slot).or_default();
        match stamp >= *newest {
            true => {
                *newest = stamp;
                "ok"
            }
            false => "stale",
        }
    }
}

/// Where the origin is.
#[derive(Clone)]
pub struct Source<R: Runtime> {
    /// What it is reached on.
    pub runtime: R,
    /// `host:port`.
    pub address: String,
}

impl<R: Runtime> Source<R> {
    /// Shuts earlier owners of the slot out.
    ///
    /// # Errors
    /// If a later one has done so, or nobody knows.
    pub async fn fence(&self, slot: u32, token: Zxid) -> io::Result<()> {
        self.must(&format!("fence {slot} {}", token.0)).await
    }

    /// The value of a key; 0 if it has none.
    ///
    /// # Errors
    /// What the network says.
    pub async fn read(&self, key: &str) -> io::Result<u64> {
        let answer = self.ask(&format!("read {key}")).await?;
        answer
            .parse()
            .map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Writes, unless something newer was written.
    ///
    /// # Errors
    /// As [`Source::fence`].
    pub async fn write(
        &self,
        slot: u32,
        stamp: (Zxid, u64),
        key: &str,
        value: u64,
    ) -> io::Result<()> {
        let (token, count) = stamp;
        self.must(&format!("write {slot} {} {count} {key} {value}", token.0))
            .await
    }

    async fn must(&self, question: &str) -> io::Result<()> {
        match self.ask(question).await?.as_str() {
            "ok" => Ok(()),
            "stale" => Err(io::ErrorKind::PermissionDenied.into()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    async fn ask(&self, question: &str) -> io::Result<String> {
        lines::ask(&self.runtime, &self.address, question, PATIENCE).await
    }
}
