//! Following a znode and everything below it.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use althing_core::code::Code;
use althing_core::tree::path::Path;

use crate::client::Client;
use crate::config::SUBTREE_ZNODES_MAX;
use crate::error::ClientError;
use crate::recipes::cached::copy::Copy;
use crate::recipes::cached::subject::{Subject, absent};
use crate::runtime::Runtime;
use crate::watcher::Watcher;
use crate::znode::Znode;

type Znodes = BTreeMap<Path, Znode>;

/// What of a znode is watched. Its data is read first, so that a znode is known before its
/// children are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Aspect {
    Data,
    Children,
}

pub(crate) struct SubtreeAt(pub(crate) Path);

impl Subject for SubtreeAt {
    type Value = Znodes;

    async fn follow<R: Runtime>(
        &self,
        client: &Client<R>,
        copy: &mut Copy<Znodes>,
    ) -> Result<Infallible, ClientError> {
        let mut mirror = Mirror {
            client,
            root: &self.0,
            znodes: Znodes::new(),
            watches: BTreeMap::new(),
            due: BTreeSet::from([(self.0.clone(), Aspect::Data)]),
        };
        loop {
            while let Some((path, aspect)) = mirror.due.pop_first() {
                match aspect {
                    Aspect::Data => mirror.read_data(&path, copy).await?,
                    Aspect::Children => mirror.read_children(&path, copy).await?,
                }
            }
            copy.publish(mirror.znodes.clone());
            mirror.told().await?;
        }
    }
}

/// The copy of one session.
struct Mirror<'a, R: Runtime> {
    client: &'a Client<R>,
    root: &'a Path,
    znodes: Znodes,
    watches: BTreeMap<(Path, Aspect), Watcher>,
    /// What is to be read.
    due: BTreeSet<(Path, Aspect)>,
}

impl<R: Runtime> Mirror<'_, R> {
    async fn read_data(&mut self, path: &Path, copy: &Copy<Znodes>) -> Result<(), ClientError> {
        copy.count_read();
        match self.client.watch_data(path.as_str()).await {
            Ok((znode, watcher)) => {
                self.watches.insert((path.clone(), Aspect::Data), watcher);
                if self.znodes.insert(path.clone(), znode).is_none() {
                    self.due.insert((path.clone(), Aspect::Children));
                }
                match self.znodes.len() > SUBTREE_ZNODES_MAX {
                    true => Err(ClientError::SubtreeTooLarge {
                        znodes_max: SUBTREE_ZNODES_MAX,
                    }),
                    false => Ok(()),
                }
            }
            Err(error) => self.unread(path, Aspect::Data, copy, error).await,
        }
    }

    async fn read_children(&mut self, path: &Path, copy: &Copy<Znodes>) -> Result<(), ClientError> {
        copy.count_read();
        match self.client.watch_children(path.as_str()).await {
            Ok((children, watcher)) => {
                self.watches
                    .insert((path.clone(), Aspect::Children), watcher);
                let mut present = BTreeSet::new();
                for name in &children.names {
                    // A server that lists what is no name would be a broken one.
                    let child = path.child(name).map_err(|why| ClientError::BadPath {
                        path: name.to_string(),
                        why,
                    })?;
                    present.insert(child);
                }
                for child in self.children_of(path) {
                    if !present.contains(&child) {
                        self.forget(&child);
                    }
                }
                let known = &self.znodes;
                let new = present
                    .into_iter()
                    .filter(|child| !known.contains_key(child));
                self.due.extend(new.map(|child| (child, Aspect::Data)));
                Ok(())
            }
            Err(error) => self.unread(path, Aspect::Children, copy, error).await,
        }
    }

    /// Deals with a read that failed.
    async fn unread(
        &mut self,
        path: &Path,
        aspect: Aspect,
        copy: &Copy<Znodes>,
        error: ClientError,
    ) -> Result<(), ClientError> {
        if error == ClientError::Server(Code::NoNode) {
            self.forget(path);
            if path != self.root {
                // Its parent's watch tells when it comes back.
                return Ok(());
            }
        }
        match absent(self.client, path, copy, error).await? {
            Some(watcher) => {
                self.watches.insert((path.clone(), Aspect::Data), watcher);
            }
            None if path == self.root && self.znodes.is_empty() => {
                self.due.insert((path.clone(), Aspect::Data));
            }
            None => {
                self.due.insert((path.clone(), aspect));
            }
        }
        Ok(())
    }

    /// Waits until at least one watch has fired, and notes what is to be read again.
    async fn told(&mut self) -> Result<(), ClientError> {
        let Mirror { watches, due, .. } = self;
        poll_fn(|context| {
            let mut failure = None;
            watches.retain(|key, watcher| match Pin::new(watcher).poll(context) {
                Poll::Pending => true,
                Poll::Ready(Ok(_)) => {
                    due.insert(key.clone());
                    false
                }
                Poll::Ready(Err(error)) => {
                    failure = Some(error);
                    false
                }
            });
            match failure {
                Some(error) => Poll::Ready(Err(error)),
                None if due.is_empty() => Poll::Pending,
                None => Poll::Ready(Ok(())),
            }
        })
        .await
    }

    /// The znodes right below `path` that are known.
    fn children_of(&self, path: &Path) -> Vec<Path> {
        let known = self.znodes.range(path.clone()..);
        known
            .map(|(known, _)| known)
            .take_while(|known| known.as_str().starts_with(path.as_str()))
            .filter(|known| known.parent_str() == Some(path.as_str()))
            .cloned()
            .collect()
    }

    /// Forgets a znode and everything below it.
    fn forget(&mut self, path: &Path) {
        let gone: Vec<Path> = self
            .znodes
            .range(path.clone()..)
            .map(|(known, _)| known)
            .take_while(|known| known.as_str().starts_with(path.as_str()))
            .filter(|known| is_within(known, path))
            .cloned()
            .collect();
        for path in gone {
            self.znodes.remove(&path);
            for aspect in [Aspect::Data, Aspect::Children] {
                let key = (path.clone(), aspect);
                self.watches.remove(&key);
                self.due.remove(&key);
            }
        }
    }
}

/// Is `path` the znode `top` or below it?
fn is_within(path: &Path, top: &Path) -> bool {
    top.is_root()
        || path
            .as_str()
            .strip_prefix(top.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
