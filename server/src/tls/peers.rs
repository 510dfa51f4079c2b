//! Mutual TLS between servers: whoever has a certificate that the authority signed is a peer, under
//! whatever name. Only TLS 1.3 is spoken.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::config::ensemble::PeerTlsFiles;
use crate::tls::files::{TlsError, authorities, certificates, key, wrong};
use crate::tls::fresh::Fresh;
use crate::tls::stream::MaybeTls;

/// The name that a dialling server asks for; nobody compares it with anything.
const NAME: &str = "althing.peer";

/// TLS between servers, with the certificate that is in the files at present.
#[derive(Debug)]
pub struct PeerTls(Fresh<BothSides>);

#[derive(Clone)]
struct BothSides {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

impl PeerTls {
    /// Reads the files, and again whenever they change.
    ///
    /// # Errors
    /// If one cannot be read, or they do not fit together.
    pub fn load(files: &PeerTlsFiles) -> Result<PeerTls, TlsError> {
        let all = [&files.certificate, &files.key, &files.authority];
        let all = all.map(Clone::clone).to_vec();
        let files = files.clone();
        let sides = Fresh::new("TLS between servers", all, move || both_sides(&files))?;
        Ok(PeerTls(sides))
    }

    /// Begins TLS on a stream that this server dialled.
    ///
    /// # Errors
    /// If the other end is no peer.
    pub async fn connect(&self, stream: TcpStream) -> io::Result<MaybeTls> {
        let name = ServerName::try_from(NAME).expect("it is a name");
        let stream = self.0.get().connector.connect(name, stream).await?;
        Ok(MaybeTls::Secret(Box::new(TlsStream::Client(stream))))
    }

    /// Begins TLS on a stream that was accepted.
    pub fn accept(&self, stream: TcpStream) -> MaybeTls {
        MaybeTls::Accepting(Box::new(self.0.get().acceptor.accept(stream)))
    }
}

fn both_sides(files: &PeerTlsFiles) -> Result<BothSides, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = certificates(&files.certificate)?;
    let key = key(&files.key)?;
    let roots = Arc::new(authorities(&files.authority)?);
    let pair = |what| TlsError::Pair {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        what,
    };
    let versions = &[&rustls::version::TLS13];
    let verifier = Arc::new(SignedByAuthority {
        roots: Arc::clone(&roots),
        provider: Arc::clone(&provider),
    });
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(pair)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain.clone(), key.clone_key())
        .map_err(pair)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|error| wrong(&files.authority, error.to_string()))?;
    let server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(pair)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(pair)?;
    Ok(BothSides {
        connector: TlsConnector::from(Arc::new(client)),
        acceptor: TlsAcceptor::from(Arc::new(server)),
    })
}

/// Verifies the server that was dialled: its certificate must come from the authority. Which server
/// it is, it says itself, as every peer may.
#[derive(Debug)]
struct SignedByAuthority {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for SignedByAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            algorithms,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let why = "TLS 1.2 is not spoken between servers";
        Err(rustls::Error::General(why.to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::run;
    use crate::tls::test_authority::Authority;
    use std::path::PathBuf;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Says "hello" from a server with `dialling` to one with `accepting`, and hears it back.
    async fn say_hello(dialling: &PeerTlsFiles, accepting: &PeerTlsFiles) -> io::Result<()> {
        let dialling = PeerTls::load(dialling).expect("good files");
        let accepting = PeerTls::load(accepting).expect("good files");
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let echo = tokio::spawn(async move {
            let (stream, _) = listener.accept().await?;
            let mut stream = accepting.accept(stream);
            let mut word = [0; 5];
            stream.read_exact(&mut word).await?;
            stream.write_all(&word).await?;
            stream.flush().await
        });
        let said = async {
            let stream = TcpStream::connect(address).await?;
            let mut stream = dialling.connect(stream).await?;
            stream.write_all(b"hello").await?;
            stream.flush().await?;
            let mut word = [0; 5];
            stream.read_exact(&mut word).await?;
            assert_eq!(&word, b"hello");
            Ok(())
        }
        .await;
        let echoed = echo.await.expect("no panic");
        assert_eq!(said.is_ok(), echoed.is_ok(), "{said:?} {echoed:?}");
        said
    }

    #[test]
    fn whoever_the_authority_signed_is_a_peer() {
        run(async {
            let ours = Authority::new();
            let (one, two) = (ours.peer("server-1"), ours.peer("anything.example"));
            say_hello(&one, &two).await.expect("both are peers");
            say_hello(&two, &one).await.expect("both are peers");
        });
    }

    #[test]
    fn nobody_else_is() {
        run(async {
            let (ours, theirs) = (Authority::new(), Authority::new());
            let (one, stranger) = (ours.peer("server-1"), theirs.peer("server-1"));
            say_hello(&stranger, &one).await.expect_err("dials");
            say_hello(&one, &stranger).await.expect_err("answers");
            // Its authority is ours, so it trusts us; that does not make it one of us.
            let spy = PeerTlsFiles {
                authority: one.authority.clone(),
                ..stranger
            };
            say_hello(&spy, &one).await.expect_err("dials");
            say_hello(&one, &spy).await.expect_err("answers");
        });
    }

    #[test]
    fn without_tls_there_is_no_link() {
        run(async {
            let accepting = PeerTls::load(&Authority::new().peer("one")).expect("good files");
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let mut plain = TcpStream::connect(address).await.expect("connected");
            let (stream, _) = listener.accept().await.expect("accepted");
            plain
                .write_all(b"ALTHPEER 1234567890123456789")
                .await
                .expect("sent");
            let mut stream = accepting.accept(stream);
            let mut byte = [0; 1];
            stream.read_exact(&mut byte).await.expect_err("no TLS");
            stream.write_all(&byte).await.expect_err("nor afterwards");
        });
    }

    #[test]
    fn files_that_are_of_no_use_are_told() {
        let authority = Authority::new();
        let one = authority.peer("one");
        let told = |files: PeerTlsFiles| PeerTls::load(&files).expect_err("no use").to_string();
        let nowhere = PathBuf::from("/nowhere.pem");
        let message = told(PeerTlsFiles {
            certificate: nowhere.clone(),
            ..one.clone()
        });
        assert!(message.starts_with("/nowhere.pem: "), "{message}");
        let message = told(PeerTlsFiles {
            authority: one.key.clone(),
            ..one.clone()
        });
        assert!(
            message.ends_with("there is no certificate in it"),
            "{message}"
        );
        let message = told(PeerTlsFiles {
            key: authority.peer("two").key,
            ..one
        });
        assert!(message.contains("are of no use"), "{message}");
    }
}
