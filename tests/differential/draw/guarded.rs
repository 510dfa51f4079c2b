//! Draws cases in which access control lists decide: sessions that have the credentials of nobody,
//! of alice, of bob or of both from the start, and znodes that are open to some of them only.

use proptest::collection::vec as many;
use proptest::prelude::*;
use proptest::sample::select;

use super::{
    STEPS_MAX, burst_of, create_of, delete, good_place, good_spot, line, look, multi_of,
    multi_read, of, one, open_create, secret, set_acl_to, set_data, watch,
};
use crate::ask::{AclLine, Ask, CREATE, GET_ACL, Spot, Step, WHO_AM_I};

const ALICE: (&str, &str) = ("digest", "alice:secret");
const BOB: (&str, &str) = ("digest", "bob:secret");
/// Another password makes another identity.
const FALSE_BOB: (&str, &str) = ("digest", "bob:guessed");

/// The steps of such a case.
pub(super) fn steps(sessions: usize) -> impl Strategy<Value = Vec<Step>> {
    let free = many(step(sessions), 1..=STEPS_MAX);
    (credentials(sessions), beginning(sessions), free)
        .prop_map(|(first, second, rest)| [first, second, rest].concat())
}

fn alone(session: usize, ask: Ask) -> Step {
    let asks = vec![ask];
    Step::Ask { session, asks }
}

fn auth((scheme, credential): (&'static str, &'static str)) -> Ask {
    let credential = Some(credential);
    Ask::Auth { scheme, credential }
}

/// Every session says who it is.
fn credentials(sessions: usize) -> impl Strategy<Value = Vec<Step>> {
    let known = select(vec![
        vec![],
        vec![ALICE],
        vec![ALICE],
        vec![BOB],
        vec![FALSE_BOB],
        vec![ALICE, BOB],
        vec![BOB, ALICE],
        vec![FALSE_BOB, BOB, ALICE],
    ]);
    many(known, sessions..=sessions).prop_map(|all| {
        let of_one = |(session, known): (usize, Vec<_>)| {
            known
                .into_iter()
                .map(move |each| alone(session, auth(each)))
        };
        all.into_iter().enumerate().flat_map(of_one).collect()
    })
}

/// Znodes that are there already, each made by one of the sessions.
fn beginning(sessions: usize) -> impl Strategy<Value = Vec<Step>> {
    let paths = select(vec![
        vec!["/a"],
        vec!["/a", "/b"],
        vec!["/a", "/a/a", "/b"],
        vec!["/a", "/a/a", "/a/a/a"],
    ]);
    let made = many((0..sessions, acl()), 4..=4);
    (paths, made).prop_map(|(paths, made)| {
        let step = |(path, (session, list))| {
            let mut ask = open_create(CREATE, Spot::below(path), 0);
            if let Ask::Create { acl, .. } = &mut ask {
                *acl = list;
            }
            alone(session, ask)
        };
        paths.into_iter().zip(made).map(step).collect()
    })
}

fn acl() -> impl Strategy<Value = Option<Vec<AclLine>>> {
    let entry = (perms(), who()).prop_map(|(perms, (scheme, id))| line(perms, scheme, id));
    let open = vec![line(31, "world", "anyone")];
    prop_oneof![1 => Just(open), 8 => many(entry, 1..4)].prop_map(Some)
}

/// All permissions, one of them, all but one, or any.
fn perms() -> impl Strategy<Value = i32> {
    prop_oneof![
        3 => Just(31),
        3 => select(vec![1, 2, 4, 8, 16]),
        1 => select(vec![30, 29, 27, 23, 15]),
        2 => 0..32_i32,
    ]
}

fn who() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop_oneof![
        4 => Just(("digest", "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E=")),
        3 => Just(("digest", "bob:fyVmFCwVbTJYrznoSu1koqYEYF0=")),
        // Nobody's password is this.
        1 => Just(("digest", "alice:AAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
        4 => Just(("auth", "")),
        3 => Just(("world", "anyone")),
        1 => select(vec!["127.0.0.1", "127.0.0.0/8", "10.0.0.0/8"]).prop_map(|id| ("ip", id)),
    ]
}

fn step(sessions: usize) -> impl Strategy<Value = Step> {
    let ask = |asks: BoxedStrategy<Vec<Ask>>| {
        (0..sessions, asks).prop_map(|(session, asks)| Step::Ask { session, asks })
    };
    let another = select(vec![ALICE, BOB, FALSE_BOB]).prop_map(auth);
    // Who somebody is belongs to the connection: after this the session is nobody's again.
    let reattach = (0..sessions, secret());
    prop_oneof![
        26 => ask(one(guarded_ask().boxed())),
        4 => ask(burst_of(guarded_ask()).boxed()),
        // What is answered at once, before what was asked earlier, is asked alone.
        1 => ask(one(another.boxed())),
        1 => reattach.prop_map(|(session, secret)| Step::Reattach { session, secret }),
    ]
}

fn guarded_ask() -> impl Strategy<Value = Ask> {
    let create = |ttl: i64| create_of(good_place().boxed(), acl().boxed(), Just(ttl).boxed());
    let get_acl = good_spot().prop_map(|path| {
        let opcode = GET_ACL;
        Ask::Of { opcode, path }
    });
    prop_oneof![
        6 => create(3_600_000),
        4 => delete(),
        5 => set_data(),
        4 => set_acl_to(acl()),
        6 => look(),
        6 => get_acl,
        2 => of(),
        2 => watch(),
        3 => multi_of(create(3_600_000)),
        2 => multi_read(),
        1 => Just(Ask::Bare { opcode: WHO_AM_I }),
    ]
}
