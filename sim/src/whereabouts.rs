//! Where a key stands in the text of a scenario file, and which key stands somewhere in it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::key_path::{KeyPath, Step};

/// The longest path whose value encloses `span`.
pub fn key_at(table: &DeTable<'_>, span: &Range<usize>) -> KeyPath {
    let encloses = |outer: &Range<usize>| outer.start <= span.start && span.end <= outer.end;
    let mut path = KeyPath::default();
    for (key, value) in table {
        let deeper = match value.get_ref() {
            DeValue::Table(inner) => key_at(inner, span),
            DeValue::Array(items) => key_in_array(items, span),
            _ => KeyPath::default(),
        };
        let own = encloses(&key.span()) || encloses(&value.span());
        if own || !deeper.0.is_empty() {
            path.0.push(Step::Key(key.get_ref().to_string()));
            path.0.extend(deeper.0);
            return path;
        }
    }
    path
}

fn key_in_array(items: &[Spanned<DeValue<'_>>], span: &Range<usize>) -> KeyPath {
    for (index, item) in items.iter().enumerate() {
        let deeper = match item.get_ref() {
            DeValue::Table(inner) => key_at(inner, span),
            DeValue::Array(inner) => key_in_array(inner, span),
            _ => KeyPath::default(),
        };
        let own = item.span().start <= span.start && span.end <= item.span().end;
        if own || !deeper.0.is_empty() {
            let mut path = KeyPath(vec![Step::Item(index)]);
            path.0.extend(deeper.0);
            return path;
        }
    }
    KeyPath::default()
}

/// Where a path stands in the text, as far as the file has it: a key that is missing is reported at
/// its table.
pub fn span_of(table: &DeTable<'_>, path: &KeyPath) -> Option<Range<usize>> {
    let (first, rest) = path.0.split_first()?;
    let Step::Key(name) = first else { return None };
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
    span_within(value, rest).or(Some(key.span()))
}

fn span_within(value: &Spanned<DeValue<'_>>, path: &[Step]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    match (first, value.get_ref()) {
        (Step::Key(name), DeValue::Table(table)) => {
            let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
            span_within(value, rest).or(Some(key.span()))
        }
        (Step::Item(index), DeValue::Array(items)) => {
            let item = items.get(*index)?;
            span_within(item, rest).or(Some(item.span()))
        }
        _ => None,
    }
}
