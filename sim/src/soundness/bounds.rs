//! Figures within their limits.

use crate::key_path::{KeyPath, Unsound, refuse};
use crate::span::Span;
use crate::swarm::Between;

pub(super) fn within(key: &str, span: Span, least: Span, most: Span) -> Result<(), Unsound> {
    within_at(KeyPath::new(key), span, least, most)
}

pub(super) fn within_at(key: KeyPath, span: Span, least: Span, most: Span) -> Result<(), Unsound> {
    if span < least || span > most {
        return refuse(
            key,
            format!("must be from {least} to {most}, and is {span}"),
        );
    }
    Ok(())
}

pub(super) fn count(key: &str, count: u32, most: u32) -> Result<(), Unsound> {
    if count == 0 || count > most {
        let message = format!("must be from 1 to {most}, and is {count}");
        return refuse(KeyPath::new(key), message);
    }
    Ok(())
}

pub(super) fn magnitude(key: KeyPath, figure: i64, most: i64) -> Result<(), Unsound> {
    if figure < -most || figure > most {
        let message = format!("must be from -{most} to {most}, and is {figure}");
        return refuse(key, message);
    }
    Ok(())
}

pub(super) fn share(key: KeyPath, share: f64) -> Result<(), Unsound> {
    if !(0.0..=1.0).contains(&share) {
        return refuse(key, "is a share of the seeds, from 0 to 1");
    }
    Ok(())
}

pub(super) fn forward<T: Copy + PartialOrd>(
    key: KeyPath,
    range: &Between<T>,
) -> Result<(), Unsound> {
    if range.least() > range.most() {
        return refuse(key, "the least stands before the most");
    }
    Ok(())
}
