//! Splits that keep to a key, and those whose share moves.

use crate::fixture::{backend, route, rule, snapshot};
use tulle_decide::chance::again;
use tulle_decide::route::{Choice, Plan, RuleAction, RuleId, Split};
use tulle_snapshot::wire::{Backend, Rule};

fn with<T>(backends: Vec<Backend>, look: impl FnOnce(&Split) -> T) -> T {
    let routes = vec![route("r", &[], vec![Rule { backends, ..rule(vec![]) }])];
    let plan = Plan::new(&snapshot(routes, Vec::new())).unwrap();
    match &plan.get(RuleId(0)).unwrap().action {
        RuleAction::Forward(split) => look(split),
        RuleAction::Redirect(_) => panic!("forwards"),
    }
}

/// Backends that are told apart by their place, kept in `subset`.
fn weighted(weights: &[u32]) -> Vec<Backend> {
    weights.iter().map(|weight| backend(0, *weight)).collect()
}

const KEYS: u64 = 40_000;

/// The weight's place that each key goes to. Places are told by the address within the split, in their order.
fn places(weights: &[u32]) -> Vec<usize> {
    let kept: Vec<usize> = (0..weights.len()).filter(|i| weights[*i] > 0).collect();
    with(weighted(weights), |split| {
        let all: Vec<*const Backend> = split.backends().map(std::ptr::from_ref).collect();
        (0..KEYS)
            .map(|key| {
                let picked = std::ptr::from_ref(split.pick_sticky(again(key)));
                kept[all.iter().position(|known| *known == picked).unwrap()]
            })
            .collect()
    })
}

#[test]
fn a_key_stays_and_a_change_moves_only_what_it_must() {
    let cases: &[(&[u32], &[u32])] = &[
        (&[95, 5], &[90, 10]),
        (&[95, 5], &[95, 10]),
        (&[90, 10], &[95, 5]),
        (&[90, 5, 5], &[80, 10, 10]),
        (&[90, 5, 5], &[85, 5, 10]),
        (&[50, 50], &[50, 50, 1]),
        (&[50, 0, 50], &[50, 10, 50]),
        (&[50, 10, 50], &[50, 0, 50]),
        (&[9999, 1], &[9998, 2]),
        (&[100], &[99, 1]),
    ];
    for (before, after) in cases {
        let (old, new) = (places(before), places(after));
        assert_eq!(old, places(before), "the same weights give the same answer");
        let share = |weights: &[u32], place: usize| {
            let total: u32 = weights.iter().sum();
            f64::from(weights.get(place).copied().unwrap_or(0)) / f64::from(total)
        };
        let grown = |place| share(after, place) > share(before, place);
        let shrunk = |place| share(after, place) < share(before, place);
        let mut moved = 0_u32;
        for (from, to) in old.iter().zip(&new).filter(|(from, to)| from != to) {
            assert!(grown(*to) || shrunk(*from), "{before:?} to {after:?}: {from} to {to}");
            // Never between two that both grew, or both shrank.
            assert!(!(grown(*from) && grown(*to) || shrunk(*from) && shrunk(*to)), "{before:?} to {after:?}");
            moved += 1;
        }
        let needed: f64 =
            (0..after.len()).map(|place| (share(after, place) - share(before, place)).max(0.0)).sum();
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let (moved, needed) = (f64::from(moved), needed * KEYS as f64);
        assert!(
            (moved - needed).abs() <= 5.0 * needed.sqrt() + 1.0,
            "{before:?} to {after:?}: {moved} of {needed}"
        );
    }
}

#[test]
fn one_backend_needs_no_key() {
    with(weighted(&[7]), |split| {
        assert!(std::ptr::eq(split.pick_sticky(0), split.pick(u64::MAX)));
    });
}

#[test]
fn a_share_moves_only_where_it_may() {
    let named = |service, weight, fallback| Backend { fallback, ..backend(service, weight) };
    // Of service 0, subsets stand for backends.
    let backends = |fallback| {
        let mut list = vec![named(0, 60, fallback), named(0, 30, false), named(0, 10, true)];
        for (subset, backend) in list.iter_mut().enumerate() {
            // Told apart by weight, so that the snapshot needs no subsets.
            backend.weight += u32::try_from(subset).unwrap();
        }
        list
    };
    let choices = || (0..10_000_u64).map(again).flat_map(|n| [Choice::Drawn(n), Choice::Sticky(n)]);
    let heaviest = |b: &Backend| b.weight == 60;
    with(backends(true), |split| {
        let mut moved = [0_u32; 2];
        for choice in choices() {
            let plain = split.pick_usable(choice, |_| true);
            let picked = split.pick_usable(choice, |b| !heaviest(b));
            if heaviest(plain) {
                assert!(!heaviest(picked));
                moved[usize::from(picked.weight == 12)] += 1;
            } else {
                assert!(std::ptr::eq(plain, picked), "what is usable keeps what it has");
            }
            assert!(std::ptr::eq(split.pick_usable(choice, |_| false), plain), "nothing is usable");
        }
        // By weight: 31 to 12 of about 11,650.
        let share = f64::from(moved[0]) / f64::from(moved[0] + moved[1]);
        assert!((share - 31.0 / 43.0).abs() < 0.02, "{moved:?}");
    });
    with(backends(false), |split| {
        for choice in choices() {
            let plain = split.pick_usable(choice, |_| true);
            assert!(
                std::ptr::eq(split.pick_usable(choice, |b| !heaviest(b)), plain),
                "its share does not move"
            );
        }
    });
}
