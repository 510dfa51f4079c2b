//! A real Apache ZooKeeper: started on a free port, with a directory of its own or a given one.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::PATIENCE;

/// The folder with ZooKeeper's jars; `tests/differential/run` fills it and says so here.
const JARS: &str = "ALTHING_ZOOKEEPER_JARS";

/// How long a server may take until it serves: Java on a busy machine needs its time.
const START_MAX: Duration = Duration::from_secs(120);

/// How often another port is tried, if somebody else takes the free one in between.
const ATTEMPTS: u32 = 5;

/// A server process.
pub struct Apache {
    child: Child,
    address: SocketAddr,
    /// Goes with the server, if nobody else has it.
    _directory: Option<TempDir>,
}

/// How a server is started.
#[derive(Clone, Copy, Debug)]
pub struct Manner<'a> {
    /// Where its configuration and its data lie, as `data`.
    pub directory: &'a Path,
    /// Properties of its process, as `name=value`.
    pub properties: &'a [&'a str],
    /// Lines of its configuration.
    pub lines: &'a str,
}

impl Apache {
    /// Starts a server on its own with an empty directory, and waits until it serves.
    pub fn start() -> Apache {
        let directory = TempDir::new().expect("a temporary directory");
        let mut apache = Apache::start_in(Manner {
            directory: directory.path(),
            // Nothing goes by itself while a case runs.
            properties: &[
                "zookeeper.extendedTypesEnabled=true",
                "zookeeper.enforceQuota=true",
                "znode.container.checkIntervalMs=86400000",
                "zookeeper.preAllocSize=1024",
            ],
            lines: "",
        });
        apache._directory = Some(directory);
        apache
    }

    /// Starts a server on its own, and waits until it serves.
    pub fn start_in(manner: Manner<'_>) -> Apache {
        let jars = std::env::var(JARS).expect("ALTHING_ZOOKEEPER_JARS: use tests/differential/run");
        for _ in 0..ATTEMPTS {
            if let Some(started) = Apache::attempt(&jars, manner) {
                return started;
            }
        }
        let told = fs::read_to_string(manner.directory.join("log")).unwrap_or_default();
        panic!("ZooKeeper ended by itself {ATTEMPTS} times:\n{told}");
    }

    fn attempt(jars: &str, manner: Manner<'_>) -> Option<Apache> {
        let Manner {
            directory,
            properties,
            lines,
        } = manner;
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let config = directory.join("zoo.cfg");
        let text = format!(
            "tickTime=2000\ndataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\n\
             maxClientCnxns=0\n{lines}",
            directory.join("data").display(),
            address.port()
        );
        fs::write(&config, text).expect("a configuration");
        let log_path = directory.join("log");
        let log = fs::File::create(&log_path).expect("a file");
        let both = log.try_clone().expect("a file");
        let child = Command::new("java")
            .args(["-XX:TieredStopAtLevel=1", "-Xmx512m", "-cp"])
            .arg(format!("{jars}/*"))
            .args(properties.iter().map(|property| format!("-D{property}")))
            .args([
                "-Dzookeeper.4lw.commands.whitelist=*",
                // Without it no list may name who has authenticated by SASL.
                "-Dzookeeper.authProvider.1=\
                 org.apache.zookeeper.server.auth.SASLAuthenticationProvider",
                "-Dzookeeper.admin.enableServer=false",
                // Nobody pulls the plug here, so nothing need reach the platters.
                "-Dzookeeper.forceSync=no",
                "org.apache.zookeeper.server.ZooKeeperServerMain",
            ])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(both)
            .stderr(log)
            .spawn()
            .expect("java");
        let mut apache = Apache {
            child,
            address,
            _directory: None,
        };
        let began = Instant::now();
        while !apache.answers() {
            if apache.child.try_wait().expect("a child").is_some() {
                return None;
            }
            if began.elapsed() > START_MAX {
                let told = fs::read_to_string(&log_path).unwrap_or_default();
                panic!("ZooKeeper never answers:\n{told}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(apache)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does it serve?
    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(b"srvr")?;
            let mut told = String::new();
            stream.read_to_string(&mut told)?;
            Ok(told)
        };
        ask().is_ok_and(|told| told.contains("Mode: standalone"))
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
