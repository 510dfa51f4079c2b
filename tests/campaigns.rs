//! The recipes for campaigns over several machines: each is read, and its commands are run with two
//! shards, whose joined results must be those of one machine. And Ctrl-C, which must lose nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_simulator_under_test");

/// A short story, so that a seed is played within a moment.
const SCENARIO: &str = "# Two clients, one server, a crash.
lasts = \"4s\"
settles = \"20s\"
reaches = [\"crash\", \"executed\"]
[workload.mix]
clients = 2
rest = \"200ms\"
znodes = 3
session = \"4s\"
[swarm.faults.crash]
chance = 1.0
every = \"2s\"
down = [\"100ms\", \"1s\"]
";

fn recipe(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let file = root.expect("the workspace").join("docs/recipes").join(name);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn yaml(name: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&recipe(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A library with one scenario, and the programs that recipes call: all of them the simulator that
/// was built for this test.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = TempDir::new().expect("a folder");
        let place = Place { folder };
        fs::create_dir(place.path("scenarios")).expect("a folder");
        fs::write(place.path("scenarios/crash.toml"), SCENARIO).expect("a file");
        fs::create_dir(place.path("bin")).expect("a folder");
        place.program(
            "cargo",
            &format!("test \"$1\" = sim; shift; exec {BINARY} \"$@\""),
        );
        place.program("althing-sim", &format!("exec {BINARY} \"$@\""));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str, line: &str) {
        let file = self.path("bin").join(name);
        fs::write(&file, format!("#!/bin/sh\nset -e\n{line}\n")).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("permissions");
    }

    fn command(&self, program: &str) -> Command {
        let path = std::env::var("PATH").expect("a path");
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("ALTHING_SIM_COMMIT", "of-this-test")
            .env_remove("CARGO_TARGET_DIR");
        command
    }

    /// What `script` prints, run by a shell with these variables.
    fn run(&self, script: &str, variables: &[(&str, &str)]) -> String {
        let mut command = self.command("sh");
        command.arg("-ec").arg(script);
        told(
            command
                .envs(variables.iter().copied())
                .output()
                .expect("a shell"),
        )
    }

    /// The verdict of one machine that plays all seeds.
    fn whole(&self, seeds: &str) -> String {
        let mut command = self.command(BINARY);
        told(command.args(["--seeds", seeds]).output().expect("it runs"))
    }
}

fn told(output: Output) -> String {
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}: {told}{complaints}",
        output.status
    );
    told
}

/// The verdict's line without the rates, which depend on the machine.
fn line(told: &str) -> (String, String) {
    let line = told.lines().find(|line| line.starts_with("GREEN"));
    let line = line.unwrap_or_else(|| panic!("no verdict: {told}"));
    let (figures, counts) = line.split_once("faults:").expect("faults");
    let (figures, _) = figures.split_once("simulated").expect("simulated");
    (figures.to_owned(), counts.to_owned())
}

const SEEDS: &str = "0..6";

#[test]
fn the_matrix_of_github_actions_plays_what_one_machine_plays() {
    let place = Place::new();
    let workflow = yaml("github-actions.yml").remove(0);
    let script = |job: &str| {
        let steps = workflow["jobs"][job]["steps"].as_array().expect("steps");
        let mut scripts = steps.iter().filter_map(|step| step["run"].as_str());
        scripts.next().expect("a script").to_owned()
    };
    let job = &workflow["jobs"]["shard"];
    let matrix = job["strategy"]["matrix"]["shard"]
        .as_array()
        .expect("a matrix");
    let shards = workflow["env"]["SHARDS"].as_str().expect("a number");
    let numbers: Vec<u64> = matrix.iter().filter_map(Value::as_u64).collect();
    assert_eq!(numbers, (1..=shards.parse().unwrap()).collect::<Vec<u64>>());
    assert_eq!(job["env"]["SHARD"], "${{ matrix.shard }}");
    for shard in ["1", "2"] {
        let variables = [("SEEDS", SEEDS), ("SHARDS", "2"), ("SHARD", shard)];
        place.run(&script("shard"), &variables);
    }
    let merged = place.run(&script("merge"), &[]);
    assert_eq!(line(&merged), line(&place.whole(SEEDS)));
    assert!(place.path("results.json").is_file());
}

#[test]
fn the_shell_recipe_plays_what_one_machine_plays() {
    let place = Place::new();
    let script = recipe("shard.sh");
    fs::write(place.path("shard.sh"), &script).expect("a file");
    for shard in ["1", "2"] {
        let variables = [
            ("SEEDS", SEEDS),
            ("CI_NODE_INDEX", shard),
            ("CI_NODE_TOTAL", "2"),
        ];
        place.run("sh ./shard.sh play", &variables);
    }
    let merged = place.run("sh ./shard.sh merge", &[]);
    assert_eq!(line(&merged), line(&place.whole(SEEDS)));
}

#[test]
fn the_indexed_job_of_kubernetes_plays_what_one_machine_plays() {
    let place = Place::new();
    let documents = yaml("kubernetes-job.yaml");
    let job = |name: &str| {
        let named =
            |document: &&Value| document["kind"] == "Job" && document["metadata"]["name"] == name;
        documents.iter().find(named).expect("the job")
    };
    let container = |name| job(name)["spec"]["template"]["spec"]["containers"][0].clone();
    let script = |name| {
        let container = container(name);
        assert_eq!(container["command"], serde_json::json!(["/bin/sh", "-c"]));
        container["args"][0].as_str().expect("a script").to_owned()
    };
    let play = job("althing-campaign");
    assert_eq!(play["spec"]["completionMode"], "Indexed");
    let variables = container("althing-campaign")["env"].clone();
    let shards = (variables.as_array().expect("variables").iter())
        .find(|variable| variable["name"] == "SHARDS")
        .and_then(|variable| variable["value"].as_str()?.parse::<u64>().ok());
    assert_eq!(shards, play["spec"]["completions"].as_u64());
    let folder = place.folder.path().display().to_string();
    for index in ["0", "1"] {
        let variables = [
            ("SEEDS", SEEDS),
            ("SHARDS", "2"),
            ("RESULTS", &*folder),
            ("JOB_COMPLETION_INDEX", index),
        ];
        place.run(&script("althing-campaign"), &variables);
    }
    let merged = place.run(&script("althing-campaign-merge"), &[("RESULTS", &*folder)]);
    assert_eq!(line(&merged), line(&place.whole(SEEDS)));
}

/// Asked to stop in the middle, a campaign tells what it has learnt and writes its result file.
#[test]
fn an_interrupted_campaign_keeps_what_it_has_learnt() {
    let place = Place::new();
    let mut command = place.command(BINARY);
    let out = place.path("results.json");
    command
        .args(["--seeds", "0..1000000", "--jobs", "1", "--out"])
        .arg(&out);
    let output = place.path("output");
    command.stdout(fs::File::create(&output).expect("a file"));
    let mut child = command.spawn().expect("it runs");
    sleep(Duration::from_secs(2));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it is there");
    let status = child.wait().expect("it ends");
    let told = fs::read_to_string(&output).expect("its output");
    assert!(status.success(), "{status}: {told}");
    assert!(told.contains("Stopped before the end"), "{told}");
    let results: Value =
        serde_json::from_str(&fs::read_to_string(&out).expect("a result file")).expect("JSON");
    assert_eq!(results["stopped"], true);
    let played = &results["scenarios"][0];
    assert_eq!(played["seeds"][0]["count"], played["figures"]["seeds"]);
    let merged = place.run("cargo sim merge results.json", &[]);
    assert!(
        merged.contains("A shard was stopped before its end"),
        "{merged}"
    );
}

/// With a time limit half of the seeds are in order, and half are chosen by what their plans
/// promise; each is one that can be played again by its number.
#[test]
fn a_campaign_with_a_time_limit_prefers_some_seeds() {
    let place = Place::new();
    let played = |search: &[&str]| {
        let mut command = place.command(BINARY);
        command.args(["--for", "5s", "--jobs", "2", "--out", "results.json"]);
        told(command.args(search).output().expect("it runs"));
        let text = fs::read_to_string(place.path("results.json")).expect("a result file");
        let results: Value = serde_json::from_str(&text).expect("JSON");
        let played = &results["scenarios"][0];
        let number = |value: &Value| value.as_u64().expect("a number");
        let seeds = played["seeds"].as_array().expect("seeds").iter();
        let seeds = seeds.map(|seeds| (number(&seeds["first"]), number(&seeds["count"])));
        let seeds: Vec<(u64, u64)> = seeds.collect();
        let count: u64 = seeds.iter().map(|(_, count)| count).sum();
        assert_eq!(count, number(&played["figures"]["seeds"]));
        seeds
    };
    let preferred = played(&[]);
    assert_eq!(preferred[0].0, 0);
    assert!(preferred[0].1 >= 2 && preferred.len() >= 2, "{preferred:?}");
    assert!(
        preferred[1..]
            .iter()
            .all(|(first, _)| *first >= 1_000_000_000)
    );
    let (seed, _) = preferred[1];
    place.run(&format!("cargo sim run crash --seed {seed}"), &[]);
    let uniform = played(&["--search", "uniform"]);
    assert!(matches!(uniform[..], [(0, _)]), "{uniform:?}");
}
