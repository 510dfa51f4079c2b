//! What differs from ZooKeeper on purpose and is therefore not drawn at random: each case with what
//! either server answers, and the words of docs/compatibility.md that tell of it. Beside it what a
//! client can get wrong and both refuse alike.

use std::path::Path;

use crate::ask::{
    ADD_WATCH, AclLine, Ask, CHECK, CREATE, Case, DELETE, EXISTS, GET_DATA, MULTI, MULTI_READ,
    Payload, REMOVE_WATCHES, SYNC, Since, Spot, Step,
};
use crate::compare::{Words, first_difference};
use crate::draw::{line, open_create, quota_asks};
use crate::{Pair, told};

/// ZooKeeper's deleteContainer, which its leader sends to itself.
const DELETE_CONTAINER: i32 = 20;

/// A number that is no operation's.
const UNKNOWN: i32 = 999;

/// ZooKeeper's mode of a container.
const CONTAINER: i32 = 4;

/// More than a frame of ZooKeeper may have.
const TOO_MANY_BYTES: usize = 1024 * 1024 + 1;

struct Intended {
    asks: Vec<Ask>,
    theirs: &'static str,
    ours: &'static str,
    documented: &'static str,
}

fn exactly(text: &str) -> Spot {
    Spot::Exactly(text.to_owned())
}

fn look(opcode: i32, path: Spot) -> Ask {
    Ask::Look {
        opcode,
        path,
        watch: false,
    }
}

fn set_data(path: Spot, data: Payload) -> Ask {
    Ask::SetData {
        path,
        data,
        version: -1,
    }
}

fn versioned(opcode: i32, path: Spot) -> Ask {
    Ask::Versioned {
        opcode,
        path,
        version: -1,
    }
}

fn several(opcode: i32, part: Ask) -> Ask {
    let parts = vec![part];
    Ask::Several { opcode, parts }
}

fn no_paths() -> Vec<Intended> {
    let documented = "A text that is no path is refused with `BadArguments`";
    let case = |ask: Ask, theirs, ours| case(vec![ask], theirs, ours, documented);
    let bad = || Spot::below("x/");
    let watch = |opcode, kind| Ask::Watch {
        opcode,
        path: bad(),
        kind,
    };
    let list = vec![vec![bad()], vec![], vec![]];
    let set_watches = Ask::SetWatches {
        since: Since::Always,
        lists: list,
    };
    vec![
        case(open_create(CREATE, Spot::below("//a"), 0), "-101", "-8"),
        case(versioned(DELETE, Spot::below("/a/")), "-101", "-8"),
        case(
            Ask::Of {
                opcode: SYNC,
                path: bad(),
            },
            "0",
            "-8",
        ),
        case(watch(ADD_WATCH, 0), "0", "-8"),
        case(watch(REMOVE_WATCHES, 3), "-121", "-8"),
        case(set_watches, "event, 0", "-8"),
        case(look(EXISTS, Spot::below("/a\0")), "-8", "-101"),
        case(look(EXISTS, exactly("")), "0", "-101"),
        case(look(GET_DATA, Spot::Null), "-5", "-8"),
        case(several(MULTI_READ, look(GET_DATA, bad())), "0", "-8"),
    ]
}

fn case(
    asks: Vec<Ask>,
    theirs: &'static str,
    ours: &'static str,
    documented: &'static str,
) -> Intended {
    Intended {
        asks,
        theirs,
        ours,
        documented,
    }
}

fn below(text: &str) -> Spot {
    Spot::below(text)
}

fn create(mode: i32) -> Ask {
    open_create(CREATE, below("/a"), mode)
}

fn of(opcode: i32) -> Ask {
    let path = below("/a");
    Ask::Of { opcode, path }
}

fn operations() -> Vec<Intended> {
    vec![
        case(
            vec![Ask::Bare { opcode: UNKNOWN }, of(SYNC)],
            "-6, closed by the server",
            "-6, 0",
            "ZooKeeper closes the connection after that answer",
        ),
        case(
            vec![create(0), of(DELETE_CONTAINER)],
            "0, 0",
            "0, -6",
            "ZooKeeper executes it for anybody",
        ),
        case(
            vec![create(0), versioned(CHECK, below("/a")), of(SYNC)],
            "0, -6, closed by the server",
            "0, 0, 0",
            "ZooKeeper's is `Unimplemented`",
        ),
    ]
}

fn arguments() -> Vec<Intended> {
    let mut nobody = create(0);
    if let Ask::Create { acl, .. } = &mut nobody {
        *acl = Some(vec![AclLine {
            perms: 31,
            scheme: Some("world"),
            id: None,
        }]);
    }
    let auth = Ask::Auth {
        scheme: "digest",
        credential: None,
    };
    let large = Payload::Bytes(TOO_MANY_BYTES);
    vec![
        case(
            vec![create(CONTAINER)],
            "0",
            "-8",
            "a mode that does not belong to the request is `BadArguments`",
        ),
        case(
            vec![nobody],
            "-5",
            "-114",
            "null in the place of a scheme or an id",
        ),
        case(
            vec![several(MULTI, open_create(CREATE, below("/."), 0))],
            "0",
            "-8",
            "refused as it stands",
        ),
        case(
            vec![auth],
            "-115, closed by the server",
            "0",
            "null is a proof of no bytes",
        ),
        case(
            vec![create(0), set_data(below("/a"), large)],
            "0, closed by the server",
            "0, -8",
            "the connection is closed at a frame",
        ),
    ]
}

fn quotas() -> Vec<Intended> {
    let set = |text| set_data(below("/a"), Payload::Text(text));
    let under = |limits, rest: Vec<Ask>| -> Vec<Ask> {
        let asks = [create(0), set("123456789")].into_iter();
        asks.chain(quota_asks(limits)).chain(rest).collect()
    };
    let two = ["/b", "/c"].map(|path| open_create(CREATE, below(path), 0));
    let multi = Ask::Several {
        opcode: MULTI,
        parts: two.to_vec(),
    };
    let one = || open_create(CREATE, below("/d"), 0);
    vec![
        case(
            under("byteHardLimit=3", vec![set("12345")]),
            "0, 0, 0, 0, 0, -125",
            "0, 0, 0, 0, 0, 0",
            "A setData that makes data shorter is never refused",
        ),
        case(
            under("countHardLimit=3", vec![multi, one()]),
            "0, 0, 0, 0, 0, 0, -125",
            "0, 0, 0, 0, 0, 0, 0",
            "so a `multi` or a burst of requests goes beyond it",
        ),
        case(
            under("countHardLimit=many", vec![one()]),
            "0, 0, 0, 0, 0, -5",
            "0, 0, 0, 0, 0, 0",
            "What cannot be read in limits limits nothing",
        ),
    ]
}

/// What one session heard between its beginning and its end, in short.
fn verdicts(words: &Words) -> String {
    let lines = &words[0];
    let heard = lines[1..lines.len() - 1].iter().map(|line| {
        let kind = line.split(' ').next().unwrap_or_default();
        match (kind, line.split(" error ").nth(1)) {
            ("answer", Some(rest)) => rest.split(' ').next().unwrap_or_default(),
            ("event", _) => "event",
            _ => line,
        }
    });
    heard.collect::<Vec<_>>().join(", ")
}

fn alone(asks: &[Ask]) -> Case {
    let step = |ask: &Ask| Step::Ask {
        session: 0,
        asks: vec![ask.clone()],
    };
    Case {
        timeouts_ms: vec![30_000],
        steps: asks.iter().map(step).collect(),
    }
}

#[test]
#[ignore = "needs ZooKeeper's jars: tests/differential/run"]
fn what_differs_on_purpose_differs_as_documented() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md");
    let page = std::fs::read_to_string(folder).expect("the page");
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut pair = Pair::start();
    let mut wrong = Vec::new();
    for intended in no_paths()
        .into_iter()
        .chain(operations())
        .chain(arguments())
        .chain(quotas())
    {
        let (ours, theirs) = pair.play(&alone(&intended.asks));
        let got = (verdicts(&ours), verdicts(&theirs));
        if got != (intended.ours.to_owned(), intended.theirs.to_owned()) {
            let (ours, theirs) = got;
            let asks = &intended.asks;
            wrong.push(format!("{asks:?}: ZooKeeper {theirs}; Althing {ours}"));
        }
        let is_documented = page.contains(intended.documented);
        assert!(is_documented, "not documented: {:?}", intended.documented);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
#[ignore = "needs ZooKeeper's jars: tests/differential/run"]
fn what_a_client_gets_wrong_is_refused_alike() {
    let mut asks = Vec::new();
    for text in [
        "/.",
        "/..",
        "/\u{1}",
        "/\u{7f}",
        "/\u{9f}",
        "/\u{e000}",
        "/\u{fff1}",
        "/a\0",
    ] {
        asks.push(open_create(CREATE, Spot::below(text), 0));
        asks.push(set_data(Spot::below(text), Payload::Null));
    }
    for text in [
        "a",
        "",
        "/zookeeper",
        "/zookeeper/config",
        "/zookeeper/quota",
        "/",
    ] {
        if text.starts_with('/') {
            asks.push(versioned(DELETE, exactly(text)));
        }
        asks.push(open_create(CREATE, exactly(text), 0));
    }
    for (scheme, id) in [
        ("", ""),
        ("nonsense", "x"),
        ("world", "nobody"),
        ("ip", "1.2.3"),
    ] {
        let mut ask = open_create(CREATE, Spot::below("/a"), 0);
        if let Ask::Create { acl, .. } = &mut ask {
            *acl = Some(vec![line(31, scheme, id)]);
        }
        asks.push(ask);
    }
    let mut pair = Pair::start();
    let case = alone(&asks);
    let (ours, theirs) = pair.play(&case);
    let difference = first_difference(&ours, &theirs);
    assert_eq!(difference, None, "{}", told(&case, &ours, &theirs));
    let refused = ours[0].iter().filter(|line| line.contains(" error -"));
    assert_eq!(refused.count(), asks.len(), "all of them are refused");
}
