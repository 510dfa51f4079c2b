//! Valid frames, from which all inputs are made: each operation as clients write it, each message
//! that servers send.

use std::sync::Arc;

use althing_core::codec::client::{encode_connect, encode_request};
use althing_core::codec::peer::encode_message;
use althing_core::ids::{Epoch, Password, SessionId, Xid, Zxid};
use althing_core::node::request::{
    ConnectRequest, Listing, Read, ReadPart, Request, SetWatches, Watching,
};
use althing_core::quorum::log::Standing;
use althing_core::quorum::message::{Ballotting, Cause, Extent, Message, Vote};
use althing_core::tree::acl::Acl;
use althing_core::tree::data::Data;
use althing_core::tree::op::{ANY_VERSION, Create, Lifetime, Naming, Op, Telling};
use althing_core::tree::owner::Ttl;
use althing_core::tree::path::{Path, Place};
use althing_core::watch::{WatchKind, WatchMode, Whichever};

/// Everything that is fuzzed lies below it.
pub const ROOT: &str = "/fuzz";

fn path(name: &str) -> Path {
    Path::parse(&format!("{ROOT}{name}")).expect("a path")
}

fn data(bytes: usize) -> Option<Data> {
    Some(Data::copy_of(&vec![b'x'; bytes]))
}

fn create(name: &str, lifetime: Lifetime, naming: Naming, telling: Telling) -> Op {
    let whole = format!("{ROOT}{name}");
    let place = match naming {
        Naming::Exact => Place::exact(&whole),
        Naming::Sequential => Place::prefix(&whole),
    };
    Op::Create(Create {
        place: place.expect("a place"),
        data: data(20),
        acl: Acl::open(),
        lifetime,
        naming,
        telling,
    })
}

fn ops() -> Vec<Op> {
    let ttl = Lifetime::Ttl(Ttl::from_ms(100).expect("a time"));
    let version = ANY_VERSION;
    vec![
        create("/a", Lifetime::Persistent, Naming::Exact, Telling::Path),
        create(
            "/a/b",
            Lifetime::Persistent,
            Naming::Exact,
            Telling::PathAndStat,
        ),
        create("/e", Lifetime::Ephemeral, Naming::Exact, Telling::Path),
        create(
            "/n-",
            Lifetime::Persistent,
            Naming::Sequential,
            Telling::PathAndStat,
        ),
        create(
            "/l-",
            Lifetime::Ephemeral,
            Naming::Sequential,
            Telling::Path,
        ),
        create(
            "/box",
            Lifetime::Container,
            Naming::Exact,
            Telling::PathAndStat,
        ),
        create("/ttl", ttl, Naming::Exact, Telling::PathAndStat),
        Op::Delete {
            path: path("/a"),
            version,
        },
        Op::Delete {
            path: path("/a/b"),
            version,
        },
        Op::SetData {
            path: path("/a"),
            data: data(100),
            version,
        },
        Op::SetData {
            path: path("/a"),
            data: data(20_000),
            version: 3,
        },
        Op::SetData {
            path: path("/e"),
            data: None,
            version,
        },
        Op::SetAcl {
            path: path("/a"),
            acl: Acl::open(),
            version,
        },
        Op::Check {
            path: path("/a"),
            version: 0,
        },
    ]
}

fn reads() -> Vec<Read> {
    let watching = Watching::Once;
    vec![
        Read::Exists {
            path: path("/a"),
            watching,
        },
        Read::GetData {
            path: path("/a"),
            watching,
        },
        Read::GetChildren {
            path: path(""),
            watching,
            listing: Listing::Names,
        },
        Read::GetChildren {
            path: path("/a"),
            watching,
            listing: Listing::NamesAndStat,
        },
        Read::GetAcl { path: path("/a") },
        Read::GetEphemerals {
            prefix: ROOT.into(),
        },
        Read::CountBelow { path: path("") },
        Read::WhoAmI,
        Read::Several(vec![
            ReadPart::Data(path("/a")),
            ReadPart::Children(path("")),
        ]),
    ]
}

fn others() -> Vec<Request> {
    let modes = [WatchMode::Persistent, WatchMode::Recursive];
    let kinds = [Whichever::Any, Whichever::Only(WatchKind::Data)];
    let mut all = vec![
        Request::Multi(ops().into_iter().take(9).collect()),
        Request::Multi(ops().into_iter().skip(7).collect()),
        Request::Sync { path: path("/a") },
        Request::Ping,
        Request::Auth {
            scheme: "digest".to_owned(),
            credential: Data::copy_of(b"user:password"),
        },
        Request::SetWatches(SetWatches {
            relative_zxid: Zxid::ZERO,
            data: vec![path("/a"), path("/b")],
            exist: vec![path("/c")],
            child: vec![path("")],
            persistent: Vec::new(),
            recursive: Vec::new(),
        }),
        Request::SetWatches(SetWatches {
            relative_zxid: Zxid::ZERO,
            persistent: vec![path("/a")],
            recursive: vec![path("")],
            ..SetWatches::default()
        }),
        Request::CloseSession,
        Request::Unknown { opcode: 102 },
    ];
    all.extend(modes.map(|mode| Request::AddWatch {
        path: path("/a"),
        mode,
    }));
    all.extend(kinds.map(|kinds| Request::CheckWatches {
        path: path("/a"),
        kinds,
    }));
    all.extend(kinds.map(|kinds| Request::RemoveWatches {
        path: path("/a"),
        kinds,
    }));
    all
}

/// What clients ask, without the length before it.
pub fn requests() -> Vec<Vec<u8>> {
    let writes = ops().into_iter().map(Request::Write);
    let all = writes.chain(reads().into_iter().map(Request::Read));
    let bodies = all.chain(others()).map(|request| {
        let mut frame = Vec::new();
        encode_request(Xid(7), &request, &mut frame);
        frame.split_off(4)
    });
    bodies.collect()
}

/// How clients open a session, with the length before it.
pub fn connect(timeout_ms: i32) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_connect(
        &ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout_ms,
            session: None,
            password: Password::NONE,
            read_only: Some(false),
        },
        &mut frame,
    );
    frame
}

/// What servers say, of an epoch that is over: epoch 0. Without the length before it.
pub fn messages() -> Vec<Vec<u8>> {
    let all = of_leadership().into_iter().chain(of_progress());
    let bodies = all.map(|message| {
        let mut body = Vec::new();
        encode_message(&message, &mut body);
        body
    });
    bodies.collect()
}

fn of_leadership() -> Vec<Message> {
    let (epoch, zxid) = (Epoch(0), Zxid::ZERO);
    let standing = Standing::Admitted;
    vec![
        Message::Greeting {
            epoch,
            last: zxid,
            standing,
        },
        Message::VoteAsked {
            epoch,
            ballotting: Ballotting::Real,
            cause: Cause::Silence,
            last: zxid,
            standing,
        },
        Message::Voted {
            epoch,
            ballotting: Ballotting::Trial,
            vote: Vote::Given,
        },
        Message::Append {
            epoch,
            previous: zxid,
            entries: Vec::new(),
            committed: zxid,
        },
        Message::Succeed { epoch },
    ]
}

fn of_progress() -> Vec<Message> {
    let (epoch, zxid) = (Epoch(0), Zxid::ZERO);
    let sessions = || vec![SessionId(0x0100_0000_0000_0007), SessionId(9)];
    let standing = Standing::Admitted;
    vec![
        Message::Appended {
            epoch,
            durable: zxid,
            standing,
        },
        Message::Mismatched {
            epoch,
            previous: zxid,
            floor: zxid,
        },
        Message::Beat {
            epoch,
            round: 1 << 40,
            committed: zxid,
        },
        Message::Beaten {
            epoch,
            round: 3,
            applied: zxid,
            touched: sessions(),
        },
        Message::Chunk {
            epoch,
            zxid,
            offset: 0,
            bytes: vec![7; 300],
            extent: Extent::Last,
        },
        Message::ChunkTaken {
            epoch,
            zxid,
            offset: 12,
        },
        Message::Forward {
            txns: vec![Arc::new(txn())],
        },
        Message::BarrierAsked {
            number: 1,
            touched: sessions(),
        },
        Message::BarrierSet { number: 1, zxid },
    ]
}

fn txn() -> althing_core::store::txn::Txn {
    use althing_core::store::txn::{Action, Txn};
    Txn {
        wall: althing_core::time::WallTime(1),
        origin: None,
        identities: Arc::from([]),
        action: Action::Write(ops().swap_remove(0)),
    }
}
