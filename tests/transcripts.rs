//! Stories of one node, as text: what happens to it, and everything that it does about it.
//!
//! Each file of `tests/transcripts/` is a story. Lines that begin with `> ` are commands; the lines
//! after a command are what the node did, and are compared to the letter. With
//! `ALTHING_REWRITE=1 cargo test -p althing-tests --test transcripts` they are written anew, so
//! that a change of the protocol is reviewed as a diff of stories.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use althing_core::config::Config;
use althing_core::ids::{ConnectionId, Password, ServerId, SessionId, Ticket, Xid, Zxid};
use althing_core::node::effect::{Effect, Outbox};
use althing_core::node::event::Event;
use althing_core::node::input::{Input, Timer};
use althing_core::node::node::{Node, Recovered};
use althing_core::node::reply::{PartRead, Reply, Response};
use althing_core::node::request::{
    ConnectRequest, Listing, Read, ReadPart, Request, SetWatches, Watching,
};
use althing_core::prng::Seed;
use althing_core::quorum::log::Record;
use althing_core::time::{Instant, Now, WallTime};
use althing_core::tree::acl::{Acl, Perms};
use althing_core::tree::data::Data;
use althing_core::tree::op::{ANY_VERSION, Create, Done, Lifetime, Naming, Op, Telling};
use althing_core::tree::owner::Ttl;
use althing_core::tree::path::{Path, Place};
use althing_core::watch::{WatchKind, WatchMode, Whichever};

/// A node with its surroundings: a clock, a disk that holds what was saved, and the passwords that
/// its clients were told.
struct Stage {
    node: Node,
    clock: Duration,
    lives: u8,
    waiting: VecDeque<(Ticket, Record)>,
    disk: Vec<Record>,
    passwords: Vec<(SessionId, Password)>,
    out: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    Saved,
    Refused,
}

impl Stage {
    fn new() -> Stage {
        let (waiting, disk) = (VecDeque::new(), Vec::new());
        Stage {
            node: node(Recovered::default(), 1),
            clock: Duration::ZERO,
            lives: 1,
            waiting,
            disk,
            passwords: Vec::new(),
            out: String::new(),
        }
    }

    fn now(&self) -> Now {
        let millis = i64::try_from(self.clock.as_millis()).expect("a short story");
        Now {
            clock: Instant::ORIGIN.after(self.clock),
            wall: WallTime(millis),
        }
    }

    fn step(&mut self, input: Input) {
        let mut out = Outbox::new();
        self.node.step(self.now(), input, &mut out);
        self.node.check();
        for effect in out.effects {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        let line = match effect {
            Effect::Reply { connection, reply } => self.reply(connection, reply),
            Effect::Close { connection } => format!("{connection} is closed"),
            Effect::Save { ticket, record } => {
                let line = format!("save {}: {}", ticket.number, record_line(&record));
                self.waiting.push_back((ticket, record));
                line
            }
            Effect::MakeSnapshot { store } => format!("make a snapshot at {}", store.applied()),
            Effect::Send { .. } | Effect::ReadChunk { .. } | Effect::TakeChunk { .. } => {
                unreachable!("a server alone has nobody to talk to")
            }
            Effect::Note(event) => match event {
                Event::Executed { .. } | Event::Touched { .. } | Event::WatchLeft { .. } => return,
                Event::WatchFired { .. } => return,
                event => format!("note {event:?}"),
            },
        };
        writeln!(self.out, "{line}").expect("memory");
    }

    fn reply(&mut self, connection: ConnectionId, reply: Reply) -> String {
        match reply {
            Reply::Connected(response) => match response.session {
                Some(session) => {
                    self.passwords.push((session, response.password));
                    format!(
                        "{connection} has session {session}, {} ms",
                        response.timeout_ms
                    )
                }
                None => format!("{connection} is told that its session has expired"),
            },
            Reply::Event(event) => {
                format!(
                    "{connection} @{} event {:?} {}",
                    event.zxid, event.kind, event.path
                )
            }
            Reply::Answer { xid, zxid, result } => {
                let text = match result {
                    Ok(response) => response_line(&response),
                    Err(code) => format!("{code}"),
                };
                format!("{connection} #{} @{zxid} {text}", xid.0)
            }
        }
    }

    /// Answers the oldest `count` saves.
    fn answer(&mut self, count: usize, answers: Answers) {
        for _ in 0..count {
            let Some((ticket, record)) = self.waiting.pop_front() else {
                return;
            };
            match answers {
                Answers::Saved => {
                    self.disk.push(record);
                    self.step(Input::Saved(ticket));
                }
                Answers::Refused => self.step(Input::Refused(ticket)),
            }
        }
    }

    fn due(&self) -> Option<(Instant, Timer)> {
        let now = self.now().clock;
        self.node.armed().filter(|(at, _)| *at <= now).min()
    }

    /// Lets time pass and fires each timer at its hour.
    fn wait(&mut self, duration: Duration) {
        let end = self.clock + duration;
        while let Some((at, timer)) = self.node.armed().min() {
            let at = Duration::from_nanos(at.0).max(self.clock);
            if at > end {
                break;
            }
            self.clock = at;
            if timer != Timer::Tick {
                writeln!(self.out, "{:?} {timer:?}", self.clock).expect("memory");
            }
            self.step(Input::Timeout(timer));
        }
        self.clock = end;
    }

    fn command(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let verb = words.next().expect("a command");
        let rest: Vec<&str> = words.collect();
        match verb {
            "timers" => {
                while let Some((_, timer)) = self.due() {
                    self.step(Input::Timeout(timer));
                }
            }
            "saved" | "refused" => {
                let count = rest
                    .first()
                    .map_or(usize::MAX, |n| n.parse().expect("a count"));
                let answers = if verb == "saved" {
                    Answers::Saved
                } else {
                    Answers::Refused
                };
                self.answer(count.min(1000), answers);
            }
            "wait" => self.wait(humantime(rest[0])),
            "pause" => {
                self.clock += humantime(rest[0]);
                if let Some((_, timer)) = self.due() {
                    self.step(Input::Timeout(timer));
                }
            }
            "crash" => self.crash(),
            "opened" => self.opened(&rest),
            "closed" => self.step(Input::Closed {
                connection: connection(rest[0]),
            }),
            "snapshot-made" => {
                self.step(Input::SnapshotMade {
                    zxid: self.node.store().applied(),
                });
            }
            _ => self.asked(connection(verb), line),
        }
    }

    /// The process dies; what was saved is there when it starts again.
    fn crash(&mut self) {
        self.lives += 1;
        let mut recovered = Recovered::default();
        for record in &self.disk {
            match record {
                Record::Ballot(ballot) => recovered.ballot = *ballot,
                Record::Entry(entry) => recovered.entries.push(entry.clone()),
                Record::Cut(after) => recovered.entries.retain(|entry| entry.zxid <= *after),
            }
        }
        self.waiting.clear();
        self.node = node(recovered, self.lives);
    }

    fn opened(&mut self, words: &[&str]) {
        let mut request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout_ms: 10_000,
            session: None,
            password: Password::NONE,
            read_only: Some(false),
        };
        for word in &words[1..] {
            let (key, value) = word.split_once('=').expect("key=value");
            match key {
                "timeout" => {
                    let millis = humantime(value).as_millis();
                    request.timeout_ms = i32::try_from(millis).expect("a time-out");
                }
                "seen" => request.last_zxid_seen = zxid(value),
                "session" => {
                    let (session, password) = self.passwords[number(value)];
                    request.session = Some(session);
                    request.password = password;
                }
                "password" => request.password = Password([7; 16]),
                other => panic!("unknown key {other}"),
            }
        }
        let address = "127.0.0.1".parse().expect("an address");
        self.step(Input::Opened {
            connection: connection(words[0]),
            address,
            certified: None,
            request,
        });
    }

    fn asked(&mut self, connection: ConnectionId, line: &str) {
        let mut words = line.splitn(3, ' ').skip(1);
        let xid = words
            .next()
            .and_then(|xid| xid.strip_prefix('#'))
            .expect("#xid");
        let xid = Xid(xid.parse().expect("a number"));
        let request = request(words.next().expect("a request"));
        self.step(Input::Asked {
            connection,
            xid,
            request,
        });
    }
}

fn node(recovered: Recovered, life: u8) -> Node {
    let mut config = Config::standalone(ServerId(1));
    config.snapshot_every = 40;
    Node::new(config, recovered, Seed([life; 32]))
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

fn connection(text: &str) -> ConnectionId {
    let number = text
        .strip_prefix('c')
        .unwrap_or_else(|| panic!("unknown command {text}"));
    ConnectionId(number.parse().expect("c1, c2, ..."))
}

fn zxid(text: &str) -> Zxid {
    let (epoch, counter) = text.split_once('.').expect("epoch.counter");
    let epoch: u64 = epoch.parse().expect("an epoch");
    Zxid((epoch << 32) | counter.parse::<u64>().expect("a counter"))
}

fn humantime(text: &str) -> Duration {
    let (unit, digits) = match text.strip_suffix("ms") {
        Some(digits) => (Duration::from_millis(1), digits),
        None => (
            Duration::from_secs(1),
            text.strip_suffix('s').expect("5s or 5ms"),
        ),
    };
    unit * digits.parse().expect("a number")
}

/// `get /a watch`, `create /a x ephemeral`, `multi create /a x; check /b 3`.
fn request(text: &str) -> Request {
    let words: Vec<&str> = text.split_whitespace().collect();
    let path = || Path::parse(words[1]).expect("a path");
    let watching = match words.last() {
        Some(&"watch") => Watching::Once,
        _ => Watching::No,
    };
    match words[0] {
        "exists" => Request::Read(Read::Exists {
            path: path(),
            watching,
        }),
        "get" => Request::Read(Read::GetData {
            path: path(),
            watching,
        }),
        "children" => {
            let listing = Listing::Names;
            Request::Read(Read::GetChildren {
                path: path(),
                watching,
                listing,
            })
        }
        "acl" => Request::Read(Read::GetAcl { path: path() }),
        "sync" => Request::Sync { path: path() },
        "ping" => Request::Ping,
        "close" => Request::CloseSession,
        "unknown" => Request::Unknown { opcode: 4711 },
        "auth" => Request::Auth {
            scheme: words[1].to_owned(),
            credential: Data::from(words[2]),
        },
        "set-watches" => {
            let mut watches = SetWatches {
                relative_zxid: zxid(words[1]),
                ..SetWatches::default()
            };
            for word in &words[2..] {
                let (kind, path) = word.split_once('=').expect("kind=path");
                let path = Path::parse(path).expect("a path");
                match kind {
                    "data" => watches.data.push(path),
                    "exist" => watches.exist.push(path),
                    "child" => watches.child.push(path),
                    "persistent" => watches.persistent.push(path),
                    "recursive" => watches.recursive.push(path),
                    other => panic!("unknown kind {other}"),
                }
            }
            Request::SetWatches(watches)
        }
        "multi" => {
            let ops = text.strip_prefix("multi ").expect("operations");
            Request::Multi(ops.split(';').map(|op| self::op(op.trim())).collect())
        }
        _ => rarer(&words).unwrap_or_else(|| Request::Write(op(text))),
    }
}

/// `several data=/a children=/b`, `add-watch /a recursive`, `remove-watches /a any`.
fn rarer(words: &[&str]) -> Option<Request> {
    let path = || Path::parse(words[1]).expect("a path");
    Some(match words[0] {
        "ephemerals" => Request::Read(Read::GetEphemerals {
            prefix: Arc::from(words[1]),
        }),
        "count" => Request::Read(Read::CountBelow { path: path() }),
        "whoami" => Request::Read(Read::WhoAmI),
        "several" => {
            let parts = words[1..].iter().map(|word| {
                let (kind, path) = word.split_once('=').expect("kind=path");
                let path = Path::parse(path).expect("a path");
                match kind {
                    "data" => ReadPart::Data(path),
                    "children" => ReadPart::Children(path),
                    other => panic!("unknown kind {other}"),
                }
            });
            Request::Read(Read::Several(parts.collect()))
        }
        "add-watch" => Request::AddWatch {
            path: path(),
            mode: match words[2] {
                "persistent" => WatchMode::Persistent,
                "recursive" => WatchMode::Recursive,
                other => panic!("unknown mode {other}"),
            },
        },
        "check-watches" => Request::CheckWatches {
            path: path(),
            kinds: kinds(words[2]),
        },
        "remove-watches" => Request::RemoveWatches {
            path: path(),
            kinds: kinds(words[2]),
        },
        _ => return None,
    })
}

/// `ttl=500ms`.
fn ttl(words: &[&str]) -> Option<Ttl> {
    let text = words.iter().find_map(|word| word.strip_prefix("ttl="))?;
    let ms = u64::try_from(humantime(text).as_millis()).expect("a short time");
    Some(Ttl::from_ms(ms).expect("a time to live"))
}

fn kinds(word: &str) -> Whichever {
    match word {
        "any" => Whichever::Any,
        "data" => Whichever::Only(WatchKind::Data),
        "child" => Whichever::Only(WatchKind::Child),
        "persistent" => Whichever::Only(WatchKind::Persistent),
        "recursive" => Whichever::Only(WatchKind::Recursive),
        other => panic!("unknown kinds {other}"),
    }
}

fn op(text: &str) -> Op {
    let words: Vec<&str> = text.split_whitespace().collect();
    let path = || Path::parse(words[1]).expect("a path");
    let has = |word: &str| words.contains(&word);
    let version = || {
        words
            .last()
            .and_then(|word| word.parse().ok())
            .unwrap_or(ANY_VERSION)
    };
    match words[0] {
        "create" => {
            let sequential = has("sequential");
            let place = match sequential {
                true => Place::prefix(words[1]),
                false => Place::exact(words[1]),
            };
            Op::Create(Create {
                place: place.expect("a place"),
                data: words.get(2).map(|data| Data::from(*data)),
                acl: match has("private") {
                    true => Acl::of(Perms::ALL, "auth", ""),
                    false => Acl::open(),
                },
                lifetime: match (has("ephemeral"), has("container")) {
                    (true, _) => Lifetime::Ephemeral,
                    (_, true) => Lifetime::Container,
                    _ => ttl(&words).map_or(Lifetime::Persistent, Lifetime::Ttl),
                },
                naming: if sequential {
                    Naming::Sequential
                } else {
                    Naming::Exact
                },
                telling: Telling::Path,
            })
        }
        "delete" => Op::Delete {
            path: path(),
            version: version(),
        },
        "set" => {
            let data = Some(Data::from(words[2]));
            Op::SetData {
                path: path(),
                data,
                version: version(),
            }
        }
        "check" => Op::Check {
            path: path(),
            version: version(),
        },
        other => panic!("unknown request {other}"),
    }
}

fn record_line(record: &Record) -> String {
    match record {
        Record::Ballot(ballot) => format!("ballot, epoch {}", ballot.epoch),
        Record::Cut(after) => format!("cut after {after}"),
        Record::Entry(entry) => {
            let action = format!("{:?}", entry.txn.action);
            let name = action
                .split([' ', '('])
                .next()
                .unwrap_or_default()
                .to_owned();
            format!("{} {name}", entry.zxid)
        }
    }
}

fn response_line(response: &Response) -> String {
    match response {
        Response::Done(done) => done_line(done),
        Response::AllDone(done) => {
            format!(
                "[{}]",
                done.iter().map(done_line).collect::<Vec<_>>().join(", ")
            )
        }
        Response::NoneDone { count, index, code } => format!("none of {count}: {code} at {index}"),
        Response::Exists(stat) => format!("exists, version {}", stat.version),
        Response::Data { data, stat } => format!("{data:?}, version {}", stat.version),
        Response::Children { names, .. } => format!("{names:?}"),
        Response::Acl { acl, .. } => format!("{:?}", acl.0),
        Response::Synced { path } => format!("synced {path}"),
        Response::Ephemerals(paths) => format!("ephemerals {paths:?}"),
        Response::Count(count) => format!("{count} below"),
        Response::Identities(identities) => {
            let shown = identities
                .iter()
                .map(|who| format!("{}:{}", who.scheme, who.id));
            shown.collect::<Vec<_>>().join(", ")
        }
        Response::Several(parts) => {
            let shown = parts.iter().map(|part| match part {
                Ok(PartRead::Data { data, stat }) => format!("{data:?}, version {}", stat.version),
                Ok(PartRead::Children(names)) => format!("{names:?}"),
                Err(code) => format!("{code}"),
            });
            shown.collect::<Vec<_>>().join("; ")
        }
        Response::Sasl(token) => format!("sasl {token:?}"),
        Response::Added => "added".to_owned(),
        Response::Empty => "ok".to_owned(),
    }
}

fn done_line(done: &Done) -> String {
    match done {
        Done::Created { path, .. } => format!("created {path}"),
        Done::DataSet(stat) => format!("set, version {}", stat.version),
        Done::Checked(stat) => format!("checked, version {}", stat.version),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Plays a story and writes it down as it went.
fn play(story: &str) -> String {
    let mut stage = Stage::new();
    let mut told = String::new();
    for line in story.lines() {
        if line.starts_with('#') || (line.is_empty() && !told.ends_with("\n\n")) {
            writeln!(told, "{line}").expect("memory");
        } else if let Some(command) = line.strip_prefix("> ") {
            writeln!(told, "{line}").expect("memory");
            stage.command(command);
            told.push_str(&std::mem::take(&mut stage.out));
        }
    }
    told
}

#[test]
fn every_story_goes_as_it_is_told() {
    let folder = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let rewrite = std::env::var_os("ALTHING_REWRITE").is_some();
    let mut stories = 0;
    for entry in fs::read_dir(&folder).expect("the stories") {
        let path = entry.expect("a story").path();
        let story = fs::read_to_string(&path).expect("a readable story");
        let told = play(&story);
        if rewrite {
            fs::write(&path, &told).expect("a writable story");
        } else {
            let differs = story.lines().zip(told.lines()).position(|(a, b)| a != b);
            let line = differs.map_or(0, |line| line + 1);
            assert!(
                story == told,
                "{}, line {line}, goes now:\n{told}",
                path.display()
            );
        }
        stories += 1;
    }
    assert!(stories > 0, "no stories in {}", folder.display());
}
