//! The admin interface, health and metrics of a real server, asked over HTTP; and which four-letter
//! words it answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use althing_client::client::Client;
use althing_client::config::ClientConfig;
use althing_client::error::ClientError;
use althing_client::runtime::Tokio;
use althing_client::znode::{CreateMode, Version};
use althing_core::code::Code;
use althing_core::tree::acl::{Acl, AclEntry, Identity, Perms};
use althing_core::tree::quota::Limits;
use serde_json::{Value, json};
use tempfile::TempDir;

use process::{PATIENCE, wait_for};

#[path = "../../tests/process.rs"]
#[allow(dead_code, reason = "another package's tests use the rest")]
mod process;

const BINARY: &str = env!("CARGO_BIN_EXE_althing");

/// The digests of two users whose password is `secret`.
const ADA: &str = "ada:VTFFY3p38X0IKhZgzUit6nGpbgY=";
const EVE: &str = "eve:vcGMCUlWFMiXiG/KAGnEJMiG2ww=";

/// A server with ports for operators.
struct Attended {
    child: Child,
    _directory: TempDir,
    clients: SocketAddr,
    admin: SocketAddr,
    metrics: SocketAddr,
}

impl Drop for Attended {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Attended {
    fn start(settings: &str) -> Attended {
        let directory = TempDir::new().expect("a directory");
        let config = directory.path().join("zoo.cfg");
        let data = directory.path().join("data");
        let text = format!(
            "clientPort=0\nclientPortAddress=127.0.0.1\ndataDir={}\n{settings}\n",
            data.display()
        );
        std::fs::write(&config, text).expect("written");
        let mut child = Command::new(BINARY)
            .args(["serve", "--admin-listen", "127.0.0.1:0"])
            .args(["--metrics-listen", "127.0.0.1:0", "--log-level", "error"])
            .arg("--config")
            .arg(config)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("text");
        let addresses: Vec<SocketAddr> = line
            .split_whitespace()
            .filter_map(|word| word.trim_end_matches(',').parse().ok())
            .collect();
        let [clients, admin, metrics] = addresses[..] else {
            panic!("three addresses: {line}");
        };
        Attended {
            child,
            _directory: directory,
            clients,
            admin,
            metrics,
        }
    }

    fn command(&self, name: &str) -> Value {
        let (status, body) = http(self.admin, "GET", &format!("/commands/{name}"));
        assert_eq!(status, 200, "{name}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    fn word(&self, word: &str) -> String {
        let mut stream = TcpStream::connect(self.clients).expect("a connection");
        stream.write_all(word.as_bytes()).expect("a request");
        let mut told = String::new();
        stream.read_to_string(&mut told).expect("an answer");
        told
    }
}

/// One request: its status and its body.
fn http(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut told = String::new();
    stream.read_to_string(&mut told).expect("an answer");
    let (head, body) = told.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.expect("a status"), body.to_owned())
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(work)
}

#[test]
fn the_commands_tell_what_is_so() {
    let server = Attended::start("tickTime=1000\nmaxClientCnxns=60");
    block_on(async {
        let config = ClientConfig::new([server.clients.to_string()]);
        let client = Client::connect(Tokio, config).await.expect("a session");
        let made = client.create("/held", "x", CreateMode::Ephemeral).await;
        made.expect("created");
        let (_, _watcher) = client.watch_data("/held").await.expect("read");
        let id = client.session().0;
        let session = id.to_string();

        let told = server.command("dump");
        assert_eq!(
            told["session_id_to_ephemeral_paths"][&session],
            json!(["/held"])
        );
        assert_eq!(told["session_id_to_timeout"][&session], 10_000);
        let told = server.command("watches");
        assert_eq!(
            told["session_id_to_watched_paths"][&session],
            json!(["/held"])
        );
        let told = server.command("wchp");
        assert_eq!(told["path_to_session_ids"]["/held"], json!([id]));
        assert_eq!(told["command"], "watches_by_path");
        assert_eq!(told["error"], Value::Null);
        let told = server.command("wchs");
        let sum = ["num_connections", "num_paths", "num_total_watches"].map(|key| &told[key]);
        assert_eq!(sum, [1, 1, 1]);
        let told = server.command("connections");
        assert_eq!(told["connections"][0]["session_id"], id);
        let received = |told: &Value| told["connections"][0]["packets_received"].as_u64();
        let before = received(&told);
        let told = server.command("monitor");
        assert_eq!(
            (&told["znode_count"], &told["watch_count"]),
            (&json!(5), &json!(1))
        );
        assert_eq!(told["server_state"], "standalone");
        let told = server.command("conf");
        let keys = ["tick_time", "max_client_cnxns", "server_id"].map(|key| &told[key]);
        assert_eq!(keys, [1000, 60, 1]);
        let told = server.command("stats");
        assert_eq!(told["node_count"], 5);
        assert_eq!(told["connections"].as_array().map(Vec::len), Some(1));
        assert_eq!(server.command("is_read_only")["read_only"], false);
        assert_eq!(
            server.command("leader")["error"],
            "server is not initialized"
        );
        assert_eq!(server.command("zabstate")["zabstate"], "");
        assert!(server.command("dirs")["logdir_size"].as_u64() > Some(0));
        assert_eq!(server.command("lsnp")["timestamp"], -1);
        let digest = server.command("hash")["digests"][0]["digest"].clone();
        assert_eq!(digest.as_str().map(str::len), Some(32));

        server.command("connection_stat_reset");
        let told = server.command("connections");
        assert!(before >= Some(3) && received(&told) < before, "{told:#}");
        client.close().await.expect("closed");
    });
}

#[test]
fn every_command_is_listed_and_answers_and_nothing_else_does() {
    let server = Attended::start("");
    let (status, body) = http(server.admin, "GET", "/commands/nonsense");
    assert!(
        status == 404 && body.contains("Unknown command: nonsense"),
        "{body}"
    );
    let (status, list) = http(server.admin, "GET", "/commands");
    assert!(
        status == 200 && list.contains("<a href=\"/commands/monitor\">"),
        "{list}"
    );
    assert_eq!(http(server.admin, "GET", "/").0, 404);
    assert_eq!(http(server.admin, "DELETE", "/commands/ruok").0, 405);
    for line in list.lines() {
        let name = line.split('"').nth(1).expect("a link");
        let (method, expected) = match name {
            "/commands/snapshot" => ("GET", 401),
            "/commands/restore" => ("POST", 401),
            _ => ("POST", 200),
        };
        let (status, body) = http(server.admin, method, name);
        assert_eq!(status, expected, "{name}: {body}");
        let told: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(
            name,
            format!("/commands/{}", told["command"].as_str().expect("a name"))
        );
    }
}

#[test]
fn metrics_are_scraped_at_both_ports_and_nothing_else_at_one() {
    let server = Attended::start("");
    for port in [server.admin, server.metrics] {
        let (status, text) = http(port, "GET", "/metrics");
        assert_eq!(status, 200, "{text}");
        for line in [
            "znode_count 4",
            "# TYPE packets_received counter",
            "global_sessions 0",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}:\n{text}");
        }
        assert!(text.contains("server_state=\"standalone\""), "{text}");
    }
    assert_eq!(http(server.metrics, "GET", "/commands/ruok").0, 404);
    assert_eq!(http(server.metrics, "GET", "/health/live").0, 404);
}

#[test]
fn a_server_without_its_ensemble_lives_and_is_not_ready() {
    let server = Attended::start("");
    for path in ["/health/live", "/health/ready"] {
        let (status, body) = http(server.admin, "GET", path);
        assert!(status == 200 && body.contains("standalone"), "{body}");
    }
    // The ports of a server that is not served yet are not told: free ones are given.
    let free: Vec<TcpListener> = (0..4)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"))
        .collect();
    let ports: Vec<SocketAddr> = free
        .iter()
        .map(|listener| listener.local_addr().expect("an address"))
        .collect();
    drop(free);
    let directory = TempDir::new().expect("a directory");
    let config = directory.path().join("althing.toml");
    let text = format!(
        "id = 1\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"{}\"\ndata_dir = \"{}\"\n[servers]\n\
         1 = \"{}\"\n2 = \"{}\"\n3 = \"{}\"\n",
        ports[0],
        directory.path().join("data").display(),
        ports[1],
        ports[2],
        ports[3]
    );
    std::fs::write(&config, text).expect("written");
    let child = Command::new(BINARY)
        .args(["serve", "--log-level", "error", "--config"])
        .arg(config)
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary");
    let alone = Attended {
        child,
        _directory: directory,
        clients: ports[0],
        admin: ports[0],
        metrics: ports[0],
    };
    wait_for("the admin interface", || {
        TcpStream::connect(alone.admin).ok()
    });
    let (status, body) = http(alone.admin, "GET", "/health/live");
    assert!(status == 200 && body.contains("looking"), "{body}");
    assert_eq!(http(alone.admin, "GET", "/health/ready").0, 503);
    let told = alone.command("zabstate");
    assert_eq!(
        (&told["zabstate"], &told["voting"]),
        (&json!("election"), &json!(false))
    );
}

#[test]
fn dear_words_are_answered_only_where_they_are_listed() {
    let refused =
        |word: &str| format!("{word} is not executed because it is not in the whitelist.\n");
    let server = Attended::start("");
    for word in ["dump", "wchc", "wchp", "srst", "crst", "gtmk"] {
        assert_eq!(server.word(word), refused(word));
    }
    assert!(server.word("mntr").contains("zk_packets_received\t"));
    assert!(server.word("dirs").contains("logdir_size: "));
    let server = Attended::start("4lw.commands.whitelist=srst,srvr,dump");
    assert_eq!(
        server.word("mntr"),
        refused("mntr"),
        "what is not listed is off"
    );
    assert!(server.word("dump").contains("Global Sessions(0)"));
    block_on(async {
        let config = ClientConfig::new([server.clients.to_string()]);
        let client = Client::connect(Tokio, config).await.expect("a session");
        client.close().await.expect("closed");
    });
    assert!(!server.word("srvr").contains("Received: 0\n"));
    assert_eq!(server.word("srst"), "Server stats reset.\n");
    assert!(server.word("srvr").contains("Received: 0\n"));
}

/// One request with these further lines in its head: status, head and body.
fn http_with(address: SocketAddr, line: &str, head: &str) -> (u16, String, Vec<u8>) {
    http_sending(address, line, head, &[])
}

/// One request with a body.
fn http_sending(
    address: SocketAddr,
    line: &str,
    head: &str,
    body: &[u8],
) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let length = match body.len() {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    let request = format!("{line} HTTP/1.0\r\nHost: x\r\n{length}{head}\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    stream.write_all(body).expect("a body");
    let mut told = Vec::new();
    stream.read_to_end(&mut told).expect("an answer");
    let end = told.windows(4).position(|four| four == b"\r\n\r\n");
    let body = told.split_off(end.expect("a head and a body") + 4);
    let head = String::from_utf8(told).expect("text");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.expect("a status"), head, body)
}

#[test]
fn a_snapshot_is_for_who_may_do_everything() {
    let server = Attended::start(
        "DigestAuthenticationProvider.superDigest=super:lK75jTNcA+U9vtVEw5vB51mj/w4=",
    );
    block_on(async {
        let config = ClientConfig::new([server.clients.to_string()]);
        let client = Client::connect(Tokio, config).await.expect("a session");
        let made = client.create("/kept", "x", CreateMode::Persistent).await;
        made.expect("created");
        client.close().await.expect("closed");
    });
    let line = "GET /commands/snapshot?streaming=true";
    for (head, expected) in [
        ("", 401),
        ("Authorization: digest super\r\n", 401),
        ("Authorization: Basic c3VwZXI6c2VjcmV0\r\n", 401),
        ("Authorization: digest super:wrong\r\n", 403),
    ] {
        let (status, _, _) = http_with(server.admin, line, head);
        assert_eq!(status, expected, "{head}");
        let (status, _, _) = http_with(server.admin, "POST /commands/restore", head);
        assert_eq!(status, expected, "{head}");
    }
    let secret = "Authorization: digest super:secret\r\n";
    let (status, _, body) = http_with(server.admin, "POST /commands/restore", secret);
    let told: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((status, &told["command"]), (503, &json!("restore")));
    let why = told["error"].as_str().expect("why");
    assert!(why.contains("admin_restore") && why.contains("althing restore"));
    let (status, _, _) = http_with(server.admin, "GET /commands/snap?streaming=false", secret);
    assert_eq!(status, 400);

    let (status, head, body) = http_with(server.admin, line, secret);
    assert_eq!(status, 200, "{head}");
    let told = |name: &str| -> String {
        let line = head.lines().find_map(|line| line.strip_prefix(name));
        line.expect("a line of the head").trim().to_owned()
    };
    assert_eq!(told("snapshot_size:"), body.len().to_string());
    let zxid = told("last_zxid:");
    let zxid = zxid.strip_prefix("0x").expect("hexadecimal");
    let zxid = u64::from_str_radix(zxid, 16).expect("a position");
    let directory = TempDir::new().expect("a directory");
    let file = directory.path().join(format!("snapshot.{zxid:016x}"));
    std::fs::write(&file, body).expect("written");
    let inspected = Command::new(BINARY)
        .args(["inspect", "snapshot", "--path", "/kept"])
        .arg(&file)
        .output()
        .expect("the binary");
    let said = String::from_utf8(inspected.stdout).expect("text");
    assert!(
        inspected.status.success() && said.contains("/kept: 1 bytes \"x\""),
        "{said}"
    );
    let (status, _, _) = http_with(server.admin, line, secret);
    assert_eq!(status, 429, "one in five minutes");
    let data = server._directory.path().join("data");
    let left = std::fs::read_dir(data).expect("a directory");
    let mut left = left.map(|entry| entry.expect("an entry").file_name());
    assert!(!left.any(|name| name.to_string_lossy().contains("operator")));
}

/// The head of a request by the super user of [`RESTORING`].
const SECRET: &str = "Authorization: digest super:secret\r\n";

/// What a server is told that restores snapshots.
const RESTORING: &str = "DigestAuthenticationProvider.superDigest=super:lK75jTNcA+U9vtVEw5vB51mj/w4=\n\
     admin.restore.enabled=true";

impl Attended {
    async fn client(&self) -> Client<Tokio> {
        let config = ClientConfig::new([self.clients.to_string()]);
        Client::connect(Tokio, config).await.expect("a session")
    }

    fn snapshot(&self) -> Vec<u8> {
        let (status, _, snapshot) = http_with(self.admin, "GET /commands/snapshot", SECRET);
        assert_eq!(status, 200);
        snapshot
    }

    fn restore(&self, snapshot: &[u8]) -> (u16, Value) {
        let line = "POST /commands/restore";
        let (status, _, told) = http_sending(self.admin, line, SECRET, snapshot);
        (status, serde_json::from_slice(&told).expect("JSON"))
    }

    /// Is something left that an operator has sent or fetched?
    fn keeps_something(&self) -> bool {
        let files = std::fs::read_dir(self._directory.path().join("data")).expect("a directory");
        let mut names = files.map(|entry| entry.expect("an entry").file_name());
        names.any(|name| name.to_string_lossy().contains("operator"))
    }
}

#[test]
fn a_snapshot_is_restored_while_clients_are_served() {
    let server = Attended::start(RESTORING);
    block_on(async {
        let client = server.client().await;
        let session = client.session();
        for (path, mode) in [
            ("/kept", CreateMode::Persistent),
            ("/changed", CreateMode::Persistent),
            ("/gone", CreateMode::Persistent),
            ("/gone/n-", CreateMode::PersistentSequential),
            ("/lock", CreateMode::Ephemeral),
        ] {
            client.create(path, "before", mode).await.expect("created");
        }
        let snapshot = server.snapshot();

        let any = Version::Any;
        let set = client.set_data("/changed", "after", any).await;
        set.expect("set");
        for path in ["/gone/n-0000000000", "/gone"] {
            client.delete(path, any).await.expect("deleted");
        }
        for (path, mode) in [
            ("/new", CreateMode::Persistent),
            ("/own", CreateMode::Ephemeral),
        ] {
            client.create(path, "after", mode).await.expect("created");
        }
        let (_, mut watch) = client.watch_data("/changed").await.expect("there");

        let (status, told) = server.restore(&snapshot);
        assert_eq!((status, &told["error"]), (200, &Value::Null), "{told}");
        watch.next().await.expect("told").expect("an event");
        for path in ["/kept", "/changed", "/gone", "/gone/n-0000000000"] {
            let found = client.get_data(path).await.expect("there");
            assert_eq!(&*found.data, b"before", "{path}");
        }
        assert_eq!(client.exists("/new").await.expect("an answer"), None);
        for path in ["/lock", "/own"] {
            let found = client.exists(path).await.expect("an answer");
            assert!(found.is_some(), "{path} belongs to a session that lives");
        }
        let mode = CreateMode::PersistentSequential;
        let next = client.create("/gone/n-", "", mode).await.expect("created");
        assert_eq!(next.path.as_str(), "/gone/n-0000000001");
        assert_eq!(client.session(), session, "nobody has to come again");
        client.close().await.expect("closed");
    });
    assert!(!server.keeps_something());
}

#[test]
fn what_is_no_snapshot_changes_nothing_and_twice_is_as_once() {
    let server = Attended::start(RESTORING);
    block_on(async {
        let client = server.client().await;
        let snapshot = server.snapshot();
        let made = client.create("/new", "x", CreateMode::Persistent).await;
        made.expect("created");
        let mut damaged = snapshot.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        for bad in [&b"no snapshot"[..], &damaged, &snapshot[..middle]] {
            let (status, told) = server.restore(bad);
            assert_eq!(status, 400, "{told}");
        }
        let found = client.exists("/new").await.expect("an answer");
        assert!(found.is_some(), "what is damaged changes nothing");
        for changes in [1, 0] {
            let (status, told) = server.restore(&snapshot);
            assert_eq!((status, &told["changes"]), (200, &json!(changes)), "{told}");
            assert_eq!(client.exists("/new").await.expect("an answer"), None);
        }
        client.close().await.expect("closed");
    });
    assert!(!server.keeps_something());
}

#[test]
fn who_is_named_at_the_root_may_have_a_snapshot() {
    let server = Attended::start("");
    block_on(async {
        let config = ClientConfig::new([server.clients.to_string()]);
        let client = Client::connect(Tokio, config).await.expect("a session");
        let entry = |perms: Perms, scheme: &str, id: &str| AclEntry {
            perms,
            who: Identity::new(scheme, id),
        };
        let acl = Acl([
            entry(Perms::ALL, "world", "anyone"),
            entry(Perms::ALL, "digest", ADA),
            entry(Perms::READ, "digest", EVE),
        ]
        .into());
        let set = client.set_acl("/", acl, Version::Any).await;
        set.expect("a list");
        client.close().await.expect("closed");
    });
    for (user, expected) in [("bob", 403), ("eve", 403), ("ada", 200)] {
        let head = format!("Authorization: digest {user}:secret\r\n");
        let (status, head, _) = http_with(server.admin, "GET /commands/snapshot", &head);
        assert_eq!(status, expected, "{user}: {head}");
    }
}

#[test]
fn a_snapshot_is_given_to_nobody_where_that_is_said() {
    let server = Attended::start(
        "DigestAuthenticationProvider.superDigest=super:lK75jTNcA+U9vtVEw5vB51mj/w4=\n\
         admin.snapshot.enabled=false",
    );
    let secret = "Authorization: digest super:secret\r\n";
    let (status, _, _) = http_with(server.admin, "GET /commands/snapshot", secret);
    assert_eq!(status, 503);
}

#[test]
fn quotas_are_told_by_namespace() {
    let server = Attended::start("enforceQuota=true");
    block_on(async {
        let config = ClientConfig::new([server.clients.to_string()]);
        let client = Client::connect(Tokio, config).await.expect("a session");
        let made = client.create("/app", "xyz", CreateMode::Persistent).await;
        made.expect("created");
        let limits = Limits {
            count_hard: Some(1),
            ..Limits::default()
        };
        client.set_quota("/app", limits).await.expect("a quota");
        let beyond = client.create("/app/a", "x", CreateMode::Persistent).await;
        let refused = Err(ClientError::Server(Code::QuotaExceeded));
        assert_eq!(beyond.map(drop), refused);
        client.close().await.expect("closed");
    });
    let (_, text) = http(server.metrics, "GET", "/metrics");
    for line in [
        "quota_count_limit_per_namespace{key=\"app\"} 1",
        "quota_bytes_limit_per_namespace{key=\"app\"} -1",
        "quota_count_usage_per_namespace{key=\"app\"} 1",
        "quota_bytes_usage_per_namespace{key=\"app\"} 3",
        "quota_exceeded_error_per_namespace{key=\"app\"} 1",
    ] {
        assert!(text.lines().any(|told| told == line), "{line}:\n{text}");
    }
    let (_, body) = http(server.admin, "GET", "/commands/monitor");
    let told: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(told["app_quota_count_limit_per_namespace"], json!(1));
    assert_eq!(told["app_quota_bytes_limit_per_namespace"], json!(-1));
}
