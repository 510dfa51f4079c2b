//! Mutual TLS between servers: whoever has a certificate that the authority signed is a peer, under
//! whatever name. Only TLS 1.3 is spoken.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{Accept, TlsAcceptor, TlsConnector, TlsStream};

use crate::config::ensemble::PeerTlsFiles;

/// The name that a dialling server asks for; nobody compares it with anything.
const NAME: &str = "althing.peer";

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file.
    #[error("{path}: {what}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The files do not fit together.
    #[error("the certificate {certificate} and the key {key} are of no use: {what}")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        what: rustls::Error,
    },
}

/// Both sides of TLS between servers.
#[derive(Clone)]
pub struct PeerTls {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

impl std::fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PeerTls(..)")
    }
}

impl PeerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// If one cannot be read, or they do not fit together.
    pub fn load(files: &PeerTlsFiles) -> Result<PeerTls, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = certificates(&files.certificate)?;
        let key = key(&files.key)?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&files.authority)? {
            let added = roots.add(certificate);
            added.map_err(|error| wrong(&files.authority, error.to_string()))?;
        }
        let roots = Arc::new(roots);
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
        Ok(PeerTls {
            connector: TlsConnector::from(Arc::new(client)),
            acceptor: TlsAcceptor::from(Arc::new(server)),
        })
    }

    /// Begins TLS on a stream that this server dialled.
    ///
    /// # Errors
    /// If the other end is no peer.
    pub async fn connect(&self, stream: TcpStream) -> io::Result<PeerStream> {
        let name = ServerName::try_from(NAME).expect("it is a name");
        let stream = self.connector.connect(name, stream).await?;
        Ok(PeerStream::Secret(Box::new(TlsStream::Client(stream))))
    }

    /// Begins TLS on a stream that was accepted: as soon as it is read from or written to, so that
    /// a stranger who says nothing holds up nobody.
    pub fn accept(&self, stream: TcpStream) -> PeerStream {
        PeerStream::Accepting(Box::new(self.acceptor.accept(stream)))
    }
}

fn wrong(path: &Path, what: impl Into<String>) -> TlsError {
    TlsError::File {
        path: path.to_owned(),
        what: what.into(),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = fs::read(path).map_err(|error| wrong(path, error.to_string()))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = read.map_err(|error| wrong(path, error.to_string()))?;
    match certificates.is_empty() {
        true => Err(wrong(path, "there is no certificate in it")),
        false => Ok(certificates),
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = fs::read(path).map_err(|error| wrong(path, error.to_string()))?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| wrong(path, error.to_string()))
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

/// A stream to another server.
pub enum PeerStream {
    /// Without TLS.
    Plain(TcpStream),
    /// TLS begins.
    Accepting(Box<Accept<TcpStream>>),
    /// With TLS.
    Secret(Box<TlsStream<TcpStream>>),
    /// TLS did not come about.
    Failed,
}

impl PeerStream {
    /// Goes on with the beginning of TLS, if that is where it stands.
    fn poll_begun(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let PeerStream::Accepting(accept) = self {
            let accepted = ready!(Pin::new(accept.as_mut()).poll(context));
            *self = PeerStream::Failed;
            *self = PeerStream::Secret(Box::new(TlsStream::Server(accepted?)));
        }
        Poll::Ready(Ok(()))
    }
}

/// What is done with a stream on which TLS never began.
fn never_begun<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl AsyncRead for PeerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_begun(context))?;
        match &mut *self {
            PeerStream::Plain(stream) => Pin::new(stream).poll_read(context, into),
            PeerStream::Secret(stream) => Pin::new(stream).poll_read(context, into),
            PeerStream::Accepting(_) | PeerStream::Failed => never_begun(),
        }
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_begun(context))?;
        match &mut *self {
            PeerStream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            PeerStream::Secret(stream) => Pin::new(stream).poll_write(context, bytes),
            PeerStream::Accepting(_) | PeerStream::Failed => never_begun(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_begun(context))?;
        match &mut *self {
            PeerStream::Plain(stream) => Pin::new(stream).poll_flush(context),
            PeerStream::Secret(stream) => Pin::new(stream).poll_flush(context),
            PeerStream::Accepting(_) | PeerStream::Failed => never_begun(),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_begun(context))?;
        match &mut *self {
            PeerStream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            PeerStream::Secret(stream) => Pin::new(stream).poll_shutdown(context),
            PeerStream::Accepting(_) | PeerStream::Failed => never_begun(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::run;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    struct Authority {
        directory: tempfile::TempDir,
        issuer: Issuer<'static, KeyPair>,
    }

    impl Authority {
        fn new() -> Authority {
            let directory = tempfile::tempdir().expect("a directory");
            let key = KeyPair::generate().expect("a key");
            let mut params = CertificateParams::new(Vec::new()).expect("no names");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let certificate = params.self_signed(&key).expect("signed");
            let path = directory.path().join("authority.pem");
            fs::write(path, certificate.pem()).expect("written");
            let issuer = Issuer::new(params, key);
            Authority { directory, issuer }
        }

        /// The files of a server whose certificate says `name`.
        fn files(&self, name: &str) -> PeerTlsFiles {
            let key = KeyPair::generate().expect("a key");
            let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
            let certificate = params.signed_by(&key, &self.issuer).expect("signed");
            let path = |what: &str| self.directory.path().join(format!("{name}.{what}.pem"));
            let files = PeerTlsFiles {
                certificate: path("certificate"),
                key: path("key"),
                authority: self.directory.path().join("authority.pem"),
            };
            fs::write(&files.certificate, certificate.pem()).expect("written");
            fs::write(&files.key, key.serialize_pem()).expect("written");
            files
        }
    }

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
            let (one, two) = (ours.files("server-1"), ours.files("anything.example"));
            say_hello(&one, &two).await.expect("both are peers");
            say_hello(&two, &one).await.expect("both are peers");
        });
    }

    #[test]
    fn nobody_else_is() {
        run(async {
            let (ours, theirs) = (Authority::new(), Authority::new());
            let (one, stranger) = (ours.files("server-1"), theirs.files("server-1"));
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
            let accepting = PeerTls::load(&Authority::new().files("one")).expect("good files");
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
        let one = authority.files("one");
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
            key: authority.files("two").key,
            ..one
        });
        assert!(message.contains("are of no use"), "{message}");
    }
}
