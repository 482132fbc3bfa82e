//! Circuit limits: exact, over several threads, and right when limits come and go.

use std::sync::atomic::{AtomicU32, Ordering};
use tulle_decide::circuit::{Circuit, EndpointCircuit, Gauge};
use tulle_snapshot::wire::CircuitLimits;

const NONE: CircuitLimits = CircuitLimits {
    requests: None,
    retries: None,
    endpoint_connections: None,
    endpoint_requests: None,
    adaptive: None,
};

#[test]
fn a_gauge_admits_up_to_its_limit() {
    let gauge = Gauge::default();
    assert!(gauge.admit(Some(0)).is_none());
    let held: Vec<_> = (0..3).map(|_| gauge.admit(Some(3)).unwrap()).collect();
    assert!(gauge.admit(Some(3)).is_none());
    assert_eq!(gauge.now(), 3);
    for held in held {
        gauge.leave(held);
    }
    assert_eq!(gauge.now(), 0);
    assert!(gauge.admit(Some(1)).is_some());
}

#[test]
fn a_limit_may_appear_change_and_go_meanwhile() {
    let gauge = Gauge::default();
    let uncounted = gauge.admit(None).unwrap();
    let counted = gauge.admit(Some(2)).unwrap();
    assert_eq!(gauge.now(), 1);
    gauge.leave(uncounted);
    assert_eq!(gauge.now(), 1, "what was not counted is not taken off");
    assert!(gauge.admit(Some(1)).is_none());
    let second = gauge.admit(Some(2)).unwrap();
    assert!(gauge.admit(Some(1)).is_none(), "lowered below what is under way");
    gauge.leave(counted);
    gauge.leave(second);
    assert_eq!(gauge.now(), 0);
}

#[test]
fn each_limit_is_its_own() {
    let limits = CircuitLimits {
        requests: Some(2),
        retries: Some(0),
        endpoint_connections: Some(1),
        endpoint_requests: Some(1),
        adaptive: None,
    };
    let (circuit, endpoint) = (Circuit::default(), EndpointCircuit::default());
    let first = circuit.request(&limits).unwrap();
    let _second = circuit.request(&limits).unwrap();
    assert!(circuit.request(&limits).is_none());
    assert!(circuit.retry(&limits).is_none());
    assert!(circuit.retry(&NONE).is_some());
    circuit.requests().leave(first);
    assert!(circuit.request(&limits).is_some());
    assert_eq!((circuit.requests().now(), circuit.retries().now()), (2, 0));

    assert!(endpoint.has_room(&limits));
    let attempt = endpoint.request(&limits).unwrap();
    assert!(!endpoint.has_room(&limits) && endpoint.has_room(&NONE));
    assert!(endpoint.request(&limits).is_none());
    let _connection = endpoint.connection(&limits).unwrap();
    assert!(endpoint.connection(&limits).is_none());
    endpoint.requests().leave(attempt);
    assert!(endpoint.has_room(&limits));
    assert_eq!(endpoint.connections().now(), 1);
}

/// Threads that come and go never see more than the limit, and nobody is refused where there is room.
#[test]
fn threads_never_exceed_a_limit_nor_lose_a_place() {
    let (gauge, inside, refused) = (Gauge::default(), AtomicU32::new(0), AtomicU32::new(0));
    let run = |limit: u32, threads: u32| {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        if let Some(held) = gauge.admit(Some(limit)) {
                            assert!(inside.fetch_add(1, Ordering::SeqCst) < limit);
                            inside.fetch_sub(1, Ordering::SeqCst);
                            gauge.leave(held);
                        } else {
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(gauge.now(), 0);
    };
    run(3, 4);
    refused.store(0, Ordering::Relaxed);
    run(4, 4);
    assert_eq!(refused.load(Ordering::Relaxed), 0);
}
