//! Chance from a seed, and what it does to a frame.

/// SplitMix64.
pub struct Dice(u64);

/// Numbers at which codecs go wrong.
const NUMBERS: [i32; 12] = [
    0,
    1,
    -1,
    2,
    4,
    127,
    128,
    65_536,
    1 << 20,
    0x0010_0001,
    i32::MAX,
    i32::MIN,
];

impl Dice {
    /// The dice of one input, connection or part: `number` tells them apart.
    pub fn new(seed: u64, number: u64) -> Dice {
        let mut dice = Dice(seed ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03));
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        match bound {
            0 => 0,
            bound => (self.next() % bound as u64) as usize,
        }
    }

    /// One of `all`.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// Is it the one of `in_all`?
    pub fn is_one(&mut self, in_all: usize) -> bool {
        self.below(in_all) == 0
    }

    /// Bytes that mean nothing.
    pub fn noise(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// One of `corpus`, changed in one to three places.
    pub fn mutant(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.pick(corpus).clone();
        for _ in 0..=self.below(3) {
            self.change(&mut bytes, corpus);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(bytes.len());
        let span = self.below(16).min(bytes.len() - at);
        match self.below(10) {
            0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            2 if !bytes.is_empty() => bytes[at] = self.next() as u8,
            3 | 4 if at + 4 <= bytes.len() => {
                let number = *self.pick(&NUMBERS);
                bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
            }
            5 => {
                let noise = self.noise(span);
                bytes.splice(at..at, noise);
            }
            6 => {
                bytes.drain(at..at + span);
            }
            7 => bytes.truncate(at),
            8 => {
                let again = bytes[at..at + span].to_vec();
                bytes.splice(at..at, again);
            }
            _ => {
                let other = self.pick(corpus);
                let from = self.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
}

/// A frame behind its length.
pub fn framed(body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len()).expect("a short frame");
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}
