//! zkCli's notation of access control lists.

use althing_core::tree::acl::{Acl, AclEntry, Identity, Perms};

/// Reads `scheme:id:perms`, several separated by commas. The id may have colons of its own.
///
/// # Errors
/// What is wrong with it.
pub fn acl(text: &str) -> Result<Acl, String> {
    let entries: Result<Vec<AclEntry>, String> = text.split(',').map(entry).collect();
    Ok(Acl(entries?.into()))
}

fn entry(text: &str) -> Result<AclEntry, String> {
    let parts = text
        .split_once(':')
        .and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once(':')?)));
    let Some((scheme, (id, letters))) = parts else {
        return Err(format!("`{text}` is not SCHEME:ID:PERMISSIONS"));
    };
    let mut perms = Perms(0);
    for letter in letters.chars() {
        perms = perms
            | match letter {
                'c' => Perms::CREATE,
                'd' => Perms::DELETE,
                'r' => Perms::READ,
                'w' => Perms::WRITE,
                'a' => Perms::ADMIN,
                other => return Err(format!("`{other}` is none of the permissions cdrwa")),
            };
    }
    Ok(AclEntry {
        perms,
        who: Identity::new(scheme, id),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        assert_eq!(acl("world:anyone:cdrwa"), Ok(Acl::open()));
        let read = acl("digest:bob:hash=:rw,ip:10.0.0.1:r").expect("two entries");
        assert_eq!(read.0.len(), 2);
        assert_eq!(read.0[0].who, Identity::new("digest", "bob:hash="));
        assert_eq!(read.0[0].perms, Perms::READ | Perms::WRITE);
        for text in ["", "world", "world:anyone", "world:anyone:x"] {
            assert!(acl(text).is_err(), "{text}");
        }
    }
}
