//! TLS with clients, and who a client is by its certificate.

use std::sync::Arc;

use althing_core::tree::acl::Identity;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::config::client_certificates::ClientCertificates;
use crate::config::client_ports;
use crate::shell::ClientStream;
use crate::tls::files::{TlsError, authorities, certificates, key, wrong};
use crate::tls::fresh::Fresh;
use crate::tls::stream::MaybeTls;

/// The scheme of identities by certificate: ZooKeeper's.
const SCHEME: &str = "x509";

/// TLS with clients, with the certificate that is in the files at present.
#[derive(Debug)]
pub struct ClientTls(Fresh<TlsAcceptor>);

impl ClientTls {
    /// Reads the files, and again whenever they change.
    ///
    /// # Errors
    /// If one cannot be read, or they do not fit together.
    pub fn load(wanted: &client_ports::ClientTls) -> Result<ClientTls, TlsError> {
        let files = &wanted.files;
        let mut all = vec![files.certificate.clone(), files.key.clone()];
        all.extend(files.authority.clone());
        let wanted = wanted.clone();
        let acceptor = Fresh::new("TLS with clients", all, move || acceptor(&wanted))?;
        Ok(ClientTls(acceptor))
    }

    /// Begins TLS on a stream that was accepted.
    pub fn accept(&self, stream: TcpStream) -> MaybeTls {
        MaybeTls::Accepting(Box::new(self.0.get().accept(stream)))
    }

    /// Begins TLS on a stream that was accepted, if its other end does.
    pub fn accept_either(&self, stream: TcpStream) -> MaybeTls {
        MaybeTls::Undecided(stream, self.0.get())
    }
}

/// Takes TLS 1.3, and 1.2 for clients on old Javas.
fn acceptor(wanted: &client_ports::ClientTls) -> Result<TlsAcceptor, TlsError> {
    let files = &wanted.files;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let pair = |what| TlsError::Pair {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        what,
    };
    let verifier: Arc<dyn ClientCertVerifier> = match (&files.authority, wanted.certificates) {
        (None, _) | (_, ClientCertificates::Ignored) => WebPkiClientVerifier::no_client_auth(),
        (Some(path), asked) => {
            let roots = Arc::new(authorities(path)?);
            let builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
            let builder = match asked {
                ClientCertificates::Wanted => builder.allow_unauthenticated(),
                _ => builder,
            };
            let built = builder.build();
            built.map_err(|error| wrong(path, error.to_string()))?
        }
    };
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(pair)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&files.certificate)?, key(&files.key)?)
        .map_err(pair)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl ClientStream for MaybeTls {
    fn certified(&self) -> Option<Identity> {
        identity(self.certificate()?)
    }
}

/// Whom a certificate names: its subject, as RFC 4514 writes it, which is what Java's RFC 2253
/// writes for all common parts of names.
fn identity(certificate: &CertificateDer<'_>) -> Option<Identity> {
    match Certificate::from_der(certificate) {
        Ok(certificate) => {
            let subject = certificate.tbs_certificate().subject().to_string();
            Some(Identity::new(SCHEME, &subject)).filter(|_| !subject.is_empty())
        }
        Err(error) => {
            // Whoever verified it could read it: its client is nobody, and the operator told.
            tracing::warn!(%error, "the subject of a client's certificate cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::client_ports::ClientTlsFiles;
    use crate::rig::run;
    use crate::tls::files;
    use crate::tls::test_authority::{Authority, Pair};
    use rcgen::DnType;
    use rustls::ClientConfig;
    use rustls::pki_types::ServerName;
    use std::io;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsConnector;

    fn wanted(files: ClientTlsFiles, certificates: ClientCertificates) -> client_ports::ClientTls {
        client_ports::ClientTls {
            files,
            certificates,
        }
    }

    /// A client that knows `authority`, with a certificate or without.
    fn connector(authority: &Authority, own: Option<&Pair>) -> TlsConnector {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = files::authorities(&authority.certificate()).expect("a certificate");
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = files::certificates(&pair.certificate).expect("a certificate");
                let key = files::key(&pair.key).expect("a key");
                let config = builder.with_client_auth_cert(chain, key);
                config.expect("they fit together")
            }
        };
        TlsConnector::from(Arc::new(config))
    }

    /// Who a client of `tls` is when it has been heard; it knocks with TLS or without.
    async fn heard(tls: &ClientTls, client: Option<TlsConnector>) -> io::Result<Option<Identity>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let stream = TcpStream::connect(listener.local_addr()?).await?;
        let (accepted, _) = listener.accept().await?;
        let mut accepted = tls.accept_either(accepted);
        let speaking = tokio::spawn(async move {
            let word = b"hello";
            match client {
                None => {
                    let mut stream = stream;
                    stream.write_all(word).await?;
                    stream.read_u8().await
                }
                Some(connector) => {
                    let name = ServerName::try_from("zk.example").expect("a name");
                    let mut stream = connector.connect(name, stream).await?;
                    stream.write_all(word).await?;
                    stream.read_u8().await
                }
            }
        });
        let mut word = [0; 5];
        accepted.read_exact(&mut word).await?;
        assert_eq!(&word, b"hello");
        accepted.write_all(b"!").await?;
        accepted.flush().await?;
        assert_eq!(speaking.await.expect("no panic")?, b'!');
        Ok(accepted.certified())
    }

    #[test]
    fn a_client_is_who_its_certificate_says() {
        run(async {
            let ours = Authority::new();
            let files = ClientTlsFiles {
                authority: Some(ours.certificate()),
                ..ours.server("zk.example")
            };
            let alice = ours.signs(
                "alice.example",
                &[
                    (DnType::CommonName, "alice"),
                    (DnType::OrganizationName, "Payment, Inc."),
                ],
            );
            for certificates in [ClientCertificates::Needed, ClientCertificates::Wanted] {
                let tls = ClientTls::load(&wanted(files.clone(), certificates)).expect("good");
                let who = heard(&tls, Some(connector(&ours, Some(&alice)))).await;
                let who = who.expect("she is let in").expect("she is known");
                assert_eq!(&*who.scheme, "x509");
                assert!(who.id.contains("CN=alice"), "{who:?}");
                assert!(who.id.contains(r"O=Payment\, Inc."), "{who:?}");
                let nobody = heard(&tls, Some(connector(&ours, None))).await;
                match certificates {
                    ClientCertificates::Wanted => assert_eq!(nobody.expect("let in"), None),
                    _ => drop(nobody.expect_err("a certificate is needed")),
                }
                // Who comes without TLS is nobody, wherever that is allowed.
                assert_eq!(heard(&tls, None).await.expect("let in"), None);
            }
        });
    }

    #[test]
    fn a_stranger_is_not_let_in_and_a_false_server_not_believed() {
        run(async {
            let (ours, theirs) = (Authority::new(), Authority::new());
            let files = ClientTlsFiles {
                authority: Some(ours.certificate()),
                ..ours.server("zk.example")
            };
            let stranger = theirs.signs("alice.example", &[(DnType::CommonName, "alice")]);
            let tls = ClientTls::load(&wanted(files, ClientCertificates::Wanted)).expect("good");
            let client = connector(&ours, Some(&stranger));
            heard(&tls, Some(client)).await.expect_err("a stranger");
            let client = connector(&theirs, None);
            heard(&tls, Some(client)).await.expect_err("a false server");
        });
    }

    #[test]
    fn a_renewed_certificate_is_served_without_a_restart() {
        run(async {
            let ours = Authority::new();
            let files = ours.server("zk.example");
            let tls = ClientTls::load(&wanted(files.clone(), ClientCertificates::Ignored));
            let tls = tls.expect("good");
            let client = || Some(connector(&ours, None));
            heard(&tls, client()).await.expect("let in");
            // Nobody knows this one's authority: that it is served shows by its being refused.
            let theirs = Authority::new();
            let renewed = theirs.server("zk.example");
            std::fs::copy(&renewed.certificate, &files.certificate).expect("copied");
            std::fs::copy(&renewed.key, &files.key).expect("copied");
            tokio::time::pause();
            tokio::time::advance(std::time::Duration::from_secs(6)).await;
            tokio::time::resume();
            heard(&tls, client()).await.expect_err("it is the new one");
        });
    }
}
