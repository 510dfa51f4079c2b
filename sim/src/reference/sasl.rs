//! Who there is for SASL in simulated ensembles, and the reference's own reckoning of DIGEST-MD5
//! (RFC 2831, section 2.1.2).

use std::collections::BTreeMap;

use althing_core::config::Users;
use md5::{Digest as _, Md5};

/// The name of the rule.
pub const PROOF: &str = "T4 proof";

/// How many users there are.
const USERS: u32 = 2;

/// What every client and server of ZooKeeper calls this service.
const REALM: &str = "zk-sasl-md5";

/// A user, and the password.
pub fn user(number: u32) -> (String, String) {
    let number = number % USERS;
    (format!("user-{number}"), format!("secret of {number}"))
}

/// What every simulated server knows.
pub fn users() -> Users {
    let mut users = Users::default();
    for number in 0..USERS {
        let (name, password) = user(number);
        users.add(&name, &password);
    }
    users
}

/// What a part of an exchange says. No value of it has commas.
pub fn said(token: &[u8]) -> BTreeMap<&str, &str> {
    let text = std::str::from_utf8(token).unwrap_or_default();
    let parts = text.split(',').filter_map(|part| part.split_once('='));
    parts
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect()
}

/// Who has proven what is proven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// What who knows the password of `name` proves it with; `None` if there is no such user.
pub fn proof(name: &str, nonce: &str, cnonce: &str, by: By) -> Option<String> {
    let (_, password) = (0..USERS).map(user).find(|(known, _)| known == name)?;
    let secret = Md5::digest(format!("{name}:{REALM}:{password}"));
    let mut session = Md5::new();
    session.update(secret);
    session.update(format!(":{nonce}:{cnonce}"));
    let method = match by {
        By::Client => "AUTHENTICATE",
        By::Server => "",
    };
    let request = Md5::digest(format!("{method}:zookeeper/{REALM}"));
    let (session, request) = (hex(&session.finalize()), hex(&request));
    let whole = format!("{session}:{nonce}:00000001:{cnonce}:auth:{request}");
    Some(hex(&Md5::digest(whole)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
