//! Who of a local ensemble listens where and keeps its data where, in files that servers read.

use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UdpSocket};

use crate::arguments::{LocalEnsemble, SERVERS};
use crate::config::gossip_secret;
use crate::local_ensemble::failure::Failure;

/// The secret of the gossip, which all servers share.
const GOSSIP_SECRET: &str = "gossip.secret";

/// One server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its number.
    pub server: u8,
    /// Where it serves clients.
    pub client: SocketAddr,
    /// Where the other servers find it.
    pub peer: SocketAddr,
    /// Its configuration file.
    pub config: PathBuf,
    /// Its data.
    pub data_dir: PathBuf,
    /// Its log.
    pub log: PathBuf,
}

/// Lays an ensemble out, and writes the configuration files.
///
/// # Errors
/// If the directory is another ensemble's, or there are no such ports or files.
pub async fn lay_out(flags: &LocalEnsemble) -> Result<Vec<Member>, Failure> {
    let given = &flags.data_dir;
    fs::create_dir_all(given).map_err(of(given))?;
    let directory = fs::canonicalize(given).map_err(of(given))?;
    refuse_other_size(&directory, flags.servers)?;
    let clients = ports(flags.servers, flags.client_port).await?;
    let peers = ports(flags.servers, flags.peer_port).await?;
    let members: Vec<Member> = (1..=flags.servers)
        .zip(clients.into_iter().zip(peers))
        .map(|(server, (client, peer))| Member {
            server,
            client: SocketAddr::from((Ipv4Addr::LOCALHOST, client)),
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, peer)),
            config: directory.join(format!("server-{server}.toml")),
            data_dir: directory.join(format!("server-{server}")),
            log: directory.join(format!("server-{server}.log")),
        })
        .collect();
    let secret = directory.join(GOSSIP_SECRET);
    gossip_secret::ensure(&secret).map_err(of(&secret))?;
    for member in &members {
        let written = fs::write(&member.config, config(member, &members, &secret));
        written.map_err(of(&member.config))?;
    }
    Ok(members)
}

/// What an error of the operating system is about.
pub(super) fn of(path: &Path) -> impl FnOnce(std::io::Error) -> Failure + use<> {
    let path = path.to_owned();
    move |source| Failure::File { path, source }
}

/// An ensemble knows its servers from its founding on, whatever a later file says.
fn refuse_other_size(directory: &Path, wanted: u8) -> Result<(), Failure> {
    let exists = |server: &u8| directory.join(format!("server-{server}")).is_dir();
    let found = SERVERS.filter(exists).count();
    match found == 0 || found == usize::from(wanted) {
        true => Ok(()),
        false => Err(Failure::OtherSize {
            directory: directory.to_owned(),
            found,
            wanted,
        }),
    }
}

/// As many ports from `first` on; from 0, any that are free for TCP and UDP.
async fn ports(servers: u8, first: u16) -> Result<Vec<u16>, Failure> {
    if first > 0 {
        let last = first.checked_add(u16::from(servers) - 1);
        let last = last.ok_or(Failure::Ports { servers, first })?;
        return Ok((first..=last).collect());
    }
    // All are held until all are chosen.
    let mut held = Vec::new();
    while held.len() < usize::from(servers) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        if let Ok(socket) = UdpSocket::bind(address).await {
            held.push((address.port(), listener, socket));
        }
    }
    Ok(held.into_iter().map(|(port, ..)| port).collect())
}

/// A server's configuration file.
fn config(member: &Member, members: &[Member], secret: &Path) -> String {
    let (server, client) = (member.server, member.client);
    let data_dir = toml::Value::from(member.data_dir.display().to_string());
    let secret = toml::Value::from(secret.display().to_string());
    let file = member.config.display();
    let mut text = format!(
        "# Written by `althing ensemble`, and written anew each time. To start this server alone:\n\
         # althing serve --config {file}\n\
         id = {server}\n\
         listen = \"{client}\"\n\
         data_dir = {data_dir}\n\
         gossip_secret_file = {secret}\n\
         \n\
         [servers]\n"
    );
    for other in members {
        let (server, peer, client) = (other.server, other.peer, other.client);
        writeln!(text, "{server} = \"{peer};{client}\"").expect("a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ensemble::Identity;
    use crate::config::file;
    use crate::config::settings::Settings;
    use crate::rig::run;
    use std::collections::BTreeSet;

    fn flags(directory: &Path, servers: u8, client_port: u16) -> LocalEnsemble {
        LocalEnsemble {
            servers,
            data_dir: directory.join("it's \"here\""),
            client_port,
            peer_port: 0,
            log_level: None,
        }
    }

    #[test]
    fn every_server_reads_its_file() {
        run(async {
            let directory = tempfile::tempdir().expect("a directory");
            let members = lay_out(&flags(directory.path(), 3, 4000)).await;
            let members = members.expect("laid out");
            let ports: BTreeSet<u16> = members.iter().map(|one| one.peer.port()).collect();
            assert_eq!(ports.len(), 3, "each has a port of its own");
            for (member, port) in members.iter().zip(4000..) {
                let read = file::read(&member.config).expect("a good file");
                assert_eq!(read.warnings, [""; 0]);
                let settings = Settings::settle(read.draft, &Identity::default());
                let settings = settings.expect("a good file");
                assert_eq!(
                    settings.ports.listen,
                    SocketAddr::from(([127, 0, 0, 1], port))
                );
                assert_eq!(settings.data_dir, member.data_dir);
                assert_eq!(settings.config.server.0, member.server);
                assert_eq!(settings.config.voters.len(), 3);
                let secret = settings.gossip_secret_file.expect("a secret");
                let secret = gossip_secret::read(&secret).expect("a good secret");
                assert_eq!(secret.warning, None);
            }
        });
    }

    #[test]
    fn a_directory_keeps_its_size_and_ports_end() {
        run(async {
            let directory = tempfile::tempdir().expect("a directory");
            let members = lay_out(&flags(directory.path(), 2, 0)).await;
            for member in members.expect("laid out") {
                fs::create_dir(member.data_dir).expect("a directory");
            }
            let told = lay_out(&flags(directory.path(), 3, 0)).await;
            let told = told.expect_err("another size").to_string();
            assert!(
                told.contains("an ensemble of 2 servers, not of 3"),
                "{told}"
            );
            let told = lay_out(&flags(directory.path(), 2, 65535)).await;
            let told = told.expect_err("no second port").to_string();
            assert_eq!(told, "there are no 2 ports from 65535 on");
        });
    }
}
