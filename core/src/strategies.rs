//! Random values of every kind that is read or written, for the property tests of this crate.
//!
//! `PROPTEST_CASES` multiplies the cases of all these tests; the millions that a release is tried
//! with are `PROPTEST_CASES=2000000 cargo test --release -p althing-core`.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use proptest::collection::vec as many;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::code::Code;
use crate::codec::handshake::Handshake;
use crate::config::{HardLimits, LEVEL_QUOTAS, Settings};
use crate::ids::{
    ConnectionId, DirectoryId, Epoch, Password, ServerId, SessionId, Token, Xid, Zxid,
};
use crate::node::reply::{ConnectResponse, EventKind, PartRead, Reply, Response, WatchEvent};
use crate::node::request::{
    ConnectRequest, Listing, Read, ReadPart, Request, SetWatches, Watching,
};
use crate::quorum::log::{Ballot, Record, Standing};
use crate::quorum::message::{Ballotting, Cause, Extent, Message, Vote};
use crate::store::txn::{Action, Ending, Entry, Origin, Txn};
use crate::time::WallTime;
use crate::tree::acl::{Acl, AclEntry, Identity, Perms};
use crate::tree::data::Data;
use crate::tree::op::{Create, Done, Lifetime, Naming, Op, Telling};
use crate::tree::owner::{TTL_MS_MAX, Ttl};
use crate::tree::path::{Path, Place};
use crate::tree::restoring::Restoration;
use crate::tree::stat::Stat;
use crate::watch::{WatchMode, Whichever};

mod members;

use members::{decision, membership, wish};

/// An element of a path: mostly one of three, so that operations meet on the same znodes.
fn element() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(vec!["a", "b", "c"]).prop_map(String::from),
        1 => "[a-zżó .0-9_-]{1,8}".prop_filter("dots", |text| text != "." && text != ".."),
    ]
}

pub(crate) fn path() -> impl Strategy<Value = Path> {
    many(element(), 0..4).prop_map(|elements| {
        elements
            .iter()
            .fold(Path::root(), |path, name| path.child(name).unwrap())
    })
}

fn place(naming: Naming) -> BoxedStrategy<Place> {
    match naming {
        Naming::Exact => (path(), element())
            .prop_map(|(parent, name)| Place::exact(parent.child(&name).unwrap().as_str()).unwrap())
            .boxed(),
        Naming::Sequential => (path(), prop_oneof![Just(String::new()), element()])
            .prop_map(|(parent, name)| {
                let slash = if parent.is_root() { "" } else { "/" };
                Place::prefix(&[parent.as_str(), slash, &name].concat()).unwrap()
            })
            .boxed(),
    }
}

pub(crate) fn data() -> impl Strategy<Value = Option<Data>> {
    option::of(prop_oneof![
        8 => many(any::<u8>(), 0..40),
        1 => many(any::<u8>(), 100..400),
    ])
    .prop_map(|bytes| bytes.map(Data::from))
}

pub(crate) fn identity() -> impl Strategy<Value = Identity> {
    prop_oneof![
        Just(Identity::new("digest", "alice:hash")),
        Just(Identity::new("ip", "10.1.2.3")),
        Just(Identity::new("ip", "::1")),
        (".{0,6}", ".{0,12}").prop_map(|(scheme, id)| Identity::new(&scheme, &id)),
    ]
}

pub(crate) fn acl() -> impl Strategy<Value = Acl> {
    let who = prop_oneof![
        3 => Just(Identity::new("world", "anyone")),
        1 => Just(Identity::new("auth", "")),
        1 => Just(Identity::new("ip", "10.0.0.0/8")),
        1 => Just(Identity::new("ip", "::/0")),
        2 => identity(),
    ];
    let perms = prop_oneof![4 => Just(31), 4 => 0..32, 1 => any::<i32>()].prop_map(Perms);
    let entries = (perms, who).prop_map(|(perms, who)| AclEntry { perms, who });
    prop_oneof![
        2 => Just(Acl::open()),
        1 => many(entries, 0..4).prop_map(|entries| Acl(Arc::from(entries))),
    ]
}

fn version() -> impl Strategy<Value = i32> {
    prop_oneof![4 => Just(-1), 4 => 0..3, 1 => any::<i32>()]
}

fn telling() -> impl Strategy<Value = Telling> {
    select(vec![Telling::Path, Telling::PathAndStat])
}

/// A container's name is never drawn by the server.
fn lifetime(naming: Naming) -> impl Strategy<Value = Lifetime> {
    let ttl = prop_oneof![1..100u64, 1..=TTL_MS_MAX];
    let marked = match naming {
        Naming::Exact => Just(Lifetime::Container).boxed(),
        Naming::Sequential => Just(Lifetime::Persistent).boxed(),
    };
    prop_oneof![
        3 => select(vec![Lifetime::Persistent, Lifetime::Ephemeral]),
        1 => marked,
        1 => ttl.prop_map(|ms| Lifetime::Ttl(Ttl::from_ms(ms).unwrap())),
    ]
}

fn create() -> impl Strategy<Value = Create> {
    select(vec![Naming::Exact, Naming::Sequential])
        .prop_flat_map(|naming| (Just(naming), place(naming)))
        .prop_flat_map(|(naming, place)| {
            (data(), acl(), lifetime(naming), telling()).prop_map(
                move |(data, acl, lifetime, telling)| {
                    let telling = match lifetime {
                        Lifetime::Persistent | Lifetime::Ephemeral => telling,
                        Lifetime::Container | Lifetime::Ttl(_) => Telling::PathAndStat,
                    };
                    Create {
                        place: place.clone(),
                        data,
                        acl,
                        lifetime,
                        naming,
                        telling,
                    }
                },
            )
        })
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let set_acl = (path(), acl(), version());
    prop_oneof![
        6 => op_in_multi(),
        1 => set_acl.prop_map(|(path, acl, version)| Op::SetAcl { path, acl, version }),
    ]
}

/// One of the operations that a client can put into a multi.
pub(crate) fn op_in_multi() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => create().prop_map(Op::Create),
        1 => (path(), version()).prop_map(|(path, version)| Op::Delete { path, version }),
        1 => (path(), data(), version())
            .prop_map(|(path, data, version)| Op::SetData { path, data, version }),
        1 => (path(), version()).prop_map(|(path, version)| Op::Check { path, version }),
    ]
}

fn read() -> impl Strategy<Value = Read> {
    let watching = || select(vec![Watching::No, Watching::Once]);
    let listing = select(vec![Listing::Names, Listing::NamesAndStat]);
    prop_oneof![
        (path(), watching()).prop_map(|(path, watching)| Read::Exists { path, watching }),
        (path(), watching()).prop_map(|(path, watching)| Read::GetData { path, watching }),
        (path(), watching(), listing).prop_map(|(path, watching, listing)| Read::GetChildren {
            path,
            watching,
            listing
        }),
        path().prop_map(|path| Read::GetAcl { path }),
        ".{0,9}".prop_map(|prefix| Read::GetEphemerals {
            prefix: Arc::from(prefix)
        }),
        path().prop_map(|path| Read::CountBelow { path }),
        Just(Read::WhoAmI),
        many(read_part(), 0..5).prop_map(Read::Several),
    ]
}

fn read_part() -> impl Strategy<Value = ReadPart> {
    let part = select(vec![
        ReadPart::Data as fn(Path) -> ReadPart,
        ReadPart::Children,
    ]);
    (part, path()).prop_map(|(part, path)| part(path))
}

/// A request about watches themselves.
fn watch_request() -> impl Strategy<Value = Request> {
    let mode = (0..2).prop_map(|number| WatchMode::from_number(number).unwrap());
    let kinds = || (1..=5).prop_map(|number| Whichever::from_number(number).unwrap());
    prop_oneof![
        (path(), mode).prop_map(|(path, mode)| Request::AddWatch { path, mode }),
        (path(), kinds()).prop_map(|(path, kinds)| Request::CheckWatches { path, kinds }),
        (path(), kinds()).prop_map(|(path, kinds)| Request::RemoveWatches { path, kinds }),
    ]
}

fn set_watches() -> impl Strategy<Value = SetWatches> {
    let paths = || many(path(), 0..4);
    let once = (paths(), paths(), paths());
    let staying = prop_oneof![Just((Vec::new(), Vec::new())), (paths(), paths()),];
    (zxid(), once, staying).prop_map(
        |(relative_zxid, (data, exist, child), (persistent, recursive))| SetWatches {
            relative_zxid,
            data,
            exist,
            child,
            persistent,
            recursive,
        },
    )
}

/// A request that a client can send.
pub(crate) fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        4 => op().prop_map(Request::Write),
        2 => many(op_in_multi(), 0..6).prop_map(Request::Multi),
        4 => read().prop_map(Request::Read),
        1 => path().prop_map(|path| Request::Sync { path }),
        1 => wish().prop_map(Request::Reconfigure),
        1 => Just(Request::Ping),
        1 => ("[a-z]{0,9}", many(any::<u8>(), 0..30)).prop_map(|(scheme, credential)| {
            Request::Auth { scheme, credential: Data::from(credential) }
        }),
        1 => many(any::<u8>(), 0..30).prop_map(|token| {
            Request::Sasl { token: Data::from(token) }
        }),
        1 => set_watches().prop_map(Request::SetWatches),
        1 => watch_request(),
        1 => Just(Request::CloseSession),
        1 => (200..i32::MAX).prop_map(|opcode| Request::Unknown { opcode }),
    ]
}

pub(crate) fn zxid() -> impl Strategy<Value = Zxid> {
    (0..=Epoch::MAX.0, any::<u32>()).prop_map(|(epoch, counter)| Zxid::new(Epoch(epoch), counter))
}

/// Any Stat that can stand on the wire.
pub(crate) fn stat() -> impl Strategy<Value = Stat> {
    let zxid = || any::<u64>().prop_map(Zxid);
    let wall = || any::<i64>().prop_map(WallTime);
    let whence = (zxid(), zxid(), wall(), wall(), zxid());
    (whence, any::<[i32; 5]>(), any::<i64>()).prop_map(|(whence, numbers, ephemeral_owner)| {
        let (czxid, mzxid, ctime, mtime, pzxid) = whence;
        let [version, cversion, aversion, data_length, num_children] = numbers;
        Stat {
            czxid,
            mzxid,
            ctime,
            mtime,
            version,
            cversion,
            aversion,
            ephemeral_owner,
            data_length,
            num_children,
            pzxid,
        }
    })
}

fn code() -> impl Strategy<Value = Code> {
    select(Code::ALL)
}

/// What can come of `op`, as it stands on the wire: there a plain create has no Stat.
fn done(op: &Op) -> BoxedStrategy<Done> {
    match op {
        Op::Create(Create { telling, .. }) => {
            let telling = *telling;
            (path(), stat())
                .prop_map(move |(path, stat)| Done::Created {
                    path,
                    stat: match telling {
                        Telling::Path => Stat::default(),
                        Telling::PathAndStat => stat,
                    },
                    telling,
                })
                .boxed()
        }
        Op::Delete { .. } => Just(Done::Deleted).boxed(),
        Op::SetData { .. } => stat().prop_map(Done::DataSet).boxed(),
        Op::SetAcl { .. } => stat().prop_map(Done::AclSet).boxed(),
        Op::Check { .. } => stat().prop_map(Done::Checked).boxed(),
    }
}

fn response_to_multi(ops: &[Op]) -> BoxedStrategy<Response> {
    let count = ops.len();
    let without_stat = |done| match done {
        Done::Checked(_) => Done::Checked(Stat::default()),
        done => done,
    };
    let all: Vec<_> = ops
        .iter()
        .map(|op| done(op).prop_map(without_stat))
        .collect();
    let all = all.prop_map(Response::AllDone);
    if count == 0 {
        return all.boxed();
    }
    let none = (0..count, code());
    let none = none.prop_map(move |(index, code)| Response::NoneDone { count, index, code });
    prop_oneof![all, none].boxed()
}

fn response_to_read(read: &Read) -> BoxedStrategy<Response> {
    match read {
        Read::Exists { .. } => stat().prop_map(Response::Exists).boxed(),
        Read::GetData { .. } => (data(), stat())
            .prop_map(|(data, stat)| Response::Data { data, stat })
            .boxed(),
        Read::GetChildren { listing, .. } => {
            let stat = match listing {
                Listing::Names => Just(None).boxed(),
                Listing::NamesAndStat => stat().prop_map(Some).boxed(),
            };
            (many(element().prop_map(Arc::from), 0..5), stat)
                .prop_map(|(names, stat)| Response::Children { names, stat })
                .boxed()
        }
        Read::GetAcl { .. } => (acl(), stat())
            .prop_map(|(acl, stat)| Response::Acl { acl, stat })
            .boxed(),
        Read::GetEphemerals { .. } => many(path(), 0..4).prop_map(Response::Ephemerals).boxed(),
        Read::CountBelow { .. } => any::<i32>().prop_map(Response::Count).boxed(),
        Read::WhoAmI => many(identity(), 0..4)
            .prop_map(Response::Identities)
            .boxed(),
        Read::Several(parts) => {
            let parts: Vec<_> = parts.iter().map(part_read).collect();
            parts.prop_map(Response::Several).boxed()
        }
    }
}

fn part_read(part: &ReadPart) -> BoxedStrategy<Result<PartRead, Code>> {
    let names = many(element().prop_map(Arc::from), 0..5);
    let read = match part {
        ReadPart::Data(_) => (data(), stat())
            .prop_map(|(data, stat)| PartRead::Data { data, stat })
            .boxed(),
        ReadPart::Children(_) => names.prop_map(PartRead::Children).boxed(),
    };
    prop_oneof![3 => read.prop_map(Ok), 1 => code().prop_map(Err)].boxed()
}

fn response(request: &Request) -> BoxedStrategy<Response> {
    match request {
        Request::Write(op) => done(op).prop_map(Response::Done).boxed(),
        Request::Multi(ops) => response_to_multi(ops),
        Request::Read(read) => response_to_read(read),
        Request::Sync { path } => Just(Response::Synced { path: path.clone() }).boxed(),
        Request::Reconfigure(_) => (data(), stat())
            .prop_map(|(data, stat)| Response::Data { data, stat })
            .boxed(),
        Request::AddWatch { .. } => Just(Response::Added).boxed(),
        Request::Sasl { .. } => data().prop_map(Response::Sasl).boxed(),
        _ => Just(Response::Empty).boxed(),
    }
}

/// A request and an answer that a server can give to it.
pub(crate) fn exchange() -> impl Strategy<Value = (Request, Reply)> {
    request().prop_flat_map(|request| {
        let result = prop_oneof![
            4 => response(&request).prop_map(Ok),
            1 => code().prop_map(Err),
        ];
        let xid = any::<i32>()
            .prop_map(Xid)
            .prop_filter("events have it", |xid| *xid != Xid::NOTIFICATION);
        let answer = (xid, any::<u64>().prop_map(Zxid), result);
        let answer = answer.prop_map(|(xid, zxid, result)| Reply::Answer { xid, zxid, result });
        (Just(request), answer)
    })
}

pub(crate) fn watch_event() -> impl Strategy<Value = WatchEvent> {
    let kind = (1..=4).prop_map(|number| EventKind::from_number(number).unwrap());
    (any::<u64>().prop_map(Zxid), kind, path()).prop_map(|(zxid, kind, path)| WatchEvent {
        zxid,
        kind,
        path,
    })
}

fn session() -> impl Strategy<Value = SessionId> {
    prop_oneof![
        zxid().prop_map(SessionId::opened_at),
        any::<i64>().prop_map(SessionId)
    ]
}

fn password() -> impl Strategy<Value = Password> {
    any::<[u8; 16]>().prop_map(Password)
}

/// A session's name that is not zero, and its secret.
fn credentials() -> impl Strategy<Value = (Option<SessionId>, Password)> {
    let known = (session(), password()).prop_filter("zero is none", |(id, _)| id.0 != 0);
    prop_oneof![
        Just((None, Password::NONE)),
        known.prop_map(|(id, password)| (Some(id), password)),
    ]
}

pub(crate) fn connect_request() -> impl Strategy<Value = ConnectRequest> {
    let numbers = (any::<i32>(), any::<u64>().prop_map(Zxid), any::<i32>());
    (numbers, credentials(), any::<Option<bool>>()).prop_map(
        |((protocol_version, last_zxid_seen, timeout_ms), (session, password), read_only)| {
            ConnectRequest {
                protocol_version,
                last_zxid_seen,
                timeout_ms,
                session,
                password,
                read_only,
            }
        },
    )
}

pub(crate) fn connect_response() -> impl Strategy<Value = ConnectResponse> {
    (any::<i32>(), credentials(), any::<Option<bool>>()).prop_map(
        |(timeout_ms, (session, password), read_only)| ConnectResponse {
            timeout_ms,
            session,
            password,
            read_only,
        },
    )
}

fn server() -> impl Strategy<Value = ServerId> {
    (1..=u8::MAX).prop_map(ServerId)
}

fn token() -> impl Strategy<Value = Token> {
    (any::<u64>(), any::<u64>()).prop_map(|(incarnation, connection)| Token {
        incarnation,
        connection: ConnectionId(connection),
    })
}

/// Below the level that brought them there are no hard limits.
fn settings() -> impl Strategy<Value = Settings> {
    let level = prop_oneof![3 => 0..=LEVEL_QUOTAS + 1, 1 => any::<u32>()];
    let hard_limits = select(vec![HardLimits::Advised, HardLimits::Enforced]);
    let settings = (level, any::<u32>(), hard_limits);
    settings.prop_map(|(feature_level, data_bytes_max, hard_limits)| Settings {
        feature_level,
        data_bytes_max,
        hard_limits: match feature_level >= LEVEL_QUOTAS {
            true => hard_limits,
            false => HardLimits::Advised,
        },
    })
}

fn action() -> impl Strategy<Value = Action> {
    let ending = select(vec![Ending::Closed, Ending::Expired]);
    prop_oneof![
        1 => (server(), settings(), membership()).prop_map(|(leader, settings, membership)| {
            Action::OpenEpoch { leader, settings, membership }
        }),
        1 => membership().prop_map(|membership| Action::Reconfigure { membership }),
        1 => (wish(), decision()).prop_map(|(wish, decision)| Action::Amend { wish, decision }),
        1 => (password(), any::<u32>(), token()).prop_map(|(password, timeout_ms, token)| {
            Action::OpenSession { password, timeout_ms, token }
        }),
        1 => (session(), password(), any::<u32>(), token()).prop_map(
            |(session, password, timeout_ms, token)| {
                Action::Attach { session, password, timeout_ms, token }
            }
        ),
        1 => (password(), any::<u32>(), token()).prop_map(|(password, timeout_ms, token)| {
            Action::Upgrade { password, timeout_ms, token }
        }),
        1 => (session(), ending)
            .prop_map(|(session, ending)| Action::CloseSession { session, ending }),
        4 => op().prop_map(Action::Write),
        2 => many(op(), 0..6).prop_map(Action::Multi),
        1 => many(path(), 0..4).prop_map(|paths| Action::Reap { paths }),
        1 => (any::<u64>(), many(op(), 0..4), many((path(), any::<u64>()), 0..4))
            .prop_map(|(mark, ops, counts)| Action::Restore(Restoration { mark, ops, counts })),
    ]
}

pub(crate) fn txn() -> impl Strategy<Value = Txn> {
    let origin = (session(), any::<u64>().prop_map(Zxid), any::<u64>());
    let origin = origin.prop_map(|(session, attachment, sequence)| Origin {
        session,
        attachment,
        sequence,
    });
    let wall = any::<i64>().prop_map(WallTime);
    (wall, option::of(origin), many(identity(), 0..3), action()).prop_map(
        |(wall, origin, identities, action)| Txn {
            wall,
            origin,
            identities: Arc::from(identities),
            action,
        },
    )
}

fn standing() -> impl Strategy<Value = Standing> {
    select(vec![Standing::Stranger, Standing::Admitted])
}

fn epoch() -> impl Strategy<Value = Epoch> {
    (0..=Epoch::MAX.0).prop_map(Epoch)
}

fn entry() -> impl Strategy<Value = Entry> {
    (zxid(), txn()).prop_map(|(zxid, txn)| Entry {
        zxid,
        txn: Arc::new(txn),
    })
}

pub(crate) fn record() -> impl Strategy<Value = Record> {
    let ballot = (epoch(), option::of(server()), standing());
    let ballot = ballot.prop_map(|(epoch, voted_for, standing)| Ballot {
        epoch,
        voted_for,
        standing,
    });
    prop_oneof![
        1 => ballot.prop_map(Record::Ballot),
        1 => zxid().prop_map(Record::Cut),
        6 => entry().prop_map(Record::Entry),
    ]
}

pub(crate) fn handshake() -> impl Strategy<Value = Handshake> {
    let directory = any::<u128>().prop_map(DirectoryId);
    (server(), directory).prop_map(|(server, directory)| Handshake { server, directory })
}

/// Votes and their like: what servers say before there is a leader.
fn canvass() -> impl Strategy<Value = Message> {
    let ballotting = || select(vec![Ballotting::Trial, Ballotting::Real]);
    let cause = select(vec![Cause::Silence, Cause::Succession]);
    let vote = select(vec![Vote::Given, Vote::Denied]);
    prop_oneof![
        (epoch(), zxid(), standing()).prop_map(|(epoch, last, standing)| Message::Greeting {
            epoch,
            last,
            standing
        }),
        (epoch(), ballotting(), cause, zxid(), standing()).prop_map(
            |(epoch, ballotting, cause, last, standing)| Message::VoteAsked {
                epoch,
                ballotting,
                cause,
                last,
                standing,
            }
        ),
        (epoch(), ballotting(), vote).prop_map(|(epoch, ballotting, vote)| Message::Voted {
            epoch,
            ballotting,
            vote
        }),
        epoch().prop_map(|epoch| Message::Succeed { epoch }),
    ]
}

/// What a leader and its followers say to each other.
fn reign() -> impl Strategy<Value = Message> {
    let touched = many(session(), 0..5);
    prop_oneof![
        4 => (epoch(), zxid(), many(entry(), 0..4), zxid()).prop_map(
            |(epoch, previous, entries, committed)| Message::Append {
                epoch,
                previous,
                entries,
                committed,
            }
        ),
        1 => (epoch(), zxid(), standing()).prop_map(|(epoch, durable, standing)| Message::Appended { epoch, durable, standing }),
        1 => (epoch(), zxid(), zxid())
            .prop_map(|(epoch, previous, floor)| Message::Mismatched { epoch, previous, floor }),
        1 => (epoch(), any::<u64>(), zxid())
            .prop_map(|(epoch, round, committed)| Message::Beat { epoch, round, committed }),
        1 => (epoch(), any::<u64>(), zxid(), touched).prop_map(
            |(epoch, round, applied, touched)| Message::Beaten { epoch, round, applied, touched }
        ),
        2 => many(txn().prop_map(Arc::new), 0..4).prop_map(|txns| Message::Forward { txns }),
        1 => (any::<u64>(), many(session(), 0..4))
            .prop_map(|(number, touched)| Message::BarrierAsked { number, touched }),
        1 => (any::<u64>(), zxid())
            .prop_map(|(number, zxid)| Message::BarrierSet { number, zxid }),
    ]
}

fn transfer() -> impl Strategy<Value = Message> {
    let extent = select(vec![Extent::More, Extent::Last]);
    prop_oneof![
        (
            epoch(),
            zxid(),
            any::<u64>(),
            many(any::<u8>(), 0..40),
            extent
        )
            .prop_map(|(epoch, zxid, offset, bytes, extent)| Message::Chunk {
                epoch,
                zxid,
                offset,
                bytes,
                extent,
            }),
        (epoch(), zxid(), any::<u64>()).prop_map(|(epoch, zxid, offset)| Message::ChunkTaken {
            epoch,
            zxid,
            offset
        }),
    ]
}

/// What a server can say to another.
pub(crate) fn message() -> impl Strategy<Value = Message> {
    prop_oneof![1 => canvass(), 3 => reign(), 1 => transfer()]
}

/// Bytes that are nearly those of `valid`: cut, lengthened, or with some bytes replaced, so that a
/// decoder is led deep into a value before it finds the damage.
pub(crate) fn damaged(valid: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let blow = (any::<prop::sample::Index>(), any::<u8>());
    let tail = option::of(many(any::<u8>(), 0..9));
    let cut = option::of(any::<prop::sample::Index>());
    (valid, many(blow, 0..5), cut, tail).prop_map(|(mut bytes, blows, cut, tail)| {
        if !bytes.is_empty() {
            for (index, byte) in blows {
                *index.get_mut(&mut bytes) = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
        }
        bytes.extend(tail.into_iter().flatten());
        bytes
    })
}
