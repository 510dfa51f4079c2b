//! Members changed by a client, as processes: a server that the others' files do not list joins, is
//! given a vote, and another leaves; all of it with the shell, in ZooKeeper's words.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use process::wait_for;

#[path = "../../tests/process.rs"]
#[allow(dead_code, reason = "another package's tests use the rest")]
mod process;

const BINARY: &str = env!("CARGO_BIN_EXE_althing");

/// As ZooKeeper's administrator's guide has it: the digest of `super:admin`.
const SUPER: &str = "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=";

/// One server: its ports, and its process as long as it is wanted.
struct Member {
    id: u8,
    peer: u16,
    client: u16,
    child: Option<Child>,
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already; then there is nothing to kill, which is as well.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Member {
    fn new(id: u8) -> Member {
        Member {
            id,
            peer: free_port(),
            client: free_port(),
            child: None,
        }
    }

    /// As `reconfig` names it.
    fn line(&self, role: &str) -> String {
        let Member {
            id, peer, client, ..
        } = self;
        format!("server.{id}=127.0.0.1:{peer}:1:{role};127.0.0.1:{client}")
    }

    fn start(&mut self, directory: &Path, listed: &[String]) {
        let (id, client) = (self.id, self.client);
        let data = directory.join(format!("data-{id}"));
        let config = directory.join(format!("zoo-{id}.cfg"));
        let text = format!(
            "clientPort={client}\nclientPortAddress=127.0.0.1\ndataDir={}\nalthing.id={id}\n\
             reconfigEnabled=true\nDigestAuthenticationProvider.superDigest={SUPER}\n{}\n",
            data.display(),
            listed.join("\n"),
        );
        std::fs::write(&config, text).expect("written");
        let child = Command::new(BINARY)
            .args(["serve", "--log-level", "error", "--config"])
            .arg(config)
            .stdout(Stdio::null())
            .spawn();
        self.child = Some(child.expect("the binary"));
    }

    /// Runs one command at this server: its exit code, and what it said.
    fn shell(&self, auth: &[&str], words: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(BINARY)
            .args(["cli", "--server", &format!("127.0.0.1:{}", self.client)])
            .args(auth)
            .args(words)
            .env_remove("ALTHING_AUTH")
            .output()
            .expect("the binary");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).expect("text"))
    }

    /// The same, as the super user.
    fn govern(&self, words: &[&str]) -> (Option<i32>, String) {
        self.shell(&["--auth", "digest:super:admin"], words)
    }

    /// Waits until this server tells a configuration with these lines.
    fn await_lines(&self, lines: &[String]) {
        let expected = lines.join("\n");
        wait_for("the configuration", || {
            let (code, said) = self.shell(&[], &["config"]);
            let servers = said.split_once("\nversion=")?.0;
            (code == Some(0) && servers == expected).then_some(())
        });
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[test]
fn a_server_joins_votes_and_another_leaves() {
    let directory = TempDir::new().expect("a directory");
    let mut members: Vec<Member> = [2, 3, 4, 1].map(Member::new).into();
    let lines = |members: &[Member], role| -> Vec<String> {
        members.iter().map(|member| member.line(role)).collect()
    };
    let founders = lines(&members[..3], "participant");
    let everybody = lines(&members, "participant");
    for member in &mut members[..3] {
        member.start(directory.path(), &founders);
    }
    members[0].await_lines(&founders);

    // Who may not change them, and from which version.
    let joining = members[3].line("observer");
    let (code, said) = members[0].shell(&[], &["reconfig", "-add", &joining]);
    assert!(
        code == Some(1) && said.contains("Insufficient permission"),
        "{said}"
    );
    let (code, said) = members[0].govern(&["reconfig", "-v", "7", "-add", &joining]);
    assert!(
        code == Some(1) && said.contains("version No is not valid"),
        "{said}"
    );
    let (code, said) = members[0].govern(&["reconfig", "-add", "server.1=nonsense"]);
    assert!(code == Some(1) && said.contains("BadArguments"), "{said}");

    // Its number is the lowest, so it is dialled by the others, who learn its address by this.
    members[3].start(directory.path(), &everybody);
    let (code, said) = members[1].govern(&["reconfig", "-add", &joining]);
    assert!(
        code == Some(0) && said.starts_with("Committed new configuration:\n"),
        "{said}"
    );
    let with_observer: Vec<String> = [&[joining][..], &founders].concat();
    members[3].await_lines(&with_observer);
    members[2].await_lines(&with_observer);

    let voting = members[3].line("participant");
    wait_for("a vote", || {
        let (code, _) = members[0].govern(&["reconfig", "-add", &voting]);
        (code == Some(0)).then_some(())
    });
    let (code, said) = members[3].govern(&["reconfig", "-remove", "3"]);
    assert_eq!(code, Some(0), "{said}");
    let left = [&members[3], &members[0], &members[2]].map(|member| member.line("participant"));
    for member in [&members[0], &members[2], &members[3]] {
        member.await_lines(&left);
    }

    // Two of the three that are left are a majority, and the newcomer is one of them.
    members[1].child.take().map(|mut child| child.kill());
    members[2].child.take().map(|mut child| child.kill());
    let created = wait_for("a write", || {
        let (code, said) = members[3].shell(&[], &["create", "/written", "by-two"]);
        (code == Some(0)).then_some(said)
    });
    assert_eq!(created, "Created /written\n");
    let (_, said) = members[0].shell(&[], &["config", "-c"]);
    let clients: Vec<String> = [&members[3], &members[0], &members[2]]
        .map(|member| format!("127.0.0.1:{}", member.client))
        .into();
    assert!(said.trim_end().ends_with(&clients.join(",")), "{said}");
}

/// Servers 1 and 3 decide: 1 outweighs 2 in a group, and 3 is another. What they agree on then is
/// that all are alike again.
#[test]
fn groups_and_weights_decide_until_they_are_changed() {
    let directory = TempDir::new().expect("a directory");
    let mut members: Vec<Member> = [1, 2, 3].map(Member::new).into();
    let plain: Vec<String> = members
        .iter()
        .map(|member| member.line("participant"))
        .collect();
    let groups = [
        "group.1=1:2",
        "group.2=3",
        "weight.1=2",
        "weight.2=1",
        "weight.3=1",
    ];
    let grouped = [plain.clone(), groups.map(str::to_owned).into()].concat();
    let list = directory.path().join("zoo.cfg.dynamic");
    std::fs::write(&list, grouped.join("\n")).expect("written");
    let named = [format!("dynamicConfigFile={}", list.display())];
    for member in &mut members {
        member.start(directory.path(), &named);
    }
    members[0].await_lines(&grouped);
    let (code, said) = members[0].govern(&["reconfig", "-remove", "2"]);
    assert!(code == Some(1) && said.contains("BadArguments"), "{said}");

    // Server 2 is not missed.
    members[1].child.take().map(|mut child| child.kill());
    let created = wait_for("a write", || {
        let (code, said) = members[2].shell(&[], &["create", "/written", "by-two"]);
        (code == Some(0)).then_some(said)
    });
    assert_eq!(created, "Created /written\n");
    let all = plain.join(",");
    wait_for("a plain majority", || {
        let (code, said) = members[0].govern(&["reconfig", "-members", &all]);
        (code == Some(0)).then_some(said)
    });
    members[2].await_lines(&plain);

    // And now server 1 is not missed.
    members[1].start(directory.path(), &named);
    members[1].await_lines(&plain);
    members[0].child.take().map(|mut child| child.kill());
    wait_for("a write", || {
        let (code, _) = members[1].shell(&[], &["set", "/written", "by-others"]);
        (code == Some(0)).then_some(())
    });
}
