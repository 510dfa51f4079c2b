//! The figures of a scenario that a seed draws: ranges over values of its plan.

use toml::{Table, Value};

use crate::key_path::{KeyPath, Step, Unsound};
use crate::plan::Plan;
use crate::random::{Stream, Streams};
use crate::soundness::check_plan;
use crate::span::Span;

/// Refuses figures whose ends do not make a sound plan.
pub fn check_figures(plan: &Plan, figures: &Table) -> Result<(), Unsound> {
    type End = fn(&Value) -> Result<Value, String>;
    let ends: [End; 2] = [
        |range| Ok(ends_of(range)?.0.clone()),
        |range| Ok(ends_of(range)?.1.clone()),
    ];
    for end in ends {
        let drawn = with_figures(plan, figures, &mut |_, range| {
            let mut stream = Streams::new(0).fork("check");
            figure(range, &mut stream)?;
            end(range)
        })?;
        check_plan(&drawn).map_err(|unsound| match known_in(figures, &unsound.key) {
            true => Unsound {
                key: under_figures(&unsound.key),
                ..unsound
            },
            false => unsound,
        })?;
    }
    Ok(())
}

fn under_figures(key: &KeyPath) -> KeyPath {
    let mut path = KeyPath::new("swarm.figures");
    path.0.extend(key.0.iter().cloned());
    path
}

fn known_in(figures: &Table, key: &KeyPath) -> bool {
    let mut value: Option<&Value> = None;
    for step in &key.0 {
        let Step::Key(name) = step else { return false };
        let table = value.map_or(Some(figures), Value::as_table);
        match table.and_then(|table| table.get(name)) {
            Some(inner) => value = Some(inner),
            None => return false,
        }
    }
    true
}

/// Makes a value of a figure's name and range.
pub type Choose<'a> = dyn FnMut(&str, &Value) -> Result<Value, String> + 'a;

/// The plan with its figures replaced by what `choose` makes of the ranges.
pub fn with_figures(
    plan: &Plan,
    figures: &Table,
    choose: &mut Choose<'_>,
) -> Result<Plan, Unsound> {
    let table = Table::try_from(plan).expect("a plan is a table");
    let mut plan = Value::Table(table);
    overlay(&mut plan, figures, &KeyPath::default(), choose)?;
    as_plan(plan, KeyPath::new("swarm.figures"))
}

fn as_plan(value: Value, key: KeyPath) -> Result<Plan, Unsound> {
    value.try_into().map_err(|error: toml::de::Error| Unsound {
        key,
        message: error.message().to_owned(),
    })
}

fn overlay(
    whole: &mut Value,
    figures: &Table,
    path: &KeyPath,
    choose: &mut Choose<'_>,
) -> Result<(), Unsound> {
    for (name, range) in figures {
        let here = path.key(name);
        if let Value::Table(inner) = range {
            if at(whole, &here).is_none_or(|found| !found.is_table()) {
                return Err(Unsound {
                    key: under_figures(&here),
                    message: format!("the scenario has no table `{here}`"),
                });
            }
            overlay(whole, inner, &here, choose)?;
            continue;
        }
        let chosen = choose(&here.to_string(), range).map_err(|message| Unsound {
            key: under_figures(&here),
            message,
        })?;
        let table = at(whole, path).and_then(Value::as_table_mut);
        table
            .expect("a plan is a table, and so is what was entered above")
            .insert(name.clone(), chosen);
        // Figure by figure, so that an error is known to be this one's.
        as_plan(whole.clone(), under_figures(&here))?;
    }
    Ok(())
}

fn at<'a>(whole: &'a mut Value, path: &KeyPath) -> Option<&'a mut Value> {
    let mut value = whole;
    for step in &path.0 {
        let Step::Key(name) = step else { return None };
        value = value.get_mut(name)?;
    }
    Some(value)
}

fn ends_of(range: &Value) -> Result<(&Value, &Value), String> {
    match range {
        Value::Array(ends) => match ends.as_slice() {
            [least, most] => Ok((least, most)),
            _ => Err("a range is one value, or the least and the most in an array".to_owned()),
        },
        one => Ok((one, one)),
    }
}

/// One value of a range.
pub fn figure(range: &Value, stream: &mut Stream) -> Result<Value, String> {
    match ends_of(range)? {
        (Value::Integer(least), Value::Integer(most)) if least <= most => {
            Ok(Value::Integer(whole_number(*least, *most, stream)))
        }
        (Value::Float(least), Value::Float(most)) if least <= most => {
            Ok(Value::Float(least + (most - least) * stream.unit()))
        }
        (Value::String(least), Value::String(most)) => {
            let parse = |text: &str| {
                humantime::parse_duration(text)
                    .map(Span)
                    .map_err(|error| format!("`{text}` is no span of time: {error}"))
            };
            let (least, most) = (parse(least)?, parse(most)?);
            if least > most {
                return Err("the least stands before the most".to_owned());
            }
            Ok(Value::String(magnitude(least, most, stream).to_string()))
        }
        (Value::Integer(_), Value::Integer(_)) | (Value::Float(_), Value::Float(_)) => {
            Err("the least stands before the most".to_owned())
        }
        _ => Err("the ends of a range are two numbers of a kind, or two spans of time".to_owned()),
    }
}

/// A whole number in a range, every one as likely as every other.
pub fn whole_number(least: i64, most: i64, stream: &mut Stream) -> i64 {
    let width = most.abs_diff(least).saturating_add(1);
    least.wrapping_add_unsigned(stream.below(width))
}

/// A span in a range, every doubling in it as likely as every other, so that a range from 100 ms to
/// 30 s is not nearly always seconds. In whole milliseconds, and without logarithms, whose last
/// bits differ between machines.
pub fn magnitude(least: Span, most: Span, stream: &mut Stream) -> Span {
    let millis = |span: Span| u64::try_from(span.0.as_millis()).expect("spans are checked");
    // One millisecond is added for the while, so that a range may begin at zero.
    let (least, most) = (millis(least) + 1, millis(most) + 1);
    let doublings = (0..)
        .find(|n| least << n >= most)
        .expect("spans are checked");
    if doublings == 0 {
        return Span::millis(least - 1);
    }
    let low = least << stream.below(doublings);
    let high = most.min(low * 2);
    Span::millis(low + stream.below(high - low + 1) - 1)
}
