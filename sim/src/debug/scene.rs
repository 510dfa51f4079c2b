//! What was the case at one moment of a run, told from its history: servers, the tree, sessions,
//! who waits for what, and why a znode is as it is.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use althing_core::ids::{SessionId, Zxid};
use althing_core::node::event::Event;
use althing_core::store::txn::{Action, Txn};
use althing_core::tree::path::Path;

use crate::check::agreement::agreement;
use crate::check::findings::Findings;
use crate::check::log::{Agreed, Log};
use crate::history::{History, LinkId, Moment, Received, Sent, What};
use crate::plan::Plan;
use crate::quorums::Quorums;
use crate::reference::reference::Reference;
use crate::reference::tree::RefZnode;
use crate::telling::{clipped, operation, requested};

/// Characters of a znode's data that are shown.
const DATA_CHARS_MAX: usize = 60;

/// A run's history, and what was agreed in it.
pub struct Scene<'a> {
    history: &'a History,
    log: Log,
}

const TEXT: &str = "text can be written";

impl<'a> Scene<'a> {
    /// The scene of this run of `plan`.
    pub fn new(plan: &Plan, history: &'a History) -> Scene<'a> {
        // What is wrong with the run was told when it was judged.
        let mut told_already = Findings::default();
        let log = agreement::build(Quorums::of_plan(plan), history, &mut told_already);
        Scene { history, log }
    }

    fn before(&self, position: usize) -> &'a [Moment] {
        &self.history.moments[..position]
    }

    /// The state of every server, or of the one with this number.
    pub fn servers(&self, position: usize, only: Option<u8>) -> String {
        let mut servers: BTreeMap<u8, ServerState> = BTreeMap::new();
        for moment in self.before(position) {
            note(&mut servers, &moment.what);
        }
        servers.retain(|number, _| only.is_none_or(|only| only == *number));
        let mut text = String::new();
        for (number, state) in &servers {
            writeln!(text, "server-{number}: {}", state.told()).expect(TEXT);
        }
        match text.is_empty() {
            true => "there is no such server yet\n".to_owned(),
            false => text,
        }
    }

    /// How far a server has executed, or any of them if none is named.
    fn executed(&self, position: usize, server: Option<u8>) -> Zxid {
        let mut servers: BTreeMap<u8, ServerState> = BTreeMap::new();
        for moment in self.before(position) {
            note(&mut servers, &moment.what);
        }
        let wanted = servers
            .iter()
            .filter(|(number, _)| server.is_none_or(|it| it == **number));
        let furthest = wanted.map(|(_, state)| state.executed).max();
        furthest.unwrap_or(Zxid::ZERO)
    }

    fn agreed_up_to(&self, zxid: Zxid) -> impl Iterator<Item = &Agreed> {
        self.log
            .agreed
            .iter()
            .take_while(move |agreed| agreed.zxid <= zxid)
    }

    fn state(&self, zxid: Zxid) -> Reference {
        let mut state = Reference::new();
        for agreed in self.agreed_up_to(zxid) {
            state.apply(agreed.zxid, &agreed.txn);
        }
        state
    }

    /// The tree as this server has it, or as far as anybody has executed.
    pub fn tree(&self, position: usize, server: Option<u8>) -> String {
        let zxid = self.executed(position, server);
        let state = self.state(zxid);
        let mut text = format!("up to {zxid}:\n");
        let mut to_tell = Vec::from(["/".to_owned()]);
        while let Some(path) = to_tell.pop() {
            let znode = state.tree.get(&path).expect("a name leads to a znode");
            writeln!(text, "  {path} {}", describe(znode)).expect(TEXT);
            let below = path.trim_end_matches('/');
            let names = state.tree.names(&path);
            to_tell.extend(names.iter().rev().map(|name| format!("{below}/{name}")));
        }
        text
    }

    /// The sessions that are open, as far as anybody has executed, with their clients.
    pub fn sessions(&self, position: usize) -> String {
        let zxid = self.executed(position, None);
        let clients = self.clients(position);
        let state = self.state(zxid);
        let mut text = format!("up to {zxid}: {} sessions\n", state.sessions.len());
        for (id, session) in &state.sessions {
            let client = clients.get(id).map_or("nobody that was told", |name| name);
            let (timeout, writes) = (session.timeout_ms, session.sequence);
            writeln!(
                text,
                "  {id} of {client}: {timeout} ms, attachment {:?}, {writes} writes",
                session.attachment
            )
            .expect(TEXT);
        }
        text
    }

    fn clients(&self, position: usize) -> BTreeMap<SessionId, &'a str> {
        let connected = |moment: &'a Moment| match &moment.what {
            What::Received {
                client,
                frame: Received::Connected(response),
                ..
            } => Some((response.session?, &**client)),
            _ => None,
        };
        self.before(position).iter().filter_map(connected).collect()
    }

    /// What clients have asked and have no answer to, each with since when.
    pub fn waits(&self, position: usize) -> String {
        let mut open: BTreeMap<LinkId, VecDeque<(Duration, &str, String)>> = BTreeMap::new();
        for Moment { at, what } in self.before(position) {
            match what {
                What::Sent {
                    client,
                    link,
                    frame,
                } => {
                    let asked = match frame {
                        Sent::Connect(_) => "a session".to_owned(),
                        Sent::Request { request, .. } => requested(request),
                    };
                    open.entry(*link)
                        .or_default()
                        .push_back((*at, client, asked));
                }
                What::Received { link, frame, .. } => {
                    let answered = match frame {
                        Received::Connected(_) => true,
                        Received::Reply { request, .. } => request.is_some(),
                        Received::Garbage(_) => false,
                    };
                    if answered && let Some(open) = open.get_mut(link) {
                        open.pop_front();
                    }
                }
                What::LinkEnded { link, .. } => drop(open.remove(link)),
                _ => {}
            }
        }
        let mut text = String::new();
        for (link, asked) in open {
            for (since, client, what) in asked {
                let since = since.as_secs_f64();
                writeln!(
                    text,
                    "  {client} on link {}: {what}, since {since:.3}s",
                    link.0
                )
                .expect(TEXT);
            }
        }
        match text.is_empty() {
            true => "nobody waits for anything\n".to_owned(),
            false => text,
        }
    }

    /// Every transaction that made the znode what it is: what it was, whose, and when.
    pub fn why(&self, position: usize, path: &Path) -> String {
        let zxid = self.executed(position, None);
        let clients = self.clients(position);
        let mut state = Reference::new();
        let mut text = String::new();
        for agreed in self.agreed_up_to(zxid) {
            let before = state.tree.get(path.as_str()).map(describe);
            state.apply(agreed.zxid, &agreed.txn);
            let after = state.tree.get(path.as_str()).map(describe);
            if before == after {
                continue;
            }
            let whose = agreed.txn.origin.map(|origin| origin.session);
            let whose = match whose {
                Some(session) => clients.get(&session).map_or("somebody", |name| name),
                None => "the servers",
            };
            let at = agreed.executed_at.as_secs_f64();
            let done = done(&agreed.txn, path);
            let now = after.unwrap_or_else(|| "is gone".to_owned());
            writeln!(
                text,
                "  {} at {at:.3}s, {whose}: {done} -> {now}",
                agreed.zxid
            )
            .expect(TEXT);
        }
        match text.is_empty() {
            true => format!("nothing that was executed up to {zxid} has touched {path}\n"),
            false => text,
        }
    }
}

/// What is known of one server.
#[derive(Default)]
struct ServerState {
    life: u32,
    runs: bool,
    part: String,
    saved: Zxid,
    durable: Zxid,
    executed: Zxid,
    last_word: String,
}

impl ServerState {
    fn told(&self) -> String {
        let (life, part) = (self.life, &self.part);
        let runs = if self.runs { "runs" } else { "is down" };
        let (saved, durable, executed) = (self.saved, self.durable, self.executed);
        let mut told = format!("{runs}, life {life}, {part}; ");
        told.push_str(&format!(
            "saved {saved}, durable {durable}, executed {executed}"
        ));
        if !self.last_word.is_empty() {
            told.push_str(&format!("; last {}", self.last_word));
        }
        told
    }
}

fn note(servers: &mut BTreeMap<u8, ServerState>, what: &What) {
    let mut of = |server: &althing_core::ids::ServerId, change: &dyn Fn(&mut ServerState)| {
        change(servers.entry(server.0).or_default());
    };
    match what {
        What::Started { server, life } => of(server, &|state| {
            (state.life, state.runs) = (*life, true);
            state.part = "has no part yet".to_owned();
            state.executed = Zxid::ZERO;
        }),
        What::Recovered {
            server,
            snapshot,
            entries,
            ..
        } => of(server, &|state| {
            let last = entries.last().map_or(*snapshot, |entry| entry.zxid);
            (state.saved, state.durable, state.executed) = (last, last, *snapshot);
        }),
        What::Stopped { server, .. } | What::Killed { server } => of(server, &|state| {
            state.runs = false;
            state.part = "plays no part".to_owned();
        }),
        What::DiskLost { server } => of(server, &|state| {
            (state.saved, state.durable) = (Zxid::ZERO, Zxid::ZERO);
        }),
        What::Saving { server, zxid, .. } => of(server, &|state| state.saved = *zxid),
        What::Cut { server, after } => of(server, &|state| state.saved = *after),
        What::Durable { server, zxid } => of(server, &|state| state.durable = *zxid),
        What::Said { server, event } => of(server, &|state| heard(state, event)),
        _ => {}
    }
}

fn heard(state: &mut ServerState, event: &Event) {
    match event {
        Event::Executed { zxid, .. } => {
            state.executed = *zxid;
            return;
        }
        Event::Elected { epoch, .. } => state.part = format!("leads epoch {epoch}"),
        Event::Followed { epoch, leader } => {
            state.part = format!("follows server-{leader} in epoch {epoch}");
        }
        Event::Deposed { epoch } => state.part = format!("led epoch {epoch} and no more"),
        Event::Campaigned { epoch } => state.part = format!("campaigns for epoch {epoch}"),
        _ => {}
    }
    state.last_word = event.name().to_owned();
}

fn describe(znode: &RefZnode) -> String {
    let data = match &znode.data {
        Some(data) => {
            let text = String::from_utf8_lossy(data).into_owned();
            format!("{:?}", clipped(&text, DATA_CHARS_MAX))
        }
        None => "null".to_owned(),
    };
    let (version, children) = (znode.version, znode.children);
    let mut text = format!(
        "{data} version {version}, {children} children, of {}",
        znode.czxid
    );
    text.push_str(&format!(", set by {}", znode.mzxid));
    if let Some(owner) = znode.owner {
        text.push_str(&format!(", ephemeral of {owner}"));
    }
    text
}

/// What a transaction did, as far as it concerns a path.
fn done(txn: &Arc<Txn>, path: &Path) -> String {
    match &txn.action {
        Action::Write(op) => operation(op),
        Action::Multi(ops) => {
            let told = ops.iter().map(operation);
            let about = told.filter(|told| told.contains(path.as_str()));
            format!("multi: {}", about.collect::<Vec<_>>().join(", "))
        }
        Action::CloseSession { session, .. } => format!("the end of session {session}"),
        other => format!("{other:?}"),
    }
}
