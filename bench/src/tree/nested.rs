//! A prototype: every znode an Arc, with a persistent ordered map of its children.

use std::sync::Arc;

use althing_core::tree::data::Data;
use althing_core::tree::op::Op;
use althing_core::tree::path::Path;
use althing_core::tree::stat::Stat;
use imbl::OrdMap;

use super::structure::{Kept, Structure, bytes};

#[derive(Clone)]
struct Znode {
    kept: Kept,
    children: OrdMap<Arc<str>, Arc<Znode>>,
}

#[derive(Clone)]
pub struct Nested {
    root: Arc<Znode>,
}

impl Default for Nested {
    fn default() -> Nested {
        let root = Arc::new(Znode {
            kept: Kept::new(&[]),
            children: OrdMap::new(),
        });
        Nested { root }
    }
}

impl Nested {
    fn find(&self, path: &str) -> Option<&Znode> {
        let mut znode = &self.root;
        for element in path.split('/').filter(|element| !element.is_empty()) {
            znode = znode.children.get(element)?;
        }
        Some(znode)
    }

    fn find_mut(&mut self, path: &Path) -> Option<&mut Znode> {
        let mut znode = Arc::make_mut(&mut self.root);
        let elements = path.as_str().split('/');
        for element in elements.filter(|element| !element.is_empty()) {
            znode = Arc::make_mut(znode.children.get_mut(element)?);
        }
        Some(znode)
    }
}

impl Structure for Nested {
    fn execute(&mut self, op: &Op) {
        match op {
            Op::Create(create) => {
                let parent = self.find_mut(create.place.parent()).expect("a parent");
                let kept = Kept::new(bytes(&create.data));
                let children = OrdMap::new();
                let child = Arc::new(Znode { kept, children });
                let name = Arc::from(create.place.name());
                assert!(parent.children.insert(name, child).is_none());
                parent.kept.gain_child();
            }
            Op::Delete { path, .. } => {
                let parent = path.parent().expect("not the root");
                let parent = self.find_mut(&parent).expect("a parent");
                parent.children.remove(path.name()).expect("a znode");
                parent.kept.lose_child();
            }
            Op::SetData { path, data, .. } => {
                let znode = self.find_mut(path).expect("a znode");
                znode.kept.set_data(bytes(data));
            }
            Op::SetAcl { .. } | Op::Check { .. } => unreachable!("not measured"),
        }
    }

    fn get(&self, path: &str) -> (Option<Data>, Stat) {
        let znode = self.find(path).expect("a znode");
        (Some(znode.kept.data.clone()), znode.kept.stat())
    }

    fn children(&self, path: &str) -> Vec<Arc<str>> {
        let znode = self.find(path).expect("a znode");
        znode.children.keys().map(Arc::clone).collect()
    }
}
