//! Sets of numbers as scenario files write them: `"1-3, 7"`, and `""` for none.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The largest number: far more operations than any client does within the longest act.
pub const NUMBER_MAX: u32 = 1_000_000;

/// A set of numbers that is written for people.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Numbers(pub BTreeSet<u32>);

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.iter().copied().peekable();
        let mut comma = "";
        while let Some(first) = rest.next() {
            let mut last = first;
            while let Some(next) = rest.next_if_eq(&(last + 1)) {
                last = next;
            }
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
            comma = ", ";
        }
        Ok(())
    }
}

impl FromStr for Numbers {
    type Err = String;

    fn from_str(text: &str) -> Result<Numbers, String> {
        let mut numbers = BTreeSet::new();
        for item in text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            let number = |text: &str| {
                let number = text.trim().parse::<u32>();
                let number = number.map_err(|error| format!("`{item}` in `{text}`: {error}"))?;
                match number <= NUMBER_MAX {
                    true => Ok(number),
                    false => Err(format!("{number} is more than {NUMBER_MAX}")),
                }
            };
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!("`{item}` ends before it begins"));
            }
            numbers.extend(first..=last);
        }
        Ok(Numbers(numbers))
    }
}

impl Serialize for Numbers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Numbers, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_can_be_read(numbers in proptest::collection::btree_set(0_u32..40, 0..30)) {
            let numbers = Numbers(numbers);
            prop_assert_eq!(numbers.to_string().parse(), Ok(numbers));
        }
    }

    #[test]
    fn people_write_ranges() {
        let numbers: Numbers = "7, 1-3,4".parse().unwrap();
        assert_eq!(numbers.to_string(), "1-4, 7");
        assert_eq!("".parse(), Ok(Numbers::default()));
        for wrong in ["x", "3-1", "1-", "2000000", "-3"] {
            assert!(wrong.parse::<Numbers>().is_err(), "{wrong}");
        }
    }
}
