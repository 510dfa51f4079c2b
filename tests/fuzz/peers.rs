//! Fuzzes the port for servers of an ensemble of which one is dead: the inputs come in its name.
//!
//! Servers believe each other, so a well-formed lie of the present epoch is no input: what is sent
//! is no message at all, or one of an epoch that is over.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::SocketAddr;

use althing_core::codec::handshake::{HANDSHAKE_BYTES, Handshake, encode_handshake};
use althing_core::codec::peer::decode_message;
use althing_core::ids::{DirectoryId, Epoch, ServerId};
use althing_core::quorum::message::Message;

use crate::clients::Count;
use crate::corpus;
use crate::dice::{Dice, framed};
use crate::stream::{dial, send_alone, until_closed};

/// One link in so many begins with something else than an introduction.
const STRANGE_ONE_IN: usize = 4;

/// Of the frames that are no message, one in so many is sent: each ends the link.
const FATAL_ONE_IN: usize = 128;

/// Sends frames over one link after the other, to the servers in turn, until there were `inputs`.
pub fn fuzz(addresses: &[SocketAddr], dead: ServerId, inputs: u64, seed: u64) -> Count {
    let corpus = corpus::messages();
    let mut count = Count::default();
    for number in 0.. {
        if count.inputs >= inputs {
            break;
        }
        let mut dice = Dice::new(seed, number);
        let address = addresses[number as usize % addresses.len()];
        let tried = match dice.is_one(STRANGE_ONE_IN) {
            true => strange(address, dead, &mut dice, &mut count),
            false => link(address, dead, &corpus, &mut dice, &mut count),
        };
        if let Err(error) = tried {
            panic!("seed {seed}, link {number}: {error}");
        }
    }
    count
}

fn introduction(dead: ServerId) -> Vec<u8> {
    let mut bytes = Vec::new();
    let handshake = Handshake {
        server: dead,
        directory: DirectoryId(0x00de_adde_adde_adde),
    };
    encode_handshake(&handshake, &mut bytes);
    bytes
}

fn strange(address: SocketAddr, dead: ServerId, dice: &mut Dice, count: &mut Count) -> Result<()> {
    let bytes = match dice.below(3) {
        0 => {
            let length = dice.below(64);
            dice.noise(length)
        }
        _ => dice.mutant(&[introduction(dead)]),
    };
    send_alone(address, &bytes)?;
    count.inputs += 1;
    count.closed += 1;
    Ok(())
}

fn link(
    address: SocketAddr,
    dead: ServerId,
    corpus: &[Vec<u8>],
    dice: &mut Dice,
    count: &mut Count,
) -> Result<()> {
    let mut stream = dial(address)?;
    stream.write_all(&introduction(dead))?;
    let mut other = [0; HANDSHAKE_BYTES];
    match stream.read_exact(&mut other) {
        Ok(()) => {}
        // So many introduce themselves at once that it takes no more: it may.
        Err(error) if error.kind() != ErrorKind::WouldBlock => return Ok(()),
        Err(error) => return Err(error),
    }
    let mut bytes = Vec::new();
    loop {
        let body = dice.mutant(corpus);
        let is_message = match decode_message(&body) {
            Ok(message) if is_over(&message) => true,
            Ok(_) => continue,
            Err(_) if dice.is_one(FATAL_ONE_IN) => false,
            Err(_) => continue,
        };
        count.inputs += 1;
        if is_message {
            bytes.extend(framed(&body));
            continue;
        }
        bytes.extend(match dice.is_one(8) {
            true => (*dice.pick(&[-1, i32::MIN, i32::MAX]))
                .to_be_bytes()
                .to_vec(),
            false => framed(&body),
        });
        break;
    }
    // The server may close before it has read all.
    let _ = stream.write_all(&bytes);
    until_closed(&mut stream)?;
    count.closed += 1;
    Ok(())
}

/// Is it a message that changes nothing, since its epoch is over or it only asks?
fn is_over(message: &Message) -> bool {
    let zero = Epoch(0);
    match message {
        Message::Greeting { .. } | Message::Forward { .. } | Message::BarrierSet { .. } => false,
        Message::BarrierAsked { .. } => true,
        Message::VoteAsked { epoch, .. }
        | Message::Voted { epoch, .. }
        | Message::Append { epoch, .. }
        | Message::Appended { epoch, .. }
        | Message::Mismatched { epoch, .. }
        | Message::Beat { epoch, .. }
        | Message::Beaten { epoch, .. }
        | Message::Chunk { epoch, .. }
        | Message::ChunkTaken { epoch, .. }
        | Message::Succeed { epoch } => *epoch == zero,
    }
}
