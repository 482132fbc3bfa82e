//! Round-robin: exact shares, smooth order, and what happens when endpoints are unusable or were tried.

use super::balance_fixture::{members, view};
use tulle_decide::balance::{Ask, Balancer, EndpointSet, Loads, Member, Members, RoundRobin, View};

fn picks(balancer: &mut RoundRobin, view: &View, count: usize) -> Vec<usize> {
    let loads = Loads::default();
    let pick = |_| balancer.pick(view, &loads, &ask(0, &[])).unwrap() as usize;
    (0..count).map(pick).collect()
}

fn ask(random: u64, tried: &[u32]) -> Ask<'_> {
    Ask { random, key: None, now: 0, tried }
}

fn all(weights: &[u32]) -> View {
    view(&members(weights), None)
}

fn counts(picks: &[usize], len: usize) -> Vec<usize> {
    let mut counts = vec![0; len];
    for pick in picks {
        counts[*pick] += 1;
    }
    counts
}

#[test]
fn equal_weights_take_turns() {
    for weight in [1, 7] {
        assert_eq!(picks(&mut RoundRobin::default(), &all(&[weight; 3]), 7), [0, 1, 2, 0, 1, 2, 0]);
    }
}

#[test]
fn workers_begin_at_different_members() {
    for weights in [vec![1; 5], vec![5, 1, 3], (1..40).collect()] {
        let view = all(&weights);
        let firsts: std::collections::HashSet<_> = (0..64_u64)
            .filter_map(|seed| {
                let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                RoundRobin::default().pick(&view, &Loads::default(), &ask(random, &[]))
            })
            .collect();
        assert!(firsts.len() > 1, "{weights:?}");
    }
}

#[test]
fn few_weighted_members_are_spread_smoothly() {
    assert_eq!(picks(&mut RoundRobin::default(), &all(&[5, 1, 1]), 7), [0, 0, 1, 0, 2, 0, 0]);
    assert_eq!(picks(&mut RoundRobin::default(), &all(&[2, 1]), 6), [0, 1, 0, 0, 1, 0]);
}

#[test]
fn shares_are_exact_over_whole_rounds() {
    let many: Vec<u32> = (0..40).map(|i| 1 << (i % 4)).collect();
    for weights in [vec![95, 5], vec![1, 9], vec![3, 2, 1], vec![1, 1_000_000], many] {
        let total: u32 = weights.iter().sum();
        let rounds = if total > 100_000 { 1 } else { 20 };
        let mut balancer = RoundRobin::default();
        let found = counts(&picks(&mut balancer, &all(&weights), total as usize * rounds), weights.len());
        for (weight, count) in weights.iter().zip(found) {
            let expected = *weight as usize * rounds;
            assert!(count.abs_diff(expected) <= 1, "{weights:?}: {count} instead of {expected}");
        }
    }
}

#[test]
fn many_weighted_members_are_spread_smoothly() {
    let mut weights = vec![1; 30];
    weights[7] = 30;
    let found = picks(&mut RoundRobin::default(), &all(&weights), 600);
    let longest_run = found.chunk_by(|a, b| (*a == 7) == (*b == 7)).map(<[_]>::len).max().unwrap();
    assert!(longest_run <= 8, "half of the picks go to one member, but not {longest_run} in a row");
}

#[test]
fn those_left_over_share_by_weight() {
    let many: Vec<u32> = (0..40).map(|i| 1 + i % 3).collect();
    for weights in [vec![1; 4], vec![2, 1, 1, 4], vec![1; 30], many] {
        let members = members(&weights);
        let usable: EndpointSet = (0..).zip(&weights).map(|(i, _)| i).filter(|i| i % 2 == 1).collect();
        let total: u32 = weights.iter().skip(1).step_by(2).sum();
        let mut balancer = RoundRobin::default();
        picks(&mut balancer, &view(&members, None), 3);
        let some = view(&members, Some(&usable));
        let found = counts(&picks(&mut balancer, &some, total as usize * 50), weights.len());
        for (i, (weight, count)) in weights.iter().zip(found).enumerate() {
            let expected = if i % 2 == 1 { *weight as usize * 50 } else { 0 };
            assert!(count.abs_diff(expected) <= 2, "{weights:?}: {i} has {count} instead of {expected}");
        }
    }
}

#[test]
fn who_comes_back_gets_its_share_and_no_more() {
    for weights in [vec![1, 1, 1], vec![3, 1, 2], (1..=20).collect()] {
        let members = members(&weights);
        let total = weights.iter().sum::<u32>() as usize;
        let usable: EndpointSet = (1..).zip(weights.iter().skip(1)).map(|(i, _)| i).collect();
        let mut balancer = RoundRobin::default();
        assert!(picks(&mut balancer, &view(&members, Some(&usable)), total * 20).iter().all(|p| *p != 0));
        let found = counts(&picks(&mut balancer, &view(&members, None), total * 10), weights.len());
        let expected = weights[0] as usize * 10;
        assert!(found[0].abs_diff(expected) <= 3, "{weights:?}: {} instead of {expected}", found[0]);
    }
}

#[test]
fn views_that_change_all_the_time_leave_the_shares_as_they_are() {
    for weights in [vec![1; 5], vec![3, 1, 2, 6], (1..=24).collect::<Vec<_>>()] {
        let members = members(&weights);
        let whole: u32 = weights.iter().sum();
        // The last endpoint comes and goes; nobody else may notice.
        let last = u32::try_from(weights.len() - 1).unwrap();
        let usable: EndpointSet = (0..last).collect();
        let views = [view(&members, None), view(&members, Some(&usable))];
        let mut balancer = RoundRobin::default();
        let mut found = vec![0.0; weights.len()];
        let rounds = 400;
        for turn in 0..whole as usize * rounds {
            let view = &views[turn / 31 % 2];
            found[picks(&mut balancer, view, 1)[0]] += 1.0;
        }
        let others = f64::from(whole - weights[last as usize]);
        let rest: f64 = found.iter().take(last as usize).sum();
        for (weight, count) in weights.iter().zip(&found).take(last as usize) {
            let expected = rest * f64::from(*weight) / others;
            assert!((count - expected).abs() < expected * 0.1 + 5.0, "{weights:?} {found:?}");
        }
        assert!(found[last as usize] > 0.0, "{weights:?} {found:?}");
    }
}

#[test]
fn a_cursor_goes_on_where_it_was() {
    let members = members(&[1; 6]);
    let mut balancer = RoundRobin::default();
    assert_eq!(picks(&mut balancer, &view(&members, None), 3), [0, 1, 2]);
    let usable: EndpointSet = [1, 2, 4, 5].into_iter().collect();
    assert_eq!(picks(&mut balancer, &view(&members, Some(&usable)), 5), [4, 5, 1, 2, 4]);
}

#[test]
fn the_index_is_that_within_the_service() {
    let subset = Members::new([Member { endpoint: 70, weight: 1 }, Member { endpoint: 4, weight: 2 }]);
    assert_eq!(picks(&mut RoundRobin::default(), &view(&subset, None), 3), [4, 70, 4]);
}

#[test]
fn sets_of_endpoints() {
    let mut set = EndpointSet::default();
    for endpoint in [0, 63, 64, 1000] {
        assert!(!set.contains(endpoint));
        set.insert(endpoint);
        assert!(set.contains(endpoint));
    }
    set.remove(64);
    set.remove(5000);
    set.insert(u32::MAX);
    let found: Vec<u32> = (0..1100).filter(|e| set.contains(*e)).collect();
    assert_eq!(found, [0, 63, 1000]);
    assert!(!set.contains(u32::MAX));
}
