//! The client protocol against golden bytes, against itself, and against damage.

use alloc::vec;
use alloc::vec::Vec;

use proptest::collection::vec as many;
use proptest::prelude::*;

use super::*;
use crate::node::reply::{EventKind, Response, WatchEvent};
use crate::node::request::{Read, SetWatches, Watching};
use crate::node::size;
use crate::strategies;
use crate::tree::acl::{ACL_ENTRIES_MAX, Acl};
use crate::tree::data::Data;
use crate::tree::op::{Create, Done, Lifetime, Naming, Op, Telling};
use crate::tree::owner::Ttl;
use crate::tree::path::{Path, Place};
use crate::tree::stat::Stat;
use crate::watch::{WatchKind, WatchMode, Whichever};

/// The bytes of `hex`, in which blanks divide the fields.
fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let pairs = digits.chunks_exact(2);
    assert!(pairs.remainder().is_empty());
    pairs.map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// A frame as it is appended, without its length, which must be right.
fn unframed(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0xee];
    encode(&mut out);
    assert_eq!(out.remove(0), 0xee, "what was there before stays");
    let frame = out.split_off(4);
    assert_eq!(
        u32::from_be_bytes(out.try_into().unwrap()) as usize,
        frame.len()
    );
    frame
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

const PASSWORD: &str = "000102030405060708090a0b0c0d0e0f";

#[test]
fn a_first_frame_of_45_bytes_and_of_44() {
    let mut frame = bytes("00000000 0000000100000002 00007530 0000000100000000 00000010");
    frame.extend(bytes(PASSWORD));
    assert_eq!(frame.len(), 44);
    let old = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid(0x1_0000_0002),
        timeout_ms: 30_000,
        session: Some(SessionId(0x1_0000_0000)),
        password: Password(core::array::from_fn(|index| index as u8)),
        read_only: None,
    };
    assert_eq!(decode_connect(&frame), Ok(old.clone()));
    assert_eq!(unframed(|out| encode_connect(&old, out)), frame);
    let new = ConnectRequest {
        read_only: Some(true),
        ..old
    };
    frame.push(1);
    assert_eq!(frame.len(), 45);
    assert_eq!(decode_connect(&frame), Ok(new.clone()));
    assert_eq!(unframed(|out| encode_connect(&new, out)), frame);
    frame.push(0);
    assert!(decode_connect(&frame).is_err());
}

#[test]
fn a_first_frame_with_any_password() {
    let head = "00000000 0000000000000000 00007530 0000000000000000";
    for (password, good) in [
        ("ffffffff", true),
        ("00000000", true),
        ("00000003 010203", true),
        ("fffffffe", false),
        ("00000003 0102", false),
    ] {
        let decoded = decode_connect(&bytes(&[head, password].concat()));
        assert_eq!(decoded.is_ok(), good, "{password}");
        if let Ok(request) = decoded {
            assert_eq!(request.session, None);
            assert_eq!(request.password, Password::NONE);
        }
    }
    for (length, good) in [(1024, true), (1025, false)] {
        let mut frame = bytes(head);
        jute::put_buffer(&mut frame, &vec![7; length]);
        assert_eq!(decode_connect(&frame).is_ok(), good, "{length}");
    }
}

#[test]
fn an_answer_to_a_first_frame() {
    let response = ConnectResponse {
        timeout_ms: 30_000,
        session: Some(SessionId(0x1_0000_0000)),
        password: Password(core::array::from_fn(|index| index as u8)),
        read_only: Some(false),
    };
    let head = "00000000 00007530 0000000100000000 00000010";
    let expected = bytes(&[head, PASSWORD, "00"].concat());
    assert_eq!(expected.len(), 37);
    let encoded = unframed(|out| encode_reply(&Reply::Connected(response.clone()), out));
    assert_eq!(encoded, expected);
    // An expired session's password, whatever it was, does not leave.
    let expired = ConnectResponse {
        timeout_ms: 0,
        session: None,
        read_only: None,
        ..response
    };
    let encoded = unframed(|out| encode_reply(&Reply::Connected(expired), out));
    let mut expected = bytes("00000000 00000000 0000000000000000 00000010");
    expected.extend([0; 16]);
    assert_eq!(encoded, expected);
    assert_eq!(encoded.len(), 36);
}

fn create_frame(path: &str, acl: &str, flags: &str) -> Vec<u8> {
    let mut frame = bytes("00000007 00000001");
    jute::put_text(&mut frame, path);
    frame.extend(bytes("00000002 6869"));
    frame.extend(bytes(acl));
    frame.extend(bytes(flags));
    frame
}

/// `world:anyone` may do everything.
const OPEN: &str = "00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65";

#[test]
fn a_create() {
    let frame = create_frame("/a/b", OPEN, "00000001");
    let request = Request::Write(Op::Create(Create {
        place: Place::exact("/a/b").unwrap(),
        data: Some(Data::from("hi")),
        acl: Acl::open(),
        lifetime: Lifetime::Ephemeral,
        naming: Naming::Exact,
        telling: Telling::Path,
    }));
    assert_eq!(decode_request(&frame), Ok((Xid(7), request.clone())));
    assert_eq!(unframed(|out| encode_request(Xid(7), &request, out)), frame);
    let mut longer = frame;
    longer.push(0);
    assert!(decode_request(&longer).is_err());
}

#[test]
fn creates_that_break_a_rule() {
    for (path, acl, flags, code) in [
        ("/a", OPEN, "00000004", Code::BadArguments),
        ("/a", OPEN, "00000005", Code::BadArguments),
        ("/a", OPEN, "ffffffff", Code::BadArguments),
        ("/a", "ffffffff", "ffffffff", Code::BadArguments),
        (
            "/a",
            "00000001 0000001f ffffffff 00000000",
            "00000000",
            Code::InvalidACL,
        ),
        ("a", OPEN, "00000000", Code::BadArguments),
        ("/a/", OPEN, "00000000", Code::BadArguments),
        ("/", OPEN, "00000000", Code::NodeExists),
    ] {
        let decoded = decode_request(&create_frame(path, acl, flags));
        assert_eq!(
            decoded,
            Ok((Xid(7), Request::Refused(code))),
            "{path} {acl} {flags}"
        );
    }
    let decoded = decode_request(&create_frame("/a", "ffffffff", "00000000"));
    let Ok((_, Request::Write(Op::Create(create)))) = decoded else {
        panic!("{decoded:?}");
    };
    assert!(create.acl.0.is_empty(), "null is the empty list");
    let auth = "00000001 0000001f 00000004 61757468 ffffffff";
    let decoded = decode_request(&create_frame("/a", auth, "00000000"));
    let Ok((_, Request::Write(Op::Create(create)))) = decoded else {
        panic!("{decoded:?}");
    };
    let who = &create.acl.0[0].who;
    assert_eq!((&*who.scheme, &*who.id), ("auth", ""), "null is no id");
    let decoded = decode_request(&create_frame("/q/", OPEN, "00000003"));
    assert!(matches!(
        decoded,
        Ok((
            _,
            Request::Write(Op::Create(Create {
                naming: Naming::Sequential,
                ..
            }))
        ))
    ));
}

#[test]
fn a_list_of_permissions_has_a_limit() {
    let entry = &bytes(OPEN)[4..];
    for (count, refused) in [(ACL_ENTRIES_MAX, false), (ACL_ENTRIES_MAX + 1, true)] {
        let mut frame = bytes("00000007 00000007 00000002 2f61");
        jute::put_count(&mut frame, count);
        frame.extend(entry.repeat(count));
        jute::put_int(&mut frame, -1);
        let (_, request) = decode_request(&frame).unwrap();
        assert_eq!(
            request == Request::Refused(Code::InvalidACL),
            refused,
            "{count}"
        );
    }
}

#[test]
fn a_multi() {
    let check = "0000000d 00 ffffffff 00000002 2f61 00000003";
    let delete = "00000002 00 ffffffff 00000002 2f62 ffffffff";
    let end = "ffffffff 01 ffffffff";
    let frame = bytes(&["00000007 0000000e", check, delete, end].concat());
    let request = Request::Multi(vec![
        Op::Check {
            path: path("/a"),
            version: 3,
        },
        Op::Delete {
            path: path("/b"),
            version: -1,
        },
    ]);
    assert_eq!(decode_request(&frame), Ok((Xid(7), request.clone())));
    assert_eq!(unframed(|out| encode_request(Xid(7), &request, out)), frame);
    let header = "00000007 0000000100000005 00000000";
    for (response, body) in [
        (
            Response::AllDone(vec![Done::Checked(Stat::default()), Done::Deleted]),
            "0000000d 00 00000000 00000002 00 00000000 ffffffff 01 ffffffff",
        ),
        (
            Response::NoneDone {
                count: 2,
                index: 0,
                code: Code::BadVersion,
            },
            "ffffffff 00 ffffff99 ffffff99 ffffffff 00 fffffffe fffffffe ffffffff 01 ffffffff",
        ),
        (
            Response::NoneDone {
                count: 2,
                index: 1,
                code: Code::NoNode,
            },
            "ffffffff 00 00000000 00000000 ffffffff 00 ffffff9b ffffff9b ffffffff 01 ffffffff",
        ),
    ] {
        let reply = Reply::Answer {
            xid: Xid(7),
            zxid: Zxid(0x1_0000_0005),
            result: Ok(response),
        };
        let encoded = unframed(|out| encode_reply(&reply, out));
        assert_eq!(encoded, bytes(&[header, body].concat()));
        assert_eq!(decode_reply(&encoded, Some(&request)), Ok(reply));
    }
}

#[test]
fn multis_that_are_refused_whole() {
    let end = "ffffffff 01 ffffffff";
    for (part, code) in [
        (
            "0000000d 00 ffffffff 00000001 61 00000003",
            Code::BadArguments,
        ),
        ("0000000d 00 ffffffff ffffffff 00000003", Code::BadArguments),
        ("00000004 00 ffffffff 00000002 2f61 00", Code::Unimplemented),
        (
            "00000007 00 ffffffff 00000002 2f61 00000000 ffffffff",
            Code::Unimplemented,
        ),
        ("0000000e 00 ffffffff", Code::Unimplemented),
    ] {
        let frame = bytes(&["00000007 0000000e", part, end].concat());
        let refused = Request::Refused(code);
        assert_eq!(decode_request(&frame), Ok((Xid(7), refused)), "{part}");
    }
    let endless = bytes("00000007 0000000e 0000000d 00 ffffffff 00000002 2f61 00000003");
    assert!(decode_request(&endless).is_err());
}

#[test]
fn nothing_is_found_at_a_text_that_is_no_path() {
    for (head, tail, code) in [
        ("00000003", "01", Code::NoNode),
        ("00000004", "01", Code::NoNode),
        ("00000006", "", Code::NoNode),
        ("00000008", "00", Code::NoNode),
        ("0000000c", "00", Code::NoNode),
        ("00000068", "", Code::NoNode),
        ("00000005", "ffffffff ffffffff", Code::BadArguments),
        ("00000009", "", Code::BadArguments),
    ] {
        let frame = bytes(&["00000007", head, "00000003 2f612f", tail].concat());
        let refused = Request::Refused(code);
        assert_eq!(decode_request(&frame), Ok((Xid(7), refused)), "{head}");
    }
}

#[test]
fn small_requests() {
    for (hex, request) in [
        ("fffffffe 0000000b", Request::Ping),
        ("00000001 fffffff5", Request::CloseSession),
        (
            "00000001 00000009 ffffffff",
            Request::Refused(Code::BadArguments),
        ),
        ("00000001 000001f4 0102", Request::Unknown { opcode: 500 }),
        (
            "00000001 00000004 00000002 2f61 01",
            Request::Read(Read::GetData {
                path: path("/a"),
                watching: Watching::Once,
            }),
        ),
        (
            "fffffffc 00000064 00000000 00000006 646967657374 00000003 613a62",
            Request::Auth {
                scheme: "digest".into(),
                credential: Data::from("a:b"),
            },
        ),
        (
            "fffffff8 00000065 0000000000000009 00000001 00000002 2f61 ffffffff 00000000",
            Request::SetWatches(SetWatches {
                relative_zxid: Zxid(9),
                data: vec![path("/a")],
                ..SetWatches::default()
            }),
        ),
        (
            "fffffff8 00000065 0000000000000009 00000001 00000001 61 ffffffff 00000000",
            Request::Refused(Code::BadArguments),
        ),
    ] {
        let decoded = decode_request(&bytes(hex)).map(|(_, request)| request);
        assert_eq!(decoded, Ok(request), "{hex}");
    }
    // More paths are announced than the frame has room for.
    let hex = "fffffff8 00000065 0000000000000009 7fffffff 00000002 2f61";
    assert!(decode_request(&bytes(hex)).is_err());
    assert!(decode_request(&bytes("00000001 000000")).is_err());
    // A text is UTF-8.
    assert!(decode_request(&bytes("00000001 00000009 00000002 2fff")).is_err());
}

#[test]
fn an_event_and_a_stat() {
    let event = WatchEvent {
        zxid: Zxid(0x1_0000_0005),
        kind: EventKind::NodeDataChanged,
        path: path("/a"),
    };
    let frame = bytes("ffffffff 0000000100000005 00000000 00000003 00000003 00000002 2f61");
    let reply = Reply::Event(event);
    assert_eq!(unframed(|out| encode_reply(&reply, out)), frame);
    assert_eq!(decode_reply(&frame, None), Ok(reply));
    assert_eq!(peek_xid(&frame), Ok(Xid::NOTIFICATION));
    let unknown = bytes("ffffffff 0000000100000005 00000000 00000005 00000003 00000002 2f61");
    assert!(decode_reply(&unknown, None).is_err());

    let reply = Reply::Answer {
        xid: Xid(3),
        zxid: Zxid(9),
        result: Ok(Response::Data {
            data: None,
            stat: Stat {
                czxid: Zxid(1),
                mzxid: Zxid(2),
                ctime: crate::time::WallTime(3),
                mtime: crate::time::WallTime(4),
                version: 5,
                cversion: 6,
                aversion: 7,
                ephemeral_owner: 8,
                data_length: 9,
                num_children: 10,
                pzxid: Zxid(11),
            },
        }),
    };
    let head = "00000003 0000000000000009 00000000 ffffffff";
    let first = "0000000000000001 0000000000000002 0000000000000003 0000000000000004";
    let last = "00000005 00000006 00000007 0000000000000008 00000009 0000000a 000000000000000b";
    let frame = bytes(&[head, first, last].concat());
    assert_eq!(unframed(|out| encode_reply(&reply, out)), frame);
    let request = Request::Read(Read::GetData {
        path: path("/a"),
        watching: Watching::No,
    });
    assert_eq!(decode_reply(&frame, Some(&request)), Ok(reply));
    assert!(decode_reply(&frame, None).is_err());
}

fn request_frame() -> impl Strategy<Value = Vec<u8>> {
    (any::<i32>(), strategies::request())
        .prop_map(|(xid, request)| unframed(|out| encode_request(Xid(xid), &request, out)))
}

fn reply_frame() -> impl Strategy<Value = (Request, Vec<u8>)> {
    prop_oneof![
        strategies::exchange()
            .prop_map(|(request, reply)| (request, unframed(|out| encode_reply(&reply, out)))),
        strategies::watch_event().prop_map(|event| {
            (
                Request::Ping,
                unframed(|out| encode_reply(&Reply::Event(event), out)),
            )
        }),
    ]
}

fn decode_as_everything(frame: &[u8], request: &Request) {
    let _ = decode_connect(frame);
    let _ = decode_connect_response(frame);
    let _ = decode_request(frame);
    let _ = peek_xid(frame);
    let _ = decode_reply(frame, Some(request));
    let _ = decode_reply(frame, None);
}

proptest! {
    #[test]
    fn first_frames_come_back(request in strategies::connect_request()) {
        let frame = unframed(|out| encode_connect(&request, out));
        prop_assert_eq!(decode_connect(&frame), Ok(request));
    }

    #[test]
    fn answers_to_first_frames_come_back(response in strategies::connect_response()) {
        let frame = unframed(|out| encode_reply(&Reply::Connected(response.clone()), out));
        prop_assert_eq!(decode_connect_response(&frame), Ok(response));
    }

    #[test]
    fn requests_come_back(xid in any::<i32>(), request in strategies::request()) {
        let frame = unframed(|out| encode_request(Xid(xid), &request, out));
        prop_assert_eq!(decode_request(&frame), Ok((Xid(xid), request)));
    }

    #[test]
    fn answers_come_back((request, reply) in strategies::exchange()) {
        let frame = unframed(|out| encode_reply(&reply, out));
        let Reply::Answer { xid, .. } = &reply else { unreachable!() };
        prop_assert_eq!(peek_xid(&frame), Ok(*xid));
        prop_assert_eq!(decode_reply(&frame, Some(&request)), Ok(reply));
    }

    /// The node decides by these figures what it may answer.
    #[test]
    fn reads_are_as_large_as_the_node_takes_them_for((request, reply) in strategies::exchange()) {
        if let (Request::Read(_), Reply::Answer { result: Ok(response), .. }) = (&request, &reply) {
            let frame = unframed(|out| encode_reply(&reply, out));
            prop_assert_eq!(frame.len(), size::HEADER_BYTES + size::of_read(response));
        }
    }

    #[test]
    fn multis_are_answered_with_no_more_than_the_node_fears(
        ops in many(strategies::op_in_multi(), 1..8),
        stat in strategies::stat(),
    ) {
        let done = |op: &Op| match op {
            Op::Create(create) => Done::Created {
                path: match create.naming {
                    Naming::Exact => create.place.path(),
                    Naming::Sequential => create.place.completed(u64::MAX),
                },
                stat,
                telling: create.telling,
            },
            Op::Delete { .. } => Done::Deleted,
            Op::SetData { .. } => Done::DataSet(stat),
            Op::SetAcl { .. } => Done::AclSet(stat),
            Op::Check { .. } => Done::Checked(stat),
        };
        let (count, code) = (ops.len(), Code::NoNode);
        for response in [
            Response::AllDone(ops.iter().map(done).collect()),
            Response::NoneDone { count, index: 0, code },
        ] {
            let (xid, zxid, result) = (Xid(7), Zxid(5), Ok(response));
            let reply = Reply::Answer { xid, zxid, result };
            let frame = unframed(|out| encode_reply(&reply, out));
            prop_assert!(frame.len() <= size::of_multi_at_most(&ops));
        }
    }

    #[test]
    fn events_come_back(event in strategies::watch_event()) {
        let frame = unframed(|out| encode_reply(&Reply::Event(event.clone()), out));
        prop_assert_eq!(peek_xid(&frame), Ok(Xid::NOTIFICATION));
        prop_assert_eq!(decode_reply(&frame, None), Ok(Reply::Event(event)));
    }

    #[test]
    fn noise_never_panics(
        frame in many(any::<u8>(), 0..200),
        request in strategies::request(),
    ) {
        decode_as_everything(&frame, &request);
    }

    /// Noise that begins like a request of every kind.
    #[test]
    fn noise_after_a_header_never_panics(
        opcode in prop_oneof![-12..110, any::<i32>()],
        noise in many(any::<u8>(), 0..100),
    ) {
        let mut frame = bytes("00000001");
        jute::put_int(&mut frame, opcode);
        frame.extend(noise);
        let _ = decode_request(&frame);
    }

    /// What still decodes after damage is again a request that can be sent and read.
    #[test]
    fn damaged_requests_never_panic(frame in strategies::damaged(request_frame())) {
        decode_as_everything(&frame, &Request::Ping);
        if let Ok((xid, request)) = decode_request(&frame)
            && !matches!(request, Request::Refused(_))
        {
            let again = unframed(|out| encode_request(xid, &request, out));
            prop_assert_eq!(decode_request(&again), Ok((xid, request)));
        }
    }

    #[test]
    fn damaged_replies_never_panic(
        (request, frame) in reply_frame().prop_flat_map(|(request, frame)| {
            (Just(request), strategies::damaged(Just(frame)))
        }),
    ) {
        decode_as_everything(&frame, &request);
    }
}

/// ZooKeeper's Java client reads the four bytes of a code, and hangs without them.
#[test]
fn an_added_watch_is_answered_with_a_code() {
    let reply = Reply::Answer {
        xid: Xid(7),
        zxid: Zxid(5),
        result: Ok(Response::Added),
    };
    let expected = bytes("00000007 00000000 00000005 00000000 00000000");
    assert_eq!(unframed(|out| encode_reply(&reply, out)), expected);
}

#[test]
fn requests_about_watches() {
    let path = || Path::parse("/a").unwrap();
    for (hex, request) in [
        (
            "00000007 0000006a 00000002 2f61 00000001",
            Request::AddWatch {
                path: path(),
                mode: WatchMode::Recursive,
            },
        ),
        (
            "00000007 00000011 00000002 2f61 00000003",
            Request::CheckWatches {
                path: path(),
                kinds: Whichever::Any,
            },
        ),
        (
            "00000007 00000012 00000002 2f61 00000005",
            Request::RemoveWatches {
                path: path(),
                kinds: Whichever::Only(WatchKind::Recursive),
            },
        ),
        (
            "00000007 0000006a 00000002 2f61 00000002",
            Request::Refused(Code::MarshallingError),
        ),
        (
            "00000007 00000012 00000002 2f61 00000006",
            Request::Refused(Code::MarshallingError),
        ),
    ] {
        assert_eq!(decode_request(&bytes(hex)), Ok((Xid(7), request)), "{hex}");
    }
}

#[test]
fn creates_of_znodes_that_go_by_themselves() {
    let frame = |opcode: &str, flags: &str, ttl: &str| {
        let head = bytes(&["00000007", opcode, "00000002 2f61 ffffffff"].concat());
        [head, bytes(OPEN), bytes(flags), bytes(ttl)].concat()
    };
    let lifetime = |frame: &[u8]| match decode_request(frame).unwrap().1 {
        Request::Write(Op::Create(create)) => Ok((create.lifetime, create.naming)),
        Request::Refused(code) => Err(code),
        request => panic!("{request:?}"),
    };
    let second = Lifetime::Ttl(Ttl::from_ms(1000).unwrap());
    let (container, with_ttl) = ("00000013", "00000015");
    for (opcode, flags, ttl, expected) in [
        (
            container,
            "00000004",
            "",
            Ok((Lifetime::Container, Naming::Exact)),
        ),
        (container, "00000000", "", Err(Code::BadArguments)),
        (
            with_ttl,
            "00000005",
            "00000000 000003e8",
            Ok((second, Naming::Exact)),
        ),
        (
            with_ttl,
            "00000006",
            "00000000 000003e8",
            Ok((second, Naming::Sequential)),
        ),
        (
            with_ttl,
            "00000005",
            "00000000 00000000",
            Err(Code::BadArguments),
        ),
        (
            with_ttl,
            "00000005",
            "ffffffff ffffffff",
            Err(Code::BadArguments),
        ),
        (
            with_ttl,
            "00000005",
            "00000100 00000000",
            Err(Code::BadArguments),
        ),
        (
            with_ttl,
            "00000004",
            "00000000 000003e8",
            Err(Code::BadArguments),
        ),
    ] {
        assert_eq!(
            lifetime(&frame(opcode, flags, ttl)),
            expected,
            "{opcode} {flags} {ttl}"
        );
    }
}
