//! Reading and joining traces: what is torn, what is damaged, what does not belong together.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use althing::trace::line::{Did, Header, Line, VERSION};
use althing::witness::Deed;
use althing_core::ids::{ConnectionId, DirectoryId, Epoch, ServerId, SessionId, Zxid};
use althing_core::node::event::Event;
use althing_core::quorum::log::Ballot;
use althing_core::store::txn::{Action, Ending, Entry, Txn};
use althing_core::time::WallTime;

use crate::check::tests::service::{Wish, good_history};
use crate::history::What;
use crate::traces::file::{Lives, parse};
use crate::traces::judge::judge;
use crate::traces::merge::{Merged, Unmergeable, merge};

const SERVER: &str = r#"
{"althing-trace":1,"at":1000,"boot":"b","server":1,"clients":"127.0.0.1:2181","tick_ms":500}
{"at":1001,"did":"durable","zxid":"0x100000000"}
{"at":1002,"did":"executed","zxid":"0x100000000","digest":"0x1f"}
"#;

const CLIENT: &str = r#"
{"althing-trace":1,"at":900,"boot":"b","client":"ann"}
{"at":1500,"link":1,"did":"opened","server":"127.0.0.1:2181","from":"127.0.0.1"}
{"at":1600,"link":1,"did":"ended"}
"#;

fn refused(text: &str) -> String {
    parse(Path::new("x.trace"), text).unwrap_err().to_string()
}

fn lines(text: &str) -> usize {
    match parse(Path::new("x.trace"), text).unwrap().lives {
        Lives::Server(lives) => lives.iter().map(|life| life.lines.len()).sum(),
        Lives::Client(lives) => lives.iter().map(|life| life.lines.len()).sum(),
    }
}

fn merged(texts: &[&str]) -> Result<Merged, Unmergeable> {
    let parsed = (1..).zip(texts).map(|(number, text)| {
        let name = format!("{number}.trace");
        parse(Path::new(&name), text).unwrap_or_else(|error| panic!("{error}"))
    });
    merge(&parsed.collect::<Vec<_>>())
}

#[test]
fn the_last_line_of_a_life_may_be_torn() {
    assert_eq!(lines(SERVER), 2);
    let torn = &SERVER[..SERVER.len() - 9];
    assert_eq!(lines(torn), 1);
    // The next life begins on a line of its own.
    let next = SERVER.replace("at\":1", "at\":2");
    assert_eq!(lines(&format!("{torn}\n{next}")), 3);
    let within = SERVER.replace("\"zxid\":\"0x100000000\"}\n", "\"zxid\":\n");
    assert!(
        refused(&within).starts_with("x.trace:3: "),
        "{}",
        refused(&within)
    );
}

#[test]
fn what_is_no_trace_is_refused_with_its_place() {
    assert!(refused("").starts_with("x.trace:1: this is no trace"));
    assert!(refused("\n\nhello\n").starts_with("x.trace:3: this is no trace"));
    let newer = SERVER.replace("althing-trace\":1", "althing-trace\":2");
    assert!(refused(&newer).contains("version is 2; this program reads 1"));
    let unknown = SERVER.replace("durable", "forgot");
    assert!(refused(&unknown).starts_with("x.trace:3: "));
    let back = SERVER.replace("\"at\":1002", "\"at\":999");
    assert!(refused(&back).starts_with("x.trace:4: time goes back"));
}

#[test]
fn traces_are_put_in_true_order() {
    let run = merged(&[SERVER, CLIENT]).unwrap();
    let told: Vec<(u64, bool)> = run
        .history
        .moments
        .iter()
        .map(|moment| {
            let of_server = !matches!(
                moment.what,
                What::LinkOpened { .. } | What::LinkEnded { .. }
            );
            (moment.at.as_nanos() as u64, of_server)
        })
        .collect();
    // The server is taken for dead after its last line.
    let expected = [
        (100, true),
        (101, true),
        (102, true),
        (102, true),
        (600, false),
        (700, false),
    ];
    assert_eq!(told, expected);
    assert_eq!((run.servers, run.clients), (1, 1));
    assert_eq!(run.tick, Duration::from_millis(500));
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let told = |texts: &[&str]| merged(texts).unwrap_err().to_string();
    assert_eq!(told(&[CLIENT]), "there is no trace of a server");
    let boot = CLIENT.replace("\"b\"", "\"c\"");
    assert!(told(&[SERVER, &boot]).starts_with("1.trace and 2.trace are of two machines"));
    assert_eq!(
        told(&[SERVER, SERVER]),
        "1.trace and 2.trace are both of server 1"
    );
    let elsewhere = CLIENT.replace(":2181", ":2182");
    assert_eq!(
        told(&[SERVER, &elsewhere]),
        "2.trace:3: no server that is traced serves at 127.0.0.1:2182"
    );
    let unopened = CLIENT.replace(
        "\"link\":1,\"did\":\"ended\"",
        "\"link\":2,\"did\":\"ended\"",
    );
    assert_eq!(
        told(&[SERVER, &unopened]),
        "2.trace:4: link 2 was not opened"
    );
    let other = SERVER
        .replace("server\":1", "server\":2")
        .replace("500", "600");
    assert_eq!(
        told(&[SERVER, &other]),
        "the servers have different ticks: 500 ms and 600 ms"
    );
    let large = SERVER.replace(
        "\"durable\",\"zxid\":\"0x",
        "\"durable\",\"zxid\":\"0xfffffffff",
    );
    assert!(
        told(&[&large]).starts_with("1.trace:3: "),
        "{}",
        told(&[&large])
    );
}

#[test]
fn a_server_that_listens_everywhere_is_known_by_its_port() {
    let everywhere = SERVER.replace("127.0.0.1:2181", "0.0.0.0:2181");
    assert!(merged(&[&everywhere, CLIENT]).is_ok());
}

/// What a history's servers did, as their traces have it.
fn traced(history: &[crate::history::Moment], server: u8) -> String {
    let header = |at| Header {
        version: VERSION,
        at,
        boot: "b".to_owned(),
        server,
        clients: format!("127.0.0.1:{}", 2180 + u16::from(server)),
        tick_ms: 2000,
    };
    let mut text = String::new();
    for moment in history {
        let at = moment.at.as_nanos() as u64;
        let json = match &moment.what {
            What::Started { server: id, .. } if id.0 == server => {
                serde_json::to_string(&header(at)).unwrap()
            }
            what => match deed(what, server).and_then(|deed| Did::of(&deed)) {
                Some(did) => serde_json::to_string(&Line { at, did }).unwrap(),
                None => continue,
            },
        };
        text += &format!("{json}\n");
    }
    text
}

fn deed(what: &What, of: u8) -> Option<Deed> {
    let (server, deed) = match what.clone() {
        What::Recovered {
            server,
            directory,
            ballot,
            snapshot,
            entries,
        } => {
            let recovered = Deed::Recovered {
                directory,
                ballot,
                snapshot,
                entries,
            };
            (server, recovered)
        }
        What::Saving { server, zxid, txn } => (server, Deed::Saving { zxid, txn }),
        What::Cut { server, after } => (server, Deed::Cut { after }),
        What::Refused { server, zxid } => (server, Deed::Refused { zxid }),
        What::Durable { server, zxid } => (server, Deed::Durable { zxid }),
        What::Voted { server, ballot } => (server, Deed::Voted { ballot }),
        What::Asked { server, connection } => (server, Deed::Asked { connection }),
        What::Said { server, event } => (server, Deed::Said { event }),
        _ => return None,
    };
    (server.0 == of).then_some(deed)
}

/// The traces of three servers, one of which loses its power meanwhile.
fn three() -> Vec<String> {
    let history = good_history(Wish {
        seed: 3,
        seconds: 20,
        servers: 3,
        clients: 3,
        power_losses: 1,
        cuts: 1,
        wipes: 0,
    });
    (1..=3)
        .map(|server| traced(&history.moments, server))
        .collect()
}

fn broken(texts: &[String]) -> Vec<&'static str> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (broken, figures) = judge(&merged(&texts).unwrap_or_else(|error| panic!("{error}")));
    assert!(figures.agreed > 50, "{figures:?}");
    broken.into_iter().map(|found| found.invariant).collect()
}

#[test]
fn good_traces_are_clean_and_what_is_broken_is_named() {
    let good = three();
    assert_eq!(broken(&good), Vec::<&str>::new());
    // What was executed was durable on one server only.
    let mut lost = good.clone();
    for text in &mut lost[1..] {
        let kept = text
            .lines()
            .filter(|line| !line.contains("\"did\":\"durable\""));
        *text = kept.collect::<Vec<_>>().join("\n");
    }
    assert!(broken(&lost).contains(&"I3 durability"));
    // One server has another tree.
    let mut differs = good.clone();
    let other = differs[2]
        .lines()
        .map(|line| match line.split_once("\"digest\"") {
            Some((before, _)) => format!("{before}\"digest\":\"0x1\"}}"),
            None => line.to_owned(),
        });
    differs[2] = other.collect::<Vec<_>>().join("\n");
    assert!(broken(&differs).contains(&"I1 agreement"));
    // A server executes what it never saved.
    let mut unsaved = good;
    let saving = |line: &&str| line.contains("\"did\":\"saving\"");
    let last = unsaved[0]
        .lines()
        .rfind(saving)
        .expect("it saved something");
    let last = last.to_owned();
    unsaved[0] = unsaved[0].replace(&last, "");
    assert!(broken(&unsaved).contains(&"I1 agreement"));
}

#[test]
fn who_votes_has_to_be_traced() {
    let mut two = three();
    two.pop();
    let texts: Vec<&str> = two.iter().map(String::as_str).collect();
    let error = merged(&texts).unwrap_err();
    assert_eq!(
        error,
        Unmergeable::Untraced {
            server: ServerId(3)
        }
    );
}

/// One of every event that checkers read.
fn events(zxid: Zxid) -> Vec<Event> {
    let session = SessionId(0x1_0000_0002);
    vec![
        Event::Elected {
            epoch: Epoch(3),
            leader: ServerId(2),
        },
        Event::Followed {
            epoch: Epoch(3),
            leader: ServerId(2),
        },
        Event::Deposed { epoch: Epoch(3) },
        Event::EpochOpened { epoch: Epoch(3) },
        Event::Executed {
            zxid,
            digest: u128::MAX,
        },
        Event::Installed { zxid, digest: 0 },
        Event::Attached {
            connection: ConnectionId(4),
            session,
            attachment: zxid,
        },
        Event::Touched { session },
        Event::TimedOut { session },
        Event::SessionClosed {
            session,
            ending: Ending::Closed,
            ephemerals: 2,
        },
        Event::SavesRefused { count: 1 },
        Event::Paused {
            gap: Duration::from_nanos(1_000_000_001),
        },
    ]
}

#[test]
fn every_deed_comes_back_as_it_was() {
    let txn = Arc::new(Txn::of_servers(
        WallTime(5),
        Action::CloseSession {
            session: SessionId(7),
            ending: Ending::Expired,
        },
    ));
    let zxid = Zxid::new(Epoch(3), 9);
    let entries = Arc::from([Entry {
        zxid,
        txn: txn.clone(),
    }]);
    let ballot = Ballot {
        epoch: Epoch(3),
        voted_for: Some(ServerId(2)),
        ..Ballot::default()
    };
    let deeds = [
        Deed::Recovered {
            directory: DirectoryId(u128::MAX - 1),
            ballot,
            snapshot: Zxid::ZERO,
            entries,
        },
        Deed::Saving { zxid, txn },
        Deed::Cut { after: zxid },
        Deed::Refused { zxid },
        Deed::Durable { zxid },
        Deed::Voted { ballot },
        Deed::Asked {
            connection: ConnectionId(u64::MAX),
        },
    ];
    let said = events(zxid).into_iter().map(|event| Deed::Said { event });
    for deed in deeds.into_iter().chain(said) {
        let line = Line {
            at: u64::MAX,
            did: Did::of(&deed).expect("checkers read it"),
        };
        let text = serde_json::to_string(&line).unwrap();
        let read: Line = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(read, line);
        assert_eq!(read.did.deed().as_ref(), Ok(&deed), "{text}");
    }
    let other = Event::MultiRefused { zxid };
    assert_eq!(Did::of(&Deed::Said { event: other }), None);
}
