//! The ensemble of a settled configuration: who this server is among the servers that are listed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use althing_core::ids::ServerId;
use althing_core::listed::{self, HostPort, ListedServer, PeerRole};
use althing_core::voters::Voters;

use crate::config::draft::{ConfigError, Draft, Given, Place};

/// The file in the data directory that says which server it belongs to.
pub const MYID: &str = "myid";

/// Who a server is, as far as it is known without its configuration file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// By the flag.
    pub flag: Option<ServerId>,
    /// By the file in the data directory.
    pub myid: Option<Given<ServerId>>,
}

impl Identity {
    /// Reads the file of the data directory, if there is one.
    ///
    /// # Errors
    /// If it cannot be read, or says no number.
    pub fn find(flag: Option<ServerId>, data_dir: &Path) -> Result<Identity, ConfigError> {
        let path = data_dir.join(MYID);
        let file = path.display().to_string();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Identity { flag, myid: None });
            }
            Err(error) => {
                let what = error.to_string();
                return Err(ConfigError::File { file, what });
            }
        };
        let place = Place {
            file,
            line: 1,
            column: None,
            key: MYID.to_owned(),
        };
        let value = listed::id(text.trim()).map_err(|what| ConfigError::At {
            place: place.clone(),
            what,
        })?;
        let myid = Some(Given { value, place });
        Ok(Identity { flag, myid })
    }
}

/// The files of mutual TLS between servers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerTlsFiles {
    /// This server's certificate and those between it and the authority, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// The certificates of the authority, in PEM: whoever has one signed by it is a peer.
    pub authority: PathBuf,
}

/// Who this server is, and with whom it makes an ensemble.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ensemble {
    /// This server.
    pub id: ServerId,
    /// All servers, this one included; none for a server on its own.
    pub servers: BTreeMap<ServerId, ListedServer>,
    /// The servers that vote in an ensemble that is not founded yet, perhaps in groups.
    pub voters: Voters,
    /// Where this server listens for the others, if not at its own address of the list.
    pub listen_address: Option<IpAddr>,
    /// TLS between the servers.
    pub tls: Option<PeerTlsFiles>,
}

impl Ensemble {
    /// What was given.
    ///
    /// # Errors
    /// If this server is not in the list, or the list contradicts itself.
    pub fn settle(draft: &Draft, identity: &Identity) -> Result<Ensemble, ConfigError> {
        let tls = tls(draft)?;
        let id = own_id(draft, identity)?;
        let listen_address = draft.peer_listen_address.as_ref().map(|given| given.value);
        let servers: BTreeMap<_, _> = draft
            .servers
            .iter()
            .map(|(id, given)| (*id, given.value.clone()))
            .collect();
        let Some(id) = id else {
            return match draft.servers.values().next() {
                None => Ok(Ensemble {
                    id: ServerId(1),
                    voters: voters(draft, ServerId(1))?,
                    servers,
                    listen_address,
                    tls,
                }),
                Some(given) => Err(given.wrong(format!(
                    "which of the listed servers is this one? Say it in the file {MYID} of the \
                     data directory, by the key id, or by the flag --id"
                ))),
            };
        };
        refuse_doubles(&draft.servers)?;
        let all = draft.servers.values();
        let votes = |given: &Given<ListedServer>| given.value.role == PeerRole::Voter;
        if let Some(given) = all.clone().next()
            && !all.clone().any(votes)
        {
            return Err(given.wrong("all servers are observers: nobody would vote"));
        }
        Ok(Ensemble {
            id,
            voters: voters(draft, id)?,
            servers,
            listen_address,
            tls,
        })
    }

    /// This server in the list.
    pub fn own(&self) -> Option<&ListedServer> {
        self.servers.get(&self.id)
    }

    /// The servers that only learn.
    pub fn learners(&self) -> BTreeSet<ServerId> {
        let all = self.servers.iter();
        all.filter(|(_, server)| server.role == PeerRole::Observer)
            .map(|(id, _)| *id)
            .collect()
    }

    /// The other servers, and where they are.
    pub fn others(&self) -> BTreeMap<ServerId, &HostPort> {
        let all = self.servers.iter();
        all.filter(|(id, _)| **id != self.id)
            .map(|(id, server)| (*id, &server.at.peer))
            .collect()
    }
}

/// Who votes; a server on its own, if nobody is listed.
fn voters(draft: &Draft, id: ServerId) -> Result<Voters, ConfigError> {
    let listed = draft.servers.iter();
    let votes = |given: &Given<ListedServer>| given.value.role == PeerRole::Voter;
    let mut voters: BTreeSet<ServerId> = listed
        .filter(|(_, given)| votes(given))
        .map(|(id, _)| *id)
        .collect();
    if draft.servers.is_empty() {
        voters.insert(id);
    }
    match &draft.groups {
        None => Ok(Voters::from(voters)),
        Some(given) if draft.servers.is_empty() => {
            Err(given.wrong("groups and weights are those of servers that are listed"))
        }
        Some(given) => {
            let settled = given.value.settle(voters);
            settled.map_err(|what| given.wrong(what))
        }
    }
}

/// Which server this one is. Whatever says it must say the same; the flag alone beats the file's
/// key, as flags do.
fn own_id(draft: &Draft, identity: &Identity) -> Result<Option<ServerId>, ConfigError> {
    let said = match identity.flag {
        Some(flag) => Some((flag, None)),
        None => draft.id.as_ref().map(|id| (id.value, Some(&id.place))),
    };
    let myid = identity.myid.as_ref();
    if let (Some((said, _)), Some(myid)) = (said, myid)
        && said != myid.value
    {
        let found = myid.value;
        return Err(myid.wrong(format!(
            "says that the data directory is server {found}'s, and this is to be server {said}"
        )));
    }
    let known = said.or(myid.map(|myid| (myid.value, Some(&myid.place))));
    let Some((id, place)) = known else {
        return Ok(None);
    };
    if !draft.servers.is_empty() && !draft.servers.contains_key(&id) {
        let ids: Vec<String> = draft.servers.keys().map(ToString::to_string).collect();
        let what = format!("server {id} is not listed; listed are {}", ids.join(", "));
        return Err(match place {
            Some(place) => ConfigError::At {
                place: place.clone(),
                what,
            },
            None => ConfigError::Flag { flag: "--id", what },
        });
    }
    if let (Some(peer_type), Some(listed)) = (&draft.peer_type, draft.servers.get(&id))
        && peer_type.value != listed.value.role
    {
        return Err(peer_type.wrong(format!("contradicts {}", listed.place)));
    }
    Ok(Some(id))
}

fn refuse_doubles(servers: &BTreeMap<ServerId, Given<ListedServer>>) -> Result<(), ConfigError> {
    let mut seen: Vec<(ServerId, &HostPort)> = Vec::new();
    // In the order of the file, so that the complaint is about the later line.
    let mut listed: Vec<_> = servers.iter().collect();
    listed.sort_by_key(|(_, given)| given.place.line);
    for (id, given) in listed {
        let peer = &given.value.at.peer;
        if let Some((other, _)) = seen.iter().find(|(_, seen)| seen.is_same(peer)) {
            return Err(given.wrong(format!("{peer} is the address of server {other} too")));
        }
        seen.push((*id, peer));
    }
    Ok(())
}

fn tls(draft: &Draft) -> Result<Option<PeerTlsFiles>, ConfigError> {
    let files = (
        &draft.peer_tls_certificate,
        &draft.peer_tls_key,
        &draft.peer_tls_authority,
    );
    match files {
        (None, None, None) => Ok(None),
        (Some(certificate), Some(key), Some(authority)) => Ok(Some(PeerTlsFiles {
            certificate: certificate.value.clone(),
            key: key.value.clone(),
            authority: authority.value.clone(),
        })),
        (certificate, key, authority) => {
            let given = certificate.as_ref().or(key.as_ref()).or(authority.as_ref());
            let given = given.expect("one of them is there");
            Err(given.wrong(
                "certificate, key and authority belong together: TLS between the servers needs \
                 all three",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::toml_file;

    const THREE: &str = "\
        [servers]\n\
        1 = \"a:1\"\n\
        2 = \"b:1\"\n\
        3 = \"c:1\"\n";

    fn settle(text: &str, identity: &Identity) -> Result<Ensemble, String> {
        let settled =
            toml_file::read("t.toml", text).and_then(|draft| Ensemble::settle(&draft, identity));
        settled.map_err(|error| error.to_string())
    }

    fn flag(id: u8) -> Identity {
        Identity {
            flag: Some(ServerId(id)),
            myid: None,
        }
    }

    fn myid(text: &str) -> Result<Identity, String> {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join(MYID), text).expect("written");
        let found = Identity::find(None, directory.path());
        found.map_err(|error| error.to_string())
    }

    #[test]
    fn the_number_is_found_in_the_flag_the_file_or_the_directory() {
        let of_file = format!("id = 2\n{THREE}");
        for (text, identity, expected) in [
            (THREE, flag(3), 3),
            (&of_file, Identity::default(), 2),
            (&of_file, flag(3), 3),
            (THREE, myid("1\n").expect("a number"), 1),
            (&of_file, myid(" 2 ").expect("a number"), 2),
            ("", Identity::default(), 1),
            ("", flag(9), 9),
        ] {
            let ensemble = settle(text, &identity).expect(text);
            assert_eq!(ensemble.id, ServerId(expected));
        }
        let nowhere = tempfile::tempdir().expect("a directory");
        let found = Identity::find(None, nowhere.path()).expect("no file is no error");
        assert_eq!(found, Identity::default());
    }

    #[test]
    fn an_ensemble_has_voters_learners_and_others() {
        let text = "id = 2\n[servers]\n1 = \"a:1\"\n2 = \"b:1\"\n3 = \"c:1;2181\"\n\
                    4 = { address = \"d:1\", role = \"observer\" }\n";
        let ensemble = settle(text, &Identity::default()).expect("a good file");
        let ids =
            |ids: &[u8]| -> BTreeSet<ServerId> { ids.iter().copied().map(ServerId).collect() };
        assert_eq!(ensemble.voters.servers(), &ids(&[1, 2, 3]));
        assert_eq!(ensemble.learners(), ids(&[4]));
        let others: Vec<String> = ensemble
            .others()
            .values()
            .map(ToString::to_string)
            .collect();
        assert_eq!(others, ["a:1", "c:1", "d:1"]);
        let alone = settle("", &Identity::default()).expect("alone");
        assert_eq!(alone.voters.servers(), &ids(&[1]));
        assert!(alone.others().is_empty());
    }

    #[test]
    fn contradictions_are_refused() {
        for (text, identity, complaint) in [
            (
                THREE,
                Identity::default(),
                "t.toml:2:1: servers.1: which of the listed servers",
            ),
            (
                THREE,
                flag(4),
                "--id: server 4 is not listed; listed are 1, 2, 3",
            ),
            (
                "id = 7\n[servers]\n1 = \"a:1\"\n",
                Identity::default(),
                "t.toml:1:1: id: server 7 is not listed; listed are 1",
            ),
            (
                "id = 1\n[servers]\n2 = \"b:1\"\n1 = \"B:1\"\n",
                Identity::default(),
                "t.toml:4:1: servers.1: B:1 is the address of server 2 too",
            ),
            (
                "id = 1\n[servers]\n1 = \"b:1:observer\"\n",
                Identity::default(),
                "t.toml:3:1: servers.1: all servers are observers",
            ),
            (
                "[groups]\n1 = [1]\n",
                Identity::default(),
                "t.toml:2:1: groups.1: groups and weights are those of servers that are listed",
            ),
            (
                "id = 1\n[servers]\n1 = \"a:1\"\n2 = \"b:1\"\n[groups]\n1 = [1]\n",
                Identity::default(),
                "t.toml:6:1: groups.1: server 2 votes and is in no group",
            ),
            (
                "id = 1\n[servers]\n1 = \"a:1\"\n[weights]\n1 = 2\n",
                Identity::default(),
                "t.toml:5:1: weights.1: server 1 votes and is in no group",
            ),
            (
                "id = 1\npeer_tls_key = \"k\"\n",
                Identity::default(),
                "t.toml:2:1: peer_tls_key: certificate, key and authority belong together",
            ),
        ] {
            let told = settle(text, &identity).expect_err(text);
            assert!(told.starts_with(complaint), "{told}");
        }
        let told = settle(&format!("id = 2\n{THREE}"), &myid("3").expect("a number"));
        let told = told.expect_err("myid says another");
        assert!(
            told.contains("/myid:1: myid: says that the data directory is server 3's"),
            "{told}"
        );
        let told = myid("three").expect_err("no number");
        assert!(
            told.contains("/myid:1: myid: `three` is not a server's number"),
            "{told}"
        );
    }
}
