//! An authority that signs whatever a test needs.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::config::client_ports::ClientTlsFiles;
use crate::config::ensemble::PeerTlsFiles;

/// An authority, and the directory with what it has signed.
pub struct Authority {
    directory: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Authority {
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

    /// Its own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    /// Signs a certificate of the host `name`, whose subject has these parts, too.
    pub fn signs(&self, name: &str, subject: &[(DnType, &str)]) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        for (part, text) in subject {
            params.distinguished_name.push(part.clone(), *text);
        }
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let path = |what: &str| self.directory.path().join(format!("{name}.{what}.pem"));
        let pair = Pair {
            certificate: path("certificate"),
            key: path("key"),
        };
        fs::write(&pair.certificate, certificate.pem()).expect("written");
        fs::write(&pair.key, key.serialize_pem()).expect("written");
        pair
    }

    /// The files of a server among servers, whose certificate says `name`.
    pub fn peer(&self, name: &str) -> PeerTlsFiles {
        let Pair { certificate, key } = self.signs(name, &[]);
        PeerTlsFiles {
            certificate,
            key,
            authority: self.certificate(),
        }
    }

    /// The files of a server towards clients.
    pub fn server(&self, name: &str) -> ClientTlsFiles {
        let Pair { certificate, key } = self.signs(name, &[]);
        ClientTlsFiles {
            certificate,
            key,
            authority: None,
        }
    }
}
