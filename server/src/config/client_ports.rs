//! Where clients are served, and where they speak TLS.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::config::client_certificates::ClientCertificates;
use crate::config::draft::{ConfigError, Draft, Given};
use crate::config::ensemble::Ensemble;

/// Where a server listens unless told otherwise: to this machine only, since what it serves is not
/// authenticated by default.
pub const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2181);

/// How clients speak on a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speaks {
    /// Without TLS.
    Plain,
    /// With TLS.
    Tls,
    /// As each of them likes: the first byte tells.
    Either,
}

/// The files of TLS towards clients, in PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientTlsFiles {
    /// This server's certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key; may be in the same file.
    pub key: PathBuf,
    /// The authorities of the clients' certificates.
    pub authority: Option<PathBuf>,
}

/// TLS with clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientTls {
    /// The server's files.
    pub files: ClientTlsFiles,
    /// Whether clients have certificates.
    pub certificates: ClientCertificates,
}

/// Where clients are served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientPorts {
    /// The first port; others are told of this one.
    pub listen: SocketAddr,
    /// How they speak there.
    pub speaks: Speaks,
    /// A second port, where they speak TLS.
    pub secure_listen: Option<SocketAddr>,
    /// There, if they speak TLS anywhere.
    pub tls: Option<ClientTls>,
}

impl ClientPorts {
    /// What was given. A secure port that is given alone is the only one, as in ZooKeeper.
    ///
    /// # Errors
    /// If it contradicts the list of servers, or something that TLS needs is missing.
    pub fn settle(draft: &Draft, ensemble: &Ensemble) -> Result<ClientPorts, ConfigError> {
        let listed = ensemble.own().and_then(|own| own.at.client);
        if let (Some(given), Some(listed)) = (&draft.listen_port, listed)
            && given.value != listed.port
        {
            let (id, port) = (ensemble.id, listed.port);
            return Err(given.wrong(format!("the line of server {id} says {port}")));
        }
        let given = draft.listen_address.as_ref().map(|given| given.value);
        // Without an address ZooKeeper listens on all.
        let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let of_list = listed.map(|listed| listed.address.unwrap_or(everywhere));
        let address = given.or(of_list).unwrap_or(LISTEN_DEFAULT.ip());
        let given = draft.listen_port.as_ref().map(|given| given.value);
        let port = given.or(listed.map(|listed| listed.port));

        let tls = tls(draft)?;
        let secure = draft.secure.port.as_ref().map(|port| {
            let address = draft.secure.address.as_ref().map(|given| given.value);
            SocketAddr::new(address.unwrap_or(everywhere), port.value)
        });
        let unified = draft.port_unification.as_ref();
        let plain = match unified.is_some_and(|given| given.value) {
            true => Speaks::Either,
            false => Speaks::Plain,
        };
        let (listen, speaks, secure_listen) = match (port, secure) {
            (None, Some(secure)) if plain == Speaks::Plain => (secure, Speaks::Tls, None),
            (port, secure) => {
                let port = port.unwrap_or(LISTEN_DEFAULT.port());
                (SocketAddr::new(address, port), plain, secure)
            }
        };
        Ok(ClientPorts {
            listen,
            speaks,
            secure_listen,
            tls,
        })
    }
}

/// TLS with clients, if something asks for it; then all that it needs must be there.
fn tls(draft: &Draft) -> Result<Option<ClientTls>, ConfigError> {
    let unification = draft.port_unification.as_ref();
    let unified = unification.filter(|given| given.value);
    let somewhere = draft.secure.port.is_some() || unified.is_some();
    let (certificate, key) = (&draft.client_tls_certificate, &draft.client_tls_key);
    let (certificate, key) = match (certificate, key) {
        (Some(certificate), Some(key)) if somewhere => (certificate, key),
        (Some(given), Some(_)) => {
            return Err(given.wrong(
                "is used nowhere: a secure port, or the unification of ports, tells where clients \
                 speak TLS",
            ));
        }
        (Some(given), None) | (None, Some(given)) => {
            return Err(given.wrong("certificate and key belong together"));
        }
        (None, None) => {
            let what = "TLS with clients needs a certificate and its key";
            return match (&draft.secure.port, unified) {
                (Some(given), _) => Err(given.wrong(what)),
                (None, Some(given)) => Err(given.wrong(what)),
                (None, None) => Ok(None),
            };
        }
    };
    let value = |given: &Option<Given<PathBuf>>| given.as_ref().map(|given| given.value.clone());
    let authority = value(&draft.client_tls_authority);
    let certificates = match (&draft.client_certificates, &authority) {
        (Some(given), None) if given.value != ClientCertificates::Ignored => {
            return Err(given.wrong("the clients' authority is missing"));
        }
        (Some(given), _) => given.value,
        (None, None) => ClientCertificates::Ignored,
        (None, Some(_)) => ClientCertificates::Needed,
    };
    Ok(Some(ClientTls {
        files: ClientTlsFiles {
            certificate: certificate.value.clone(),
            key: key.value.clone(),
            authority,
        },
        certificates,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settled;
    use crate::config::zoo_cfg;

    const FILES: &str = "client_tls_certificate = \"c\"\nclient_tls_key = \"k\"\n";

    fn of_toml(text: &str) -> Result<ClientPorts, String> {
        settled::of_toml(text).map(|settings| settings.ports)
    }

    #[test]
    fn tls_has_a_port_of_its_own_or_shares_one() {
        for (text, listen, speaks, secure) in [
            ("", "127.0.0.1:2181", Speaks::Plain, None),
            (
                "secure_listen = \"[::]:2281\"",
                "[::]:2281",
                Speaks::Tls,
                None,
            ),
            (
                "listen = \"1.2.3.4:5\"\nsecure_listen = \"0.0.0.0:2281\"",
                "1.2.3.4:5",
                Speaks::Plain,
                Some("0.0.0.0:2281"),
            ),
            (
                "port_unification = true",
                "127.0.0.1:2181",
                Speaks::Either,
                None,
            ),
        ] {
            let files = if text.is_empty() { "" } else { FILES };
            let ports = of_toml(&format!("{files}{text}")).expect(text);
            assert_eq!(ports.listen.to_string(), listen, "{text}");
            assert_eq!(ports.speaks, speaks, "{text}");
            let found = ports.secure_listen.map(|secure| secure.to_string());
            assert_eq!(found.as_deref(), secure, "{text}");
            assert_eq!(ports.tls.is_some(), !text.is_empty(), "{text}");
        }
    }

    #[test]
    fn clients_show_certificates_if_there_is_an_authority_to_know_them_by() {
        let secure = format!("{FILES}port_unification = true\n");
        let authority = "client_tls_authority = \"a\"\n";
        for (text, expected) in [
            ("", ClientCertificates::Ignored),
            (authority, ClientCertificates::Needed),
            (
                &format!("{authority}client_certificates = \"want\""),
                ClientCertificates::Wanted,
            ),
        ] {
            let ports = of_toml(&format!("{secure}{text}")).expect(text);
            assert_eq!(ports.tls.expect("asked for").certificates, expected);
        }
        let told = of_toml(&format!("{secure}client_certificates = \"need\"")).expect_err("whose?");
        assert_eq!(
            told,
            "t.toml:4:1: client_certificates: the clients' authority is missing"
        );
    }

    #[test]
    fn a_zoo_cfg_names_stores_in_pem() {
        let text = "clientPort=2181\nsecureClientPort=2281\nssl.keyStore.location=server.pem\n\
                    ssl.trustStore.location=ca.pem\nssl.clientAuth=want\n\
                    serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n";
        let ports = settled::of_zoo_cfg(text).expect("a good file").ports;
        assert_eq!(ports.listen.to_string(), "0.0.0.0:2181");
        let secure = ports.secure_listen.map(|secure| secure.to_string());
        assert_eq!(secure.as_deref(), Some("0.0.0.0:2281"));
        let tls = ports.tls.expect("asked for");
        assert_eq!(tls.files.certificate, tls.files.key);
        assert_eq!(tls.certificates, ClientCertificates::Wanted);
        let java = "ssl.keyStore.location=/etc/zk/keystore.jks\n";
        let told = zoo_cfg::read("zoo.cfg", java)
            .expect_err("Java's")
            .to_string();
        assert!(
            told.starts_with("zoo.cfg:1: ssl.keyStore.location: "),
            "{told}"
        );
    }

    #[test]
    fn what_belongs_together_is_missed() {
        for (text, complaint) in [
            (
                "secure_listen = \"0.0.0.0:1\"",
                "t.toml:1:1: secure_listen: TLS with clients needs a certificate and its key",
            ),
            (
                "port_unification = true",
                "t.toml:1:1: port_unification: TLS with clients needs a certificate and its key",
            ),
            (
                "client_tls_key = \"k\"",
                "t.toml:1:1: client_tls_key: certificate and key belong together",
            ),
            (
                FILES,
                "t.toml:1:1: client_tls_certificate: is used nowhere: a secure port, or the",
            ),
            (
                "client_certificates = \"perhaps\"",
                "t.toml:1:1: client_certificates: `perhaps` is none of need, want, none",
            ),
        ] {
            let told = of_toml(text).expect_err(text);
            assert!(told.starts_with(complaint), "{told}");
        }
    }
}
