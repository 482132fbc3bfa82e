//! Keeps src/engine/snapshot.generated.ts equal to [`crate::wire`]: `UPDATE=1 cargo test -p tulle-snapshot` writes it.

use crate::wire;
use std::fmt::Write;
use ts_rs::{Config, TS};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../src/engine/snapshot.generated.ts");

fn declare<T: TS + 'static>(out: &mut String, config: &Config) {
    let _ = writeln!(out, "export {}", T::decl(config));
}

fn render() -> String {
    let config = Config::new();
    let mut out =
        String::from("// Generated from native/snapshot/src/wire by `npm run generate`. Do not edit.\n");
    let _ = writeln!(out, "export const FORMAT = {};", crate::FORMAT);
    macro_rules! all { ($($name:ident),* $(,)?) => { $(declare::<wire::$name>(&mut out, &config);)* } }
    all!(
        Snapshot,
        AccessLog,
        LoggedRequests,
        Listener,
        Forwarding,
        SniRoute,
        ProxyAccept,
        ProxyVersion,
        ListenerKind,
        ListenerTls,
        TlsMode,
        Certificate,
        ForwardedHeaders,
        PathRules,
        EscapePolicy,
        Limits,
        Service,
        ServiceProtocol,
        Endpoint,
        EndpointAddress,
        Subset,
        LoadBalancing,
        BalancingPolicy,
        Affinity,
        RequestKey,
        ServiceTls,
        PoolLimits,
        CircuitLimits,
        AdaptiveLimit,
        HealthCheck,
        HealthProbe,
        OutlierDetection,
        SuccessRate,
        Route,
        Rule,
        Match,
        PathMatch,
        HeaderMatch,
        QueryMatch,
        HeaderEdits,
        HeaderEdit,
        Rewrite,
        PathEdit,
        Redirect,
        Retry,
        RetryBudget,
        Hedge,
        RetryOn,
        RateLimit,
        Fault,
        FaultDelay,
        FaultAbort,
        FaultBandwidth,
        Mirror,
        Priority,
        Backend,
        Policy,
        Action,
        Mode,
        PolicyRule,
    );
    out
}

#[test]
fn typescript_twin_is_current() {
    let expected = render();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(std::path::Path::new(PATH).parent().unwrap()).unwrap();
        std::fs::write(PATH, &expected).unwrap();
    }
    let found = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(found == expected, "src/engine/snapshot.generated.ts is stale: run `npm run generate`");
}
