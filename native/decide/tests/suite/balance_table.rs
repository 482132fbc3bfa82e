//! One table of cases over all algorithms.
#![expect(clippy::cast_precision_loss, reason = "numbers of tests are small")]

use super::balance_fixture::{MS, POLICIES, SECOND, Seeded, ask, build, members, shares, view, zoned};
use proptest::prelude::*;
use tulle_decide::balance::{
    Ask, EndpointSet, Loads, Members, Outcome, Settings, View, Zone, balancer, stable_hash,
};
use tulle_snapshot::wire::BalancingPolicy;

/// Weights: none, one, few and many, even and not, and with members of no weight.
fn shapes() -> Vec<Vec<u32>> {
    vec![
        vec![],
        vec![1],
        vec![0],
        vec![0, 5],
        vec![1, 1],
        vec![9, 1],
        vec![1, 1_000_000],
        vec![3, 1, 2],
        vec![1; 16],
        vec![4; 17],
        (1..=40).collect(),
        (0..300).map(|i| i % 5).collect(),
    ]
}

/// Endpoints that are usable, as a set and as a list, by a rule that keeps about two in three.
fn some(weights: &[u32], seed: u64) -> (EndpointSet, Vec<u32>) {
    let keeps =
        |e: &u32| !stable_hash(&[seed.to_le_bytes(), u64::from(*e).to_le_bytes()].concat()).is_multiple_of(3);
    let list: Vec<u32> = (0..).zip(weights).map(|(endpoint, _)| endpoint).filter(keeps).collect();
    (list.iter().copied().collect(), list)
}

/// Loads that differ.
fn busy(members: &Members, seed: u64) -> Loads {
    let (mut loads, mut random) = (Loads::new(members), Seeded(seed | 1));
    for (member, _) in members.as_slice() {
        for _ in 0..random.below(4) {
            loads.started(member.endpoint, 0);
        }
        if random.below(2) == 0 {
            loads.started(member.endpoint, 0);
            let outcome = if random.below(5) == 0 { Outcome::Failure } else { Outcome::Success };
            loads.finished(member.endpoint, MS, random.below(50 * MS), outcome);
        }
    }
    loads
}

/// Each algorithm with each shape, at rest and busy.
fn each(mut case: impl FnMut(BalancingPolicy, &[u32], &Members, &Loads)) {
    for policy in POLICIES {
        for weights in shapes() {
            let members = members(&weights);
            case(policy, &weights, &members, &Loads::new(&members));
            case(policy, &weights, &members, &busy(&members, 77));
        }
    }
}

#[test]
fn only_the_usable_and_none_of_weight_0() {
    each(|policy, weights, members, loads| {
        let mut balancer = build(policy, members);
        let mut random = Seeded(3);
        for seed in 0..10 {
            let (usable, _) = some(weights, seed);
            let view = view(members, Some(&usable));
            let anybody = (0..).zip(weights).any(|(e, weight)| usable.contains(e) && *weight > 0);
            assert_eq!(view.is_empty(), !anybody);
            for _ in 0..100 {
                match balancer.pick(&view, loads, &ask(&mut random, &[])) {
                    Some(picked) => {
                        assert!(
                            usable.contains(picked) && weights[picked as usize] > 0,
                            "{policy:?} {weights:?}"
                        );
                    }
                    None => assert!(!anybody, "{policy:?} {weights:?}"),
                }
            }
        }
    });
}

#[test]
fn nobody_usable_is_nobody() {
    each(|policy, weights, members, loads| {
        let view = view(members, Some(&EndpointSet::default()));
        for tried in [&[][..], &[0], &[0, 1]] {
            let picked = build(policy, members).pick(&view, loads, &ask(&mut Seeded(9), tried));
            assert_eq!(picked, None, "{policy:?} {weights:?}");
        }
    });
}

#[test]
fn a_retry_goes_elsewhere_where_there_is_an_elsewhere() {
    each(|policy, weights, members, loads| {
        let mut balancer = build(policy, members);
        let mut random = Seeded(5);
        let view = view(members, None);
        for _ in 0..8 {
            let mut tried = Vec::new();
            for _ in 0..view.len() {
                let picked = balancer.pick(&view, loads, &ask(&mut random, &tried)).unwrap();
                assert!(!tried.contains(&picked), "{policy:?} {weights:?} {tried:?}");
                tried.push(picked);
            }
            let again = balancer.pick(&view, loads, &ask(&mut random, &tried));
            assert_eq!(again.is_some(), !view.is_empty(), "a tried one is better than none: {policy:?}");
        }
    });
}

#[test]
fn one_that_was_tried_and_is_alone_is_picked() {
    for policy in POLICIES {
        let members = members(&[1, 4, 1]);
        let usable: EndpointSet = [1].into_iter().collect();
        let picked = build(policy, &members).pick(
            &view(&members, Some(&usable)),
            &Loads::new(&members),
            &ask(&mut Seeded(2), &[1]),
        );
        assert_eq!(picked, Some(1), "{policy:?}");
    }
}

#[test]
fn weights_hold_at_rest() {
    for policy in POLICIES {
        for weights in
            [vec![1, 1], vec![9, 1], vec![95, 5], vec![3, 1, 2, 0], (1..=24).collect(), vec![1; 50]]
        {
            let members = members(&weights);
            let loads = Loads::new(&members);
            let picks = 40_000;
            let found =
                shares(&mut *build(policy, &members), &view(&members, None), &loads, picks, weights.len(), 0);
            let total: u32 = weights.iter().sum();
            for (weight, count) in weights.iter().zip(&found) {
                let part = f64::from(*weight) / f64::from(total);
                let expected = part * picks as f64;
                let chance = 4.5 * (expected * (1.0 - part)).sqrt();
                // A ring shares unevenly: its points lie by chance.
                let ring = if policy == BalancingPolicy::RingHash { expected * 0.45 } else { 0.0 };
                let off = (*count as f64 - expected).abs();
                assert!(off <= chance + ring + 1.0, "{policy:?} {weights:?}: {found:?}");
            }
        }
    }
}

#[test]
fn those_left_over_share_by_weight_on_a_retry() {
    for policy in POLICIES {
        let members = members(&[1000, 1, 6, 3]);
        let (mut balancer, loads, view) =
            (build(policy, &members), Loads::new(&members), view(&members, None));
        let (mut random, mut found) = (Seeded(8), [0_u32; 4]);
        for _ in 0..20_000 {
            found[balancer.pick(&view, &loads, &ask(&mut random, &[0])).unwrap() as usize] += 1;
        }
        assert_eq!(found[0], 0, "{policy:?}");
        if !matches!(policy, BalancingPolicy::RingHash | BalancingPolicy::Maglev) {
            assert!(
                found[1].abs_diff(2_000) < 200 && found[2].abs_diff(12_000) < 400,
                "{policy:?} {found:?}"
            );
        }
    }
}

#[test]
fn nobody_starves() {
    for policy in POLICIES {
        for weights in [vec![1; 200], (1..=200).collect()] {
            let members = members(&weights);
            let view = view(&members, None);
            let found = shares(&mut *build(policy, &members), &view, &Loads::new(&members), 100_000, 200, 0);
            assert!(found.iter().all(|count| *count > 0), "{policy:?} {found:?}");
        }
    }
}

#[test]
fn views_may_change_under_a_balancer() {
    for policy in POLICIES {
        let weights: Vec<u32> = (0..60).map(|i| 1 + i % 3).collect();
        let members = members(&weights);
        let (mut balancer, loads) = (build(policy, &members), busy(&members, 4));
        let mut random = Seeded(6);
        for seed in 0_u16..50 {
            let (usable, list) = some(&weights[..=usize::from(seed)], seed.into());
            let view = view(&members, Some(&usable));
            for _ in 0..20 {
                let picked = balancer.pick(&view, &loads, &ask(&mut random, &[]));
                assert_eq!(picked.is_some(), !list.is_empty());
                assert!(picked.is_none_or(|picked| list.contains(&picked)), "{policy:?}");
            }
        }
    }
}

#[test]
fn a_key_stays_and_no_key_is_chance() {
    for policy in [BalancingPolicy::RingHash, BalancingPolicy::Maglev] {
        let members = members(&(0..100).map(|i| 1 + i % 4).collect::<Vec<_>>());
        let (mut here, mut there) = (build(policy, &members), build(policy, &members));
        let (view, loads, mut random) = (view(&members, None), busy(&members, 1), Seeded(1));
        let mut keyless = std::collections::HashSet::new();
        for _ in 0..500 {
            let first = ask(&mut random, &[]);
            let second = Ask { key: first.key, ..ask(&mut random, &[]) };
            assert_eq!(here.pick(&view, &loads, &first), there.pick(&view, &Loads::default(), &second));
            keyless.insert(here.pick(&view, &loads, &Ask { key: None, ..first }));
        }
        assert!(keyless.len() > 80, "{policy:?}");
        let mut bare = balancer(policy, None);
        assert!(bare.pick(&view, &loads, &ask(&mut random, &[])).is_some());
    }
}

#[test]
fn the_own_zone_is_preferred_and_left_where_it_must_be() {
    let settings = Settings { prefer_zone: true, slow_start: 0 };
    for policy in &POLICIES[..4] {
        // A third is of the own zone; (those of it that are usable of 10, the least and most that it gets in percent).
        for (usable, least, most) in [(10, 98, 100), (8, 98, 100), (5, 65, 73), (1, 11, 17), (0, 0, 0)] {
            let members = zoned(&[2; 30], |e| if e < 10 { Zone::Own } else { Zone::Other });
            let set: EndpointSet = (0..30).filter(|e| *e >= 10 || *e < usable).collect();
            let view = View::new(&members, Some(&set), settings, |_| None);
            let found = shares(&mut *build(*policy, &members), &view, &Loads::new(&members), 20_000, 30, 0);
            let own = found[..10].iter().sum::<usize>() * 100 / 20_000;
            assert!((least..=most).contains(&own), "{policy:?}, {usable} usable: {own} %");
        }
        let members = zoned(&[1, 1, 1], |e| if e == 0 { Zone::Own } else { Zone::Other });
        let view = View::new(&members, None, settings, |_| None);
        let retried = build(*policy, &members).pick(&view, &Loads::new(&members), &ask(&mut Seeded(1), &[0]));
        assert!(matches!(retried, Some(1 | 2)), "a retry leaves the zone");
    }
}

#[test]
fn who_is_new_starts_small() {
    let settings = Settings { prefer_zone: false, slow_start: 10 * SECOND };
    let start = 100 * SECOND;
    for policy in POLICIES {
        for weights in [vec![1; 4], vec![1; 40], vec![2, 3, 5, 5], (0..40).map(|i| 1 + i % 3).collect()] {
            let members = members(&weights);
            let view = View::new(&members, None, settings, |e| (e == 0).then_some(start));
            let (loads, len) = (Loads::new(&members), weights.len());
            let mut balancer = build(policy, &members);
            let mut part = |after: u64| {
                shares(&mut *balancer, &view, &loads, 20_000, len, start + after)[0] as f64 / 20_000.0
            };
            let full = part(10 * SECOND);
            let parts: Vec<f64> = [0, 5, 9].iter().map(|s| part(s * SECOND) / full).collect();
            for (found, expected) in parts.iter().zip([0.1, 0.55, 0.91]) {
                // Its share is that of the sum with the smaller part in it.
                let whole = 1.0 - full * (1.0 - expected);
                assert!((found - expected / whole).abs() < 0.12, "{policy:?} {weights:?}: {parts:?}");
            }
            // Where all are new, all start alike.
            let new = View::new(&members, None, settings, |_| Some(start));
            let alike = shares(&mut *balancer, &new, &loads, 20_000, len, start)[0] as f64 / 20_000.0;
            assert!((alike / full - 1.0).abs() < 0.2, "{policy:?} {weights:?}: {alike} {full}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever the members, the view and the loads: usable, of some weight, and not tried where another was not.
    #[test]
    fn a_pick_is_always_one_that_may_be(
        weights in prop::collection::vec(prop_oneof![Just(0), Just(1), 0_u32..=1_000_000], 0..70),
        seed in any::<u64>(),
        tried in prop::collection::vec(0_u32..80, 0..5),
        prefer_zone in any::<bool>(),
        slow_start in prop_oneof![Just(0), Just(10 * SECOND)],
        now in 0_u64..(20 * SECOND),
    ) {
        let members = zoned(&weights, |e| [Zone::Own, Zone::Other, Zone::Unknown][e as usize % 3]);
        let (usable, list) = some(&weights, seed);
        let settings = Settings { prefer_zone, slow_start };
        let since = |e: u32| e.is_multiple_of(2).then_some(u64::from(e) * SECOND / 4);
        let view = View::new(&members, Some(&usable), settings, since);
        let open: Vec<u32> = list.into_iter().filter(|e| weights[*e as usize] > 0).collect();
        let fresh = open.iter().any(|e| !tried.contains(e));
        prop_assert_eq!(view.len(), open.len());
        let loads = busy(&members, seed);
        for policy in POLICIES {
            let mut balancer = build(policy, &members);
            let mut random = Seeded(seed | 1);
            for _ in 0..20 {
                let picked = balancer.pick(&view, &loads, &Ask { now, ..ask(&mut random, &tried) });
                prop_assert_eq!(picked.is_some(), !open.is_empty());
                if let Some(picked) = picked {
                    prop_assert!(open.contains(&picked));
                    prop_assert!(!fresh || !tried.contains(&picked), "{:?} {} {:?}", policy, picked, tried);
                }
            }
        }
    }
}
