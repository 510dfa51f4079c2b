//! How a client takes on an identity: ZooKeeper's `addAuth`.

use alloc::format;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use crate::code::Code;
use crate::tree::acl::Identity;

/// What a client may authenticate as, by scheme.
///
/// - `digest`: the credential is `user:password`, the identity is the user with a hash of both.
/// - `ip`: every connection has this identity from the beginning; asking for it changes nothing.
///
/// # Errors
/// `AuthFailed` for every other scheme and for a credential that is not text.
pub fn authenticate(scheme: &str, credential: &[u8]) -> Result<Option<Identity>, Code> {
    match scheme {
        "digest" => {
            let text = core::str::from_utf8(credential).map_err(|_| Code::AuthFailed)?;
            Ok(Some(Identity::new("digest", &digest_id(text))))
        }
        "ip" => Ok(None),
        _ => Err(Code::AuthFailed),
    }
}

/// The id that ZooKeeper's digest scheme makes of `user:password`: the user, a colon, and the
/// base64 of the SHA-1 of both. The scheme is what clients speak; it is no good place for a secret
/// that is used elsewhere.
pub fn digest_id(user_and_password: &str) -> alloc::string::String {
    let user = user_and_password.split(':').next().unwrap_or_default();
    let hash = STANDARD.encode(Sha1::digest(user_and_password.as_bytes()));
    format!("{user}:{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_zookeepers_documentation() {
        // From ZooKeeper's administrator's guide: superDigest of super:admin.
        assert_eq!(
            digest_id("super:admin"),
            "super:xQJmxLMiHGwaqBvst5y6rkB6HQs="
        );
    }

    #[test]
    fn unknown_schemes_fail() {
        assert_eq!(authenticate("kerberos", b"x"), Err(Code::AuthFailed));
        assert_eq!(authenticate("world", b"anyone"), Err(Code::AuthFailed));
        assert_eq!(authenticate("digest", &[0xff]), Err(Code::AuthFailed));
        assert_eq!(authenticate("ip", b""), Ok(None));
    }
}
