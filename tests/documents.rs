//! Documents that must be true of the code beside which they lie.

use std::fs;
use std::path::{Path, PathBuf};

use althing_sim::check::findings::INVARIANTS;

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("the workspace").to_path_buf()
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_invariant_is_documented_as_it_is() {
    let told = read("docs/invariants.md");
    for (name, says) in INVARIANTS {
        let line = format!("| {name} | {says} |");
        assert!(told.contains(&line), "docs/invariants.md lacks: {line}");
    }
    let rows = told.lines().filter(|line| line.starts_with("| ")).count();
    assert_eq!(
        rows,
        INVARIANTS.len() + 1,
        "docs/invariants.md has a row too many"
    );
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "docs/tree.md",
        "docs/scenarios.md",
        "docs/testbed.md",
        "docs/score.md",
        "docs/campaigns-at-scale.md",
        "docs/ensemble.md",
        "docs/compatibility.md",
        "docs/gossip.md",
        "docs/operations.md",
        "docs/report.md",
    ] {
        let text = read(name);
        let folder = root().join(name).parent().expect("a folder").to_path_buf();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let path = link.split('#').next().unwrap_or_default();
            if !link.starts_with("http") && !path.is_empty() && !folder.join(path).exists() {
                broken.push(format!("{name}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere: {broken:?}");
}

#[test]
fn every_scenario_tells_its_story_first() {
    for entry in fs::read_dir(root().join("scenarios")).expect("the scenarios") {
        let path = entry.expect("an entry").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let text = fs::read_to_string(&path).expect("a readable scenario");
            let story = text
                .lines()
                .take_while(|line| line.starts_with('#'))
                .count();
            assert!(
                story >= 2,
                "{} does not begin with its story",
                path.display()
            );
        }
    }
}
