//! The same random operations against a real Apache ZooKeeper and against us: answers, errors,
//! Stats and events of watches must be the same, but for what docs/compatibility.md lists.
//!
//! Needs Java and ZooKeeper's jars, so it is ignored unless asked for; `tests/differential/run`
//! fetches them and asks. `ALTHING_DIFFERENTIAL_CASES` and `ALTHING_DIFFERENTIAL_SEED` choose how
//! many cases are drawn and which, `ALTHING_DIFFERENTIAL_DIFFERENCES` after how many differences
//! the test gives up.

mod answer;
mod apache;
mod ask;
mod compare;
mod draw;
mod intended;
mod play;
mod wire;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use althing_tests::process::{self, Server};
use proptest::strategy::{Strategy as _, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::apache::Apache;
use crate::ask::{
    COUNT_BELOW, CREATE, CREATE_CONTAINER, CREATE_TTL, CREATE2, Case, DELETE, EXISTS, GET_ACL,
    GET_CHILDREN, GET_CHILDREN2, GET_DATA, SET_ACL, SET_DATA, Spot,
};
use crate::compare::{Words, first_difference, words};
use crate::draw::open_create;
use crate::play::{play, prepare};

const BINARY: &str = env!("CARGO_BIN_EXE_server_under_test");

/// How many cases are drawn unless told otherwise: about a minute.
const CASES: u64 = 3000;

/// Among so many cases every operation succeeds somewhere.
const VARIED: u64 = 1000;

/// What an access control list may forbid; among so many cases each is forbidden somewhere.
const GUARDED: [i32; 13] = [
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
    COUNT_BELOW,
];

/// How many smaller cases are tried when one is to be shown.
const SHRINKS_MAX: u32 = 400;

/// Servers are replaced before they are this old: the next case would be disturbed when ours looks
/// for containers that are over, each minute.
const AGE_MAX: Duration = Duration::from_secs(40);

/// Both servers, as empty as each other.
struct Pair {
    apache: Apache,
    althing: Server,
    born: Instant,
    roots: u64,
}

/// Ours, with the settings that ZooKeeper's has on its command line.
fn althing() -> Server {
    let settings = tempfile::NamedTempFile::with_suffix(".toml").expect("a file");
    std::fs::write(settings.path(), "enforce_quotas = true\n").expect("written");
    let path = settings.path().to_str().expect("a path of text");
    Server::start_with(BINARY, &["--config", path])
}

impl Pair {
    fn start() -> Pair {
        Pair {
            apache: Apache::start(),
            althing: althing(),
            born: Instant::now(),
            roots: 0,
        }
    }

    /// Plays a case against both, each time in a subtree of its own.
    fn play(&mut self, case: &Case) -> (Words, Words) {
        self.roots += 1;
        let root = format!("/case-{}", self.roots);
        let created = [open_create(CREATE, Spot::Exactly(root.clone()), 0)];
        let both = [self.althing.address(), self.apache.address()];
        let [ours, theirs] = both.map(|address| {
            prepare(address, &created);
            words(play(address, &root, case))
        });
        (ours, theirs)
    }
}

/// A number from the environment.
fn chosen(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}: {text:?}")),
        Err(_) => otherwise,
    }
}

/// Both transcripts for people, side by side where they differ.
fn told(case: &Case, ours: &Words, theirs: &Words) -> String {
    let mut text = String::new();
    writeln!(text, "time-outs {:?}", case.timeouts_ms).expect("text");
    for step in &case.steps {
        writeln!(text, "{step:?}").expect("text");
    }
    for (session, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        writeln!(text, "session {session}:").expect("text");
        for line in 0..ours.len().max(theirs.len()) {
            let at = |words: &Vec<String>| match words.get(line) {
                Some(line) => line.clone(),
                None => "-".to_owned(),
            };
            let (ours, theirs) = (at(ours), at(theirs));
            match ours == theirs {
                true => writeln!(text, "    both      {ours}").expect("text"),
                false => {
                    writeln!(text, "  ! ZooKeeper {theirs}").expect("text");
                    writeln!(text, "  ! Althing   {ours}").expect("text");
                }
            }
        }
    }
    text
}

#[test]
#[ignore = "needs ZooKeeper's jars: tests/differential/run"]
fn nobody_can_tell_the_difference() {
    let (cases, seed) = (
        chosen("ALTHING_DIFFERENTIAL_CASES", CASES),
        chosen("ALTHING_DIFFERENTIAL_SEED", 1),
    );
    let wanted = chosen("ALTHING_DIFFERENTIAL_DIFFERENCES", 1);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = draw::case();
    let mut pair = Pair::start();
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    let mut differences = Vec::new();
    let began = Instant::now();
    for number in 0..cases {
        if pair.born.elapsed() > AGE_MAX {
            pair = Pair::start();
        }
        let mut tree = strategy.new_tree(&mut runner).expect("a case");
        let (ours, theirs) = pair.play(&tree.current());
        if first_difference(&ours, &theirs).is_some() {
            let told = shrunk(&mut pair, &mut tree, (ours.clone(), theirs.clone()));
            differences.push(format!("seed {seed}, case {number}:\n{told}"));
            if differences.len() as u64 >= wanted {
                break;
            }
            pair = Pair::start();
        }
        for line in ours.iter().flatten() {
            *outcomes.entry(kind_of(line)).or_default() += 1;
        }
    }
    println!("{cases} cases of seed {seed} in {:?}", began.elapsed());
    for (kind, count) in &outcomes {
        println!("{count:>8} {kind}");
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    if cases >= VARIED {
        let succeeds = draw::OPCODES.map(|opcode| format!("answer to {opcode} error 0"));
        let forbidden = GUARDED.map(|opcode| format!("answer to {opcode} error -102"));
        let redacted = [format!("answer to {GET_ACL} error 0 redacted")];
        for kind in succeeds.iter().chain(&forbidden).chain(&redacted) {
            assert!(outcomes.contains_key(kind), "never: {kind}");
        }
    }
}

/// The smallest case found that still differs, with what was heard of it.
fn shrunk(
    pair: &mut Pair,
    tree: &mut impl ValueTree<Value = Case>,
    mut heard: (Words, Words),
) -> String {
    let mut smallest = tree.current();
    let mut smaller = tree.simplify();
    for _ in 0..SHRINKS_MAX {
        if !smaller {
            break;
        }
        let (ours, theirs) = pair.play(&tree.current());
        smaller = if first_difference(&ours, &theirs).is_none() {
            tree.complicate()
        } else {
            smallest = tree.current();
            heard = (ours, theirs);
            tree.simplify()
        };
    }
    told(&smallest, &heard.0, &heard.1)
}

/// What a line tells, without its numbers: for counting.
fn kind_of(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let after = |word: &str| {
        let at = words.iter().position(|known| *known == word);
        at.and_then(|at| words.get(at + 1)).copied().unwrap_or("?")
    };
    match words[0] {
        "answer" => {
            // The hash of a digest is shown as `x` to who may not change the list.
            let redacted = line.contains(r#":x")"#).then_some(" redacted");
            let (opcode, error) = (after("to"), after("error"));
            format!("answer to {opcode} error {error}{}", redacted.unwrap_or(""))
        }
        "event" => format!("event kind {}", after("kind")),
        other => other.to_owned(),
    }
}
