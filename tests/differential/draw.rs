//! Draws cases: mostly what a sensible client asks, on few znodes so that operations meet, and
//! everything that can be wrong with it.

mod guarded;

use proptest::collection::vec as many;
use proptest::prelude::*;
use proptest::sample::select;

use crate::ask::{
    ADD_WATCH, AUTH, AclLine, Ask, CHECK, CHECK_WATCHES, CLOSE_SESSION, COUNT_BELOW, CREATE,
    CREATE_CONTAINER, CREATE_TTL, CREATE2, Case, DELETE, EXISTS, GET_ACL, GET_CHILDREN,
    GET_CHILDREN2, GET_DATA, GET_EPHEMERALS, MULTI, MULTI_READ, PING, Payload, REMOVE_WATCHES,
    SET_ACL, SET_DATA, SET_WATCHES, SET_WATCHES2, SYNC, Secret, Since, Spot, Step, WHO_AM_I,
};

/// Most sessions of a case.
const SESSIONS_MAX: usize = 3;

/// Most steps of a case.
const STEPS_MAX: usize = 30;

/// Most requests that are sent in one go.
const BURST_MAX: usize = 4;

/// Every operation that is drawn, but for check, which stands in a multi only.
pub const OPCODES: [i32; 25] = [
    CREATE,
    CREATE2,
    CREATE_CONTAINER,
    CREATE_TTL,
    DELETE,
    EXISTS,
    GET_DATA,
    SET_DATA,
    GET_ACL,
    SET_ACL,
    GET_CHILDREN,
    GET_CHILDREN2,
    SYNC,
    PING,
    MULTI,
    MULTI_READ,
    CHECK_WATCHES,
    REMOVE_WATCHES,
    ADD_WATCH,
    AUTH,
    SET_WATCHES,
    SET_WATCHES2,
    GET_EPHEMERALS,
    COUNT_BELOW,
    WHO_AM_I,
];

/// A case.
pub fn case() -> impl Strategy<Value = Case> {
    many(timeout_ms(), 1..=SESSIONS_MAX).prop_flat_map(|timeouts_ms| {
        let sessions = timeouts_ms.len();
        let free = many(step(sessions), 1..=STEPS_MAX);
        let free = (
            beginning(),
            prop_oneof![4 => Just(Vec::new()), 1 => soft_quota()],
            free,
        );
        // Rule: where a hard limit may be reached, one change is asked for after another, and none
        // of them in a multi. ZooKeeper judges before it has executed what was asked for earlier.
        let single = (0..sessions, one(single_ask().boxed()));
        let single = single.prop_map(|(session, asks)| Step::Ask { session, asks });
        let limited = (beginning(), hard_quota(), many(single, 1..=STEPS_MAX));
        let begun = prop_oneof![5 => free.boxed(), 1 => limited.boxed()]
            .prop_map(|(beginning, quota, steps)| [beginning, quota, steps].concat());
        let steps = prop_oneof![2 => begun.boxed(), 1 => guarded::steps(sessions).boxed()];
        steps.prop_map(move |steps| Case {
            timeouts_ms: timeouts_ms.clone(),
            steps,
        })
    })
}

/// Znodes that are there already, so that much succeeds from the start.
fn beginning() -> impl Strategy<Value = Vec<Step>> {
    let there = |paths: &[&str]| -> Vec<Step> {
        let created = |path: &&str| open_create(CREATE, Spot::below(path), 0);
        let asks = paths.iter().map(created).collect();
        vec![Step::Ask { session: 0, asks }]
    };
    select(vec![
        Vec::new(),
        there(&["/a", "/b"]),
        there(&["/a", "/a/a", "/a/b", "/b"]),
        there(&["/a", "/a/a", "/a/a/a"]),
    ])
}

/// A quota on the root of the case, as ZooKeeper's shell makes one.
pub fn quota_asks(limits: &'static str) -> [Ask; 3] {
    let part = |at, text| Ask::Create {
        opcode: CREATE,
        path: Spot::Quota(at),
        data: Payload::Text(text),
        acl: Some(vec![line(31, "world", "anyone")]),
        flags: 0,
        ttl: 0,
    };
    [
        part("", ""),
        part("/zookeeper_limits", limits),
        part("/zookeeper_stats", "count=0,bytes=0"),
    ]
}

fn quota_of(limits: &'static str) -> Vec<Step> {
    let step = |ask| Step::Ask {
        session: 0,
        asks: vec![ask],
    };
    quota_asks(limits).into_iter().map(step).collect()
}

fn soft_quota() -> impl Strategy<Value = Vec<Step>> {
    select(vec![
        "count=2,bytes=3",
        "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=-1",
    ])
    .prop_map(quota_of)
}

/// At the beginning there are four znodes without data at most.
fn hard_quota() -> impl Strategy<Value = Vec<Step>> {
    select(vec![
        "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=5",
        "count=-1,bytes=-1=;byteHardLimit=2;countHardLimit=-1",
        "count=3,bytes=1=;byteHardLimit=20;countHardLimit=7",
        "countHardLimit=6",
        "byteHardLimit=0",
    ])
    .prop_map(quota_of)
}

fn single_ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        12 => create(),
        5 => delete(),
        6 => set_data(),
        1 => set_acl(),
        4 => look(),
        4 => quota_look(),
    ]
}

/// The stats are looked at, or what else there is of a quota.
fn quota_look() -> impl Strategy<Value = Ask> {
    let opcode = select(vec![GET_DATA, GET_DATA, GET_DATA, EXISTS, GET_CHILDREN]);
    let at = select(vec![
        "/zookeeper_stats",
        "/zookeeper_stats",
        "/zookeeper_limits",
        "",
    ]);
    (opcode, at).prop_map(|(opcode, at)| Ask::Look {
        opcode,
        path: Spot::Quota(at),
        watch: false,
    })
}

fn timeout_ms() -> impl Strategy<Value = i32> {
    // A server has the last word, from both sides.
    prop_oneof![8 => Just(30_000), 1 => select(vec![-1, 0, 1, 5000, 1_000_000, i32::MAX])]
}

fn step(sessions: usize) -> impl Strategy<Value = Step> {
    let ask = |asks: BoxedStrategy<Vec<Ask>>| {
        (0..sessions, asks).prop_map(|(session, asks)| Step::Ask { session, asks })
    };
    let reattach = (0..sessions, secret());
    prop_oneof![
        // What is answered at once, before what was asked earlier, is asked alone.
        26 => ask(one(tree_ask().boxed())),
        4 => ask(burst_of(tree_ask()).boxed()),
        3 => ask(one(alone().boxed())),
        1 => reattach.prop_map(|(session, secret)| Step::Reattach { session, secret }),
    ]
}

fn one(ask: BoxedStrategy<Ask>) -> BoxedStrategy<Vec<Ask>> {
    ask.prop_map(|ask| vec![ask]).boxed()
}

fn secret() -> impl Strategy<Value = Secret> {
    prop_oneof![5 => Just(Secret::Right), 1 => Just(Secret::Wrong)]
}

/// Rule: nothing stands behind a setACL. ZooKeeper 3.9 judges what is sent right behind it by the
/// old list or by the new one, whichever its threads come to first.
///
/// Rule: no multi stands behind others. When one fails in ZooKeeper while changes before it are
/// under way, what is asked next may not see those changes, nor a new access control list.
fn burst_of(ask: impl Strategy<Value = Ask>) -> impl Strategy<Value = Vec<Ask>> {
    let ask = ask.prop_filter("no multi", |ask| ask.opcode() != MULTI);
    many(ask, 2..=BURST_MAX).prop_map(|mut asks| {
        let last = asks.iter().position(|ask| ask.opcode() == SET_ACL);
        asks.truncate(last.map_or(BURST_MAX, |last| last + 1));
        asks
    })
}

fn tree_ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        12 => create(),
        6 => delete(),
        6 => set_data(),
        3 => set_acl(),
        12 => look(),
        1 => quota_look(),
        4 => of(),
        4 => watch(),
        4 => multi(),
        2 => multi_read(),
        1 => Just(Ask::Bare { opcode: WHO_AM_I }),
    ]
}

fn alone() -> impl Strategy<Value = Ask> {
    prop_oneof![
        4 => auth(),
        3 => set_watches(),
        1 => Just(Ask::Bare { opcode: PING }),
        1 => Just(Ask::Bare { opcode: CLOSE_SESSION }),
    ]
}

/// Where most things happen.
fn good_spot() -> impl Strategy<Value = Spot> {
    let common = select(vec!["/a", "/b", "/a/a", "/a/b", "/b/a", "/a/a/a"]);
    let sequential = select(vec![
        "/a/s-0000000000",
        "/a/s-0000000001",
        "/s-0000000000",
        "/s-0000000002",
        "/b/0000000000",
    ]);
    prop_oneof![
        12 => common.prop_map(Spot::below),
        2 => sequential.prop_map(Spot::below),
        1 => Just(Spot::below("")),
    ]
}

/// What is looked at: also what is no path, and znodes that are special.
fn seen_spot() -> impl Strategy<Value = Spot> {
    let below = select(vec![
        "/",
        "/a/",
        "//a",
        "/a//b",
        "/.",
        "/a/..",
        "/./a",
        "/a/../b",
        "/\u{1}",
        "/a\u{9f}",
        "/\u{e000}",
        "/\u{fff1}",
        "/\u{d7ff}",
        "/nowhere/deep",
        "x",
    ]);
    let exactly = select(vec!["/", "a", "//", "/zookeeper", "/zookeeper/quota"]);
    prop_oneof![
        40 => good_spot(),
        2 => below.prop_map(Spot::below),
        1 => exactly.prop_map(|text| Spot::Exactly(text.to_owned())),
    ]
}

/// Where something can be created, and whether a number is appended.
fn good_place() -> impl Strategy<Value = (Spot, bool)> {
    let sequential = select(vec!["/a/s-", "/s-", "/b/", "/a/b/s-"]);
    prop_oneof![
        3 => good_spot().prop_map(|spot| (spot, false)),
        1 => sequential.prop_map(|text| (Spot::below(text), true)),
    ]
}

fn data() -> impl Strategy<Value = Payload> {
    prop_oneof![
        6 => Just(Payload::Text("x")),
        3 => Just(Payload::Text("something longer")),
        2 => Just(Payload::Text("")),
        2 => Just(Payload::Null),
        1 => Just(Payload::Bytes(10_000)),
    ]
}

fn version() -> impl Strategy<Value = i32> {
    prop_oneof![6 => Just(-1), 6 => 0..3_i32, 1 => select(vec![-2, 3, 7, i32::MIN, i32::MAX])]
}

fn acl() -> impl Strategy<Value = Option<Vec<AclLine>>> {
    let open = vec![line(31, "world", "anyone")];
    prop_oneof![
        20 => Just(Some(open)),
        6 => many(good_line(), 1..4).prop_map(Some),
        2 => many(prop_oneof![good_line(), bad_line()], 0..3).prop_map(Some),
        1 => Just(None),
    ]
}

/// A line of an access control list.
pub fn line(perms: i32, scheme: &'static str, id: &'static str) -> AclLine {
    AclLine {
        perms,
        scheme: Some(scheme),
        id: Some(id),
    }
}

fn perms() -> impl Strategy<Value = i32> {
    prop_oneof![4 => Just(31), 4 => 0..32_i32, 1 => select(vec![32, 255, -1])]
}

fn good_line() -> impl Strategy<Value = AclLine> {
    let who = select(vec![
        ("world", "anyone"),
        ("world", "anyone"),
        ("digest", "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E="),
        ("digest", "bob:fyVmFCwVbTJYrznoSu1koqYEYF0="),
        ("auth", ""),
        ("auth", "whatever"),
        ("ip", "127.0.0.1"),
        ("ip", "127.0.0.0/8"),
        ("ip", "10.0.0.0/8"),
    ]);
    (perms(), who).prop_map(|(perms, (scheme, id))| line(perms, scheme, id))
}

fn bad_line() -> impl Strategy<Value = AclLine> {
    let who = select(vec![
        (Some("world"), Some("nobody")),
        (Some("digest"), Some("alice:x:")),
        (Some("digest"), Some(":x")),
        (Some("digest"), Some("alice")),
        (Some("digest"), Some("a:b:c")),
        (Some("digest"), Some(":")),
        (Some("digest"), Some("alice:")),
        (Some("digest"), Some("")),
        (Some("ip"), Some("127.0.0.1/33")),
        (Some("ip"), Some("127.0.0")),
        (Some("ip"), Some("localhost")),
        (Some("ip"), Some("127.0.0.1/0")),
        (Some("ip"), Some("")),
        (Some("nonsense"), Some("x")),
        (Some("sasl"), Some("x")),
        (Some(""), Some("")),
    ]);
    (perms(), who).prop_map(|(perms, (scheme, id))| AclLine { perms, scheme, id })
}

fn create() -> impl Strategy<Value = Ask> {
    create_of(good_place().boxed(), acl().boxed(), ttl().boxed())
}

/// A create that is refused, if at all, for what it finds there.
fn sound_create() -> impl Strategy<Value = Ask> {
    let acl = prop_oneof![
        4 => Just(vec![line(31, "world", "anyone")]),
        1 => many(good_line(), 1..3),
    ];
    let acl = acl.prop_map(Some).boxed();
    create_of(good_place().boxed(), acl, Just(3_600_000).boxed())
}

fn create_of(
    place: BoxedStrategy<(Spot, bool)>,
    acl: BoxedStrategy<Option<Vec<AclLine>>>,
    ttl: BoxedStrategy<i64>,
) -> impl Strategy<Value = Ask> {
    (place, data(), acl, 0..20_u8).prop_flat_map(move |((path, sequential), data, acl, kind)| {
        ttl.clone().prop_map(move |ttl| {
            let (opcode, flags) = match (kind, sequential) {
                (0..=5, false) => (CREATE, 0),
                (6..=8, false) => (CREATE, 1),
                (9..=12, false) => (CREATE2, 0),
                (13..=14, false) => (CREATE2, 1),
                (15..=16, false) => (CREATE_CONTAINER, 4),
                (_, false) => (CREATE_TTL, 5),
                (0..=5, true) => (CREATE, 2),
                (6..=9, true) => (CREATE, 3),
                (10..=13, true) => (CREATE2, 2),
                (14..=16, true) => (CREATE2, 3),
                (_, true) => (CREATE_TTL, 6),
            };
            Ask::Create {
                opcode,
                path: path.clone(),
                data: data.clone(),
                acl: acl.clone(),
                flags,
                ttl,
            }
        })
    })
}

/// A create that anybody may do anything with.
pub fn open_create(opcode: i32, path: Spot, flags: i32) -> Ask {
    Ask::Create {
        opcode,
        path,
        data: Payload::Null,
        acl: Some(vec![line(31, "world", "anyone")]),
        flags,
        ttl: 0,
    }
}

fn ttl() -> impl Strategy<Value = i64> {
    // An hour at least: nothing goes while a case runs.
    prop_oneof![
        6 => Just(3_600_000),
        1 => select(vec![-1, 0, (1 << 40) - 1, 1 << 40, i64::MAX, i64::MIN]),
    ]
}

fn delete() -> impl Strategy<Value = Ask> {
    (good_spot(), version()).prop_map(|(path, version)| Ask::Versioned {
        opcode: DELETE,
        path,
        version,
    })
}

fn set_data() -> impl Strategy<Value = Ask> {
    (good_spot(), data(), version()).prop_map(|(path, data, version)| Ask::SetData {
        path,
        data,
        version,
    })
}

fn set_acl() -> impl Strategy<Value = Ask> {
    set_acl_to(acl())
}

fn set_acl_to(acl: impl Strategy<Value = Option<Vec<AclLine>>>) -> impl Strategy<Value = Ask> {
    (good_spot(), acl, version()).prop_map(|(path, acl, version)| Ask::SetAcl {
        path,
        acl,
        version,
    })
}

fn look() -> impl Strategy<Value = Ask> {
    let opcode = select(vec![EXISTS, GET_DATA, GET_CHILDREN, GET_CHILDREN2]);
    (opcode, seen_spot(), any::<bool>()).prop_map(|(opcode, path, watch)| Ask::Look {
        opcode,
        path,
        watch,
    })
}

fn of() -> impl Strategy<Value = Ask> {
    let of_seen = select(vec![GET_ACL, GET_ACL, COUNT_BELOW, GET_EPHEMERALS]);
    prop_oneof![
        4 => (of_seen, seen_spot()).prop_map(|(opcode, path)| Ask::Of { opcode, path }),
        1 => good_spot().prop_map(|path| Ask::Of { opcode: SYNC, path }),
    ]
}

fn watch() -> impl Strategy<Value = Ask> {
    let mode = prop_oneof![8 => 0..2_i32, 1 => select(vec![-1, 2, 3])];
    let kind = prop_oneof![8 => 1..6_i32, 1 => select(vec![-1, 0, 6, 7])];
    let opcode = select(vec![CHECK_WATCHES, REMOVE_WATCHES]);
    prop_oneof![
        3 => (good_spot(), mode)
            .prop_map(|(path, kind)| Ask::Watch { opcode: ADD_WATCH, path, kind }),
        2 => (opcode, good_spot(), kind)
            .prop_map(|(opcode, path, kind)| Ask::Watch { opcode, path, kind }),
    ]
}

fn multi() -> impl Strategy<Value = Ask> {
    multi_of(sound_create())
}

fn multi_of(create: impl Strategy<Value = Ask>) -> impl Strategy<Value = Ask> {
    // What is refused as it stands is refused in another way: see the directed tests.
    let versioned = (select(vec![DELETE, CHECK]), good_spot(), version());
    let versioned = versioned.prop_map(|(opcode, path, version)| Ask::Versioned {
        opcode,
        path,
        version,
    });
    let set_data = (good_spot(), data(), version());
    let set_data = set_data.prop_map(|(path, data, version)| Ask::SetData {
        path,
        data,
        version,
    });
    let part = prop_oneof![4 => create, 4 => versioned, 2 => set_data];
    many(part, 0..5).prop_map(|parts| Ask::Several {
        opcode: MULTI,
        parts,
    })
}

fn multi_read() -> impl Strategy<Value = Ask> {
    let opcode = select(vec![GET_DATA, GET_CHILDREN]);
    let part = (opcode, good_spot(), any::<bool>()).prop_map(|(opcode, path, watch)| Ask::Look {
        opcode,
        path,
        watch,
    });
    many(part, 0..5).prop_map(|parts| Ask::Several {
        opcode: MULTI_READ,
        parts,
    })
}

fn auth() -> impl Strategy<Value = Ask> {
    let credential = select(vec![
        ("digest", Some("alice:secret")),
        ("digest", Some("alice:secret")),
        ("digest", Some("bob:secret")),
        ("digest", Some("bob:secret")),
        ("digest", Some("nobody")),
        ("digest", Some("")),
        ("digest", Some("a:b:c")),
        ("ip", Some("10.0.0.1")),
        ("ip", None),
        ("world", Some("anyone")),
        ("nonsense", Some("x")),
        ("", Some("")),
    ]);
    credential.prop_map(|(scheme, credential)| Ask::Auth { scheme, credential })
}

fn set_watches() -> impl Strategy<Value = Ask> {
    let since = prop_oneof![
        1 => Just(Since::Always),
        4 => (0..20_usize).prop_map(Since::Answer),
        2 => Just(Since::LastAnswer),
        1 => Just(Since::Never),
    ];
    let lists = prop_oneof![
        many(many(good_spot(), 0..3), 3..=3),
        many(many(good_spot(), 0..3), 5..=5),
    ];
    (since, lists).prop_map(|(since, lists)| Ask::SetWatches { since, lists })
}
