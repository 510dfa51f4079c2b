//! Which slot a key belongs to, and which shard is to own a slot: functions of names alone, so that
//! everybody comes to the same answer.

/// How many slots there are: more than shards, so that the keys of a dead shard are spread.
pub const SLOTS: u32 = 6;
/// An ephemeral znode for each shard that is there.
pub const SHARDS: &str = "/cache/shards";
/// An ephemeral znode for each slot that has an owner: its address, and by its creation its token.
pub const OWNERS: &str = "/cache/slots";

/// The slot of a key.
pub fn slot_of(key: &str) -> u32 {
    (mixed(key, "") % u64::from(SLOTS)) as u32
}

/// The znode of a slot's owner.
pub fn owner_file(slot: u32) -> String {
    format!("{OWNERS}/{slot}")
}

/// Who of `shards` is to own the slot: when one comes or goes, only its own slots move.
pub fn preferred<'a>(slot: u32, shards: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let slot = slot.to_string();
    shards.into_iter().max_by_key(|shard| mixed(shard, &slot))
}

/// FNV-1a, stirred: the same on every machine, which the standard library's hashes do not promise.
fn mixed(first: &str, second: &str) -> u64 {
    let bytes = first.bytes().chain([0xff]).chain(second.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let stirred = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    stirred ^ (stirred >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_slots_of_who_leaves_move() {
        let all = ["a", "b", "c"];
        for slot in 0..64 {
            let before = preferred(slot, all).expect("somebody");
            let after = preferred(slot, ["a", "b"]).expect("somebody");
            assert!(before == "c" || before == after, "slot {slot}");
        }
        let of_c = (0..64).filter(|slot| preferred(*slot, all) == Some("c"));
        assert!((10..35).contains(&of_c.count()));
        assert_eq!(preferred(1, []), None);
    }
}
