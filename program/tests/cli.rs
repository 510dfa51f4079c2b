//! `althing cli` as a process against a real server: one-shot, as a script, in JSON, on a terminal,
//! and what its exit codes tell.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use process::{Server, told, wait_for};

#[path = "../../tests/process.rs"]
#[allow(dead_code, reason = "another package's tests use the rest")]
mod process;

const BINARY: &str = env!("CARGO_BIN_EXE_althing");

fn shell(server: &Server) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["cli", "--server", &server.address().to_string()]);
    command.env_remove("ALTHING_AUTH");
    command
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

/// Runs one command: its exit code, what it said, and what it complained of.
fn once(server: &Server, words: &[&str]) -> (i32, String, String) {
    told(shell(server).args(words))
}

#[test]
fn one_command_does_one_thing() {
    let server = Server::start(BINARY);
    for (words, code, said, complained) in [
        (&["create", "/a", "hello"][..], 0, "Created /a\n", ""),
        (&["get", "/a"], 0, "hello\n", ""),
        (
            &["create", "-s", "/a/n-"],
            0,
            "Created /a/n-0000000000\n",
            "",
        ),
        (&["create", "-p", "/b/c/d", "-5"], 0, "Created /b/c/d\n", ""),
        (&["ls", "/a"], 0, "[n-0000000000]\n", ""),
        (&["ls", "-R", "/b"], 0, "/b\n/b/c\n/b/c/d\n", ""),
        (&["set", "-v", "0", "/a", "-1"], 0, "", ""),
        (&["get", "/a"], 0, "-1\n", ""),
        (&["getAcl", "/a"], 0, "'world,'anyone\n: cdrwa\n", ""),
        (&["setAcl", "/b/c/d", "world:anyone:r"], 0, "", ""),
        (&["getAcl", "/b/c/d"], 0, "'world,'anyone\n: r\n", ""),
        (&["sync", "/a"], 0, "Sync is OK\n", ""),
        (&["getAllChildrenNumber", "/b"], 0, "2\n", ""),
        (&["getEphemerals"], 0, "\n", ""),
        (&["whoami"], 0, "Auth scheme: User\nip: 127.0.0.1\n", ""),
        (
            &["delete", "-v", "7", "/a/n-0000000000"],
            1,
            "",
            "version No is not valid",
        ),
        (&["delete", "/a"], 1, "", "Node not empty: /a\n"),
        (
            &["get", "/nothing"],
            1,
            "",
            "Node does not exist: /nothing\n",
        ),
        (
            &["stat", "/nothing"],
            1,
            "",
            "Node does not exist: /nothing\n",
        ),
        (&["create", "/a"], 1, "", "Node already exists: /a\n"),
        (
            &["create", "/x", "y", "world:anyone"],
            2,
            "",
            "SCHEME:ID:PERMISSIONS",
        ),
        (&["get", "no-path"], 2, "", "is not a path"),
        (&["gett", "/a"], 2, "", "unrecognized subcommand"),
        (&["deleteall", "-b", "2", "/b"], 0, "Deleted 3\n", ""),
        (&["ls", "/"], 0, "[a, zookeeper]\n", ""),
    ] {
        let (exit, out, err) = once(&server, words);
        assert_eq!((exit, &*out), (code, said), "{words:?}: {err}");
        assert!(err.contains(complained), "{words:?}: {err}");
        assert_eq!(err.is_empty(), complained.is_empty(), "{words:?}: {err}");
    }
    let (code, said, _) = once(&server, &["stat", "/a"]);
    assert_eq!(code, 0);
    for line in ["dataVersion = 1", "dataLength = 2", "numChildren = 1"] {
        assert!(said.contains(line), "{line} is missing:\n{said}");
    }
}

#[test]
fn quotas_are_set_shown_and_removed_as_by_zkcli() {
    let server = Server::start(BINARY);
    let limits = "count=-1,bytes=20=;byteHardLimit=-1;countHardLimit=2";
    let shown = format!("Output quota for /a {limits}\nOutput stat for /a count=2,bytes=6\n");
    let json = "{\"limits\":{\"bytes\":null,\"bytes_hard\":null,\"count\":null,\"count_hard\":2},\
                \"path\":\"/a\",\"usage\":{\"bytes\":6,\"count\":3}}\n";
    let warning = "[Warning]: the count quota you create is less than the existing count:2\n";
    for (words, code, said, complained) in [
        (&["create", "/a", "hello"][..], 0, "Created /a\n", ""),
        (
            &["listquota", "/a"],
            0,
            "quota for /a does not exist.\n",
            "",
        ),
        (&["delquota", "/a"], 0, "Quota does not exist for /a\n", ""),
        (&["setquota", "-N", "2", "/a"], 0, "", ""),
        (&["create", "/a/b", "1"], 0, "Created /a/b\n", ""),
        (&["setquota", "-n", "1", "/a"], 0, warning, ""),
        (&["delquota", "-n", "/a"], 0, "", ""),
        (&["setquota", "-b", "20", "/a"], 0, "", ""),
        (&["listquota", "/a"], 0, &*shown, ""),
        // This server does not enforce them.
        (&["create", "/a/c"], 0, "Created /a/c\n", ""),
        (&["delquota", "-b", "/a"], 0, "", ""),
        (&["--json", "listquota", "/a"], 0, json, ""),
        (
            &["setquota", "-n", "1", "/a/b"],
            2,
            "",
            "/a/b has a quota on /a already\n",
        ),
        (
            &["setquota", "-n", "1", "/none"],
            1,
            "",
            "Node does not exist: /none\n",
        ),
        (
            &["setquota", "-n", "1", "/zookeeper"],
            2,
            "",
            "cannot set a quota on /zookeeper\n",
        ),
        (&["delquota", "/a"], 0, "", ""),
        (&["ls", "/zookeeper/quota"], 0, "[]\n", ""),
        (&["setquota", "-n", "1", "/a/b"], 0, "", ""),
        (
            &["setquota", "-n", "1", "/a"],
            2,
            "",
            "/a has a quota on /a/b already\n",
        ),
    ] {
        let told = once(&server, words);
        assert_eq!(
            told,
            (code, said.to_owned(), complained.to_owned()),
            "{words:?}"
        );
    }
}

#[test]
fn programs_get_json() {
    let server = Server::start(BINARY);
    let ask = |words: &[&str]| {
        let (code, out, err) = once(&server, &[&["--json"], words].concat());
        let told = if code == 0 { out } else { err };
        let told: Value = serde_json::from_str(&told).expect("one object");
        (code, told)
    };
    let (code, created) = ask(&["create", "/a", "h\u{e9}llo"]);
    assert_eq!((code, created["created"].as_str()), (0, Some("/a")));
    assert_eq!(created["stat"]["dataLength"], 6);
    let (_, read) = ask(&["get", "-s", "/a"]);
    assert_eq!(read["text"], "h\u{e9}llo");
    assert_eq!(read["base64"], "aMOpbGxv");
    assert_eq!(read["stat"]["version"], 0);
    let (_, listed) = ask(&["ls", "/"]);
    assert_eq!(listed["children"], serde_json::json!(["a", "zookeeper"]));
    let (code, refused) = ask(&["get", "/b"]);
    assert_eq!((code, refused["name"].as_str()), (1, Some("NoNode")));
    assert_eq!(refused["code"], -101);
    assert_eq!(refused["in_doubt"], false);
}

#[test]
fn a_script_goes_on_after_what_fails_and_tells_it_at_the_end() {
    let server = Server::start(BINARY);
    let mut child = shell(&server)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let script = "\
# a comment
create -e /held \"by this session\"
get /held
get /nothing
redo 1
history
close
get /held
connect
stat /held
help ls
quit
create /never
";
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(script.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("its end");
    let (said, complained) = (text(output.stdout), text(output.stderr));
    let read = said.matches("by this session\n").count();
    assert_eq!(read, 2, "{said}\n{complained}");
    assert!(said.contains("1 - get /held\n2 - get /nothing\n"), "{said}");
    assert!(said.contains("List the children of a znode"), "{said}");
    let expected = "Node does not exist: /nothing\nnot connected: `connect` opens a session\n\
                    Node does not exist: /held\n";
    assert_eq!(complained, expected);
    assert_eq!(
        output.status.code(),
        Some(1),
        "the last failure was a refusal"
    );
    let (code, ..) = once(&server, &["stat", "/never"]);
    assert_eq!(code, 1, "nothing is done after quit");
}

#[test]
fn a_watch_is_waited_for() {
    let server = Server::start(BINARY);
    once(&server, &["create", "/a", "x"]);
    let mut waiting = shell(&server)
        .args(["get", "-w", "/a"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut out = std::io::BufReader::new(waiting.stdout.take().expect("a pipe"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).expect("text");
    assert_eq!(line, "x\n", "the watch is set now");
    assert_eq!(once(&server, &["set", "/a", "y"]).0, 0);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut out, &mut rest).expect("text");
    assert!(rest.contains("type:NodeDataChanged path:/a"), "{rest}");
    assert!(waiting.wait().expect("its end").success());
}

#[test]
fn a_watch_that_stays_tells_all_until_it_is_removed() {
    let server = Server::start(BINARY);
    let mut shell = shell(&server)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut stdin = shell.stdin.take().expect("a pipe");
    let mut out = BufReader::new(shell.stdout.take().expect("a pipe"));
    let mut until = |words: &[&str]| {
        for word in words {
            let mut line = String::new();
            while !line.contains(word) {
                line.clear();
                let read = out.read_line(&mut line).expect("text");
                assert!(read > 0, "the shell never said {word}");
            }
        }
    };
    let mut say = |lines: &str| stdin.write_all(lines.as_bytes()).expect("it reads");
    say("addWatch /w\naddWatch -m persistent /w\nversion\n");
    until(&["althing"]);
    for words in [
        &["create", "/w"][..],
        &["create", "/w/a", "1"],
        &["set", "/w/a", "2"],
        &["delete", "/w/a"],
    ] {
        assert_eq!(once(&server, words).0, 0);
    }
    until(&["type:NodeDeleted path:/w/a"]);
    say("removewatches -r /w\nremovewatches -r /w\nversion\n");
    until(&["althing"]);
    assert_eq!(once(&server, &["create", "/w/b", "1"]).0, 0);
    // The other watch is there still, and was told of nothing below its znode.
    until(&["type:NodeChildrenChanged path:/w"]);
    say("removewatches /w\nremovewatches -x /w\nquit\n");
    let end = shell.wait_with_output().expect("its end");
    let complained = text(end.stderr);
    assert!(
        complained.starts_with("No such watch: /w\n"),
        "{complained}"
    );
    assert!(
        complained.contains("unexpected argument '-x'"),
        "{complained}"
    );
}

#[test]
fn identities_are_taken_on_and_not_shown() {
    let server = Server::start(BINARY);
    let made = shell(&server)
        .env("ALTHING_AUTH", "digest:bob:secret")
        .args(["create", "/private", "x", "auth::cdrwa"])
        .output()
        .expect("the binary");
    assert!(made.status.success(), "{}", text(made.stderr));
    let (code, _, err) = once(&server, &["get", "/private"]);
    assert_eq!((code, &*err), (1, "Insufficient permission: /private\n"));
    let (code, out, err) = once(&server, &["--auth", "digest:bob:secret", "get", "/private"]);
    assert_eq!((code, &*out), (0, "x\n"), "{err}");
    let (code, _, err) = once(&server, &["--auth", "digest", "get", "/private"]);
    assert_eq!(code, 2, "{err}");
}

#[test]
fn who_one_is_may_be_proven_by_sasl() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| directory.path().join(name);
    std::fs::write(file("users"), "user_bob=\"bobsecret\"\n").expect("written");
    let config = file("althing.toml");
    std::fs::write(&config, format!("sasl_users_file = {:?}\n", file("users"))).expect("written");
    let server = Server::start_with(BINARY, &["--config", config.to_str().expect("a path")]);
    let with = |identities: &[&str], words: &[&str]| {
        let flags = identities.iter().flat_map(|identity| ["--auth", identity]);
        once(
            &server,
            &flags.chain(words.iter().copied()).collect::<Vec<_>>(),
        )
    };
    let bob = ["sasl:bob:bobsecret"];
    let made = with(&bob, &["create", "/mine", "x", "sasl:bob:cdrwa"]);
    assert_eq!(made, (0, "Created /mine\n".to_owned(), String::new()));
    assert_eq!(with(&bob, &["get", "/mine"]).1, "x\n");
    let (_, who, _) = with(&bob, &["whoami"]);
    assert!(who.contains("sasl: bob"), "{who}");
    assert_eq!(with(&[], &["get", "/mine"]).0, 1);

    let (code, said, complained) = with(&["sasl:bob:guessed"], &["get", "/mine"]);
    assert_eq!((code, said), (1, String::new()), "{complained}");
    assert!(complained.contains("Authentication"), "{complained}");
    for wrong in [&["sasl:bob"][..], &["sasl:bob:x", "sasl:eve:y"]] {
        assert_eq!(with(wrong, &["get", "/mine"]).0, 2, "{wrong:?}");
    }
}

#[test]
fn nobody_there_is_an_exit_code_of_its_own() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let output = Command::new(BINARY)
        .args([
            "cli",
            "--server",
            &address,
            "--patience-ms",
            "200",
            "ls",
            "/",
        ])
        .output()
        .expect("the binary");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let complained = text(output.stderr);
    assert_eq!(complained, "no server gave a session in time\n");
}

/// A conversation on a terminal of its own (`script` of util-linux makes one).
struct Terminal {
    child: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    fn open(server: &Server, home: &Path) -> Terminal {
        let command = format!("{BINARY} cli --server {}", server.address());
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .env("HOME", home)
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script, of util-linux");
        let keys = child.stdin.take().expect("a pipe");
        let mut out = child.stdout.take().expect("a pipe");
        let shown = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]);
                kept.lock().expect("a text").push_str(&text);
            }
        });
        Terminal { child, keys, shown }
    }

    /// Types, when the terminal has shown `expected` after what it had shown before.
    fn after(&mut self, expected: &str, keys: &str) {
        wait_for(expected, || {
            let mut shown = self.shown.lock().expect("a text");
            let at = shown.find(expected)? + expected.len();
            shown.drain(..at);
            Some(())
        });
        self.keys.write_all(keys.as_bytes()).expect("it reads");
    }

    fn end(mut self) {
        let ended = wait_for("the end", || self.child.try_wait().expect("a child"));
        assert!(ended.success());
    }
}

#[test]
fn a_terminal_completes_and_remembers() {
    let server = Server::start(BINARY);
    once(&server, &["create", "/configuration", "found"]);
    let home = tempfile::TempDir::new().expect("a directory");
    let mut first = Terminal::open(&server, home.path());
    first.after("(connected)> ", "get /conf\t");
    first.after("get /configuration", "\r");
    first.after("found", "");
    first.after("(connected)> ", "addauth digest bob:secret\r");
    first.after("secret", "");
    first.after("(connected)> ", "quit\r");
    first.end();
    let kept = std::fs::read_to_string(home.path().join(".althing_history"));
    let kept = kept.expect("a history");
    assert!(
        kept.contains("get /configuration") && !kept.contains("secret"),
        "{kept}"
    );
    let mut second = Terminal::open(&server, home.path());
    // The line before the last one, of the conversation before.
    second.after("(connected)> ", "\x10\x10");
    second.after("get /configuration", "\r");
    second.after("found", "");
    // Several lines that come at once, as pasted ones do, are all read.
    second.after("(connected)> ", "get /configuration\rsession\rquit\r");
    second.end();
}
