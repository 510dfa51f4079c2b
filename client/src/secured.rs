//! TLS to the servers, on tokio: [`Secured`] stands where [`Tokio`] stands without it.

use std::fs;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::runtime::{Runtime, Tokio};

/// Why there is no TLS.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is of no use.
    #[error("{path}: {what}")]
    File {
        /// Which.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// The certificate and the key do not belong together.
    #[error("the certificate and the key are of no use: {0}")]
    Pair(String),
}

/// The files of a client that says who it is, in PEM.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// Its certificate, and those between it and its authority.
    pub certificate: &'a Path,
    /// Its private key, which no password protects.
    pub key: &'a Path,
}

/// The runtime of ordinary programs whose servers speak TLS: tokio's tasks and timers, and TLS over
/// its TCP.
///
/// A server's certificate must be signed by the authority, and name the host by which the client
/// finds it.
#[derive(Clone)]
pub struct Secured {
    connector: TlsConnector,
    complaint: Complaint,
}

impl std::fmt::Debug for Secured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secured")
    }
}

/// What went wrong last, of all connections.
#[derive(Clone, Debug, Default)]
struct Complaint(Arc<Mutex<Option<String>>>);

impl Complaint {
    fn set(&self, what: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    fn get(&self) -> Option<String> {
        let what = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        what.clone()
    }
}

impl Secured {
    /// Trusts servers that `authority` (a file in PEM) has signed, and shows them `identity`.
    ///
    /// # Errors
    /// If a file is of no use.
    pub fn new(authority: &Path, identity: Option<Identity<'_>>) -> Result<Secured, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(authority)? {
            let added = roots.add(certificate);
            added.map_err(|error| wrong(authority, &error))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has what the versions need");
        let config = versions.with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let text = fs::read(key).map_err(|error| wrong(key, &error))?;
                let pem = PrivateKeyDer::from_pem_slice(&text);
                let pem = pem.map_err(|error| wrong(key, &error))?;
                let pair = config.with_client_auth_cert(certificates(certificate)?, pem);
                pair.map_err(|error| TlsError::Pair(error.to_string()))?
            }
        };
        Ok(Secured {
            connector: TlsConnector::from(Arc::new(config)),
            complaint: Complaint::default(),
        })
    }

    /// Why the last connection that failed did: what a client tells whose servers give it no
    /// session.
    pub fn last_complaint(&self) -> Option<String> {
        self.complaint.get()
    }

    async fn dial(&self, address: &str) -> io::Result<SecuredStream> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let stream = Tokio.connect(address).await?;
        let inner = self.connector.connect(name, stream).await?;
        let complaint = self.complaint.clone();
        Ok(SecuredStream { inner, complaint })
    }
}

impl Runtime for Secured {
    type Stream = SecuredStream;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        Tokio.spawn(task);
    }

    async fn sleep(&self, delay: Duration) {
        Tokio.sleep(delay).await;
    }

    async fn connect(&self, address: &str) -> io::Result<Self::Stream> {
        let dialled = self.dial(address).await;
        if let Err(error) = &dialled {
            self.complaint.set(format!("{address}: {error}"));
        }
        dialled
    }

    fn random(&self) -> u64 {
        Tokio.random()
    }

    fn now(&self) -> Duration {
        Tokio.now()
    }
}

/// A connection. What a server has against a client's certificate comes, in TLS 1.3, with the first
/// bytes that are read.
#[derive(Debug)]
pub struct SecuredStream {
    inner: TlsStream<TcpStream>,
    complaint: Complaint,
}

impl AsyncRead for SecuredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(context, into);
        if let Poll::Ready(Err(error)) = &read {
            self.complaint.set(error.to_string());
        }
        read
    }
}

impl AsyncWrite for SecuredStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = fs::read(path).map_err(|error| wrong(path, &error))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = read.map_err(|error| wrong(path, &error))?;
    match certificates.is_empty() {
        true => Err(wrong(path, &"there is no certificate in it")),
        false => Ok(certificates),
    }
}

fn wrong(path: &Path, what: &dyn std::fmt::Display) -> TlsError {
    TlsError::File {
        path: path.display().to_string(),
        what: what.to_string(),
    }
}
