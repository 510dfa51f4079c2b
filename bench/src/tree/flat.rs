//! A prototype: one persistent ordered map from whole paths to znodes.

use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use althing_core::tree::data::Data;
use althing_core::tree::op::Op;
use althing_core::tree::path::Path;
use althing_core::tree::stat::Stat;
use imbl::OrdMap;

use super::structure::{Kept, Structure, bytes};

#[derive(Clone)]
pub struct Flat {
    znodes: OrdMap<Arc<str>, Kept>,
}

impl Default for Flat {
    fn default() -> Flat {
        let znodes = OrdMap::unit(Arc::from("/"), Kept::new(&[]));
        Flat { znodes }
    }
}

impl Flat {
    fn find_mut(&mut self, path: &Path) -> &mut Kept {
        self.znodes.get_mut(path.as_str()).expect("a znode")
    }
}

impl Structure for Flat {
    fn execute(&mut self, op: &Op) {
        match op {
            Op::Create(create) => {
                self.find_mut(create.place.parent()).gain_child();
                let path = Arc::from(create.place.to_text());
                let kept = Kept::new(bytes(&create.data));
                assert!(self.znodes.insert(path, kept).is_none());
            }
            Op::Delete { path, .. } => {
                self.znodes.remove(path.as_str()).expect("a znode");
                self.find_mut(&path.parent().expect("not the root"))
                    .lose_child();
            }
            Op::SetData { path, data, .. } => self.find_mut(path).set_data(bytes(data)),
            Op::SetAcl { .. } | Op::Check { .. } => unreachable!("not measured"),
        }
    }

    fn get(&self, path: &str) -> (Option<Data>, Stat) {
        let kept = self.znodes.get(path).expect("a znode");
        (Some(kept.data.clone()), kept.stat())
    }

    /// Descendants lie between children: each is left by a search for what follows it.
    fn children(&self, path: &str) -> Vec<Arc<str>> {
        let prefix = match path {
            "/" => "/".to_owned(),
            path => format!("{path}/"),
        };
        let mut names = Vec::new();
        let mut from = prefix.clone();
        loop {
            let mut left = None;
            let range = self
                .znodes
                .range::<_, str>((Excluded(from.as_str()), Unbounded));
            for (found, _) in range {
                let Some(rest) = found.strip_prefix(&prefix) else {
                    return names;
                };
                match rest.split_once('/') {
                    None => names.push(Arc::from(rest)),
                    Some((child, _)) => {
                        // `0` follows `/`.
                        left = Some(format!("{prefix}{child}0"));
                        break;
                    }
                }
            }
            match left {
                // What is searched for is excluded, so it must not be a znode's own path.
                Some(after) if !self.znodes.contains_key(after.as_str()) => from = after,
                Some(after) => {
                    names.push(Arc::from(&after[prefix.len()..]));
                    from = after;
                }
                None => return names,
            }
        }
    }
}
