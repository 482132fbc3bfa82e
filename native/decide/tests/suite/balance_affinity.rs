//! Cookies that name an endpoint: their values, and what holds through drains, ejections, retries and new orders.

use super::balance_fixture::{POLICIES, Seeded, ask, build, identity, members, view};
use std::collections::HashSet;
use tulle_decide::balance::affinity::{Affinity, cookie_value, is_cookie_due, pick};
use tulle_decide::balance::{EndpointSet, Loads, Member, Members, Site, Zone, stable_hash};

fn cookie(address: u32) -> [u8; 16] {
    let mut out = [0; 16];
    cookie_value(identity(address), &mut out);
    out
}

/// Endpoints at these addresses, in this order, with these weights.
fn at(addresses: &[(u32, u32)]) -> Members {
    Members::with_sites((0..).zip(addresses).map(|(endpoint, (address, weight))| {
        (Member { endpoint, weight: *weight }, Site { zone: Zone::Unknown, identity: identity(*address) })
    }))
}

#[test]
fn values_are_hex_digits_that_do_not_change_between_versions() {
    assert_eq!(cookie(0).as_slice(), b"6d2ed39b50d0acf6");
    let values: HashSet<[u8; 16]> = (0..10_000).map(cookie).collect();
    assert_eq!(values.len(), 10_000);
    assert!(values.iter().flatten().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')));
    let raw: HashSet<[u8; 16]> =
        (0..100).map(|a| format!("{:016x}", identity(a)).into_bytes().try_into().unwrap()).collect();
    assert!(values.is_disjoint(&raw), "a cookie does not show the hash that keys are placed by");
}

#[test]
fn hashes_of_bytes_do_not_change_between_versions() {
    assert_eq!(stable_hash(b""), 0xFA5D_5E33_FF35_F471);
    assert_eq!(stable_hash(b"10.0.0.1:8080"), 0x0180_8F7D_C8B1_C7DC);
    let all: HashSet<u64> = (0..64).map(|len| stable_hash(&vec![0; len])).collect();
    assert_eq!(all.len(), 64, "lengths tell zeros apart");
    // Each bit of the bytes counts.
    let base = [7_u8; 19];
    for bit in 0..base.len() * 8 {
        let mut other = base;
        other[bit / 8] ^= 1 << (bit % 8);
        let differing = (stable_hash(&base) ^ stable_hash(&other)).count_ones();
        assert!((12..=52).contains(&differing), "bit {bit}: {differing}");
    }
}

#[test]
fn a_value_is_found_and_nothing_else_is() {
    let affinity = Affinity::new(&at(&[(5, 1), (6, 0), (7, 3)]), None);
    for (endpoint, address) in [(0, 5), (1, 6), (2, 7)] {
        let mut out = [0; 16];
        affinity.cookie_of(endpoint, &mut out).unwrap();
        assert_eq!(out, cookie(address));
        assert_eq!(affinity.find(&out), Some(endpoint));
        assert_eq!(affinity.find(&out.to_ascii_uppercase()), None);
        assert_eq!(affinity.find(&out[1..]), None);
    }
    assert_eq!(affinity.cookie_of(3, &mut [0; 16]), None);
    for other in [&b""[..], b"0", b"000000000000000g", &cookie(8), &[cookie(5), cookie(6)].concat()] {
        assert_eq!(affinity.find(other), None, "{other:?}");
    }
}

#[test]
fn who_is_gone_is_told_from_who_never_was() {
    let first = Affinity::new(&at(&[(5, 1), (6, 0), (7, 3)]), None);
    let second = Affinity::new(&at(&[(7, 1), (8, 1)]), Some(&first));
    let third = Affinity::new(&at(&[(6, 1)]), Some(&second));
    let gone = |affinity: &Affinity| (0..10).filter(|a| affinity.is_gone(&cookie(*a))).collect::<Vec<_>>();
    assert_eq!((gone(&first), gone(&second), gone(&third)), (vec![], vec![5, 6], vec![5, 7, 8]));
    assert_eq!((third.find(&cookie(6)), third.find(&cookie(5))), (Some(0), None), "who is back is there");
    for other in [&b""[..], b"0", b"0000000000000000", b"000000000000000g", &cookie(5).to_ascii_uppercase()] {
        assert!(!third.is_gone(other), "{other:?}");
    }
}

#[test]
fn the_last_that_went_are_remembered_and_no_more_than_1024() {
    let many = |range: std::ops::Range<u32>| at(&range.map(|address| (address, 1)).collect::<Vec<_>>());
    let mut affinity = Affinity::new(&many(0..1000), None);
    for addresses in [1000..2000, 2000..2001] {
        affinity = Affinity::new(&many(addresses), Some(&affinity));
    }
    let gone: Vec<u32> = (0..2001).filter(|address| affinity.is_gone(&cookie(*address))).collect();
    assert_eq!(gone, (0..24).chain(1000..2000).collect::<Vec<_>>());
}

#[test]
fn the_named_one_is_kept_as_long_as_it_may_be_used() {
    for policy in POLICIES {
        let members = members(&[1, 1, 0, 1]);
        let (mut balancer, loads, mut random) = (build(policy, &members), Loads::new(&members), Seeded(4));
        let usable: EndpointSet = [0, 1, 2].into_iter().collect();
        let view = view(&members, Some(&usable));
        for named in [0, 1, 2] {
            for _ in 0..50 {
                let found = pick(Some(named), &mut *balancer, &view, &loads, &ask(&mut random, &[]));
                assert_eq!(found, Some(named), "{policy:?}");
                assert!(!is_cookie_due(Some(named), named, &view));
            }
        }
        for (named, tried, moves) in [
            (Some(3), &[][..], true),
            (Some(0), &[0], false),
            (None, &[], true),
            (Some(77), &[], true),
            (Some(2), &[2], false),
        ] {
            let found = pick(named, &mut *balancer, &view, &loads, &ask(&mut random, tried)).unwrap();
            assert!(found < 2 && named != Some(found), "{policy:?} {named:?} {found:?}");
            let due = is_cookie_due(named, found, &view);
            assert_eq!(due, moves, "{policy:?} {named:?}: who is only full or failed once keeps its clients");
        }
    }
}

#[test]
fn a_draining_one_that_is_alone_serves_those_it_knows() {
    let members = members(&[0, 0]);
    let usable: EndpointSet = [0].into_iter().collect();
    let (view, loads) = (view(&members, Some(&usable)), Loads::new(&members));
    let mut balancer = build(POLICIES[0], &members);
    let mut random = Seeded(4);
    let mut of = |named, tried: &[u32]| pick(named, &mut *balancer, &view, &loads, &ask(&mut random, tried));
    assert_eq!(of(Some(0), &[]), Some(0));
    assert_eq!(of(Some(0), &[0]), Some(0), "tried, but nobody else is there");
    assert_eq!(of(Some(1), &[]), None);
    assert_eq!(of(None, &[]), None);
}

#[test]
fn clients_stay_through_a_new_order_and_a_drain() {
    let before = at(&(0..50).map(|address| (address, 1)).collect::<Vec<_>>());
    let mut random = Seeded(11);
    for policy in POLICIES {
        let (mut balancer, loads) = (build(policy, &before), Loads::new(&before));
        let affinity = Affinity::new(&before, None);
        // Each client is given a cookie at its first request.
        let clients: Vec<(u32, [u8; 16])> = (0..500)
            .map(|_| {
                let first =
                    pick(None, &mut *balancer, &view(&before, None), &loads, &ask(&mut random, &[])).unwrap();
                assert!(is_cookie_due(None, first, &view(&before, None)));
                let mut value = [0; 16];
                affinity.cookie_of(first, &mut value).unwrap();
                (first, value)
            })
            .collect();
        // Backwards, ten are new, the first ten drain, and the last ten are gone.
        let addresses: Vec<(u32, u32)> =
            (0..60).filter(|a| !(40..50).contains(a)).map(|a| (a, u32::from(a >= 10))).rev().collect();
        let after = at(&addresses);
        let (mut balancer, loads) = (build(policy, &after), Loads::new(&after));
        let (affinity, view) = (Affinity::new(&after, None), view(&after, None));
        for (address, value) in clients {
            let named = affinity.find(&value);
            let found = pick(named, &mut *balancer, &view, &loads, &ask(&mut random, &[])).unwrap();
            let (now_at, weight) = addresses[found as usize];
            let cookie_due = is_cookie_due(named, found, &view);
            if address < 40 {
                assert_eq!((now_at, cookie_due), (address, false), "{policy:?}");
            } else {
                assert!(
                    cookie_due && weight > 0,
                    "{policy:?}: who is gone is replaced, not by a draining one"
                );
            }
        }
    }
}
