//! What stands in the parentheses of the attribute.

use std::time::Duration;

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, LitInt, LitStr, RangeLimits, Token};

/// One argument, as it is written.
pub(crate) enum Argument {
    Servers(u8),
    Seeds { first: u64, end: u64 },
    Faults(Faults),
    Lasts(Duration),
    Settles(Duration),
    Scenario(LitStr),
}

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Faults {
    /// What each seed draws.
    Swarm,
    /// Nothing.
    None,
}

/// All of them.
pub(crate) struct Arguments(pub(crate) Vec<Argument>);

const KNOWN: &str = "`servers`, `seeds`, `faults`, `lasts`, `settles`, `scenario`";

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Arguments> {
        let written = Punctuated::<Written, Token![,]>::parse_terminated(input)?;
        let from_file = written.iter().any(|written| written.key == "scenario");
        let mut arguments = Vec::new();
        for (index, argument) in written.iter().enumerate() {
            let key = &argument.key;
            if written.iter().take(index).any(|before| before.key == *key) {
                return Err(Error::new(key.span(), "is given twice"));
            }
            if from_file && !["scenario", "seeds"].iter().any(|known| key == known) {
                let message = "stands in the scenario file, if there is one";
                return Err(Error::new(key.span(), message));
            }
            arguments.push(argument.understood()?);
        }
        Ok(Arguments(arguments))
    }
}

struct Written {
    key: Ident,
    value: Expr,
}

impl Parse for Written {
    fn parse(input: ParseStream<'_>) -> syn::Result<Written> {
        let key = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Written {
            key,
            value: input.parse()?,
        })
    }
}

impl Written {
    fn understood(&self) -> syn::Result<Argument> {
        Ok(match self.key.to_string().as_str() {
            "servers" => Argument::Servers(number(&self.value)?),
            "seeds" => {
                let (first, end) = seeds(&self.value)?;
                Argument::Seeds { first, end }
            }
            "faults" => {
                let text = text(&self.value)?;
                Argument::Faults(match text.value().as_str() {
                    "swarm" => Faults::Swarm,
                    "none" => Faults::None,
                    _ => return Err(Error::new(text.span(), "is `\"swarm\"` or `\"none\"`")),
                })
            }
            "lasts" => Argument::Lasts(time(&self.value)?),
            "settles" => Argument::Settles(time(&self.value)?),
            "scenario" => Argument::Scenario(text(&self.value)?),
            _ => {
                let message = format!("there is no such argument; there are {KNOWN}");
                return Err(Error::new(self.key.span(), message));
            }
        })
    }
}

fn number<N: std::str::FromStr>(value: &Expr) -> syn::Result<N>
where
    N::Err: std::fmt::Display,
{
    literal::<LitInt>(value, "a whole number")?.base10_parse()
}

fn text(value: &Expr) -> syn::Result<LitStr> {
    literal(value, "a text in quotation marks")
}

fn literal<L: Parse>(value: &Expr, wanted: &str) -> syn::Result<L> {
    let tokens = quote::quote!(#value);
    let refused = |_| Error::new_spanned(value, format!("must be {wanted}"));
    syn::parse2(tokens).map_err(refused)
}

fn time(value: &Expr) -> syn::Result<Duration> {
    let text = text(value)?;
    humantime::parse_duration(&text.value()).map_err(|error| {
        let message = format!("is no span of time such as \"30s\": {error}");
        Error::new(text.span(), message)
    })
}

/// `"0..50"`, or the range itself.
fn seeds(value: &Expr) -> syn::Result<(u64, u64)> {
    let range = match value {
        Expr::Lit(_) => &text(value)?.parse::<Expr>()?,
        other => other,
    };
    let Expr::Range(range) = range else {
        return Err(Error::new_spanned(value, WANTED));
    };
    let (Some(first), Some(last)) = (&range.start, &range.end) else {
        return Err(Error::new_spanned(value, WANTED));
    };
    let (first, last) = (number(first)?, number::<u64>(last)?);
    let end = match range.limits {
        RangeLimits::HalfOpen(_) => Some(last),
        RangeLimits::Closed(_) => last.checked_add(1),
    };
    match end {
        Some(end) if end > first => Ok((first, end)),
        _ => Err(Error::new_spanned(value, "the range is empty")),
    }
}

const WANTED: &str = "is a range of seeds such as \"0..50\"";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Argument>, String> {
        let parsed = syn::parse_str::<Arguments>(text);
        parsed.map(|found| found.0).map_err(|why| why.to_string())
    }

    fn refusal(text: &str) -> String {
        parse(text).err().expect("it is refused")
    }

    #[test]
    fn everything_that_can_be_said_is_understood() {
        let all = "servers = 5, seeds = \"3..=9\", faults = \"none\", lasts = \"1m 30s\", \
                   settles = \"300ms\",";
        let arguments = parse(all).expect("they are right");
        let minute_and_a_half = Duration::from_secs(90);
        assert!(matches!(arguments[0], Argument::Servers(5)));
        assert!(matches!(
            arguments[1],
            Argument::Seeds { first: 3, end: 10 }
        ));
        assert!(matches!(arguments[2], Argument::Faults(Faults::None)));
        assert!(matches!(arguments[3], Argument::Lasts(time) if time == minute_and_a_half));
        assert!(matches!(arguments[4], Argument::Settles(time) if time.as_millis() == 300));
        let file = parse("scenario = \"my.toml\", seeds = 0..7").expect("they are right");
        assert!(matches!(&file[0], Argument::Scenario(path) if path.value() == "my.toml"));
        assert!(matches!(file[1], Argument::Seeds { first: 0, end: 7 }));
        assert!(parse("").expect("nothing is right").is_empty());
    }

    #[test]
    fn what_is_wrong_is_told() {
        let cases = [
            (
                "serverz = 3",
                "there is no such argument; there are `servers`",
            ),
            ("servers = \"3\"", "must be a whole number"),
            ("servers = 300", "number too large"),
            ("servers = 3, servers = 3", "is given twice"),
            ("seeds = 7", "must be a text in quotation marks"),
            ("seeds = \"7\"", "is a range of seeds"),
            ("seeds = \"7..\"", "is a range of seeds"),
            ("seeds = \"7..7\"", "the range is empty"),
            ("faults = \"many\"", "is `\"swarm\"` or `\"none\"`"),
            ("lasts = \"soon\"", "is no span of time"),
            (
                "scenario = \"a.toml\", lasts = \"3s\"",
                "stands in the scenario file",
            ),
        ];
        for (text, expected) in cases {
            let found = refusal(text);
            assert!(found.contains(expected), "{text}: {found}");
        }
    }
}
