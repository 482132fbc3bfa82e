//! A path behind one byte for the rules: refused, or normal for good.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tulle_decide::http::{Normalized, normalize};
use tulle_snapshot::wire::{EscapePolicy, PathRules};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, path)) = data.split_first() else { return };
    let policy = |bit: u8| if choice & bit == 0 { EscapePolicy::Keep } else { EscapePolicy::Reject };
    let rules = PathRules { encoded_slash: policy(1), path_parameters: policy(2) };
    let mut out = Vec::new();
    let once = match normalize(path, &mut out, rules) {
        Err(_) => return,
        Ok(Normalized::Unchanged) => path,
        Ok(Normalized::Rewritten) => &out,
    };
    assert!(once.len() <= path.len() && once.first() == Some(&b'/'));
    assert!(once.split(|&b| b == b'/').all(|segment| segment != b"." && segment != b".."));
    assert!(!once.windows(2).any(|pair| pair == b"//") && !once.contains(&b'\\'));
    assert_eq!(normalize(once, &mut Vec::new(), rules), Ok(Normalized::Unchanged));
});
