//! Round-robin: exact shares, smooth order, and what happens when endpoints are unusable or were tried.

use tulle_decide::balance::{Balancer, Candidates, EndpointSet, Member, Members, RoundRobin, balancer};
use tulle_snapshot::wire::BalancingPolicy;

fn members(weights: &[u32]) -> Members {
    Members::new((0..).zip(weights).map(|(endpoint, weight)| Member { endpoint, weight: *weight }))
}

fn picks(balancer: &mut dyn Balancer, candidates: &Candidates<'_>, count: usize) -> Vec<usize> {
    (0..count).map(|_| balancer.pick(candidates, 0).unwrap()).collect()
}

fn all(members: &Members) -> Candidates<'_> {
    Candidates { members, usable: None, tried: &[] }
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
        let members = members(&[weight; 3]);
        assert_eq!(picks(&mut RoundRobin::default(), &all(&members), 7), [0, 1, 2, 0, 1, 2, 0]);
    }
    let mut made = balancer(BalancingPolicy::RoundRobin);
    assert_eq!(picks(&mut *made, &all(&members(&[1, 1])), 4), [0, 1, 0, 1]);
}

#[test]
fn workers_begin_at_different_members() {
    for weights in [vec![1; 5], vec![5, 1, 3], (1..40).collect()] {
        let members = members(&weights);
        let firsts: std::collections::HashSet<_> = (0..64_u64)
            .filter_map(|seed| {
                RoundRobin::default().pick(&all(&members), seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
            })
            .collect();
        assert!(firsts.len() > 1, "{weights:?}");
    }
}

#[test]
fn few_weighted_members_are_spread_smoothly() {
    let five = members(&[5, 1, 1]);
    assert_eq!(picks(&mut RoundRobin::default(), &all(&five), 7), [0, 0, 1, 0, 2, 0, 0]);
    let two = members(&[2, 1]);
    assert_eq!(picks(&mut RoundRobin::default(), &all(&two), 6), [0, 1, 0, 0, 1, 0]);
}

#[test]
fn shares_are_exact_over_whole_rounds() {
    let many: Vec<u32> = (0..40).map(|i| 1 << (i % 4)).collect();
    for weights in [vec![95, 5], vec![1, 9], vec![3, 2, 1], vec![1, 1_000_000], many] {
        let members = members(&weights);
        let total: u32 = weights.iter().sum();
        let rounds = if total > 100_000 { 1 } else { 20 };
        let mut balancer = RoundRobin::default();
        let found = counts(&picks(&mut balancer, &all(&members), total as usize * rounds), weights.len());
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
    let members = members(&weights);
    let found = picks(&mut RoundRobin::default(), &all(&members), 600);
    let longest_run = found.chunk_by(|a, b| (*a == 7) == (*b == 7)).map(<[_]>::len).max().unwrap();
    assert!(longest_run <= 8, "half of the picks go to one member, but not {longest_run} in a row");
}

#[test]
fn those_left_over_share_by_weight() {
    let many: Vec<u32> = (0..40).map(|i| 1 + i % 3).collect();
    for weights in [vec![1; 4], vec![2, 1, 1, 4], vec![1; 30], many] {
        let members = members(&weights);
        let usable: EndpointSet = (0..).zip(&weights).map(|(i, _)| i).filter(|i| i % 2 == 1).collect();
        let candidates = Candidates { members: &members, usable: Some(&usable), tried: &[] };
        let total: u32 = weights.iter().skip(1).step_by(2).sum();
        let mut balancer = RoundRobin::default();
        picks(&mut balancer, &all(&members), 3);
        let found = counts(&picks(&mut balancer, &candidates, total as usize * 50), weights.len());
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
        let mut usable: EndpointSet = (1..).zip(weights.iter().skip(1)).map(|(i, _)| i).collect();
        let mut balancer = RoundRobin::default();
        let without = Candidates { members: &members, usable: Some(&usable), tried: &[] };
        assert!(picks(&mut balancer, &without, total * 20).iter().all(|p| *p != 0));
        usable.insert(0);
        let with = Candidates { members: &members, usable: Some(&usable), tried: &[] };
        let found = counts(&picks(&mut balancer, &with, total * 10), weights.len());
        let expected = weights[0] as usize * 10;
        assert!(found[0].abs_diff(expected) <= 3, "{weights:?}: {} instead of {expected}", found[0]);
    }
}

#[test]
fn a_retry_goes_elsewhere_where_there_is_an_elsewhere() {
    let few = members(&[3, 1, 1]);
    let equal = members(&[1, 1, 1]);
    let many = members(&(1..=20).collect::<Vec<_>>());
    for members in [&few, &equal, &many] {
        let mut balancer = RoundRobin::default();
        let len = u32::try_from(members.as_slice().len()).unwrap();
        for _ in 0..50 {
            let mut tried = Vec::new();
            for _ in 0..len {
                let candidates = Candidates { members, usable: None, tried: &tried };
                let picked = u32::try_from(balancer.pick(&candidates, 0).unwrap()).unwrap();
                assert!(!tried.contains(&picked));
                tried.push(picked);
            }
            let again = balancer.pick(&Candidates { members, usable: None, tried: &tried }, 0);
            assert!(again.is_some(), "a tried one is better than none");
        }
        let usable: EndpointSet = [1].into_iter().collect();
        let only = Candidates { members, usable: Some(&usable), tried: &[1] };
        assert_eq!(balancer.pick(&only, 0), Some(1));
    }
}

#[test]
fn nobody_usable_is_nobody() {
    let usable = EndpointSet::default();
    for weights in [vec![], vec![1], vec![1, 2], vec![1; 30], (1..=30).collect()] {
        let members = members(&weights);
        let mut balancer = RoundRobin::default();
        for tried in [&[][..], &[0]] {
            assert_eq!(
                balancer.pick(&Candidates { members: &members, usable: Some(&usable), tried }, 9),
                None
            );
        }
        assert_eq!(balancer.pick(&all(&members), 9).is_some(), !weights.is_empty());
    }
}

#[test]
fn the_index_is_that_within_the_service() {
    let subset = Members::new([Member { endpoint: 70, weight: 1 }, Member { endpoint: 4, weight: 2 }]);
    let found = picks(&mut RoundRobin::default(), &all(&subset), 3);
    assert_eq!(found, [4, 70, 4]);
}

#[test]
fn members_may_change_under_a_balancer() {
    let mut balancer = RoundRobin::default();
    for weights in
        [vec![1; 5], vec![1, 2], vec![1; 2], vec![2, 1], vec![1], (1..=20).collect(), (2..=30).collect()]
    {
        let members = members(&weights);
        let found = picks(&mut balancer, &all(&members), 200);
        assert!(found.iter().all(|p| *p < weights.len()));
        let seen = counts(&found, weights.len());
        let fair = weights.len() > 5 || seen.iter().all(|count| *count > 0);
        assert!(fair, "{weights:?} {seen:?}");
    }
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
