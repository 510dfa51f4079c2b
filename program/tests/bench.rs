//! `althing bench` against a real server: what it tells, and that it leaves nothing behind.

use std::process::Command;

use althing_client::client::Client;
use althing_client::config::ClientConfig;
use althing_client::error::ClientError;
use althing_client::runtime::Tokio;
use serde_json::Value;

use process::Server;

#[path = "../../tests/process.rs"]
#[allow(dead_code, reason = "another package's tests use the rest")]
mod process;

const BINARY: &str = env!("CARGO_BIN_EXE_althing");

/// Runs `althing bench`: its exit code, and what it said.
fn bench(server: &str, flags: &[&str]) -> (i32, String) {
    let output = Command::new(BINARY)
        .args(["bench", "--seconds", "1", "--server", server])
        .args(flags)
        .output()
        .expect("the binary");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("text");
    (output.status.code().expect("an exit code"), said)
}

#[test]
fn a_load_is_told_and_leaves_nothing_behind() {
    let server = Server::start(BINARY);
    let address = server.address().to_string();
    let flags = ["--connections", "5", "--in-flight", "3", "--threads", "2"];
    let more = ["--mix", "get=6,set=2,create=2", "--znodes", "50", "--json"];
    let (code, said) = bench(&address, &[&flags[..], &more].concat());
    assert_eq!(code, 0, "{said}");
    let told: Value = serde_json::from_str(&said).expect("an object");
    let count = |name: &str| told["operations"][name]["count"].as_u64().expect("a count");
    let [get, set, create] = ["get", "set", "create"].map(count);
    assert!(set > 0 && create > 0 && get > set, "{told:#}");
    assert_eq!(count("all"), get + set + create);
    let all = &told["operations"]["all"];
    let us = |name: &str| all[name].as_u64().expect("a time");
    let times = ["p50_us", "p99_us", "p99_9_us", "longest_us"].map(us);
    assert!(times.is_sorted() && times[0] > 0, "{told:#}");
    let rate = all["per_second"].as_f64().expect("a rate");
    let seconds = told["seconds"].as_f64().expect("a time");
    assert!(
        (rate * seconds - count("all") as f64).abs() < 1.0,
        "{told:#}"
    );
    assert_eq!(told["refused"], serde_json::json!({}));

    let (code, said) = bench(&address, &["--mix", "get=1"]);
    assert!(code == 0 && said.contains("\nget "), "{said}");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let left = runtime.block_on(async {
        let client = Client::connect(Tokio, ClientConfig::new([address])).await?;
        let mut left = Vec::new();
        for name in client.children("/").await?.names {
            if name.starts_with("althing-bench-") {
                let path = format!("/{name}");
                left.push(client.children(&path).await?.names.len());
            }
        }
        client.close().await?;
        Ok::<_, ClientError>(left)
    });
    // Empty containers, which go by themselves.
    assert!(left.expect("children").iter().all(|count| *count == 0));
}

#[test]
fn a_load_that_is_not_possible_is_told() {
    let (code, said) = bench("127.0.0.1:1", &[]);
    assert!(code == 2 && said.starts_with("althing bench: "), "{said}");
    let (code, said) = bench("127.0.0.1:1", &["--mix", "sync=1"]);
    assert!(
        code == 2 && said.contains("is not get, set or create"),
        "{said}"
    );
}
