//! The audit log: a line for each change that a client asked for, done or not, in ZooKeeper's
//! notation (`key=value`, separated by tabs).
//!
//! Lines are made on the node's thread and written by somebody else; what they cannot take is
//! lost, and counted. Nothing waits for the audit log.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use althing_core::code::Code;
use althing_core::ids::SessionId;
use althing_core::node::reply::Response;
use althing_core::node::request::Request;
use althing_core::time::WallTime;
use althing_core::tree::acl::{Acl, Identity, Perms};
use althing_core::tree::op::{Create, Done, Lifetime, Naming, Op};

/// Where lines go, and how many did not get there.
#[derive(Clone)]
pub struct AuditLog {
    write: Arc<dyn Fn(String) + Send + Sync>,
    lost: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// As whom this process runs.
    user: Arc<str>,
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").finish_non_exhaustive()
    }
}

/// Who asks for a change: of a client whose session is not known yet, the address alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Who {
    /// The session.
    pub session: Option<SessionId>,
    /// As whom it has authenticated, the address first.
    pub identities: Arc<[Identity]>,
}

/// One change, as it was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Change {
    operation: &'static str,
    znode: Option<String>,
    kind: Option<&'static str>,
    acl: Option<String>,
}

/// A request that is told of when it is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Audited {
    changes: Vec<Change>,
    /// Several changes, of which all are made or none.
    together: bool,
}

impl Audited {
    /// What is to be told of this request; nothing, if it changes nothing.
    pub fn of(request: &Request) -> Option<Audited> {
        let (changes, together) = match request {
            Request::Write(op) => (change(op).into_iter().collect(), false),
            Request::Multi(ops) => (ops.iter().filter_map(change).collect(), true),
            Request::Reconfigure(_) => (vec![plain("reconfig", None)], false),
            _ => return None,
        };
        let audited = Audited { changes, together };
        (!audited.changes.is_empty()).then_some(audited)
    }
}

fn plain(operation: &'static str, znode: Option<&str>) -> Change {
    Change {
        operation,
        znode: znode.map(str::to_owned),
        kind: None,
        acl: None,
    }
}

fn change(op: &Op) -> Option<Change> {
    Some(match op {
        Op::Create(create) => Change {
            kind: Some(kind(create)),
            ..plain("create", Some(&create.place.to_text()))
        },
        Op::Delete { path, .. } => plain("delete", Some(path.as_str())),
        Op::SetData { path, .. } => plain("setData", Some(path.as_str())),
        Op::SetAcl { path, acl, .. } => Change {
            acl: Some(spelled(acl)),
            ..plain("setAcl", Some(path.as_str()))
        },
        Op::Check { .. } => return None,
    })
}

/// ZooKeeper's `CreateMode`, in small letters.
fn kind(create: &Create) -> &'static str {
    match (create.lifetime, create.naming) {
        (Lifetime::Persistent, Naming::Exact) => "persistent",
        (Lifetime::Persistent, Naming::Sequential) => "persistent_sequential",
        (Lifetime::Ephemeral, Naming::Exact) => "ephemeral",
        (Lifetime::Ephemeral, Naming::Sequential) => "ephemeral_sequential",
        (Lifetime::Container, _) => "container",
        (Lifetime::Ttl(_), Naming::Exact) => "persistent_with_ttl",
        (Lifetime::Ttl(_), Naming::Sequential) => "persistent_sequential_with_ttl",
    }
}

/// As `scheme:id:perms`, without the hashes of passwords.
fn spelled(acl: &Acl) -> String {
    let letters = [
        (Perms::CREATE, 'c'),
        (Perms::DELETE, 'd'),
        (Perms::READ, 'r'),
        (Perms::WRITE, 'w'),
        (Perms::ADMIN, 'a'),
    ];
    let entries = acl.redacted();
    let entries = entries.0.iter().map(|entry| {
        let granted = letters
            .iter()
            .filter(|(perm, _)| entry.perms.intersects(*perm));
        let granted: String = granted.map(|(_, letter)| *letter).collect();
        format!("{}:{}:{granted}", entry.who.scheme, entry.who.id)
    });
    entries.collect::<Vec<_>>().join(",")
}

impl AuditLog {
    /// A log of what `user`'s process does, into `write`; `lost` counts what it could not take.
    pub fn new(
        user: &str,
        write: impl Fn(String) + Send + Sync + 'static,
        lost: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> AuditLog {
        AuditLog {
            write: Arc::new(write),
            lost: Arc::new(lost),
            user: Arc::from(user),
        }
    }

    /// Lines that were lost.
    pub fn lost(&self) -> u64 {
        (self.lost)()
    }

    /// The server begins to serve, or stops.
    pub fn server(&self, wall: WallTime, operation: &str, result: &str) {
        let mut line = Line::begin(wall, "INFO");
        line.put("user", &self.user);
        line.put("operation", operation);
        line.put("result", result);
        self.write(line);
    }

    /// The ephemeral znodes of a session went with it.
    pub fn session_ended(&self, wall: WallTime, session: SessionId) {
        let mut line = Line::begin(wall, "INFO");
        line.put("session", &format!("{session}"));
        line.put("user", &self.user);
        line.put("operation", "ephemeralZNodeDeletionOnSessionCloseOrExpire");
        line.put("result", "success");
        self.write(line);
    }

    /// A request was answered.
    pub fn answered(
        &self,
        wall: WallTime,
        who: &Who,
        audited: &Audited,
        result: &Result<Response, Code>,
    ) {
        let done: &[Done] = match result {
            Ok(Response::Done(done)) => std::slice::from_ref(done),
            Ok(Response::AllDone(all)) => all,
            Ok(Response::NoneDone { .. }) | Err(_) if audited.together => {
                self.change(wall, who, &plain("multiOperation", None), false);
                return;
            }
            _ => &[],
        };
        let is_done = result.is_ok();
        let mut created = done.iter().filter_map(|done| match done {
            Done::Created { path, .. } => Some(path.as_str()),
            _ => None,
        });
        for change in &audited.changes {
            let mut change = change.clone();
            // Only now is it known which number a sequential one has got.
            if change.operation == "create"
                && let Some(path) = created.next()
            {
                change.znode = Some(path.to_owned());
            }
            self.change(wall, who, &change, is_done);
        }
    }

    fn change(&self, wall: WallTime, who: &Who, change: &Change, is_done: bool) {
        let (level, result) = match is_done {
            true => ("INFO", "success"),
            false => ("ERROR", "failure"),
        };
        let mut line = Line::begin(wall, level);
        if let Some(session) = who.session {
            line.put("session", &format!("{session}"));
        }
        let address = who.identities.iter().find(|known| &*known.scheme == "ip");
        line.put("user", &users(&who.identities));
        if let Some(address) = address {
            line.put("ip", &address.id);
        }
        line.put("operation", change.operation);
        for (key, value) in [
            ("znode", change.znode.as_deref()),
            ("znode_type", change.kind),
            ("acl", change.acl.as_deref()),
        ] {
            if let Some(value) = value {
                line.put(key, value);
            }
        }
        line.put("result", result);
        self.write(line);
    }

    fn write(&self, mut line: Line) {
        line.text.push('\n');
        (self.write)(line.text);
    }
}

/// As ZooKeeper names them: of digests the user alone, and the address last.
fn users(identities: &[Identity]) -> String {
    let name = |who: &Identity| match &*who.scheme {
        "digest" => who.id.split(':').next().unwrap_or_default().to_owned(),
        _ => who.id.to_string(),
    };
    let (addresses, others): (Vec<_>, Vec<_>) =
        identities.iter().partition(|who| &*who.scheme == "ip");
    let mut told = BTreeSet::new();
    let all = others.into_iter().chain(addresses).map(name);
    let all: Vec<String> = all
        .filter(|name| !name.is_empty() && told.insert(name.clone()))
        .collect();
    all.join(",")
}

/// A line in the making.
struct Line {
    text: String,
    /// Before the next pair.
    separator: char,
}

impl Line {
    fn begin(wall: WallTime, level: &str) -> Line {
        let since = Duration::from_millis(u64::try_from(wall.0).unwrap_or_default());
        let time = humantime::format_rfc3339_millis(UNIX_EPOCH + since);
        Line {
            text: format!("{time} {level} audit:"),
            separator: ' ',
        }
    }

    /// Appends a pair. Whatever would look like another pair or another line is shown as `?`.
    fn put(&mut self, key: &str, value: &str) {
        let value = value.replace(char::is_control, "?");
        let separator = std::mem::replace(&mut self.separator, '\t');
        write!(self.text, "{separator}{key}={value}").expect("a String takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use althing_core::store::roster::Wish;
    use althing_core::tree::data::Data;
    use althing_core::tree::op::{ANY_VERSION, Telling};
    use althing_core::tree::path::{Path, Place};
    use althing_core::tree::stat::Stat;
    use std::sync::Mutex;

    fn create(path: &str, lifetime: Lifetime, naming: Naming) -> Op {
        Op::Create(Create {
            place: match naming {
                Naming::Exact => Place::exact(path).expect("a place"),
                Naming::Sequential => Place::prefix(path).expect("a place"),
            },
            data: Some(Data::from("d")),
            acl: Acl::open(),
            lifetime,
            naming,
            telling: Telling::Path,
        })
    }

    fn path(text: &str) -> Path {
        Path::parse(text).expect("a path")
    }

    fn created(text: &str) -> Done {
        Done::Created {
            path: path(text),
            stat: Stat::default(),
            telling: Telling::Path,
        }
    }

    fn delete(text: &str) -> Op {
        let (path, version) = (path(text), ANY_VERSION);
        Op::Delete { path, version }
    }

    /// What is told of an answer, without its time.
    fn told(identities: &[Identity], request: Request, result: Result<Response, Code>) -> String {
        let lines = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&lines);
        let write = move |line: String| into.lock().expect("no panic").push_str(&line);
        let log = AuditLog::new("root", write, || 0);
        let who = Who {
            session: Some(SessionId(0x1_0004)),
            identities: Arc::from(identities),
        };
        let audited = Audited::of(&request).expect("it is told of");
        let wall = WallTime(1_700_000_000_123);
        log.answered(wall, &who, &audited, &result);
        let lines = lines.lock().expect("no panic").clone();
        lines.replace("2023-11-14T22:13:20.123Z ", "")
    }

    fn near() -> Identity {
        Identity::new("ip", "127.0.0.1")
    }

    /// As ZooKeeper 3.9.3 writes them, but for the beginning of the line.
    #[test]
    fn lines_are_zookeepers() {
        let session = SessionId(0x1_0004);
        let before = format!("audit: session={session}\tuser=127.0.0.1\tip=127.0.0.1\toperation=");
        let set_acl = || Op::SetAcl {
            path: path("/a"),
            acl: Acl::open(),
            version: ANY_VERSION,
        };
        let done = |done| Ok(Response::Done(done));
        let sequential = create("/a/s-", Lifetime::Ephemeral, Naming::Sequential);
        for (op, result, level, rest) in [
            (
                create("/a", Lifetime::Persistent, Naming::Exact),
                done(created("/a")),
                "INFO",
                "create\tznode=/a\tznode_type=persistent\tresult=success\n",
            ),
            (
                create("/a", Lifetime::Persistent, Naming::Exact),
                Err(Code::NodeExists),
                "ERROR",
                "create\tznode=/a\tznode_type=persistent\tresult=failure\n",
            ),
            (
                sequential,
                done(created("/a/s-0000000000")),
                "INFO",
                "create\tznode=/a/s-0000000000\tznode_type=ephemeral_sequential\tresult=success\n",
            ),
            (
                set_acl(),
                done(Done::AclSet(Stat::default())),
                "INFO",
                "setAcl\tznode=/a\tacl=world:anyone:cdrwa\tresult=success\n",
            ),
            (
                delete("/a"),
                Err(Code::NotEmpty),
                "ERROR",
                "delete\tznode=/a\tresult=failure\n",
            ),
        ] {
            let told = told(&[near()], Request::Write(op), result);
            assert_eq!(told, format!("{level} {before}{rest}"));
        }
    }

    #[test]
    fn a_multi_is_told_of_in_parts_or_as_a_failure() {
        let check = Op::Check {
            path: path("/m"),
            version: 0,
        };
        let ops = || {
            let made = create("/m-", Lifetime::Persistent, Naming::Sequential);
            Request::Multi(vec![check.clone(), made, delete("/n")])
        };
        let all = Response::AllDone(vec![
            Done::Checked(Stat::default()),
            created("/m-0000000007"),
            Done::Deleted,
        ]);
        let lines = told(&[near()], ops(), Ok(all));
        let operations: Vec<&str> = lines
            .lines()
            .map(|line| line.split('\t').nth(3).unwrap_or_default())
            .collect();
        assert_eq!(operations, ["operation=create", "operation=delete"]);
        assert!(lines.contains("znode=/m-0000000007\t"), "{lines}");
        let (count, index, code) = (3, 0, Code::NoNode);
        for refused in [
            Ok(Response::NoneDone { count, index, code }),
            Err(Code::MarshallingError),
        ] {
            let line = told(&[near()], ops(), refused);
            assert!(
                line.ends_with("\toperation=multiOperation\tresult=failure\n"),
                "{line}"
            );
            assert_eq!(line.lines().count(), 1);
        }
    }

    #[test]
    fn users_are_named_without_their_secrets_and_cannot_write_lines() {
        let who = [
            near(),
            Identity::new("super", ""),
            Identity::new("digest", "bob:hash="),
            Identity::new("digest", "e\tresult=success\nve:hash"),
            Identity::new("sasl", "al"),
            Identity::new("digest", "bob:other="),
        ];
        let wish = Wish {
            joining: None,
            leaving: None,
            members: None,
            version: -1,
        };
        let line = told(&who, Request::Reconfigure(wish), Err(Code::NoAuth));
        let users = "\tuser=bob,e?result=success?ve,al,127.0.0.1\tip=127.0.0.1\toperation=reconfig";
        assert!(line.contains(users), "{line}");
        assert_eq!(line.lines().count(), 1);
        let acl = Acl::of(Perms::READ | Perms::ADMIN, "digest", "bob:hash=");
        assert_eq!(spelled(&acl), "digest:bob:x:ra");
    }

    #[test]
    fn what_changes_nothing_is_not_told_of() {
        let check = Op::Check {
            path: path("/m"),
            version: 0,
        };
        for request in [
            Request::Ping,
            Request::Write(check),
            Request::Multi(Vec::new()),
        ] {
            assert_eq!(Audited::of(&request), None);
        }
    }
}
