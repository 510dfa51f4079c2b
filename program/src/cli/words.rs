//! A line as words, as shells split it: spaces separate, quotes keep together, a backslash takes
//! what follows as it is.

/// Why a line has no words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a quote is not closed, or the line ends with a backslash")]
pub struct Unfinished;

/// What is being read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Within {
    Nothing,
    Word,
    Quote(char),
}

/// The words of `line`.
///
/// # Errors
/// [`Unfinished`].
pub fn split(line: &str) -> Result<Vec<String>, Unfinished> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut within = Within::Nothing;
    let mut rest = line.chars();
    while let Some(next) = rest.next() {
        match (within, next) {
            (Within::Quote(quote), next) if next == quote => within = Within::Word,
            (Within::Quote('\''), next) => word.push(next),
            (_, '\\') => {
                word.push(rest.next().ok_or(Unfinished)?);
                if within == Within::Nothing {
                    within = Within::Word;
                }
            }
            (Within::Quote(_), next) => word.push(next),
            (_, '\'' | '"') => within = Within::Quote(next),
            (Within::Nothing, next) if next.is_whitespace() => {}
            (Within::Word, next) if next.is_whitespace() => {
                words.push(std::mem::take(&mut word));
                within = Within::Nothing;
            }
            (_, next) => {
                word.push(next);
                within = Within::Word;
            }
        }
    }
    match within {
        Within::Nothing => Ok(words),
        Within::Word => {
            words.push(word);
            Ok(words)
        }
        Within::Quote(_) => Err(Unfinished),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_shells_do_it() {
        for (line, expected) in [
            ("", vec![]),
            ("  get   /a ", vec!["get", "/a"]),
            ("set /a \"two words\"", vec!["set", "/a", "two words"]),
            ("set /a 'it is \"so\"'", vec!["set", "/a", "it is \"so\""]),
            (r#"set /a "a \"b\" \\""#, vec!["set", "/a", r#"a "b" \"#]),
            (r"set /a\ b ''", vec!["set", "/a b", ""]),
            ("a'b'\"c\"", vec!["abc"]),
            (r"'\'", vec![r"\"]),
        ] {
            let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(split(line), Ok(expected), "{line}");
        }
        for line in ["get \"/a", "it's", r"a\"] {
            assert_eq!(split(line), Err(Unfinished), "{line}");
        }
    }
}
