//! Whether clients show certificates.

use std::str::FromStr;

/// Must clients show a certificate that the authority has signed? ZooKeeper's `ssl.clientAuth`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientCertificates {
    /// They are not asked for one: `none`.
    Ignored,
    /// They may: `want`. One that is not good is refused all the same.
    Wanted,
    /// They must: `need`.
    Needed,
}

impl FromStr for ClientCertificates {
    type Err = ();

    fn from_str(text: &str) -> Result<ClientCertificates, ()> {
        match text {
            "none" => Ok(ClientCertificates::Ignored),
            "want" => Ok(ClientCertificates::Wanted),
            "need" => Ok(ClientCertificates::Needed),
            _ => Err(()),
        }
    }
}
