//! The four-letter words, and which of them are answered.

use std::collections::BTreeSet;

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $letters:literal, $by_default:ident;)*) => {
        /// A word that we answer, or know that we do not.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Word {
            $($(#[$doc])* $name,)*
            /// Four letters that are no word of ours.
            Other([u8; 4]),
        }

        impl Word {
            /// Every word that we can answer, and whether it is answered if nothing is said.
            const ALL: &'static [(Word, Default)] = &[$((Word::$name, Default::$by_default)),*];

            /// The word that `letters` are; `None` if they are not four lower-case letters. No
            /// frame begins so: its length would be more than 1.6 GB.
            pub fn parse(letters: [u8; 4]) -> Option<Word> {
                match &letters {
                    $($letters => Some(Word::$name),)*
                    _ if letters.iter().all(u8::is_ascii_lowercase) => Some(Word::Other(letters)),
                    _ => None,
                }
            }

            /// Its letters.
            pub fn letters(self) -> [u8; 4] {
                match self {
                    $(Word::$name => *$letters,)*
                    Word::Other(letters) => letters,
                }
            }
        }
    };
}

/// Is a word answered if nothing is said about it?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Default {
    /// It is cheap, and tells nothing of znodes.
    On,
    /// It looks at everything, tells the names of znodes, or changes something.
    Off,
}

words! {
    /// Are you ok?
    Ruok = b"ruok", On;
    /// The server in short.
    Srvr = b"srvr", On;
    /// The server and its clients in short.
    Stat = b"stat", On;
    /// The server in keys and values.
    Mntr = b"mntr", On;
    /// Is it read-only?
    Isro = b"isro", On;
    /// Its configuration.
    Conf = b"conf", On;
    /// Its clients at length.
    Cons = b"cons", On;
    /// Sessions and ephemeral znodes.
    Dump = b"dump", Off;
    /// Watches in short.
    Wchs = b"wchs", On;
    /// Watches by connection.
    Wchc = b"wchc", Off;
    /// Watches by path.
    Wchp = b"wchp", Off;
    /// The process.
    Envi = b"envi", On;
    /// The bytes of the data directory.
    Dirs = b"dirs", On;
    /// The digest of the tree.
    Hash = b"hash", On;
    /// Counts anew what the server counts.
    Srst = b"srst", Off;
    /// Counts anew what is counted of each client.
    Crst = b"crst", Off;
    /// The servers of the ensemble, as gossip knows them. ZooKeeper has no such word, and it may
    /// have a fifth letter: what follows the fourth is not looked at.
    Peer = b"peer", On;
}

/// The words that are answered: ZooKeeper's `4lw.commands.whitelist`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Whitelist(BTreeSet<Word>);

impl std::default::Default for Whitelist {
    /// Those that are cheap and tell nothing of znodes.
    fn default() -> Whitelist {
        let on = Word::ALL.iter().filter(|(_, given)| *given == Default::On);
        Whitelist(on.map(|(word, _)| *word).collect())
    }
}

impl Whitelist {
    /// All.
    pub fn all() -> Whitelist {
        Whitelist(Word::ALL.iter().map(|(word, _)| *word).collect())
    }

    /// Reads a list, separated by commas; `*` is all, and nothing is none. Also gives the words of
    /// it that nobody knows.
    pub fn parse(text: &str) -> (Whitelist, Vec<String>) {
        let (mut words, mut strange) = (BTreeSet::new(), Vec::new());
        let listed = text.split(',').map(str::trim);
        for listed in listed.filter(|listed| !listed.is_empty()) {
            // The fifth letter of `peers`.
            let letters = listed.as_bytes().first_chunk().copied();
            match letters.and_then(Word::parse) {
                _ if listed == "*" => words.extend(Whitelist::all().0),
                Some(word) if is_known(word) && (listed.len() == 4 || listed == "peers") => {
                    words.insert(word);
                }
                _ => strange.push(listed.to_owned()),
            }
        }
        (Whitelist(words), strange)
    }

    /// Is this word answered?
    pub fn has(&self, word: Word) -> bool {
        self.0.contains(&word)
    }
}

fn is_known(word: Word) -> bool {
    !matches!(word, Word::Other(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_known_unknown_or_none() {
        assert_eq!(Word::parse(*b"ruok"), Some(Word::Ruok));
        assert_eq!(Word::parse(*b"gtmk"), Some(Word::Other(*b"gtmk")));
        for (word, _) in Word::ALL {
            assert_eq!(Word::parse(word.letters()), Some(*word));
        }
        for frame in [44_u32, 45, 1024] {
            assert_eq!(Word::parse(frame.to_be_bytes()), None);
        }
        assert_eq!(Word::parse(*b"GET "), None);
    }

    #[test]
    fn a_list_is_read_as_zookeeper_reads_it() {
        let (list, strange) = Whitelist::parse(" stat, ruok,wchp ,gtmk, nonsense,");
        assert_eq!(strange, ["gtmk", "nonsense"]);
        let has = [Word::Stat, Word::Ruok, Word::Wchp].map(|word| list.has(word));
        assert_eq!(has, [true; 3]);
        assert!(!list.has(Word::Srvr), "what is not listed is off");
        assert_eq!(Whitelist::parse("*"), (Whitelist::all(), Vec::new()));
        assert!(!Whitelist::parse("").0.has(Word::Ruok));
        assert!(Whitelist::parse("peers").0.has(Word::Peer));
        let given = Whitelist::default();
        assert!(given.has(Word::Mntr));
        for dear in [Word::Dump, Word::Wchc, Word::Wchp, Word::Srst, Word::Crst] {
            assert!(!given.has(dear), "{dear:?}");
        }
    }
}
