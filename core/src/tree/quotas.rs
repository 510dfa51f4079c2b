//! Which quotas there are, and where their znodes lie: what spares a change outside of all quotas
//! every search for one.

use alloc::collections::BTreeMap;

use crate::tree::path::Path;
use crate::tree::quota::Part;
use crate::tree::slab::Slot;

/// Where the znodes of one quota are, as far as they are there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quota {
    /// The root of what it governs.
    pub(super) root: Option<Slot>,
    pub(super) limits: Option<Slot>,
    pub(super) stats: Option<Slot>,
}

impl Quota {
    /// Its limits and its stats, if it holds.
    pub(super) fn parts(&self) -> Option<(Slot, Slot)> {
        self.limits.zip(self.stats)
    }

    fn set(&mut self, part: Part, slot: Option<Slot>) {
        match part {
            Part::Limits => self.limits = slot,
            Part::Stats => self.stats = slot,
        }
    }
}

/// All quotas of which there is a part at least.
#[derive(Clone, Debug, Default)]
pub(super) struct Quotas {
    by_path: BTreeMap<Path, Quota>,
    by_root: BTreeMap<Slot, Path>,
}

impl Quotas {
    pub(super) fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    /// Is there a part of a quota on this path?
    pub(super) fn is_on(&self, path: &str) -> bool {
        self.by_path.contains_key(path)
    }

    /// The quota on this path.
    pub(super) fn on(&self, path: &str) -> Option<Quota> {
        self.by_path.get(path).copied()
    }

    /// The quota whose root lies here, and its path.
    pub(super) fn at(&self, root: Slot) -> Option<(&Path, Quota)> {
        let (path, quota) = self.by_path.get_key_value(self.by_root.get(&root)?)?;
        Some((path, *quota))
    }

    /// All of them, in the order of their paths.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Path, Quota)> {
        self.by_path.iter().map(|(path, quota)| (path, *quota))
    }

    /// A part of the quota on `path` lies here now; and so does the root, if it is there.
    pub(super) fn add(&mut self, path: Path, part: Part, slot: Slot, root: Option<Slot>) {
        let quota = self.by_path.entry(path.clone()).or_default();
        quota.set(part, Some(slot));
        self.set_root(&path, root);
    }

    /// A part of the quota on `path` is gone.
    pub(super) fn remove(&mut self, path: &str, part: Part) {
        let Some(quota) = self.by_path.get_mut(path) else {
            return;
        };
        quota.set(part, None);
        if quota.limits.is_none() && quota.stats.is_none() {
            let root = quota.root;
            self.by_path.remove(path);
            root.and_then(|root| self.by_root.remove(&root));
        }
    }

    /// The root of what the quota on `path` governs lies here, or is gone.
    pub(super) fn set_root(&mut self, path: &Path, root: Option<Slot>) {
        let Some(quota) = self.by_path.get_mut(path) else {
            return;
        };
        if let Some(before) = core::mem::replace(&mut quota.root, root) {
            self.by_root.remove(&before);
        }
        if let Some(root) = root {
            self.by_root.insert(root, path.clone());
        }
    }
}
