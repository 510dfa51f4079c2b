//! Who may do what with a znode: access control lists, identities, and the check of one by the
//! other.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use crate::code::Code;

/// Most entries of one access control list.
pub const ACL_ENTRIES_MAX: usize = 1024;

/// The scheme of who may do everything. It is given to a connection by its server alone: nobody can
/// ask for it, and no list can grant anything to it.
pub const SUPER: &str = "super";

/// A set of permissions: ZooKeeper's `Perms`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Perms(pub i32);

impl Perms {
    /// Read the data and list the children.
    pub const READ: Perms = Perms(1);
    /// Set the data.
    pub const WRITE: Perms = Perms(2);
    /// Create a child.
    pub const CREATE: Perms = Perms(4);
    /// Delete a child.
    pub const DELETE: Perms = Perms(8);
    /// Set the access control list.
    pub const ADMIN: Perms = Perms(16);
    /// All of them.
    pub const ALL: Perms = Perms(31);

    /// Is any permission of `wanted` in this set?
    pub const fn intersects(self, wanted: Perms) -> bool {
        self.0 & wanted.0 != 0
    }
}

impl core::ops::BitOr for Perms {
    type Output = Perms;

    fn bitor(self, other: Perms) -> Perms {
        Perms(self.0 | other.0)
    }
}

impl fmt::Debug for Perms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (letter, perm) in [
            ("c", Perms::CREATE),
            ("d", Perms::DELETE),
            ("r", Perms::READ),
            ("w", Perms::WRITE),
            ("a", Perms::ADMIN),
        ] {
            if self.intersects(perm) {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// A scheme and an identity within it: `digest` and `user:hash`, `ip` and `10.0.0.1`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Identity {
    /// How the identity was established.
    pub scheme: Arc<str>,
    /// Who it is, in the scheme's notation.
    pub id: Arc<str>,
}

impl Identity {
    /// An identity.
    pub fn new(scheme: &str, id: &str) -> Identity {
        Identity {
            scheme: Arc::from(scheme),
            id: Arc::from(id),
        }
    }
}

/// One line of an access control list.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AclEntry {
    /// What is permitted.
    pub perms: Perms,
    /// To whom.
    pub who: Identity,
}

/// An access control list: whoever matches one entry has its permissions. Cloning counts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Acl(pub Arc<[AclEntry]>);

impl Acl {
    /// Everything to everybody: ZooKeeper's `OPEN_ACL_UNSAFE`.
    pub fn open() -> Acl {
        Acl::of(Perms::ALL, "world", "anyone")
    }

    /// A list of one entry.
    pub fn of(perms: Perms, scheme: &str, id: &str) -> Acl {
        Acl(Arc::from([AclEntry {
            perms,
            who: Identity::new(scheme, id),
        }]))
    }

    /// Reading to everybody: ZooKeeper's `READ_ACL_UNSAFE`.
    pub fn read_only() -> Acl {
        Acl::of(Perms::READ, "world", "anyone")
    }

    /// May somebody with these identities do something of `wanted`?
    pub fn permits(&self, wanted: Perms, identities: &[Identity]) -> bool {
        let granted = self.0.iter().any(|entry| {
            entry.perms.intersects(wanted)
                && (is_anyone(&entry.who) || identities.iter().any(|who| matches(&entry.who, who)))
        });
        granted || identities.iter().any(|who| &*who.scheme == SUPER)
    }

    /// The list as it is stored: `auth` entries become the asker's own identities, entries that
    /// stand twice are dropped.
    ///
    /// # Errors
    /// `InvalidACL` if the list is empty or too long, a scheme is not known, an id is not valid
    /// within its scheme, or there is an `auth` entry and the asker has authenticated as nobody.
    pub fn expanded(&self, asker: &[Identity]) -> Result<Acl, Code> {
        if self.0.is_empty() || self.0.len() > ACL_ENTRIES_MAX {
            return Err(Code::InvalidACL);
        }
        let mut entries: Vec<AclEntry> = Vec::with_capacity(self.0.len());
        let mut add = |entry: AclEntry| {
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        };
        for entry in self.0.iter() {
            match &*entry.who.scheme {
                "world" if &*entry.who.id == "anyone" => add(entry.clone()),
                "digest" if is_digest(&entry.who.id) => add(entry.clone()),
                "sasl" if !entry.who.id.is_empty() => add(entry.clone()),
                "x509" if is_subject(&entry.who.id) => add(entry.clone()),
                "ip" if Network::parse(&entry.who.id).is_some() => add(entry.clone()),
                "auth" => {
                    let known = |who: &&Identity| !matches!(&*who.scheme, "ip" | SUPER);
                    let mut known = asker.iter().filter(known).peekable();
                    if known.peek().is_none() {
                        return Err(Code::InvalidACL);
                    }
                    known.for_each(|who| {
                        add(AclEntry {
                            perms: entry.perms,
                            who: who.clone(),
                        });
                    });
                }
                _ => return Err(Code::InvalidACL),
            }
        }
        if entries.len() > ACL_ENTRIES_MAX {
            return Err(Code::InvalidACL);
        }
        Ok(Acl(Arc::from(entries)))
    }

    /// The list without the hashes of digest identities (`user:x`): what somebody sees who may
    /// read the znode but not administer it.
    pub fn redacted(&self) -> Acl {
        Acl(self
            .0
            .iter()
            .map(|entry| match entry.who.id.split_once(':') {
                Some((user, _)) if &*entry.who.scheme == "digest" => {
                    let mut id = String::with_capacity(user.len() + 2);
                    id.push_str(user);
                    id.push_str(":x");
                    AclEntry {
                        perms: entry.perms,
                        who: Identity::new("digest", &id),
                    }
                }
                _ => entry.clone(),
            })
            .collect())
    }
}

fn is_anyone(who: &Identity) -> bool {
    &*who.scheme == "world" && &*who.id == "anyone"
}

/// ZooKeeper's `isValid` of the digest scheme: two parts with a colon between them, of which the
/// last is not empty. Colons at the end do not count.
fn is_digest(id: &str) -> bool {
    id.trim_end_matches(':').split(':').count() == 2
}

/// Is it the subject of a certificate, as far as its form tells: parts, each with its name?
fn is_subject(id: &str) -> bool {
    id.split_once('=').is_some_and(|(name, _)| !name.is_empty())
}

fn matches(granted: &Identity, who: &Identity) -> bool {
    if granted.scheme != who.scheme {
        return false;
    }
    if &*granted.scheme != "ip" {
        return granted.id == who.id;
    }
    match (Network::parse(&granted.id), who.id.parse::<IpAddr>()) {
        (Some(network), Ok(address)) => network.contains(address),
        _ => false,
    }
}

/// An address, or all addresses that share its first bits (`10.1.0.0/16`).
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= most)?,
            None => most,
        };
        Some(Network { address, bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = u32::from(network) ^ u32::from(address);
                differing.checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = u128::from(network) ^ u128::from(address);
                differing.checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn world_digest_and_ip() {
        let alice = Identity::new("digest", "alice:hash");
        let near = Identity::new("ip", "10.1.2.3");
        assert!(Acl::open().permits(Perms::ADMIN, &[]));
        assert!(!Acl::read_only().permits(Perms::WRITE, &[]));
        let hers = Acl::of(Perms::ALL, "digest", "alice:hash");
        assert!(hers.permits(Perms::READ, core::slice::from_ref(&alice)));
        assert!(!hers.permits(Perms::READ, core::slice::from_ref(&near)));
        for (granted, expected) in [
            ("10.1.2.3", true),
            ("10.1.0.0/16", true),
            ("10.2.0.0/16", false),
            ("0.0.0.0/0", true),
            ("::/0", false),
            ("10.1.2.3/33", false),
        ] {
            let acl = Acl::of(Perms::ALL, "ip", granted);
            assert_eq!(
                acl.permits(Perms::READ, core::slice::from_ref(&near)),
                expected
            );
        }
    }

    #[test]
    fn auth_expands_to_the_asker() {
        let asker = vec![
            Identity::new("ip", "10.1.2.3"),
            Identity::new("digest", "alice:hash"),
        ];
        let asked = Acl::of(Perms::ALL, "auth", "");
        assert_eq!(
            asked.expanded(&asker),
            Ok(Acl::of(Perms::ALL, "digest", "alice:hash"))
        );
        assert_eq!(asked.expanded(&asker[..1]), Err(Code::InvalidACL));
        assert_eq!(Acl(Arc::from([])).expanded(&asker), Err(Code::InvalidACL));
        assert_eq!(
            Acl::of(Perms::ALL, "none", "x").expanded(&[]),
            Err(Code::InvalidACL)
        );
        assert_eq!(
            Acl::of(Perms::ALL, "digest", "x").expanded(&[]),
            Err(Code::InvalidACL)
        );
        let of_network = Acl::of(Perms::ALL, "ip", "10.1.0.0/16");
        assert_eq!(of_network.expanded(&[]), Ok(of_network.clone()));
        let of_nothing = Acl::of(Perms::ALL, "ip", "10.1.0.0/33");
        assert_eq!(of_nothing.expanded(&[]), Err(Code::InvalidACL));
    }

    #[test]
    fn who_is_super_may_do_everything_and_is_named_in_no_list() {
        let asker = [Identity::new(SUPER, ""), Identity::new("x509", "CN=alice")];
        let hers = Acl::of(Perms::ALL, "digest", "alice:hash");
        assert!(hers.permits(Perms::ADMIN, &asker));
        assert!(!hers.permits(Perms::ADMIN, &asker[1..]));
        let given = Acl::of(Perms::ALL, SUPER, "");
        assert_eq!(given.expanded(&asker), Err(Code::InvalidACL));
        let own = Acl::of(Perms::ALL, "auth", "").expanded(&asker);
        assert_eq!(own, Ok(Acl::of(Perms::ALL, "x509", "CN=alice")));
        assert!(!own.expect("a list").permits(Perms::READ, &[]));
        let own = Acl::of(Perms::ALL, "auth", "").expanded(&asker[..1]);
        assert_eq!(own, Err(Code::InvalidACL));
        let nameless = Acl::of(Perms::ALL, "x509", "alice");
        assert_eq!(nameless.expanded(&asker), Err(Code::InvalidACL));
    }

    #[test]
    fn ids_of_the_digest_scheme() {
        for (id, is_valid) in [
            ("alice:hash", true),
            (":hash", true),
            ("alice:hash:", true),
            ("alice:", false),
            (":", false),
            ("", false),
            ("a:b:c", false),
        ] {
            let acl = Acl::of(Perms::ALL, "digest", id);
            assert_eq!(acl.expanded(&[]).is_ok(), is_valid, "{id:?}");
        }
    }

    #[test]
    fn redaction_hides_hashes_only() {
        let acl = Acl::of(Perms::ALL, "digest", "alice:hash");
        assert_eq!(acl.redacted(), Acl::of(Perms::ALL, "digest", "alice:x"));
        assert_eq!(Acl::open().redacted(), Acl::open());
    }

    #[test]
    fn networks_of_the_sixth_version() {
        let near = Identity::new("ip", "2001:db8::7");
        for (granted, expected) in [
            ("2001:db8::7", true),
            ("2001:db8::8", false),
            ("2001:db8::/32", true),
            ("2001:db9::/32", false),
            ("::/0", true),
            ("0.0.0.0/0", false),
            ("2001:db8::/129", false),
        ] {
            let acl = Acl::of(Perms::ALL, "ip", granted);
            let permitted = acl.permits(Perms::READ, core::slice::from_ref(&near));
            assert_eq!(permitted, expected, "{granted}");
        }
    }

    #[test]
    fn what_is_granted_together_is_granted_and_nothing_else() {
        let acl = Acl::of(Perms::READ | Perms::DELETE, "world", "anyone");
        assert!(acl.permits(Perms::READ, &[]) && acl.permits(Perms::DELETE, &[]));
        assert!(!acl.permits(Perms::WRITE, &[]) && !acl.permits(Perms::ADMIN, &[]));
        assert_eq!(Perms::READ | Perms::ALL, Perms::ALL);
        // Only one identity is anyone.
        for (scheme, id) in [("world", "somebody"), ("digest", "anyone")] {
            assert!(!Acl::of(Perms::ALL, scheme, id).permits(Perms::READ, &[]));
        }
    }

    #[test]
    fn a_list_is_stored_without_what_stands_twice_and_has_a_limit() {
        let entry = |user: usize| AclEntry {
            perms: Perms::ALL,
            who: Identity::new("digest", &alloc::format!("user-{user}:hash")),
        };
        let twice = Acl(Arc::from([entry(1), entry(2), entry(1)]));
        assert_eq!(
            twice.expanded(&[]),
            Ok(Acl(Arc::from([entry(1), entry(2)])))
        );
        let longest = Acl((0..ACL_ENTRIES_MAX).map(entry).collect());
        assert_eq!(longest.expanded(&[]), Ok(longest.clone()));
        let longer = Acl((0..=ACL_ENTRIES_MAX).map(entry).collect());
        assert_eq!(longer.expanded(&[]), Err(Code::InvalidACL));
        // The asker's identities count, too.
        let asker = vec![entry(ACL_ENTRIES_MAX).who, entry(ACL_ENTRIES_MAX + 1).who];
        let mut entries: Vec<AclEntry> = (1..ACL_ENTRIES_MAX).map(entry).collect();
        entries.push(Acl::of(Perms::ALL, "auth", "").0[0].clone());
        let expanded = Acl(Arc::from(entries)).expanded(&asker);
        assert_eq!(expanded, Err(Code::InvalidACL));
    }
}
