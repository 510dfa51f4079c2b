//! Random members, where they are, and wishes for others.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use core::net::IpAddr;

use proptest::collection::{btree_map, btree_set};
use proptest::option;
use proptest::prelude::*;

use crate::ids::{DirectoryId, ServerId};
use crate::listed::{Address, ClientAddress, HostPort};
use crate::membership::Membership;
use crate::store::roster::{ANY_CONFIG, Decision, Wish};
use crate::strategies::{code, server};
use crate::voters::{Share, Voters};

fn servers() -> impl Strategy<Value = BTreeSet<ServerId>> {
    btree_set(server(), 0..5)
}

fn voters() -> impl Strategy<Value = Voters> {
    let share = (any::<u32>(), any::<u32>()).prop_map(|(group, weight)| Share { group, weight });
    prop_oneof![
        2 => servers().prop_map(Voters::from),
        1 => btree_map(server(), share, 0..5).prop_map(Voters::in_groups),
    ]
}

fn address() -> impl Strategy<Value = Address> {
    let peer = ("[a-z:.]{0,9}", any::<u16>());
    let peer = peer.prop_map(|(host, port)| HostPort { host, port });
    let client = (option::of(any::<IpAddr>()), any::<u16>());
    let client = client.prop_map(|(address, port)| ClientAddress { address, port });
    (peer, option::of(any::<u16>()), option::of(client)).prop_map(
        |(peer, election_port, client)| Address {
            peer,
            election_port,
            client,
        },
    )
}

pub(crate) fn membership() -> impl Strategy<Value = Membership> {
    let directories = btree_map(server(), any::<u128>().prop_map(DirectoryId), 0..5);
    let addresses = btree_map(server(), address(), 0..4);
    let incoming = option::of(voters());
    (voters(), incoming, servers(), directories, addresses).prop_map(
        |(voters, incoming, learners, directories, addresses)| Membership {
            voters,
            incoming,
            learners,
            directories,
            addresses,
        },
    )
}

/// Mostly one that could be understood.
fn servers_in_words() -> impl Strategy<Value = Option<Arc<str>>> {
    let words = prop_oneof![
        4 => "(server\\.[1-9]=[a-c]:[1-9]:[1-9](:observer)?;[1-9],?){0,3}",
        1 => "[a-z0-9=:;.,]{0,20}",
        1 => "([0-9],?){0,3}",
        1 => "((group\\.[12]=[12]:[3-5]|weight\\.[1-5]=[0-3]|server\\.[1-5]=[a-c]:[1-9]:2),?){0,5}",
    ];
    option::of(words.prop_map(|words: String| Arc::from(words)))
}

pub(crate) fn wish() -> impl Strategy<Value = Wish> {
    let version = prop_oneof![Just(ANY_CONFIG), any::<i64>()];
    let words = servers_in_words;
    (words(), words(), words(), version).prop_map(|(joining, leaving, members, version)| Wish {
        joining,
        leaving,
        members,
        version,
    })
}

pub(crate) fn decision() -> impl Strategy<Value = Decision> {
    prop_oneof![
        1 => Just(Decision::Open),
        1 => code().prop_map(Decision::Refused),
        2 => membership().prop_map(Decision::Granted),
    ]
}
