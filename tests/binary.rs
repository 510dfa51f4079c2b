//! The real binary: killed, stopped, started twice, fed with garbage, damaged.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use althing_core::code::Code;
use althing_core::node::reply::{Reply, Response};
use althing_core::node::request::{Read, Request, Watching};
use althing_core::tree::path::Path;
use althing_tests::process::{Server, wait_for};
use althing_tests::raw::{Raw, create, set};

const BINARY: &str = env!("CARGO_BIN_EXE_server_under_test");

fn exists(path: &str) -> Request {
    let path = Path::parse(path).expect("a path");
    Request::Read(Read::Exists {
        path,
        watching: Watching::No,
    })
}

fn get(path: &str, watching: Watching) -> Request {
    Request::Read(Read::GetData {
        path: Path::parse(path).expect("a path"),
        watching,
    })
}

fn result(reply: Reply) -> Result<Response, Code> {
    match reply {
        Reply::Answer { result, .. } => result,
        other => panic!("not an answer: {other:?}"),
    }
}

/// Writers with many requests in flight are cut off by `kill -9`, again and again: everything that
/// was acknowledged is there afterwards, and the sessions, too.
#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let mut server = Server::start(BINARY);
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let (_, session) = Raw::open(server.address()).expect("a session");
    for round in 0..4 {
        let address = server.address();
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let acknowledged = acknowledged.clone();
                std::thread::spawn(move || {
                    let (mut client, _) = Raw::open(address).expect("a session");
                    let path = |number| format!("/{round}-{writer}-{number}");
                    let mut sent = 0;
                    for number in 0.. {
                        // Sixteen in flight; the connection ends when the server is killed.
                        while sent < number + 16 && client.send(create(&path(sent), b"x")).is_ok() {
                            sent += 1;
                        }
                        match client.receive() {
                            Ok(reply) => {
                                result(reply).expect("a create succeeds");
                                acknowledged.lock().expect("a list").push(path(number));
                            }
                            Err(_) => break,
                        }
                    }
                })
            })
            .collect();
        let before = acknowledged.lock().expect("a list").len();
        wait_for("300 writes", || {
            (acknowledged.lock().expect("a list").len() > before + 300).then_some(())
        });
        server.kill();
        writers
            .into_iter()
            .for_each(|writer| writer.join().expect("a writer"));
        server.restart().expect("a restart after kill -9");
    }
    let known = (session.session.expect("a session"), session.password);
    let (mut client, response) = Raw::attach(server.address(), Some(known)).expect("attached");
    assert_eq!(response.session, session.session, "the session lives on");
    for path in acknowledged.lock().expect("a list").iter() {
        let found = result(client.ask(exists(path)).expect("an answer"));
        assert!(found.is_ok(), "{path} was acknowledged and is lost");
    }
}

#[test]
fn sigterm_stops_gracefully_and_the_data_is_there_again() {
    let mut server = Server::start(BINARY);
    let (mut client, _) = Raw::open(server.address()).expect("a session");
    result(client.ask(create("/a", b"x")).expect("an answer")).expect("created");
    assert!(server.terminate().success());
    server.restart().expect("a restart");
    let (mut client, _) = Raw::open(server.address()).expect("a session");
    result(client.ask(exists("/a")).expect("an answer")).expect("it is there");
}

/// The log goes where there is no space, as it does when it lies on the same full disk as the data.
#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let full = fs::File::options().write(true).open("/dev/full");
    let mut child = Command::new(BINARY)
        .args(["serve", "--listen", "127.0.0.1:0", "--log-level", "trace"])
        .arg("--data-dir")
        .arg(directory.path())
        .stdout(Stdio::piped())
        .stderr(full.expect("a device that is always full"))
        .spawn()
        .expect("the server's binary");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("text");
    let mut words = line.split_whitespace();
    let address = words.find_map(|word| word.trim_end_matches(',').parse().ok());
    let (mut client, _) = Raw::open(address.expect("it listens")).expect("a session");
    result(client.ask(create("/a", b"x")).expect("an answer")).expect("created");
    child.kill().expect("it runs");
    child.wait().expect("a killed process");
}

#[test]
fn a_second_process_is_refused_the_directory() {
    let server = Server::start(BINARY);
    let told = server.second_on_same_directory();
    let directory = server.directory().display().to_string();
    assert!(
        told.contains(&directory) && told.contains("process"),
        "{told}"
    );
    assert!(
        server.word("ruok").starts_with("imok"),
        "the first one goes on"
    );
}

/// Each piece of garbage costs its own connection and nothing else.
#[test]
fn garbage_closes_only_its_own_connection() {
    let server = Server::start(BINARY);
    let (mut good, _) = Raw::open(server.address()).expect("a session");
    result(good.ask(create("/a", b"x")).expect("an answer")).expect("created");
    // Beyond even what is skipped.
    let too_long = (64 * 1024 * 1024_i32 + 1).to_be_bytes();
    for garbage in [
        &[0xff; 64][..],
        &[0, 0, 0, 3, 1, 2, 3],
        &too_long,
        b"what is this?",
    ] {
        let mut fresh = Raw::dial(server.address()).expect("a connection");
        fresh.send_bytes(garbage).expect("sent");
        assert!(fresh.is_closed_by_server(), "{garbage:?} in the beginning");
        let (mut attached, _) = Raw::open(server.address()).expect("a session");
        attached.send_bytes(garbage).expect("sent");
        assert!(attached.is_closed_by_server(), "{garbage:?} in a session");
        result(good.ask(exists("/a")).expect("an answer")).expect("others do not notice");
    }
}

/// A client asks for much and reads nothing: it is slowed down, and the server's memory with it;
/// the others are served meanwhile.
#[test]
fn a_client_that_does_not_read_is_slowed_and_others_do_not_notice() {
    let server = Server::start(BINARY);
    let address = server.address();
    let (mut good, _) = Raw::open(address).expect("a session");
    result(
        good.ask(create("/big", &[7; 512 * 1024]))
            .expect("an answer"),
    )
    .expect("created");
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let deaf = std::thread::spawn(move || {
        let (mut deaf, _) = Raw::open(address).expect("a session");
        let mut sent = 0_u64;
        // A gigabyte of replies is asked for; sending blocks, or fails, long before.
        while !stopped.load(Ordering::Relaxed) && sent < 2000 {
            if deaf.send(get("/big", Watching::No)).is_err() {
                break;
            }
            sent += 1;
        }
        wait_for("the others", || {
            stopped.load(Ordering::Relaxed).then_some(())
        });
        deaf.hang_up();
    });
    for number in 0..200 {
        let path = format!("/good-{number}");
        result(good.ask(create(&path, b"x")).expect("an answer")).expect("created");
    }
    let resident = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("/proc");
    let resident_kib: u64 = resident
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().split(' ').next())
        .and_then(|kib| kib.parse().ok())
        .expect("VmRSS");
    assert!(
        resident_kib < 200 * 1024,
        "{resident_kib} KiB for a client that does not read"
    );
    stop.store(true, Ordering::Relaxed);
    deaf.join().expect("the deaf client");
}

#[test]
fn the_four_letter_words_answer() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let config = directory.path().join("althing.toml");
    fs::write(&config, "four_letter_words = \"*\"\n").expect("a file");
    let config = config.to_str().expect("text").to_owned();
    let server = Server::start_with(BINARY, &["--config", &config]);
    let (mut client, response) = Raw::open(server.address()).expect("a session");
    result(client.ask(create("/a", b"x")).expect("an answer")).expect("created");
    result(client.ask(get("/a", Watching::Once)).expect("an answer")).expect("read");
    let session = response.session.expect("a session");
    for (word, expected) in [
        ("ruok", "imok".to_owned()),
        ("srvr", "Mode: standalone".to_owned()),
        ("stat", "Node count: 5".to_owned()),
        ("mntr", "zk_znode_count\t5".to_owned()),
        ("mntr", "zk_watch_count\t1".to_owned()),
        ("isro", "rw".to_owned()),
        ("conf", "clientPort=".to_owned()),
        ("cons", format!("sid={:#x}", session.0)),
        ("dump", format!("{:#x}", session.0)),
        ("wchs", "1 connections watching 1 paths".to_owned()),
    ] {
        let told = server.word(word);
        assert!(
            told.contains(&expected),
            "{word} lacks {expected:?}:\n{told}"
        );
    }
}

#[test]
fn a_bad_configuration_names_file_line_and_key() {
    let directory = tempfile::TempDir::new().expect("a directory");
    for (name, text, expected) in [
        (
            "bad.toml",
            "tickTime = 2000\nclientPort = \"many\"\n",
            ["bad.toml", "2", "clientPort"],
        ),
        (
            "bad2.toml",
            "tickTime = 2000\n\nnonsense = 1\n",
            ["bad2.toml", "3", "nonsense"],
        ),
        (
            "zoo.cfg",
            "tickTime=2000\ndataDir=x\nclientPort=-7\n",
            ["zoo.cfg", "3", "clientPort"],
        ),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("a file");
        let output = Command::new(BINARY)
            .args(["serve", "--config"])
            .arg(&path)
            .stdin(Stdio::null())
            .output()
            .expect("the binary");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{name} was taken");
        assert!(
            expected.iter().all(|part| told.contains(part)),
            "{name}: {told}"
        );
    }
}

/// A bit flips in the middle of the log: the server refuses to start and says where.
#[test]
fn a_damaged_log_refuses_to_start_and_names_the_place() {
    let mut server = Server::start(BINARY);
    let (mut client, _) = Raw::open(server.address()).expect("a session");
    result(client.ask(create("/a", b"precious")).expect("an answer")).expect("created");
    for number in 0..50 {
        let data = format!("number {number}");
        result(client.ask(set("/a", data.as_bytes())).expect("an answer")).expect("set");
    }
    server.kill();
    let log = fs::read_dir(server.directory())
        .expect("the directory")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("log"))
        })
        .expect("a log");
    let mut bytes = fs::read(&log).expect("the log");
    let at = bytes
        .windows(9)
        .position(|window| window == b"number 25")
        .expect("the record");
    bytes[at] ^= 1;
    fs::File::create(&log)
        .and_then(|mut file| file.write_all(&bytes))
        .expect("damage");
    let told = server.restart().expect_err("a damaged log");
    let name = log
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    assert!(told.contains(&name), "the message names the file: {told}");
    assert!(
        told.chars().any(|c| c.is_ascii_digit()),
        "the message names the offset: {told}"
    );
}
