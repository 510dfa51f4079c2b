//! The files of TLS, in PEM: certificates, keys, and the authorities that are trusted.

use std::fs;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

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

/// Reads a certificate, and those between it and an authority.
///
/// # Errors
/// If there is none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = fs::read(path).map_err(|error| wrong(path, error.to_string()))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = read.map_err(|error| wrong(path, error.to_string()))?;
    match certificates.is_empty() {
        true => Err(wrong(path, "there is no certificate in it")),
        false => Ok(certificates),
    }
}

/// Reads a private key that no password protects.
///
/// # Errors
/// If there is none.
pub fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = fs::read(path).map_err(|error| wrong(path, error.to_string()))?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| wrong(path, error.to_string()))
}

/// Reads the certificates of the authorities that are trusted.
///
/// # Errors
/// If there is none, or one is of no use.
pub fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let added = roots.add(certificate);
        added.map_err(|error| wrong(path, error.to_string()))?;
    }
    Ok(roots)
}

/// The complaint about a file.
pub fn wrong(path: &Path, what: impl Into<String>) -> TlsError {
    TlsError::File {
        path: path.to_owned(),
        what: what.into(),
    }
}
