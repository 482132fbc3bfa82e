//! Where connections go that are forwarded unread: by SNI, by source, and past which policies.

#[cfg(test)]
use crate::fixture::{MUTUAL, PLAIN, backend, id, prefix, snapshot};
use tulle_decide::forward::Forward;
use tulle_decide::network::Networks;
use tulle_decide::policy::{Authorizer, Caller, Decision, Permit};
use tulle_snapshot::Checked;
use tulle_snapshot::wire::{
    Action, Backend, Forwarding, ListenerKind, Mode, Policy, PolicyRule, ProxyAccept, ProxyVersion,
    ServiceProtocol, SniRoute,
};

fn permit(snapshot: &Checked) -> Permit {
    match Authorizer::new(snapshot, PLAIN).unwrap().decide_connection(Caller::Anonymous).decision {
        Decision::Allow(permit) => permit,
        Decision::Deny { .. } => panic!("nothing denies it"),
    }
}

fn route(hostnames: &[&str], service: u32) -> SniRoute {
    SniRoute {
        hostnames: hostnames.iter().map(|n| (*n).to_owned()).collect(),
        backends: vec![backend(service, 1)],
    }
}

fn forwarding(backends: Vec<Backend>, sni: Vec<SniRoute>) -> Forwarding {
    Forwarding { backends, sni, server_first: false, stream_idle_timeout_ms: 1500 }
}

/// The fixture's snapshot with tcp services, and its plain listener forwarding.
fn forwarded(kind: ListenerKind, forward: Option<Forwarding>) -> Result<Checked, tulle_snapshot::Error> {
    let mut wire = (*snapshot(Vec::new(), Vec::new())).clone();
    for service in &mut wire.services {
        service.protocol = ServiceProtocol::Tcp;
    }
    let listener = wire.listeners.first_mut().unwrap();
    listener.kind = kind;
    listener.forward = forward;
    Checked::check(wire)
}

#[test]
fn the_most_specific_name_wins() {
    let sni = vec![route(&["a.test", "*.a.test"], 0), route(&["*.b.a.test", "x.a.test", "*.test"], 1)];
    let snapshot = forwarded(ListenerKind::TlsPassthrough, Some(forwarding(Vec::new(), sni))).unwrap();
    let forward = Forward::new(&snapshot, PLAIN).unwrap().unwrap();
    let permit = permit(&snapshot);
    for (name, service) in [
        ("a.test", Some(0)),
        ("y.a.test", Some(0)),
        ("z.y.a.test", Some(0)),
        ("x.a.test", Some(1)),
        ("q.x.a.test", Some(0)),
        ("b.a.test", Some(0)),
        ("c.b.a.test", Some(1)),
        ("d.c.b.a.test", Some(1)),
        ("other.test", Some(1)),
        ("test", None),
        ("a.test.evil", None),
        ("aa.test", Some(1)),
        ("", None),
    ] {
        let found = forward.by_name(&permit, name).map(|split| split.pick(0).service);
        assert_eq!(found, service, "{name}");
        assert_eq!(forward.names(name), service.is_some(), "{name}");
    }
    assert!(forward.opaque(&permit).is_none() && !forward.takes_opaque());
    assert_eq!(forward.stream_idle.unwrap().as_millis(), 1500);
    assert!(Forward::new(&snapshot, MUTUAL).unwrap().is_none());
}

#[test]
fn a_snapshot_that_contradicts_itself_is_refused() {
    let to = |service| vec![backend(service, 1)];
    let names = || vec![route(&["a.test"], 0)];
    let cases = [
        (ListenerKind::Http, Some(forwarding(to(0), Vec::new())), "the listener takes requests"),
        (ListenerKind::Tcp, None, "is needed"),
        (ListenerKind::Tcp, Some(forwarding(Vec::new(), Vec::new())), "leads nowhere"),
        (ListenerKind::Tcp, Some(forwarding(to(0), names())), "by other means"),
        (ListenerKind::TlsPassthrough, Some(forwarding(to(0), names())), "by other means"),
        (ListenerKind::TlsPassthrough, Some(forwarding(Vec::new(), Vec::new())), "leads nowhere"),
        (ListenerKind::TlsPassthrough, Some(forwarding(Vec::new(), vec![route(&[], 0)])), "needs hostnames"),
        (ListenerKind::Tcp, Some(forwarding(to(9), Vec::new())), "refers to nothing"),
        (ListenerKind::Tcp, Some(forwarding(vec![backend(0, 0)], Vec::new())), "the weights sum to 0"),
    ];
    for (kind, forward, problem) in cases {
        let error = forwarded(kind, forward).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    for (names, problem) in [(["a.test", "a.test"], "is there already"), (["a.test", "A.test"], "lower case")]
    {
        let snapshot =
            forwarded(ListenerKind::Auto, Some(forwarding(Vec::new(), vec![route(&names, 0)]))).unwrap();
        let error = Forward::new(&snapshot, PLAIN).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    let mut wire = (*snapshot(Vec::new(), Vec::new())).clone();
    wire.services.first_mut().unwrap().send_proxy_protocol = Some(ProxyVersion::V2);
    assert!(Checked::check(wire).unwrap_err().to_string().contains("sendProxyProtocol"));
    for accept in ["10.0.0.0", "10.0.0.0/33", "::/129", "x/8", "/8"] {
        let mut wire = (*snapshot(Vec::new(), Vec::new())).clone();
        let accept = ProxyAccept { accept: vec![accept.to_owned()], optional: true };
        wire.listeners.first_mut().unwrap().proxy_protocol = Some(accept);
        assert!(Checked::check(wire).unwrap_err().to_string().contains("is not a network"));
    }
    let mut wire = (*snapshot(Vec::new(), Vec::new())).clone();
    let listener = wire.listeners.first_mut().unwrap();
    listener.kind = ListenerKind::Tcp;
    listener.forward = Some(forwarding(to(0), Vec::new()));
    assert!(Checked::check(wire).unwrap_err().to_string().contains("another protocol"));
}

#[test]
fn networks_hold_what_they_say() {
    let networks =
        |texts: &[&str]| Networks::new(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>(), "at");
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            "10.0.0.0/8",
            &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
            &["11.0.0.0", "9.255.255.255", "::a00:1"],
        ),
        ("192.0.2.7/32", &["192.0.2.7"], &["192.0.2.6", "192.0.2.8"]),
        ("0.0.0.0/0", &["1.2.3.4", "::ffff:1.2.3.4"], &["::1", "::"]),
        ("::/0", &["::1", "ffff::"], &["1.2.3.4"]),
        ("2001:db8::/33", &["2001:db8:7fff::1"], &["2001:db8:8000::"]),
        ("::1/128", &["::1"], &["::", "::2"]),
    ];
    for (text, inside, outside) in cases {
        let network = networks(&[text]).unwrap();
        assert!(inside.iter().all(|ip| network.contains(ip.parse().unwrap())), "{text}");
        assert!(!outside.iter().any(|ip| network.contains(ip.parse().unwrap())), "{text}");
    }
    let several = networks(&["10.0.0.0/8", "::1/128"]).unwrap();
    assert!(several.contains("::1".parse().unwrap()) && several.contains("10.1.1.1".parse().unwrap()));
    assert_eq!(networks(&["10.0.0.0/8", "x"]).unwrap_err().at, "at[1]");
}

#[test]
fn connections_are_decided_by_their_caller() {
    let any = || PolicyRule { from: None, methods: None, paths: None };
    let web = || PolicyRule { from: Some(vec![id("web").to_string()]), ..any() };
    let get = |rule: PolicyRule| PolicyRule { methods: Some(vec!["GET".to_owned()]), ..rule };
    let below = |rule: PolicyRule| PolicyRule { paths: prefix("/x").map(|path| vec![path]), ..rule };
    let policy = |action, rule| Policy {
        name: "p".to_owned(),
        listeners: vec![PLAIN, MUTUAL],
        action,
        mode: Mode::Enforce,
        rules: vec![rule],
    };
    // Policies, then whether web, another peer, and somebody without a certificate get in.
    let cases = [
        (vec![], [true, true, false]),
        (vec![policy(Action::Allow, web())], [true, false, false]),
        (vec![policy(Action::Allow, any())], [true, true, false]),
        (vec![policy(Action::Allow, get(web()))], [false, false, false]),
        (vec![policy(Action::Allow, below(any())), policy(Action::Allow, web())], [true, false, false]),
        (vec![policy(Action::Deny, web())], [false, true, false]),
        (vec![policy(Action::Deny, get(web()))], [false, true, false]),
        (vec![policy(Action::Deny, below(any()))], [false, false, false]),
        (vec![policy(Action::Allow, any()), policy(Action::Deny, web())], [false, true, false]),
    ];
    for (i, (policies, expected)) in cases.into_iter().enumerate() {
        let authorizer = Authorizer::new(&snapshot(Vec::new(), policies), MUTUAL).unwrap();
        let (web, other) = (id("web"), id("other"));
        let callers = [Caller::Peer(&web), Caller::Peer(&other), Caller::Anonymous];
        let found = callers.map(|c| matches!(authorizer.decide_connection(c).decision, Decision::Allow(_)));
        assert_eq!(found, expected, "case {i}");
    }
}
