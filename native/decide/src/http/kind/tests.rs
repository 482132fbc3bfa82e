//! The names that are known, in every spelling.

use super::*;

/// Every name and family that `whole` and `beginning` know passes the first look, in any letter case.
#[test]
fn the_first_look_misses_nothing() {
    for (name, kind) in [
        ("te", K::Te),
        ("via", K::Via),
        ("host", K::Host),
        ("date", K::Date),
        ("proxy", K::Alias),
        ("expect", K::Expect),
        ("server", K::Server),
        ("cookie", K::EndToEnd),
        ("upgrade", K::Upgrade),
        ("trailer", K::Trailer),
        ("forwarded", K::Forwarded),
        ("x-real-ip", K::ForwardedOther),
        ("connection", K::Connection),
        ("keep-alive", K::KeepAlive),
        ("tracestate", K::Tracestate),
        ("set-cookie", K::EndToEnd),
        ("traceparent", K::Traceparent),
        ("x-request-id", K::RequestId),
        ("max-forwards", K::MaxForwards),
        ("x-tulle-deadline", K::Own),
        ("grpc-timeout", K::GrpcTimeout),
        ("authorization", K::EndToEnd),
        ("cache-control", K::EndToEnd),
        ("content-length", K::ContentLength),
        ("http2-settings", K::Http2Settings),
        ("x-forwarded-for", K::ForwardedFor),
        ("idempotency-key", K::IdempotencyKey),
        ("proxy-connection", K::ProxyConnection),
        ("www-authenticate", K::EndToEnd),
        ("x-forwarded-host", K::ForwardedHost),
        ("transfer-encoding", K::TransferEncoding),
        ("x-forwarded-proto", K::ForwardedProto),
        ("proxy-authenticate", K::ProxyAuthenticate),
        ("proxy-authorization", K::ProxyAuthorization),
        ("proxy-authentication-info", K::ProxyAuthenticate),
        ("content-type", K::EndToEnd),
        ("content-security-policy-report-only", K::EndToEnd),
        ("x-forwarded-port", K::ForwardedOther),
        ("x-forwarded-client-cert", K::Identity),
        ("x-forwarded-client-cert-of-someone-else", K::Identity),
        ("x-client-cert", K::Identity),
        ("x-client-dn", K::Identity),
        ("x-client-verify", K::Identity),
        ("x-client-san", K::Identity),
        ("x-client-spiffe", K::Identity),
        ("x-ssl-client-s-dn", K::Identity),
        ("x-ssl-cert", K::Identity),
        ("x-tls-client-cn", K::Identity),
        ("x-envoy-peer-metadata-id", K::Identity),
        ("x-peer-certificate", K::Identity),
        ("x-spiffe-id", K::Identity),
        ("x-amzn-mtls-clientcert-leaf", K::Identity),
        ("x-arr-clientcert", K::Identity),
        ("client-cert", K::Identity),
        ("client-cert-chain", K::Identity),
        ("ssl-client-cert", K::Identity),
        ("ssl-cert", K::Identity),
        ("tls-client-cert", K::Identity),
        ("l5d-client-id", K::Identity),
    ] {
        assert_eq!(FieldKind::of(name.as_bytes()), kind, "{name}");
        assert_eq!(FieldKind::of(name.to_uppercase().as_bytes()), kind, "{name} in capitals");
        if name.contains('-') {
            let other = FieldKind::of(name.replace('-', "_").as_bytes());
            assert_eq!(
                other,
                if kind == K::ForwardedOther { K::Alias } else { kind.misspelt() },
                "{name} with _"
            );
        }
    }
    for name in
        ["", "x", "accept", "user-agent", "x-custom", "xx-forwarded-for", "cookies", "hosts", "client"]
    {
        assert_eq!(FieldKind::of(name.as_bytes()), K::Other, "{name}");
    }
}
