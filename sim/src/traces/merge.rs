//! Many traces of one run, put into one history in true order: all clocks are that of one machine.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use althing::trace::line::{Did, Header as ServerHeader, Line as ServerLine};
use althing_core::ids::{ServerId, Zxid};
use althing_core::store::txn::Txn;
use althing_core::voters::Voters;
use thiserror::Error;

use crate::history::{History, LinkId, Moment, Violation, What};
use crate::traces::file::{
    self, ClientDid, ClientHeader, ClientLine, Life, Lives, Placed, Trace, Unreadable,
};
use crate::world::tap::{Book, Tap};

/// Why traces make no history together.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Unmergeable {
    /// Their hours cannot be compared.
    #[error(
        "{one} and {other} are of two machines, or of two boots of one: their clocks cannot be compared"
    )]
    Boots {
        /// A file.
        one: String,
        /// Another.
        other: String,
    },
    /// Nothing is known of the servers.
    #[error("there is no trace of a server")]
    NoServer,
    /// Two files tell of the same.
    #[error("{one} and {other} are both of {who}")]
    Twice {
        /// A file.
        one: String,
        /// Another.
        other: String,
        /// Of whom.
        who: String,
    },
    /// The servers were told different ticks.
    #[error("the servers have different ticks: {0} ms and {1} ms")]
    Ticks(u64, u64),
    /// A line stands for nothing.
    #[error("{file}:{line}: {message}")]
    Line {
        /// Of which file.
        file: String,
        /// Which.
        line: usize,
        /// Why.
        message: String,
    },
    /// A client was connected to somebody else.
    #[error("{file}:{line}: no server that is traced serves at {server}")]
    NobodyThere {
        /// The client's file.
        file: String,
        /// Which line.
        line: usize,
        /// Where it was connected to.
        server: SocketAddr,
    },
    /// What was before the traces is not known.
    #[error(
        "server {server} had data up to {zxid} when its trace began: trace from an empty data directory on"
    )]
    BeginsLate {
        /// Which.
        server: ServerId,
        /// What it had.
        zxid: Zxid,
    },
    /// A member of the ensemble has no trace.
    #[error("server {server} votes, and there is no trace of it: what a quorum has is not known")]
    Untraced {
        /// Which.
        server: ServerId,
    },
}

/// One run, as its traces tell it.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// Everything, in true order, from the first line on.
    pub history: History,
    /// The rules that single frames break: what no server should send.
    pub violations: Vec<Violation>,
    /// The servers that founded the ensemble.
    pub founders: Voters,
    /// The servers' tick.
    pub tick: Duration,
    /// How many servers and clients were traced.
    pub servers: usize,
    /// How many clients.
    pub clients: usize,
}

/// Why files could not be read as traces of one run.
#[derive(Debug, Error)]
pub enum Unread {
    /// A file is no trace.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Together they are no run.
    #[error(transparent)]
    Unmergeable(#[from] Unmergeable),
}

/// Reads traces and puts them together.
///
/// # Errors
/// If a file is no trace, or together they are no run.
pub fn read(files: &[PathBuf]) -> Result<Merged, Unread> {
    let traces: Result<Vec<Trace>, Unreadable> =
        files.iter().map(|file| file::read(file)).collect();
    Ok(merge(&traces?)?)
}

/// Puts the traces together.
///
/// # Errors
/// If they are not of one run on one machine, or tell too little to be judged.
pub fn merge(traces: &[Trace]) -> Result<Merged, Unmergeable> {
    let origin = origin(traces)?;
    let mut merging = Merging {
        origin,
        moments: Vec::new(),
        violations: Vec::new(),
        links: 0,
    };
    let servers = servers(traces)?;
    for (server, (file, lives)) in &servers {
        merging.server(*server, file, lives)?;
    }
    let addresses: Vec<(SocketAddr, ServerId)> = servers
        .iter()
        .flat_map(|(server, (_, lives))| lives.iter().map(|life| (*server, life)))
        .filter_map(|(server, life)| Some((life.header.clients.parse().ok()?, server)))
        .collect();
    let clients = clients(traces)?;
    for (client, (file, lives)) in &clients {
        merging.client(client, file, lives, &addresses)?;
    }
    // Stable: what one file tells of one nanosecond stays in its order.
    merging.moments.sort_by_key(|moment| moment.at);
    let history = History {
        moments: merging.moments,
    };
    Ok(Merged {
        founders: founders(&history, servers.keys().copied().collect())?,
        tick: tick(&servers)?,
        servers: servers.len(),
        clients: clients.len(),
        history,
        violations: merging.violations,
    })
}

type ServerLife = Life<ServerHeader, ServerLine>;
type ClientLife = Life<ClientHeader, ClientLine>;

fn shown(file: &Path) -> String {
    file.display().to_string()
}

/// The hour of the first line; all must be of one clock.
fn origin(traces: &[Trace]) -> Result<u64, Unmergeable> {
    let mut origin = u64::MAX;
    let mut known: Option<(&str, &Path)> = None;
    for trace in traces {
        let headers: Vec<(u64, &str)> = match &trace.lives {
            Lives::Server(lives) => lives
                .iter()
                .map(|life| (life.header.at, &life.header.boot[..]))
                .collect(),
            Lives::Client(lives) => lives
                .iter()
                .map(|life| (life.header.at, &life.header.boot[..]))
                .collect(),
        };
        for (at, boot) in headers {
            origin = origin.min(at);
            let (of, file) = *known.get_or_insert((boot, &trace.file));
            if of != boot {
                return Err(Unmergeable::Boots {
                    one: shown(file),
                    other: shown(&trace.file),
                });
            }
        }
    }
    Ok(origin)
}

type ByServer<'a> = BTreeMap<ServerId, (&'a Path, &'a [ServerLife])>;

fn servers(traces: &[Trace]) -> Result<ByServer<'_>, Unmergeable> {
    let mut servers = ByServer::new();
    for trace in traces {
        let Lives::Server(lives) = &trace.lives else {
            continue;
        };
        for life in lives {
            let server = ServerId(life.header.server);
            let before = servers.insert(server, (&trace.file, lives));
            if let Some((file, _)) = before.filter(|(file, _)| *file != trace.file) {
                return Err(Unmergeable::Twice {
                    one: shown(file),
                    other: shown(&trace.file),
                    who: format!("server {server}"),
                });
            }
        }
    }
    match servers.is_empty() {
        true => Err(Unmergeable::NoServer),
        false => Ok(servers),
    }
}

type ByClient<'a> = BTreeMap<Arc<str>, (&'a Path, &'a [ClientLife])>;

fn clients(traces: &[Trace]) -> Result<ByClient<'_>, Unmergeable> {
    let mut clients = ByClient::new();
    for trace in traces {
        let Lives::Client(lives) = &trace.lives else {
            continue;
        };
        for life in lives {
            let client: Arc<str> = Arc::from(&life.header.client[..]);
            let before = clients.insert(client.clone(), (&trace.file, lives));
            if let Some((file, _)) = before.filter(|(file, _)| *file != trace.file) {
                return Err(Unmergeable::Twice {
                    one: shown(file),
                    other: shown(&trace.file),
                    who: format!("client {client}"),
                });
            }
        }
    }
    Ok(clients)
}

fn tick(servers: &ByServer<'_>) -> Result<Duration, Unmergeable> {
    let lives = servers.values().flat_map(|(_, lives)| lives.iter());
    let mut ticks = lives.map(|life| life.header.tick_ms);
    let first = ticks.next().expect("there is a server");
    match ticks.find(|tick| *tick != first) {
        Some(other) => Err(Unmergeable::Ticks(first, other)),
        None => Ok(Duration::from_millis(first)),
    }
}

/// Who voted first; every server that ever votes must be traced.
fn founders(history: &History, traced: BTreeSet<ServerId>) -> Result<Voters, Unmergeable> {
    let mut founders = None;
    let mut look = |txn: &Txn| {
        let Some(membership) = txn.action.membership() else {
            return Ok(());
        };
        let incoming = membership.incoming.iter().flat_map(Voters::iter);
        let mut voters = membership.voters.iter().chain(incoming);
        if let Some(server) = voters.find(|server| !traced.contains(server)) {
            return Err(Unmergeable::Untraced { server: *server });
        }
        founders.get_or_insert_with(|| membership.voters.clone());
        Ok(())
    };
    for moment in &history.moments {
        match &moment.what {
            What::Saving { txn, .. } => look(txn)?,
            What::Recovered { entries, .. } => {
                entries.iter().try_for_each(|entry| look(&entry.txn))?;
            }
            _ => {}
        }
    }
    // Without a single transaction nobody has founded anything.
    Ok(founders.unwrap_or_else(|| Voters::from(traced)))
}

struct Merging {
    origin: u64,
    moments: Vec<Moment>,
    violations: Vec<Violation>,
    links: u64,
}

impl Merging {
    fn hour(&self, at: u64) -> Duration {
        Duration::from_nanos(at - self.origin)
    }

    fn add(&mut self, at: u64, what: What) {
        let at = self.hour(at);
        self.moments.push(Moment { at, what });
    }

    fn server(
        &mut self,
        server: ServerId,
        file: &Path,
        lives: &[ServerLife],
    ) -> Result<(), Unmergeable> {
        for (life, told) in (1..).zip(lives) {
            self.add(told.header.at, What::Started { server, life });
            let mut end = None;
            for Placed { number, line } in &told.lines {
                if line.did == Did::Stopped {
                    end = Some(What::Stopped {
                        server,
                        why: "as it was told to".to_owned(),
                    });
                    break;
                }
                let deed = line.did.deed().map_err(|error| Unmergeable::Line {
                    file: shown(file),
                    line: *number,
                    message: error.to_string(),
                })?;
                let what = What::done(server, deed);
                if let (1, What::Recovered { snapshot, .. }) = (life, &what)
                    && *snapshot > Zxid::ZERO
                {
                    let zxid = *snapshot;
                    return Err(Unmergeable::BeginsLate { server, zxid });
                }
                self.add(line.at, what);
            }
            let last = told
                .lines
                .last()
                .map_or(told.header.at, |last| last.line.at);
            self.add(last, end.unwrap_or(What::Killed { server }));
        }
        Ok(())
    }

    fn client(
        &mut self,
        client: &Arc<str>,
        file: &Path,
        lives: &[ClientLife],
        servers: &[(SocketAddr, ServerId)],
    ) -> Result<(), Unmergeable> {
        for life in lives {
            let mut taps: BTreeMap<u64, Tap<Notes>> = BTreeMap::new();
            let notes = Notes::default();
            for Placed { number, line } in &life.lines {
                notes.0.borrow_mut().at = self.hour(line.at);
                let nothing_open = || Unmergeable::Line {
                    file: shown(file),
                    line: *number,
                    message: format!("link {} was not opened", line.link),
                };
                match &line.did {
                    ClientDid::Opened { server, from } => {
                        let at = serves_at(servers, *server).ok_or(Unmergeable::NobodyThere {
                            file: shown(file),
                            line: *number,
                            server: *server,
                        })?;
                        taps.insert(line.link, self.open(client, &notes, at, *from));
                    }
                    ClientDid::Sent { bytes } => {
                        let tap = taps.get_mut(&line.link);
                        tap.ok_or_else(nothing_open)?.wrote(&bytes.0);
                    }
                    ClientDid::Received { bytes } => {
                        let tap = taps.get_mut(&line.link);
                        tap.ok_or_else(nothing_open)?.read(&bytes.0);
                    }
                    ClientDid::Ended => {
                        let tap = taps.get_mut(&line.link);
                        tap.ok_or_else(nothing_open)?.ended();
                    }
                }
            }
            // What a killed client had open ended with it.
            taps.values_mut().for_each(Tap::ended);
            let mut notes = notes.0.borrow_mut();
            self.moments.append(&mut notes.moments);
            self.violations.append(&mut notes.violations);
        }
        Ok(())
    }

    fn open(
        &mut self,
        client: &Arc<str>,
        notes: &Notes,
        server: ServerId,
        address: IpAddr,
    ) -> Tap<Notes> {
        self.links += 1;
        let link = LinkId(self.links);
        notes.record(What::LinkOpened {
            client: client.clone(),
            link,
            server,
            address,
        });
        Tap::new(notes.clone(), client.clone(), link)
    }
}

/// Who serves at an address. A server that listens everywhere is known by its port.
fn serves_at(servers: &[(SocketAddr, ServerId)], address: SocketAddr) -> Option<ServerId> {
    let exactly = |(known, _): &&(SocketAddr, ServerId)| *known == address;
    let everywhere = |(known, _): &&(SocketAddr, ServerId)| {
        known.ip().is_unspecified() && known.port() == address.port()
    };
    let found = servers.iter().find(exactly);
    let found = found.or_else(|| servers.iter().find(everywhere));
    found.map(|(_, server)| *server)
}

#[derive(Default)]
struct Written {
    at: Duration,
    moments: Vec<Moment>,
    violations: Vec<Violation>,
}

/// What the taps of one client's life write into.
#[derive(Clone, Default)]
struct Notes(Rc<RefCell<Written>>);

impl Book for Notes {
    fn record(&self, what: What) {
        let mut written = self.0.borrow_mut();
        let at = written.at;
        written.moments.push(Moment { at, what });
    }

    fn record_frame(&self, what: What, _: &[u8]) {
        self.record(what);
    }

    fn violate(&self, invariant: &'static str, detail: String) {
        let mut written = self.0.borrow_mut();
        let at = written.at;
        written.violations.push(Violation {
            invariant,
            at,
            detail,
            session: None,
        });
    }
}
