//! Puts what two servers said into words that must be the same: positions become their rank,
//! sessions their number in the case, times whether they fit their positions.
//!
//! Every difference that is intended is a rule here with a name, as narrow as it can be, and a line
//! in docs/compatibility.md.

use std::collections::BTreeMap;

use crate::answer::{Line, LineKind, Piece};
use crate::play::{Heard, Transcript};

/// What each session heard, line by line.
pub type Words = Vec<Vec<String>>;

/// A transcript in words that do not depend on the server.
pub fn words(mut transcript: Transcript) -> Words {
    for heard in &mut transcript.heard {
        order_of_what_goes_with_a_session(heard);
    }
    let ranks = Ranks::of(&transcript);
    let mut all = Vec::new();
    for heard in &transcript.heard {
        all.push(heard.0.iter().map(|line| ranks.tell(line)).collect());
    }
    all
}

/// The first line in which two transcripts differ: the session, the line's number.
pub fn first_difference(ours: &Words, theirs: &Words) -> Option<(usize, usize)> {
    assert_eq!(ours.len(), theirs.len(), "the same case was played");
    ours.iter()
        .zip(theirs)
        .enumerate()
        .find_map(|(session, (ours, theirs))| {
            let count = ours.len().max(theirs.len());
            (0..count)
                .find(|line| ours.get(*line) != theirs.get(*line))
                .map(|line| (session, line))
        })
}

/// Rule: the ephemerals of a session go in one transaction, in no order that ZooKeeper promises
/// (it keeps them in a hash table). Events of one position that stand together are put in order.
fn order_of_what_goes_with_a_session(heard: &mut Heard) {
    let lines = &mut heard.0;
    let mut from = 0;
    while from < lines.len() {
        let of_same =
            |line: &Line| line.kind == LineKind::Event && line.zxid() == lines[from].zxid();
        let count = lines[from..]
            .iter()
            .take_while(|line| of_same(line))
            .count();
        lines[from..from + count].sort_by_key(|line| format!("{:?}", line.pieces));
        from += count.max(1);
    }
}

/// What numbers of one server mean within its transcript.
struct Ranks {
    zxids: BTreeMap<i64, usize>,
    times: BTreeMap<i64, i64>,
    sessions: Vec<i64>,
}

impl Ranks {
    fn of(transcript: &Transcript) -> Ranks {
        let mut zxids = BTreeMap::new();
        let mut times = BTreeMap::new();
        let lines = transcript.heard.iter().flat_map(|heard| &heard.0);
        for piece in lines.flat_map(|line| &line.pieces) {
            match piece {
                Piece::Zxid(zxid) if *zxid > 0 => {
                    zxids.insert(*zxid, 0);
                }
                Piece::Time { zxid, ms } => {
                    times.entry(*zxid).or_insert(*ms);
                }
                _ => {}
            }
        }
        for (rank, value) in zxids.values_mut().enumerate() {
            *value = rank + 1;
        }
        Ranks {
            zxids,
            times,
            sessions: transcript.sessions.clone(),
        }
    }

    fn tell(&self, line: &Line) -> String {
        let pieces = line.pieces.iter().map(|piece| self.tell_piece(piece));
        pieces.collect::<Vec<_>>().join(" ")
    }

    fn tell_piece(&self, piece: &Piece) -> String {
        match piece {
            Piece::Same(text) => text.clone(),
            Piece::Zxid(zxid) => match self.zxids.get(zxid) {
                Some(rank) => format!("#{rank}"),
                None => format!("raw {zxid}"),
            },
            Piece::Reached(zxid) => match self.zxids.range(..=zxid).next_back() {
                Some((_, rank)) => format!("#{rank} or later"),
                None => "#0 or later".to_owned(),
            },
            Piece::Owner(owner) => {
                let number = self.sessions.iter().position(|known| known == owner);
                match number {
                    Some(number) => format!("session {number}"),
                    None => format!("{owner:x}"),
                }
            }
            // The beginning of time is the same for all.
            Piece::Time { zxid: 0, ms } => format!("time {ms}"),
            Piece::Time { zxid, ms } if self.times[zxid] == *ms => "its time".to_owned(),
            Piece::Time { .. } => "ANOTHER TIME than before".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(pieces: &[Piece]) -> Transcript {
        let line = |piece: &Piece| Line {
            kind: LineKind::Answer,
            pieces: vec![piece.clone()],
        };
        Transcript {
            heard: vec![Heard(pieces.iter().map(line).collect())],
            sessions: vec![77],
        }
    }

    #[test]
    fn what_may_differ_is_compared_by_its_place() {
        let here = words(transcript(&[
            Piece::Zxid(9),
            Piece::Zxid(12),
            Piece::Owner(77),
        ]));
        let there = words(transcript(&[
            Piece::Zxid(5),
            Piece::Zxid(6),
            Piece::Owner(77),
        ]));
        assert_eq!(first_difference(&here, &there), None);
        let other = words(transcript(&[
            Piece::Zxid(6),
            Piece::Zxid(5),
            Piece::Owner(77),
        ]));
        assert_eq!(first_difference(&here, &other), Some((0, 0)));
        let other = words(transcript(&[
            Piece::Zxid(5),
            Piece::Zxid(6),
            Piece::Owner(78),
        ]));
        assert_eq!(first_difference(&here, &other), Some((0, 2)));
        let shorter = words(transcript(&[Piece::Zxid(5), Piece::Zxid(6)]));
        assert_eq!(first_difference(&here, &shorter), Some((0, 2)));
    }

    #[test]
    fn one_position_has_one_time() {
        let time = |zxid, ms| Piece::Time { zxid, ms };
        let good = words(transcript(&[time(3, 500), time(3, 500), time(4, 500)]));
        let bad = words(transcript(&[time(3, 500), time(3, 501), time(4, 500)]));
        assert_eq!(first_difference(&good, &bad), Some((0, 1)));
    }
}
