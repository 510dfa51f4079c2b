//! Who waits to be told about which znode.

use std::collections::BTreeMap;

use althing_core::code::Code;
use althing_core::ids::Zxid;
use althing_core::node::reply::{EventKind, Response, WatchEvent};
use althing_core::node::request::{Read, Request, SetWatches, Watching};
use althing_core::tree::path::Path;
use althing_core::watch::{WatchKind, WatchMode, Whichever};
use tokio::sync::oneshot;

use crate::config::{SET_WATCHES_BYTES_MAX, WATCHES_MAX};
use crate::error::ClientError;
use crate::persistent::{News, Staying};
use crate::session::command::Waiter;
use crate::watcher::WatchResult;

/// Fewer watches than this are not worth searching for those that nobody waits for any more.
const SWEEP_MIN: usize = 1024;

/// What one entry of a setWatches takes on the wire beside its text: the length.
const ENTRY_BYTES: usize = 4;

type Table = BTreeMap<Path, Vec<oneshot::Sender<WatchResult>>>;

type StayingTable = BTreeMap<Path, Vec<Staying>>;

/// The five tables of ZooKeeper's clients. A server keeps `data` and `exist` as one; the client
/// tells them apart because they are set again with different conditions.
#[derive(Debug)]
pub(crate) struct Watches {
    /// Left by reading data, and by `exists` on a znode that was there.
    data: Table,
    /// Left by `exists` on a znode that was not there.
    exist: Table,
    /// Left by listing children.
    child: Table,
    /// Added to a znode, to stay.
    persistent: StayingTable,
    /// Added to a znode and all below it, to stay.
    recursive: StayingTable,
    count: usize,
    sweep_at: usize,
}

impl Default for Watches {
    fn default() -> Watches {
        Watches {
            data: Table::new(),
            exist: Table::new(),
            child: Table::new(),
            persistent: StayingTable::new(),
            recursive: StayingTable::new(),
            count: 0,
            sweep_at: SWEEP_MIN,
        }
    }
}

impl Watches {
    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Notes the watch that `request` has left, if its outcome is one that leaves one.
    pub(crate) fn add(
        &mut self,
        request: &Request,
        outcome: Result<&Response, Code>,
        watch: Waiter,
    ) {
        match (request, watch) {
            (Request::Read(read), Waiter::Once(watch)) => self.add_once(read, outcome, watch),
            (Request::AddWatch { path, mode }, Waiter::Staying(watch)) if outcome.is_ok() => {
                let table = match mode {
                    WatchMode::Persistent => &mut self.persistent,
                    WatchMode::Recursive => &mut self.recursive,
                };
                table.entry(path.clone()).or_default().push(watch);
                self.count += 1;
            }
            _ => return,
        }
        if self.count >= self.sweep_at {
            self.sweep();
        }
    }

    fn add_once(
        &mut self,
        read: &Read,
        outcome: Result<&Response, Code>,
        watch: oneshot::Sender<WatchResult>,
    ) {
        let (table, path) = match (read, outcome) {
            (Read::Exists { path, watching }, Ok(_)) if left(*watching) => (&mut self.data, path),
            (Read::Exists { path, watching }, Err(Code::NoNode)) if left(*watching) => {
                (&mut self.exist, path)
            }
            (Read::GetData { path, watching }, Ok(_)) if left(*watching) => (&mut self.data, path),
            (Read::GetChildren { path, watching, .. }, Ok(_)) if left(*watching) => {
                (&mut self.child, path)
            }
            _ => return,
        };
        table.entry(path.clone()).or_default().push(watch);
        self.count += 1;
    }

    /// Tells everybody who waits for this.
    pub(crate) fn fire(&mut self, event: &WatchEvent) {
        let tables: &mut [&mut Table] = match event.kind {
            EventKind::NodeCreated | EventKind::NodeDataChanged => {
                &mut [&mut self.data, &mut self.exist]
            }
            EventKind::NodeDeleted => &mut [&mut self.data, &mut self.exist, &mut self.child],
            EventKind::NodeChildrenChanged => &mut [&mut self.child],
        };
        for table in tables {
            for watch in table.remove(&event.path).unwrap_or_default() {
                self.count -= 1;
                // An error means that the watcher was dropped: nobody wants to know.
                let _ = watch.send(Ok(event.clone()));
            }
        }
        let news = News::Event(event.clone());
        self.count -= tell_all(&mut self.persistent, &event.path, &news);
        if event.kind == EventKind::NodeChildrenChanged || self.recursive.is_empty() {
            return;
        }
        let mut next = Some(event.path.clone());
        while let Some(path) = next {
            self.count -= tell_all(&mut self.recursive, &path, &news);
            next = path.parent();
        }
    }

    /// Tells the watches that stay that they are set again on another connection.
    pub(crate) fn resumed(&mut self) {
        for table in [&mut self.persistent, &mut self.recursive] {
            let paths: Vec<Path> = table.keys().cloned().collect();
            for path in paths {
                self.count -= tell_all(table, &path, &News::Interrupted);
            }
        }
    }

    /// Forgets the watches of such kinds on exactly this path, as the server has.
    pub(crate) fn remove(&mut self, path: &Path, kinds: Whichever) {
        for (table, kind) in [
            (&mut self.data, WatchKind::Data),
            (&mut self.exist, WatchKind::Data),
            (&mut self.child, WatchKind::Child),
        ] {
            if kinds.means(kind) {
                for watch in table.remove(path).unwrap_or_default() {
                    self.count -= 1;
                    let _ = watch.send(Err(ClientError::WatchRemoved));
                }
            }
        }
        for (table, kind) in [
            (&mut self.persistent, WatchKind::Persistent),
            (&mut self.recursive, WatchKind::Recursive),
        ] {
            if kinds.means(kind) {
                for watch in table.remove(path).unwrap_or_default() {
                    self.count -= 1;
                    watch.end(ClientError::WatchRemoved);
                }
            }
        }
    }

    /// Tells everybody that nothing more will be told.
    pub(crate) fn fail(&mut self, error: &ClientError) {
        for table in [&mut self.data, &mut self.exist, &mut self.child] {
            for watch in std::mem::take(table).into_values().flatten() {
                let _ = watch.send(Err(error.clone()));
            }
        }
        for table in [&mut self.persistent, &mut self.recursive] {
            for watch in std::mem::take(table).into_values().flatten() {
                watch.end(error.clone());
            }
        }
        self.count = 0;
    }

    /// The requests that set all watches again on another connection.
    pub(crate) fn set_again(&mut self, relative_zxid: Zxid) -> Vec<SetWatches> {
        self.sweep();
        let mut batches = Batches::new(relative_zxid);
        for path in self.data.keys() {
            batches.room_for(path).data.push(path.clone());
        }
        for path in self.exist.keys() {
            batches.room_for(path).exist.push(path.clone());
        }
        for path in self.child.keys() {
            batches.room_for(path).child.push(path.clone());
        }
        for path in self.persistent.keys() {
            batches.room_for(path).persistent.push(path.clone());
        }
        for path in self.recursive.keys() {
            batches.room_for(path).recursive.push(path.clone());
        }
        batches.done
    }

    /// Forgets the watches whose watcher was dropped.
    fn sweep(&mut self) {
        self.count = 0;
        for table in [&mut self.data, &mut self.exist, &mut self.child] {
            table.retain(|_, watches| {
                watches.retain(|watch| !watch.is_closed());
                self.count += watches.len();
                !watches.is_empty()
            });
        }
        for table in [&mut self.persistent, &mut self.recursive] {
            table.retain(|_, watches| {
                watches.retain(|watch| !watch.is_forgotten());
                self.count += watches.len();
                !watches.is_empty()
            });
        }
        self.sweep_at = (self.count * 2).clamp(SWEEP_MIN, WATCHES_MAX.max(self.count + 1));
    }
}

/// Tells those who watch this path, and forgets who is not there to be told: how many?
fn tell_all(table: &mut StayingTable, path: &Path, news: &News) -> usize {
    let Some(watches) = table.get_mut(path) else {
        return 0;
    };
    let before = watches.len();
    watches.retain(|watch| watch.tell(news.clone()));
    let after = watches.len();
    if after == 0 {
        table.remove(path);
    }
    before - after
}

fn left(watching: Watching) -> bool {
    watching == Watching::Once
}

/// Splits watches into requests that a server takes.
struct Batches {
    relative_zxid: Zxid,
    done: Vec<SetWatches>,
    /// What the last of them takes.
    bytes: usize,
}

impl Batches {
    fn new(relative_zxid: Zxid) -> Batches {
        Batches {
            relative_zxid,
            done: Vec::new(),
            bytes: 0,
        }
    }

    fn room_for(&mut self, path: &Path) -> &mut SetWatches {
        let bytes = path.as_str().len() + ENTRY_BYTES;
        if self.done.is_empty() || self.bytes + bytes > SET_WATCHES_BYTES_MAX {
            self.bytes = 0;
            self.done.push(SetWatches {
                relative_zxid: self.relative_zxid,
                ..SetWatches::default()
            });
        }
        self.bytes += bytes;
        self.done.last_mut().expect("one was pushed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::WATCH_EVENTS_MAX;
    use crate::persistent::PersistentWatcher;
    use crate::watcher::Watcher;
    use althing_core::node::request::Listing;
    use althing_core::tree::stat::Stat;

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    fn exists(text: &str) -> Request {
        Request::Read(Read::Exists {
            path: path(text),
            watching: Watching::Once,
        })
    }

    fn children(text: &str) -> Request {
        Request::Read(Read::GetChildren {
            path: path(text),
            watching: Watching::Once,
            listing: Listing::NamesAndStat,
        })
    }

    fn event(kind: EventKind, text: &str) -> WatchEvent {
        WatchEvent {
            zxid: Zxid(7),
            kind,
            path: path(text),
        }
    }

    #[tokio::test]
    async fn each_event_reaches_its_tables() {
        let mut watches = Watches::default();
        let mut waiting = Vec::new();
        let there = Response::Exists(Stat::default());
        for (request, outcome) in [
            (exists("/a"), Ok(&there)),
            (exists("/gone"), Err(Code::NoNode)),
            (children("/a"), Ok(&there)),
            (children("/a"), Err(Code::NoNode)),
        ] {
            let (sender, watcher) = Watcher::new();
            watches.add(&request, outcome, Waiter::Once(sender));
            waiting.push(watcher);
        }
        assert_eq!(watches.count(), 3, "a listing that failed leaves no watch");
        let again = watches.set_again(Zxid(5));
        assert_eq!(
            again,
            [SetWatches {
                relative_zxid: Zxid(5),
                data: vec![path("/a")],
                exist: vec![path("/gone")],
                child: vec![path("/a")],
                ..SetWatches::default()
            }]
        );
        watches.fire(&event(EventKind::NodeChildrenChanged, "/a"));
        assert_eq!(watches.count(), 2, "the data's watch stays");
        watches.fire(&event(EventKind::NodeDeleted, "/a"));
        watches.fire(&event(EventKind::NodeCreated, "/gone"));
        assert_eq!(watches.count(), 0);
        let kinds: Vec<_> = [waiting.remove(0), waiting.remove(0), waiting.remove(0)]
            .into_iter()
            .map(|watcher| async { watcher.await.unwrap().kind })
            .collect();
        let mut told = Vec::new();
        for kind in kinds {
            told.push(kind.await);
        }
        assert_eq!(
            told,
            [
                EventKind::NodeDeleted,
                EventKind::NodeCreated,
                EventKind::NodeChildrenChanged
            ]
        );
    }

    #[test]
    fn what_is_set_again_comes_in_bounded_batches() {
        let mut watches = Watches::default();
        let there = Response::Exists(Stat::default());
        let mut waiting = Vec::new();
        for number in 0..400 {
            let (sender, watcher) = Watcher::new();
            let name = format!("/{number:01000}");
            watches.add(&exists(&name), Ok(&there), Waiter::Once(sender));
            if number < 300 {
                waiting.push(watcher);
            }
        }
        let batches = watches.set_again(Zxid(1));
        let sizes: Vec<usize> = batches.iter().map(|batch| batch.data.len()).collect();
        assert_eq!(sizes, [130, 130, 40], "130 x 1005 bytes fit into 128 KiB");
        assert_eq!(
            watches.count(),
            300,
            "what nobody waits for is not set again"
        );
    }

    #[tokio::test]
    async fn watches_that_stay_are_told_until_they_are_removed() {
        let mut watches = Watches::default();
        let add = |watches: &mut Watches, text: &str, mode| {
            let (staying, watcher) = PersistentWatcher::new();
            let path = path(text);
            let request = Request::AddWatch { path, mode };
            watches.add(&request, Ok(&Response::Added), Waiter::Staying(staying));
            watcher
        };
        let mut near = add(&mut watches, "/a", WatchMode::Persistent);
        let mut above = add(&mut watches, "/", WatchMode::Recursive);
        drop(add(&mut watches, "/a", WatchMode::Persistent));
        let set = event(EventKind::NodeDataChanged, "/a");
        let children = event(EventKind::NodeChildrenChanged, "/a");
        for event in [&set, &children, &set] {
            watches.fire(event);
        }
        assert_eq!(watches.count(), 2, "what was dropped is forgotten");
        for expected in [&set, &children, &set] {
            assert_eq!(near.next().await, Ok(News::Event(expected.clone())));
        }
        for _ in 0..2 {
            assert_eq!(above.next().await, Ok(News::Event(set.clone())));
        }
        let again = watches.set_again(Zxid(5));
        assert_eq!(again[0].persistent, [path("/a")]);
        assert_eq!(again[0].recursive, [path("/")]);
        watches.resumed();
        assert_eq!(near.next().await, Ok(News::Interrupted));
        watches.remove(&path("/a"), Whichever::Only(WatchKind::Persistent));
        assert_eq!(near.next().await, Err(ClientError::WatchRemoved));
        watches.fail(&ClientError::SessionExpired);
        assert_eq!(above.next().await, Ok(News::Interrupted));
        assert_eq!(above.next().await, Err(ClientError::SessionExpired));
    }

    #[tokio::test]
    async fn a_reader_that_is_far_behind_is_told_so() {
        let mut watches = Watches::default();
        let (staying, mut watcher) = PersistentWatcher::new();
        let (path, mode) = (path("/a"), WatchMode::Persistent);
        let request = Request::AddWatch { path, mode };
        watches.add(&request, Ok(&Response::Added), Waiter::Staying(staying));
        for _ in 0..=WATCH_EVENTS_MAX {
            watches.fire(&event(EventKind::NodeDataChanged, "/a"));
        }
        assert_eq!(watches.count(), 0);
        for _ in 0..WATCH_EVENTS_MAX {
            assert!(watcher.next().await.is_ok());
        }
        assert_eq!(watcher.next().await, Err(ClientError::TooManyEvents));
    }
}
