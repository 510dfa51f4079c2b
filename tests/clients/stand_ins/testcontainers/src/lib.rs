//! Starts our server where the test-suite of the crate `zookeeper-client` starts ZooKeeper in a
//! container: as much of the crate `testcontainers` as that suite uses. A container becomes a
//! process of this machine; volumes become paths in its zoo.cfg. The program `java` on the path,
//! the stand-in beside this package, makes the rest of what is asked into our server.

/// Who runs containers.
pub mod clients {
    use crate::core::{Container, RunnableImage};
    use crate::images::generic::GenericImage;

    /// Runs each as a process.
    #[derive(Debug, Default)]
    pub struct Cli;

    impl Cli {
        /// Starts the server and waits until it serves.
        pub fn run<R>(&self, image: R) -> Container<'_, GenericImage>
        where
            R: Into<RunnableImage<GenericImage>>,
        {
            Container::run(image.into())
        }
    }
}

/// Images.
pub mod images {
    /// Of any name.
    pub mod generic {
        use crate::core::{Healthcheck, WaitFor};

        /// The server's image: there is only one, so its name and tag do not count.
        #[derive(Debug)]
        pub struct GenericImage {
            pub(crate) variables: Vec<(String, String)>,
        }

        impl GenericImage {
            /// The image of that name.
            pub fn new(_name: impl Into<String>, _tag: impl Into<String>) -> GenericImage {
                let variables = Vec::new();
                GenericImage { variables }
            }

            /// A variable of the environment.
            pub fn with_env_var(mut self, key: &str, value: impl Into<String>) -> GenericImage {
                self.variables.push((key.to_owned(), value.into()));
                self
            }

            /// We look whether the server serves, in our own way.
            pub fn with_healthcheck(self, _: Healthcheck) -> GenericImage {
                self
            }

            /// It is always waited for that.
            pub fn with_wait_for(self, _: WaitFor) -> GenericImage {
                self
            }
        }
    }
}

/// Containers.
pub mod core {
    use std::collections::BTreeMap;
    use std::fs;
    use std::io::{Read, Write};
    use std::marker::PhantomData;
    use std::net::{TcpListener, TcpStream};
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::sync::Mutex;
    use std::thread;
    use std::time::{Duration, Instant};

    use crate::images::generic::GenericImage;

    /// A server serves after this long, or never.
    const SERVES_WITHIN: Duration = Duration::from_secs(60);

    /// How often that is looked for.
    const GLANCE: Duration = Duration::from_millis(20);

    /// How a container tells that it is well; ours is asked over its port for clients instead.
    #[derive(Debug, Default)]
    pub struct Healthcheck;

    impl Healthcheck {
        /// Not run.
        pub fn with_cmd<T>(self, _: impl Iterator<Item = T>) -> Healthcheck {
            self
        }

        /// Not needed.
        pub fn with_interval(self, _: Duration) -> Healthcheck {
            self
        }

        /// Not needed.
        pub fn with_retries(self, _: u32) -> Healthcheck {
            self
        }
    }

    /// What is waited for.
    #[derive(Debug)]
    pub enum WaitFor {
        /// That it serves.
        Healthcheck,
    }

    /// An image with what it is given.
    #[derive(Debug)]
    pub struct RunnableImage<I> {
        image: I,
        volumes: BTreeMap<String, PathBuf>,
        ports: Ports,
    }

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum Ports {
        /// Port 2181 in the container is a free one of this machine.
        Mapped,
        /// What the configuration says.
        OfTheHost,
    }

    impl<I> RunnableImage<I> {
        /// A file or folder of this machine, and where the container sees it.
        pub fn with_volume(mut self, (from, to): (&str, &str)) -> RunnableImage<I> {
            self.volumes.insert(to.to_owned(), PathBuf::from(from));
            self
        }

        /// The only network that is asked for is this machine's.
        pub fn with_network(mut self, name: impl Into<String>) -> RunnableImage<I> {
            assert_eq!(name.into(), "host");
            self.ports = Ports::OfTheHost;
            self
        }
    }

    impl From<GenericImage> for RunnableImage<GenericImage> {
        fn from(image: GenericImage) -> Self {
            let (volumes, ports) = (BTreeMap::new(), Ports::Mapped);
            RunnableImage {
                image,
                volumes,
                ports,
            }
        }
    }

    /// A server.
    #[derive(Debug)]
    pub struct Container<'d, I> {
        directory: tempfile::TempDir,
        flags: Vec<String>,
        port: u16,
        process: Mutex<Option<Child>>,
        of: PhantomData<(&'d (), I)>,
    }

    impl<'d> Container<'d, GenericImage> {
        pub(crate) fn run(image: RunnableImage<GenericImage>) -> Container<'d, GenericImage> {
            let directory = tempfile::tempdir().expect("a directory");
            let (text, port) = zoo_cfg(&image, directory.path());
            fs::write(directory.path().join("zoo.cfg"), text).expect("a configuration");
            let flags = image.image.variables.iter();
            let flags = flags
                .filter(|(key, _)| key == "SERVER_JVMFLAGS")
                .flat_map(|(_, value)| value.split_whitespace().map(str::to_owned))
                .map(|flag| translate(&flag, &image.volumes))
                .collect();
            let container = Container {
                directory,
                flags,
                port,
                process: Mutex::new(None),
                of: PhantomData,
            };
            container.start();
            container
        }

        /// Starts it, again if it has been stopped, and waits until it serves.
        pub fn start(&self) {
            let mut command = Command::new("java");
            command.args(&self.flags);
            command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain");
            command.arg(self.directory.path().join("zoo.cfg"));
            let process = command.stdin(Stdio::null()).spawn().expect("a process");
            *self.process.lock().expect("no panic") = Some(process);
            let end = Instant::now() + SERVES_WITHIN;
            while !self.serves() {
                let log = || fs::read_to_string(self.log()).unwrap_or_default();
                assert!(Instant::now() < end, "it does not serve:\n{}", log());
                thread::sleep(GLANCE);
            }
        }

        /// Ends it, as `docker stop` does. Its data stays.
        pub fn stop(&self) {
            let Some(mut process) = self.process.lock().expect("no panic").take() else {
                return;
            };
            let id = process.id().to_string();
            let told = Command::new("kill").arg(id).status().expect("kill");
            assert!(told.success(), "it had ended by itself");
            process.wait().expect("its end");
        }

        /// What it logs.
        pub fn stdout(&self) -> LogStream {
            LogStream { file: self.log() }
        }

        /// Where this machine has the port that the container knows as `port`.
        pub fn get_host_port(&self, port: u16) -> u16 {
            assert_eq!(port, 2181, "no other port is asked for");
            self.port
        }

        fn log(&self) -> PathBuf {
            self.directory.path().join("zookeeper.log")
        }

        /// With TLS, nothing can be asked: then a connection is enough.
        fn serves(&self) -> bool {
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
                return false;
            };
            let text = fs::read_to_string(self.directory.path().join("zoo.cfg"));
            if text.expect("its file").contains("secureClientPort") {
                return true;
            }
            let mut answer = String::new();
            let asked = stream.write_all(b"isro");
            asked
                .and_then(|()| stream.read_to_string(&mut answer))
                .is_ok()
                && answer == "rw"
        }
    }

    impl<I> Drop for Container<'_, I> {
        fn drop(&mut self) {
            let mut process = self.process.lock().expect("no panic");
            if let Some(mut process) = process.take() {
                let id = process.id().to_string();
                Command::new("kill").arg(id).status().expect("kill");
                process.wait().expect("its end");
            }
        }
    }

    /// The log of a container.
    #[derive(Debug)]
    pub struct LogStream {
        file: PathBuf,
    }

    impl LogStream {
        /// Waits until the log has `message`.
        ///
        /// # Errors
        /// If it never comes.
        pub fn wait_for_message(self, message: &str) -> Result<(), String> {
            let end = Instant::now() + SERVES_WITHIN;
            while Instant::now() < end {
                let log = fs::read_to_string(&self.file).unwrap_or_default();
                if log.contains(message) {
                    return Ok(());
                }
                thread::sleep(GLANCE);
            }
            Err(format!("`{message}` was not logged"))
        }
    }

    /// The configuration with paths and ports of this machine, and the port for clients.
    fn zoo_cfg(image: &RunnableImage<GenericImage>, directory: &Path) -> (String, u16) {
        let given = image.volumes.get("/conf/zoo.cfg");
        let text = given.map_or_else(
            || String::from("clientPort=2181\ndataDir=/data\n"),
            |path| fs::read_to_string(path).expect("its configuration"),
        );
        let own = directory.join("data");
        let data = image.volumes.get("/data").unwrap_or(&own).clone();
        fs::create_dir_all(&data).expect("a directory for data");
        let mut volumes = image.volumes.clone();
        volumes.insert("/data".to_owned(), data.clone());
        let port = match image.ports {
            Ports::Mapped => free_port(),
            Ports::OfTheHost => listed_port(&text, &data),
        };
        let lines = text.lines().map(|line| match line.split_once('=') {
            Some((key @ ("clientPort" | "secureClientPort"), "2181")) => format!("{key}={port}\n"),
            _ => translate(line, &volumes) + "\n",
        });
        (lines.collect(), port)
    }

    /// `line`, whose value may be a path inside of the container.
    fn translate(line: &str, volumes: &BTreeMap<String, PathBuf>) -> String {
        match line.split_once('=') {
            Some((key, value)) if volumes.contains_key(value) => {
                format!("{key}={}", volumes[value].display())
            }
            _ => line.to_owned(),
        }
    }

    /// The port for clients in the line of the server whose number is in `data`.
    fn listed_port(text: &str, data: &Path) -> u16 {
        let id = fs::read_to_string(data.join("myid")).expect("its number");
        let own = format!("server.{}=", id.trim());
        let line = text.lines().find(|line| line.starts_with(&own));
        let port = line.and_then(|line| line.rsplit(':').next());
        port.and_then(|port| port.parse().ok()).expect("a port")
    }

    /// A port that is free now; who asks next gets another one.
    fn free_port() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    }
}
