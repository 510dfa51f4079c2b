//! Who must not notice anything: a client that works beside the fuzzing, and the server's memory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use althing_core::code::Code;
use althing_core::node::reply::{Reply, Response};
use althing_core::node::request::{Listing, Read, Request, Watching};
use althing_core::tree::acl::{Acl, AclEntry, Identity, Perms};
use althing_core::tree::data::Data;
use althing_core::tree::op::{ANY_VERSION, Op};
use althing_core::tree::path::Path;
use althing_tests::raw::{Raw, create};

use crate::corpus::ROOT;

/// The password of the super user, as the subjects know it.
pub const SUPER: &str = "super_digest = \"super:D/InIHSb7yEEbrWz8b9l71RjZJU=\"\n";

/// How often what the fuzzing has left in the tree is removed.
const SWEPT_EVERY: Duration = Duration::from_millis(500);

/// What the client's own work took.
#[derive(Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// Count, median, 99th percentile and maximum.
    pub fn tell(mut self) -> String {
        self.0.sort();
        let at = |part: f64| self.0[((self.0.len() - 1) as f64 * part) as usize];
        format!(
            "{} rounds of its own, median {:?}, 99 % within {:?}, longest {:?}",
            self.0.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        )
    }
}

fn answer(raw: &mut Raw, request: Request) -> Result<Response, Code> {
    match raw.ask(request).expect("its connection stays") {
        Reply::Answer { result, .. } => result,
        other => panic!("{other:?}"),
    }
}

fn auth(raw: &mut Raw, credential: &str) {
    let request = Request::Auth {
        scheme: "digest".to_owned(),
        credential: Data::copy_of(credential.as_bytes()),
    };
    answer(raw, request).expect("it is who it says");
}

fn list(entries: &[(i32, &str, &str)]) -> Acl {
    let entries = entries.iter().map(|(perms, scheme, id)| AclEntry {
        perms: Perms(*perms),
        who: Identity::new(scheme, id),
    });
    Acl(entries.collect::<Vec<_>>().into())
}

fn set_acl(raw: &mut Raw, path: &str, acl: Acl) -> Result<Response, Code> {
    let path = Path::parse(path).expect("a path");
    let version = ANY_VERSION;
    answer(raw, Request::Write(Op::SetAcl { path, acl, version }))
}

/// Before anything is fuzzed: everybody may do everything below [`ROOT`], and nothing elsewhere.
pub fn prepare(address: SocketAddr) {
    let (mut raw, _) = Raw::open(address).expect("a session");
    auth(&mut raw, "super:test");
    answer(&mut raw, create(ROOT, b"")).expect("a blank server");
    answer(&mut raw, create("/own", b"0")).expect("a blank server");
    let own = list(&[(31, "digest", "onlooker:nobody knows")]);
    set_acl(&mut raw, "/own", own).expect("super");
    set_acl(&mut raw, "/", list(&[(1, "world", "anyone")])).expect("super");
    answer(&mut raw, Request::CloseSession).expect("an end");
}

/// Writes and reads its own znode until `ends`: every answer must come, and be right.
pub fn work(address: SocketAddr, ends: &Arc<AtomicBool>) -> Latencies {
    let (mut raw, _) = Raw::open(address).expect("a session");
    auth(&mut raw, "super:test");
    let path = Path::parse("/own").expect("a path");
    let mut latencies = Latencies::default();
    for version in 0.. {
        if ends.load(Ordering::Relaxed) {
            break;
        }
        let data = Some(Data::copy_of(format!("{version}").as_bytes()));
        let began = Instant::now();
        let set = Op::SetData {
            path: path.clone(),
            data: data.clone(),
            version,
        };
        let done = answer(&mut raw, Request::Write(set));
        assert!(done.is_ok(), "its write {version}: {done:?}");
        let watching = Watching::No;
        let read = Read::GetData {
            path: path.clone(),
            watching,
        };
        match answer(&mut raw, Request::Read(read)) {
            Ok(Response::Data { data: found, stat }) => {
                assert_eq!(
                    (&found, stat.version),
                    (&data, version + 1),
                    "its own write"
                );
            }
            other => panic!("its read: {other:?}"),
        }
        latencies.0.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(1));
    }
    latencies
}

/// Removes what the fuzzing leaves in the tree, so that memory which grows is a leak.
pub fn sweep(address: SocketAddr, ends: &Arc<AtomicBool>) {
    let (mut raw, _) = Raw::open(address).expect("a session");
    auth(&mut raw, "super:test");
    while !ends.load(Ordering::Relaxed) {
        // Who was faster may have removed it: all is as well then.
        let _ = answer(&mut raw, create(ROOT, b""));
        let _ = set_acl(&mut raw, ROOT, Acl::open());
        remove_below(&mut raw, &Path::parse(ROOT).expect("a path"));
        std::thread::sleep(SWEPT_EVERY);
    }
}

fn remove_below(raw: &mut Raw, path: &Path) {
    let (watching, listing) = (Watching::No, Listing::Names);
    let read = Read::GetChildren {
        path: path.clone(),
        watching,
        listing,
    };
    let Ok(Response::Children { names, .. }) = answer(raw, Request::Read(read)) else {
        return;
    };
    for name in names {
        let child = Path::parse(&format!("{path}/{name}")).expect("a child");
        remove_below(raw, &child);
        let delete = Op::Delete {
            path: child,
            version: ANY_VERSION,
        };
        let _ = answer(raw, Request::Write(delete));
    }
}
