//! SPIFFE IDs and everything that only looks like one.
#![expect(clippy::too_many_lines, reason = "tables of cases")]

use tulle_decide::identity::{SpiffeId, SpiffeIdError as E, TrustDomain};

#[test]
fn legal_ids() {
    let domain = "d".repeat(255);
    let long = format!("spiffe://example.test/{}", "a".repeat(2048 - 22));
    let cases: &[(&str, &str, &str)] = &[
        ("spiffe://example.test/ns/shop/sa/web", "example.test", "/ns/shop/sa/web"),
        ("spiffe://example.test/a", "example.test", "/a"),
        ("spiffe://example.test/A.b-C_9", "example.test", "/A.b-C_9"),
        ("spiffe://example.test/...", "example.test", "/..."),
        ("spiffe://example.test/.a/a./..a", "example.test", "/.a/a./..a"),
        ("spiffe://1.2.3.4/x", "1.2.3.4", "/x"),
        ("spiffe://a_b-c.d/x", "a_b-c.d", "/x"),
        ("spiffe://x/spiffe", "x", "/spiffe"),
        (&format!("spiffe://{domain}/x"), &domain, "/x"),
        (&long, "example.test", &long[21..]),
    ];
    for (text, domain, path) in cases {
        let id = SpiffeId::parse(text).unwrap_or_else(|e| panic!("{text} {e}"));
        assert_eq!((id.as_str(), id.trust_domain(), id.path()), (*text, *domain, *path));
        assert_eq!(id.to_string(), *text);
        assert!(id.is_member_of(&TrustDomain::of(&id)));
        assert_eq!(TrustDomain::parse(domain).unwrap(), TrustDomain::of(&id));
        assert_eq!(SpiffeId::parse(text.as_bytes()).unwrap(), id.clone());
    }
}

/// Every one is close to `spiffe://example.test/ns/shop/sa/web`, and none is it.
#[test]
fn look_alikes() {
    let too_long = format!("spiffe://example.test/{}", "a".repeat(2048 - 21));
    let long_domain = format!("spiffe://{}/x", "d".repeat(256));
    let cases: &[(&[u8], E)] = &[
        (b"", E::Scheme),
        (b"spiffe", E::Scheme),
        (b"spiffe:", E::Scheme),
        (b"spiffe:/", E::Scheme),
        (b"spiffe:/example.test/ns/shop/sa/web", E::Scheme),
        (b"spiffe:example.test/ns/shop/sa/web", E::Scheme),
        (b"spiffe//example.test/ns/shop/sa/web", E::Scheme),
        (b"Spiffe://example.test/ns/shop/sa/web", E::Scheme),
        (b"SPIFFE://example.test/ns/shop/sa/web", E::Scheme),
        (b"spiffE://example.test/ns/shop/sa/web", E::Scheme),
        (b"spiffes://example.test/ns/shop/sa/web", E::Scheme),
        (b"spiff://example.test/ns/shop/sa/web", E::Scheme),
        (b"https://example.test/ns/shop/sa/web", E::Scheme),
        (b"//example.test/ns/shop/sa/web", E::Scheme),
        (b"example.test/ns/shop/sa/web", E::Scheme),
        (b"/ns/shop/sa/web", E::Scheme),
        (b" spiffe://example.test/ns/shop/sa/web", E::Scheme),
        (b"\tspiffe://example.test/ns/shop/sa/web", E::Scheme),
        (b"\0spiffe://example.test/ns/shop/sa/web", E::Scheme),
        (b"\"spiffe://example.test/ns/shop/sa/web\"", E::Scheme),
        (b"URI:spiffe://example.test/ns/shop/sa/web", E::Scheme),
        (b"spiffe:\\\\example.test\\ns\\shop\\sa\\web", E::Scheme),
        (b"spiffe%3A//example.test/ns/shop/sa/web", E::Scheme),
        ("\u{feff}spiffe://example.test/ns/shop/sa/web".as_bytes(), E::Scheme),
        ("\u{455}piffe://example.test/ns/shop/sa/web".as_bytes(), E::Scheme),
        (b"spiffe://", E::NoTrustDomain),
        (b"spiffe:///", E::NoTrustDomain),
        (b"spiffe:///ns/shop/sa/web", E::NoTrustDomain),
        (b"spiffe:////example.test/ns/shop/sa/web", E::NoTrustDomain),
        (b"spiffe://Example.test/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://EXAMPLE.TEST/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://example.test:443/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://example.test:/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://user@example.test/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://user:pass@example.test/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://@example.test/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://[::1]/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://example.test?/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://example.test?x=/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://example.test#/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://example.test\\/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://example.test\\ns\\shop\\sa\\web", E::TrustDomainCharacter),
        (b"spiffe://example%2etest/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://example.test%2Fns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://example.test%00/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://example.test\0/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://example.test\n/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://example.test /ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe:// example.test/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://example.test,other/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://*.test/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://example~test/ns/shop/sa/web", E::TrustDomainCharacter),
        (b"spiffe://example+test/ns/shop/sa/web", E::TrustDomainCharacter),
        ("spiffe://ex\u{430}mple.test/ns/shop/sa/web".as_bytes(), E::TrustDomainCharacter),
        ("spiffe://example\u{3002}test/ns/shop/sa/web".as_bytes(), E::TrustDomainCharacter),
        (b"spiffe://example.test\xff/ns/shop/sa/web", E::TrustDomainCharacter),
        (long_domain.as_bytes(), E::TooLong),
        (too_long.as_bytes(), E::TooLong),
        (b"spiffe://example.test", E::NoPath),
        (b"spiffe://example.test/", E::EmptySegment),
        (b"spiffe://example.test//", E::EmptySegment),
        (b"spiffe://example.test//ns/shop/sa/web", E::EmptySegment),
        (b"spiffe://example.test/ns//shop/sa/web", E::EmptySegment),
        (b"spiffe://example.test/ns/shop/sa/web/", E::EmptySegment),
        (b"spiffe://example.test/./ns/shop/sa/web", E::DotSegment),
        (b"spiffe://example.test/ns/shop/sa/./web", E::DotSegment),
        (b"spiffe://example.test/ns/shop/sa/web/.", E::DotSegment),
        (b"spiffe://example.test/ns/shop/sa/x/../web", E::DotSegment),
        (b"spiffe://example.test/../ns/shop/sa/web", E::DotSegment),
        (b"spiffe://example.test/ns/shop/sa/web/..", E::DotSegment),
        (b"spiffe://example.test/..", E::DotSegment),
        (b"spiffe://example.test/ns/shop/sa/w%65b", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa%2Fweb", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/%2e%2e/web", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/web%00", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/web\0", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/web\0.evil", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/web\n", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/web\r\nspiffe://x/y", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/web ", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/web?", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/web?x=1", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/web#", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/web#x", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/web;x", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/web,admin", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/web:8080", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/web@admin", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa\\web", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/*", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/we~b", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/web\x7f", E::PathCharacter),
        (b"spiffe://example.test/ns/shop/sa/web\xff", E::PathCharacter),
        ("spiffe://example.test/ns/shop/sa/w\u{435}b".as_bytes(), E::PathCharacter),
        ("spiffe://example.test/ns/shop/sa/web\u{200b}".as_bytes(), E::PathCharacter),
        ("spiffe://example.test\u{2215}ns/shop/sa/web".as_bytes(), E::TrustDomainCharacter),
    ];
    assert!(cases.len() >= 60);
    for (text, expected) in cases {
        let found = SpiffeId::parse(text);
        assert_eq!(found, Err(*expected), "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn ids_that_differ_stay_different() {
    let web = SpiffeId::parse("spiffe://example.test/ns/shop/sa/web").unwrap();
    for other in [
        "spiffe://example.test/ns/shop/sa/Web",
        "spiffe://example.test/ns/shop/sa/web2",
        "spiffe://example.test/ns/shop/sa/we",
        "spiffe://example.test/ns/shop/sa/web/x",
        "spiffe://example.test/ns/shop/web",
        "spiffe://example.test.evil.test/ns/shop/sa/web",
        "spiffe://evil-example.test/ns/shop/sa/web",
        "spiffe://xample.test/ns/shop/sa/web",
    ] {
        let other = SpiffeId::parse(other).unwrap();
        assert_ne!(web, other);
    }
    let domain = TrustDomain::parse("example.test").unwrap();
    assert!(web.is_member_of(&domain));
    for other in ["example.tes", "example.test2", "test", "example", "x.example.test"] {
        assert!(!web.is_member_of(&TrustDomain::parse(other).unwrap()), "{other}");
    }
}

#[test]
fn trust_domains() {
    assert_eq!(TrustDomain::parse_id("spiffe://example.test").unwrap().as_str(), "example.test");
    let cases: &[(&str, E)] = &[
        ("spiffe://example.test/", E::UnexpectedPath),
        ("spiffe://example.test/ns", E::UnexpectedPath),
        ("spiffe://", E::NoTrustDomain),
        ("spiffe://Example.test", E::TrustDomainCharacter),
        ("example.test", E::Scheme),
    ];
    for (text, expected) in cases {
        assert_eq!(TrustDomain::parse_id(text), Err(*expected), "{text}");
    }
    for (name, expected) in [
        ("", E::NoTrustDomain),
        ("example.test/", E::TrustDomainCharacter),
        ("spiffe://example.test", E::TrustDomainCharacter),
        ("Example.test", E::TrustDomainCharacter),
        ("example.test:1", E::TrustDomainCharacter),
        (&"d".repeat(256), E::TooLong),
    ] {
        assert_eq!(TrustDomain::parse(name), Err(expected), "{name}");
    }
}
