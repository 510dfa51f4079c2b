//! Who may do what, by ZooKeeper's rules: the reference's own check of access control lists.

use std::net::IpAddr;
use std::sync::Arc;

use althing_core::code::Code;
use althing_core::tree::acl::{ACL_ENTRIES_MAX, Acl, AclEntry, Identity, Perms};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};

/// The identity that `addAuth("digest", credential)` adds: `user:base64(sha1(user:password))`;
/// `None` if the credential is not text.
pub fn digest_identity(credential: &[u8]) -> Option<Identity> {
    let text = std::str::from_utf8(credential).ok()?;
    let user = text.split_once(':').map_or(text, |(user, _)| user);
    let hash = BASE64.encode(Sha1::digest(credential));
    Some(Identity::new("digest", &format!("{user}:{hash}")))
}

/// The super user's proof in simulated ensembles: what the digest scheme makes of it is configured
/// at every server.
pub const SUPER_CREDENTIAL: &[u8] = b"super:of the simulation";

/// What the super user is, besides what its proof makes of everybody.
pub fn super_identity() -> Identity {
    Identity::new("super", "")
}

/// What a connection's reads show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// The state of its server.
    Local,
    /// All that anybody was told before they were sent.
    Linearizable,
}

/// How a connection reads after `addAuth("althing", credential)`; `None` if that is refused.
pub fn reading(credential: &[u8]) -> Option<Reading> {
    match credential {
        b"reads=linearizable" => Some(Reading::Linearizable),
        b"reads=local" => Some(Reading::Local),
        _ => None,
    }
}

/// The identity that every connection has from its address.
pub fn ip_identity(address: IpAddr) -> Identity {
    Identity::new("ip", &address.to_canonical().to_string())
}

/// May somebody with these identities do one of `wanted`?
pub fn permits(acl: &Acl, wanted: Perms, identities: &[Identity]) -> bool {
    let granted = |entry: &AclEntry| entry.perms.0 & wanted.0 != 0;
    let means = |entry: &AclEntry| match &*entry.who.scheme {
        "world" => &*entry.who.id == "anyone",
        "ip" => identities
            .iter()
            .any(|who| &*who.scheme == "ip" && is_within(&who.id, &entry.who.id)),
        _ => identities.contains(&entry.who),
    };
    identities.contains(&super_identity())
        || acl.0.iter().any(|entry| granted(entry) && means(entry))
}

/// The list as it is stored, or `InvalidACL`: `auth` stands for everything that the asker has
/// authenticated as, and what stands twice stands once.
pub fn stored(acl: &Acl, asker: &[Identity]) -> Result<Acl, Code> {
    let mut entries: Vec<AclEntry> = Vec::new();
    for entry in acl.0.iter() {
        let id = &*entry.who.id;
        let meant = match &*entry.who.scheme {
            "world" if id == "anyone" => vec![entry.who.clone()],
            "digest" if id.trim_end_matches(':').split(':').count() == 2 => vec![entry.who.clone()],
            "ip" if network(id).is_some() => vec![entry.who.clone()],
            "sasl" if !id.is_empty() => vec![entry.who.clone()],
            "auth" => asker
                .iter()
                .filter(|who| &*who.scheme != "ip")
                .cloned()
                .collect(),
            _ => Vec::new(),
        };
        if meant.is_empty() {
            return Err(Code::InvalidACL);
        }
        for who in meant {
            let meant = AclEntry {
                perms: entry.perms,
                who,
            };
            if !entries.contains(&meant) {
                entries.push(meant);
            }
        }
    }
    let bounded = 1..=ACL_ENTRIES_MAX;
    match bounded.contains(&acl.0.len()) && bounded.contains(&entries.len()) {
        true => Ok(Acl(Arc::from(entries))),
        false => Err(Code::InvalidACL),
    }
}

/// The list as somebody sees it who may not administer the znode: `user:x` instead of hashes.
pub fn redacted(acl: &Acl) -> Acl {
    let hide = |entry: &AclEntry| match (&*entry.who.scheme, entry.who.id.split_once(':')) {
        ("digest", Some((user, _))) => AclEntry {
            perms: entry.perms,
            who: Identity::new("digest", &format!("{user}:x")),
        },
        _ => entry.clone(),
    };
    Acl(acl.0.iter().map(hide).collect())
}

/// An identity as `whoAmI` tells it: no hashes.
pub fn shown(who: &Identity) -> Identity {
    match (&*who.scheme, who.id.split(':').next()) {
        ("digest", Some(user)) => Identity::new("digest", user),
        _ => who.clone(),
    }
}

fn network(text: &str) -> Option<(IpAddr, usize)> {
    let (address, bits) = text.split_once('/').unwrap_or((text, ""));
    let address: IpAddr = address.parse().ok()?;
    let most = octets(address).len() * 8;
    let bits = match text.contains('/') {
        true => bits.parse().ok().filter(|bits| *bits <= most)?,
        false => most,
    };
    Some((address, bits))
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn is_within(address: &str, granted: &str) -> bool {
    let (Ok(address), Some((granted, bits))) = (address.parse::<IpAddr>(), network(granted)) else {
        return false;
    };
    let (address, granted) = (octets(address.to_canonical()), octets(granted));
    let bit = |octets: &[u8], at: usize| octets[at / 8] >> (7 - at % 8) & 1;
    address.len() == granted.len() && (0..bits).all(|at| bit(&address, at) == bit(&granted, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_ids_are_those_of_zookeeper() {
        // From ZooKeeper's documentation of `DigestAuthenticationProvider`.
        let who = digest_identity(b"super:test").unwrap();
        assert_eq!(&*who.id, "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
        assert_eq!(digest_identity(&[0xff]), None);
    }

    #[test]
    fn addresses_and_networks() {
        let near = [Identity::new("ip", "10.1.2.3")];
        for (granted, expected) in [
            ("10.1.2.3", true),
            ("10.1.0.0/16", true),
            ("10.1.2.0/31", false),
            ("10.1.2.2/31", true),
            ("0.0.0.0/0", true),
            ("::/0", false),
            ("10.1.2.3/33", false),
        ] {
            let acl = Acl::of(Perms::ALL, "ip", granted);
            assert_eq!(permits(&acl, Perms::READ, &near), expected, "{granted}");
        }
    }
}
