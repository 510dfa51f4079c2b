//! A znode's path: a type, not a check. Whoever holds a [`Path`] holds a valid one.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt::{self, Write};

/// Longest path in bytes. ZooKeeper has no limit but its frame's; this one bounds what a path can
/// cost in every table that is keyed by paths.
pub const PATH_BYTES_MAX: usize = 64 * 1024;

/// Why a text is not a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathError {
    /// A path begins with `/`.
    NotAbsolute,
    /// Only the root ends with `/`.
    TrailingSlash,
    /// An element between two slashes is empty, `.` or `..`.
    BadElement,
    /// A character that ZooKeeper forbids: NUL, a control character, a surrogate, a private-use
    /// character or one of U+FFF0 to U+FFFF.
    BadCharacter,
    /// Longer than [`PATH_BYTES_MAX`].
    TooLong,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathError::NotAbsolute => "a path begins with /",
            PathError::TrailingSlash => "a path does not end with /",
            PathError::BadElement => "an element of a path is not empty, . or ..",
            PathError::BadCharacter => "a path holds a forbidden character",
            PathError::TooLong => "a path is longer than 64 KiB",
        })
    }
}

impl core::error::Error for PathError {}

/// A valid absolute path: `/`, or elements each preceded by `/`. Cloning counts, it does not copy.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Arc<str>);

impl Path {
    /// The root, `/`.
    pub fn root() -> Path {
        Path(Arc::from("/"))
    }

    /// Checks `text` against ZooKeeper's path rules.
    ///
    /// # Errors
    /// The first rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Path, PathError> {
        check(text)?;
        Ok(Path(Arc::from(text)))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Is this `/`?
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// The path of the parent as text; `None` for the root.
    pub fn parent_str(&self) -> Option<&str> {
        parent_of(&self.0)
    }

    /// The parent; `None` for the root.
    pub fn parent(&self) -> Option<Path> {
        self.parent_str().map(|text| Path(Arc::from(text)))
    }

    /// The last element; empty for the root.
    pub fn name(&self) -> &str {
        name_of(&self.0)
    }

    /// The child `name` of this znode.
    ///
    /// # Errors
    /// If `name` is not one valid element, or the whole grows too long.
    pub fn child(&self, name: &str) -> Result<Path, PathError> {
        if name.is_empty() || name.contains('/') {
            return Err(PathError::BadElement);
        }
        let mut text = String::with_capacity(self.0.len() + 1 + name.len());
        if !self.is_root() {
            text.push_str(&self.0);
        }
        text.push('/');
        text.push_str(name);
        Path::parse(&text)
    }
}

/// Is `name` one valid element of a path?
pub fn is_element(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.chars().any(|c| c == '/' || is_forbidden(c))
}

/// The path of the parent of the valid path `text`; `None` for the root.
pub fn parent_of(text: &str) -> Option<&str> {
    match text.rfind('/')? {
        _ if text.len() == 1 => None,
        0 => Some("/"),
        slash => Some(&text[..slash]),
    }
}

/// The last element of the valid path `text`; empty for the root.
pub fn name_of(text: &str) -> &str {
    text.rfind('/').map_or(text, |slash| &text[slash + 1..])
}

fn check(text: &str) -> Result<(), PathError> {
    if text.len() > PATH_BYTES_MAX {
        return Err(PathError::TooLong);
    }
    let Some(elements) = text.strip_prefix('/') else {
        return Err(PathError::NotAbsolute);
    };
    if elements.is_empty() {
        return Ok(());
    }
    if elements.ends_with('/') {
        return Err(PathError::TrailingSlash);
    }
    if elements
        .split('/')
        .any(|element| matches!(element, "" | "." | ".."))
    {
        return Err(PathError::BadElement);
    }
    if elements.chars().any(is_forbidden) {
        return Err(PathError::BadCharacter);
    }
    Ok(())
}

/// ZooKeeper's `PathUtils.validatePath` judges UTF-16 units; surrogates cannot occur in a `char`,
/// but their presence there forbids every character beyond the basic plane.
fn is_forbidden(character: char) -> bool {
    matches!(character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..)
}

impl Borrow<str> for Path {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Path {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a create puts its znode: a parent and a name, or the beginning of a name that execution
/// completes with the parent's next sequence number (the beginning may be empty: `/queue/`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    parent: Path,
    name: Arc<str>,
}

impl Place {
    /// The place of a znode with exactly this path.
    ///
    /// # Errors
    /// If `text` is not a path. The root is `BadElement`: it is always there.
    pub fn exact(text: &str) -> Result<Place, PathError> {
        let path = Path::parse(text)?;
        let parent = path.parent().ok_or(PathError::BadElement)?;
        Ok(Place {
            parent,
            name: Arc::from(path.name()),
        })
    }

    /// The place of a znode whose name is completed with a sequence number.
    ///
    /// # Errors
    /// If `text` followed by a number is not a path.
    pub fn prefix(text: &str) -> Result<Place, PathError> {
        let mut completed = text.to_owned();
        // The longest suffix that a number of 64 bits can have.
        completed.push_str("18446744073709551615");
        let path = Path::parse(&completed)?;
        let parent = path.parent().ok_or(PathError::BadElement)?;
        Ok(Place {
            parent,
            name: Arc::from(name_of(text)),
        })
    }

    /// The znode under which the new one is put.
    pub fn parent(&self) -> &Path {
        &self.parent
    }

    /// The name, or its beginning.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As the client wrote it, in pieces: whoever writes it down needs no copy of the whole.
    pub fn pieces(&self) -> [&str; 3] {
        let parent = match self.parent.is_root() {
            true => "",
            false => self.parent.as_str(),
        };
        [parent, "/", &self.name]
    }

    /// The path, if the name is exact.
    pub fn path(&self) -> Path {
        Path(Arc::from(self.to_text()))
    }

    /// The path, if the name is completed with `number`.
    pub fn completed(&self, number: u64) -> Path {
        let mut text = self.to_text();
        write!(text, "{number:010}").expect("a String takes everything");
        Path(Arc::from(text))
    }

    /// As the client wrote it.
    pub fn to_text(&self) -> String {
        self.pieces().concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn the_rules() {
        for good in ["/", "/a", "/a/b", "/a.b/..c/...", "/zażółć", "/a b"] {
            assert!(Path::parse(good).is_ok(), "{good:?}");
        }
        for (bad, why) in [
            ("", PathError::NotAbsolute),
            ("a", PathError::NotAbsolute),
            ("/a/", PathError::TrailingSlash),
            ("//", PathError::TrailingSlash),
            ("/a//b", PathError::BadElement),
            ("/a/./b", PathError::BadElement),
            ("/a/..", PathError::BadElement),
            ("/a\0", PathError::BadCharacter),
            ("/a\u{1f}", PathError::BadCharacter),
            ("/a\u{85}", PathError::BadCharacter),
            ("/a\u{e000}", PathError::BadCharacter),
            ("/a\u{fffd}", PathError::BadCharacter),
            ("/a\u{1f600}", PathError::BadCharacter),
        ] {
            assert_eq!(Path::parse(bad), Err(why), "{bad:?}");
        }
        let long = |bytes: usize| Path::parse(&format!("/{}", "a".repeat(bytes - 1)));
        assert!(long(PATH_BYTES_MAX).is_ok());
        for bytes in [PATH_BYTES_MAX + 1, PATH_BYTES_MAX + 2] {
            assert_eq!(long(bytes), Err(PathError::TooLong));
        }
    }

    #[test]
    fn parents_and_children() {
        let path = Path::parse("/a/b").unwrap();
        assert_eq!(path.parent().unwrap().as_str(), "/a");
        assert_eq!(path.parent().unwrap().parent().unwrap(), Path::root());
        assert_eq!(Path::root().parent(), None);
        assert_eq!(path.name(), "b");
        assert_eq!(format!("{path} {path:?}"), "/a/b /a/b");
        assert_eq!(Path::root().child("a").unwrap().child("b").unwrap(), path);
        assert!(path.child("x/y").is_err());
        assert!(path.child("..").is_err());
    }

    #[test]
    fn places() {
        assert_eq!(Place::exact("/a/b").unwrap().to_text(), "/a/b");
        assert!(Place::exact("/a/").is_err());
        assert!(Place::exact("/").is_err());
        assert_eq!(Place::prefix("/a/").unwrap().to_text(), "/a/");
        assert_eq!(Place::prefix("/").unwrap().parent(), &Path::root());
        assert_eq!(Place::prefix("/q/n-").unwrap().name(), "n-");
        assert!(Place::prefix("/a//").is_err());
        assert_eq!(Place::exact("/a/b").unwrap().path().as_str(), "/a/b");
        let place = Place::prefix("/q/n-").unwrap();
        assert_eq!(place.completed(7).as_str(), "/q/n-0000000007");
        let longest = format!("/q/n-{}", u64::MAX);
        assert_eq!(place.completed(u64::MAX).as_str(), longest);
    }

    #[test]
    fn elements() {
        for name in ["", ".", "..", "a/b", "a\0", "b", "a.b", "..."] {
            assert_eq!(
                is_element(name),
                Path::root().child(name).is_ok(),
                "{name:?}"
            );
        }
    }
}
