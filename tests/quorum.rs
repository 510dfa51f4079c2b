//! Stories of the quorum protocol, as text: what happens to an ensemble, and what every server does
//! and says about it.
//!
//! Each file of `tests/quorum/` is a story; `althing_sim::explore::story` says which commands there
//! are. Lines that begin with `> ` are commands; the lines after a command are what the servers
//! did, and are compared to the letter. With
//! `ALTHING_REWRITE=1 cargo test -p althing-tests --test quorum` they are written anew, so that a
//! change of the protocol is reviewed as a diff of stories. The invariants of the explorer are
//! checked after every action.

use std::fs;
use std::path::Path;

use althing_sim::explore::trace;

/// Stories that must be there: a folder that is empty proves nothing.
const STORIES: &[&str] = &[
    "check-quorum",
    "counter-rollover",
    "figure-8",
    "first-election",
    "forwarding",
    "full-disk",
    "leader-change",
    "lost-disk",
    "membership",
    "power-cut",
    "pre-vote",
    "replication",
    "session-moves",
    "snapshot-transfer",
    "succession",
];

#[test]
fn every_story_goes_as_it_is_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("quorum");
    let rewrite = std::env::var_os("ALTHING_REWRITE").is_some();
    for name in STORIES {
        let path = folder.join(name).with_extension("txt");
        let story = fs::read_to_string(&path).expect("a readable story");
        let (told, end) = trace::tell(&story);
        assert!(end.is_ok(), "{name} breaks off:\n{told}");
        if rewrite {
            fs::write(&path, &told).expect("a writable story");
            continue;
        }
        let differs = story.lines().zip(told.lines()).position(|(a, b)| a != b);
        let line = differs.map_or(0, |line| line + 1);
        assert!(story == told, "{name}, line {line}, goes now:\n{told}");
    }
}

#[test]
fn every_story_is_known() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("quorum");
    for entry in fs::read_dir(folder).expect("the stories") {
        let path = entry.expect("a story").path();
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        assert!(STORIES.contains(&&*name), "{name} is not told by any test");
    }
}
