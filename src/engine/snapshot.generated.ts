// Generated from native/snapshot/src/wire by `npm run generate`. Do not edit.
export const FORMAT = 1;
export type Snapshot = { 
/**
 * The format of this document: [`crate::FORMAT`].
 */
format: number, 
/**
 * What operators see as the running version: a digest of the content.
 */
version: string, 
/**
 * Data-plane worker threads, 1 to 256.
 */
workers: number, 
/**
 * What is logged of each request, and where.
 */
accessLog: AccessLog, 
/**
 * How long a drain may take.
 */
drainMs: number, 
/**
 * Resident memory of the process from which on nothing new is taken on, or null for no limit.
 */
memoryBytes: number | null, 
/**
 * The zone that the proxy is in, or null.
 */
zone: string | null, 
/**
 * Listening addresses; names are unique.
 */
listeners: Array<Listener>, 
/**
 * Upstream services; names are unique.
 */
services: Array<Service>, 
/**
 * HTTP routes in the order of the file.
 */
routes: Array<Route>, 
/**
 * Authorization policies in the order of the file.
 */
authorization: Array<Policy>, };
export type AccessLog = { 
/**
 * Which requests.
 */
requests: LoggedRequests, 
/**
 * Absolute path of the file, or `-` for standard output.
 */
file: string, };
export type LoggedRequests = "off" | "errors" | "all";
export type Listener = { 
/**
 * The operator's name for it.
 */
name: string, 
/**
 * `ip:port`, IPv6 in brackets; port 0 takes a free one.
 */
address: string, 
/**
 * What it serves.
 */
kind: ListenerKind, 
/**
 * True: another process may hold the address too (`SO_REUSEPORT`). False: that is an error at start.
 */
shared: boolean, 
/**
 * TLS termination, or null for plain text.
 */
tls: ListenerTls | null, 
/**
 * True: `x-forwarded-client-cert` is set from the verified peer certificate.
 */
forwardIdentity: boolean, 
/**
 * `x-forwarded-*`, request id, trace and via.
 */
forwarded: ForwardedHeaders, 
/**
 * How escapes in paths are treated before matching and policy.
 */
paths: PathRules, 
/**
 * Whether HTTP/1 is served. False: HTTP/2 only, by ALPN or, without TLS, by its preface.
 */
http1: boolean, 
/**
 * Whether requests may ask for another protocol (`Upgrade: websocket`, …).
 */
upgrade: boolean, 
/**
 * Whether `CONNECT host:port` is tunnelled to the route's backend. False: 405.
 */
connect: boolean, 
/**
 * Bounds on what a client may use.
 */
limits: Limits, 
/**
 * Where connections go below HTTP: of `tcp`, `tls-passthrough` and `auto`, null for the others.
 */
forward: Forwarding | null, 
/**
 * Whose PROXY header is believed, or null: nobody's.
 */
proxyProtocol: ProxyAccept | null, };
export type Forwarding = { 
/**
 * By weight; empty: what no SNI route takes is refused.
 */
backends: Array<Backend>, 
/**
 * TLS that is passed through unopened, by the name it asks for.
 */
sni: Array<SniRoute>, 
/**
 * True: the port is of a protocol whose server speaks first, and `auto` looks at nothing.
 */
serverFirst: boolean, 
/**
 * A connection without a byte either way ends after this; 0: no limit.
 */
streamIdleTimeoutMs: number, };
export type SniRoute = { 
/**
 * Lower-case host names, `*.` in front for a wildcard; not empty.
 */
hostnames: Array<string>, 
/**
 * By weight; not empty.
 */
backends: Array<Backend>, };
export type ProxyAccept = { 
/**
 * Networks, `ADDRESS/BITS`; not empty.
 */
accept: Array<string>, 
/**
 * True: connections from elsewhere, and those without a header, are taken as they are. False: they are closed.
 */
optional: boolean, };
export type ProxyVersion = "v1" | "v2";
export type ListenerKind = "http" | "tcp" | "tls-passthrough" | "auto" | "admin" | "probes";
export type ListenerTls = { 
/**
 * Whether clients must prove who they are.
 */
mode: TlsMode, 
/**
 * Chosen by SNI against the certificates' DNS names, the first is the default. Mutual: exactly one, the identity.
 */
certificates: Array<Certificate>, 
/**
 * Mutual: the PEM file of roots that clients are checked against.
 */
trustBundle: string | null, 
/**
 * Mutual: the trust domain that clients must belong to; null: that of our own certificate.
 */
trustDomain: string | null, 
/**
 * Mutual: a PEM file of revoked certificates.
 */
crl: string | null, 
/**
 * ALPN names offered, best first.
 */
alpn: Array<string>, 
/**
 * False: TLS 1.3 only. Mutual is always 1.3.
 */
tls12: boolean, };
export type TlsMode = "simple" | "mutual";
export type Certificate = { 
/**
 * Absolute path of the chain, leaf first.
 */
cert: string, 
/**
 * Absolute path of the private key (PKCS#8, SEC1 or PKCS#1).
 */
key: string, };
export type ForwardedHeaders = { 
/**
 * True: `x-forwarded-for`, `-proto` and `-host` are sent.
 */
forwardedFor: boolean, 
/**
 * True: the client's own `x-forwarded-*` are believed and appended to. False: they are dropped first.
 */
trust: boolean, 
/**
 * True: `x-request-id` is passed on if well-formed, or made.
 */
requestId: boolean, 
/**
 * True: `traceparent` is passed on if well-formed, or begun; B3 is passed on as it is.
 */
trace: boolean, 
/**
 * True: `x-tulle-deadline` says how many milliseconds are left for the request, where there is a limit.
 */
deadline: boolean, 
/**
 * The pseudonym for `via` (RFC 9110 section 7.6.3), or null for none.
 */
via: string | null, };
export type PathRules = { 
/**
 * `%2F`.
 */
encodedSlash: EscapePolicy, 
/**
 * `;` and `%3B`.
 */
pathParameters: EscapePolicy, };
export type EscapePolicy = "keep" | "reject";
export type Limits = { 
/**
 * Open connections; further ones are closed at once.
 */
connections: number, 
/**
 * Requests under way on one connection of HTTP/2, 1 to 32,767.
 */
streams: number, 
/**
 * Bytes of a request head.
 */
headerBytes: number, 
/**
 * Fields of a request head.
 */
headerFields: number, 
/**
 * From a connection's first byte (or the previous answer) to the head's last; also the TLS handshake.
 */
headerTimeoutMs: number, 
/**
 * A request body slower than this many bytes per second, over 10 s, is cut; 0: never.
 */
bodyBytesPerSecond: number, 
/**
 * A connection without a request is closed after this.
 */
idleTimeoutMs: number, 
/**
 * Bytes of a request body, or null for any.
 */
bodyBytes: number | null, };
export type Service = { 
/**
 * The operator's name for it.
 */
name: string, 
/**
 * What its endpoints speak.
 */
protocol: ServiceProtocol, 
/**
 * The PROXY header that each connection to it begins with, or null for none.
 */
sendProxyProtocol: ProxyVersion | null, 
/**
 * In the order of the file.
 */
endpoints: Array<Endpoint>, 
/**
 * Named parts of the service.
 */
subsets: Array<Subset>, 
/**
 * How an endpoint is picked.
 */
loadBalancing: LoadBalancing, 
/**
 * TLS towards the endpoints, or null for plain text.
 */
tls: ServiceTls | null, 
/**
 * A connection attempt, TLS included, may take this long.
 */
connectTimeoutMs: number, 
/**
 * Bounds on what we keep open.
 */
pool: PoolLimits, 
/**
 * Bounds on what is under way.
 */
circuit: CircuitLimits, 
/**
 * How endpoints are asked whether they are well, or null for not at all.
 */
healthCheck: HealthCheck | null, 
/**
 * When an endpoint that fails is left out for a while, or null for never.
 */
outlierDetection: OutlierDetection | null, };
export type ServiceProtocol = "http" | "http2" | "grpc" | "tcp";
export type Endpoint = { 
/**
 * Where it is.
 */
address: EndpointAddress, 
/**
 * Relative share, 0 to 1,000,000; 0: only for clients whose affinity cookie names it.
 */
weight: number, 
/**
 * The zone it is in, or null.
 */
zone: string | null, };
export type EndpointAddress = { "kind": "tcp", 
/**
 * `ip:port`, IPv6 in brackets.
 */
address: string, } | { "kind": "unix", 
/**
 * Absolute path.
 */
path: string, } | { "kind": "dns", 
/**
 * Host name.
 */
name: string, 
/**
 * Port.
 */
port: number, };
export type Subset = { 
/**
 * Its name.
 */
name: string, 
/**
 * Indices into the service's endpoints, ascending; may be empty.
 */
endpoints: Array<number>, };
export type LoadBalancing = { 
/**
 * The algorithm.
 */
policy: BalancingPolicy, 
/**
 * What ring-hash and maglev look at; null for the others.
 */
key: RequestKey | null, 
/**
 * Endpoints of the proxy's own zone are preferred, as long as they can carry their share.
 */
preferZone: boolean, 
/**
 * An endpoint that is new or came back gets its full share after this; 0: at once.
 */
slowStartMs: number, 
/**
 * The cookie that names the endpoint which a client stays with, or null for none.
 */
affinity: Affinity | null, };
export type BalancingPolicy = "round-robin" | "random" | "least-request" | "peak-ewma" | "ring-hash" | "maglev";
export type Affinity = { 
/**
 * The cookie's name.
 */
cookie: string, 
/**
 * `Max-Age` of the cookie; 0: until the browser ends.
 */
maxAgeS: number, };
export type RequestKey = { "kind": "header", 
/**
 * Lower-case.
 */
name: string, } | { "kind": "cookie", 
/**
 * Its name; it has a case.
 */
name: string, } | { "kind": "source" } | { "kind": "path" } | { "kind": "identity" };
export type ServiceTls = { "mode": "simple", 
/**
 * The DNS name or IP address asked for (SNI) and verified; null: the endpoint's own host.
 */
serverName: string | null, 
/**
 * PEM file of roots; null: the system's.
 */
trustBundle: string | null, 
/**
 * A client certificate, where the server wants one.
 */
identity: Certificate | null, } | { "mode": "mutual", 
/**
 * Ours.
 */
identity: Certificate, 
/**
 * PEM file of roots.
 */
trustBundle: string, 
/**
 * SPIFFE IDs, one of which the peer must have; not empty.
 */
expect: Array<string>, 
/**
 * The trust domain the peer must belong to; null: that of our own certificate.
 */
trustDomain: string | null, 
/**
 * A PEM file of revoked certificates.
 */
crl: string | null, };
export type PoolLimits = { 
/**
 * Open connections to the service.
 */
connections: number, 
/**
 * Idle connections kept to each endpoint.
 */
idlePerEndpoint: number, 
/**
 * An idle connection is closed after this; keep it below the server's own.
 */
idleTimeoutMs: number, 
/**
 * Requests on one connection before it is closed, or null for any.
 */
requestsPerConnection: number | null, 
/**
 * Requests that wait for a connection when all are busy.
 */
pending: number, 
/**
 * How long they wait.
 */
queueTimeoutMs: number, };
export type CircuitLimits = { 
/**
 * Requests to the service, or null for any number; further ones wait as for a connection.
 */
requests: number | null, 
/**
 * Retries to the service, or null for any number; a further one is not made.
 */
retries: number | null, 
/**
 * Open connections to one endpoint, or null for any number.
 */
endpointConnections: number | null, 
/**
 * Requests to one endpoint, or null for any number.
 */
endpointRequests: number | null, 
/**
 * A limit on requests that follows the latency, or null for none.
 */
adaptive: AdaptiveLimit | null, };
export type AdaptiveLimit = { 
/**
 * The limit never falls below this, at least 1.
 */
min: number, 
/**
 * Requests at most.
 */
max: number, };
export type HealthCheck = { 
/**
 * What is asked.
 */
probe: HealthProbe, 
/**
 * Between two questions to an endpoint, give or take 15 %.
 */
intervalMs: number, 
/**
 * The same while the service has no traffic.
 */
idleIntervalMs: number, 
/**
 * A later answer counts as a failure.
 */
timeoutMs: number, 
/**
 * Failures in a row until an endpoint is left out, at least 1.
 */
unhealthyAfter: number, 
/**
 * Successes in a row until it is used again, at least 1.
 */
healthyAfter: number, };
export type HealthProbe = { "kind": "http", 
/**
 * Begins with `/`.
 */
path: string, 
/**
 * The Host, or null for the endpoint's own.
 */
host: string | null, } | { "kind": "grpc", 
/**
 * The gRPC service that is asked about; empty: the server as a whole.
 */
service: string, } | { "kind": "tcp" };
export type OutlierDetection = { 
/**
 * Errors in a row until an endpoint is ejected; 0: never for that.
 */
consecutiveErrors: number, 
/**
 * The share of successes below which it is ejected, or null: never for that.
 */
successRate: SuccessRate | null, 
/**
 * How long the first ejection lasts; each further one twice as long.
 */
baseEjectionMs: number, 
/**
 * The longest that an ejection lasts.
 */
maxEjectionMs: number, 
/**
 * Of the service, 0 to 100; beyond it, ejected endpoints are used again.
 */
maxEjectedPercent: number, };
export type SuccessRate = { 
/**
 * Below this an endpoint is ejected, 1 to 100.
 */
percent: number, 
/**
 * The window.
 */
windowMs: number, 
/**
 * Fewer requests in the window say nothing, at least 1.
 */
minRequests: number, };
export type Route = { 
/**
 * The operator's name for it.
 */
name: string, 
/**
 * Indices of the listeners it applies to, ascending.
 */
listeners: Array<number>, 
/**
 * Lower-case host names, `*.` in front for a wildcard; empty: any host.
 */
hostnames: Array<string>, 
/**
 * In the order of the file.
 */
rules: Array<Rule>, };
export type Rule = { 
/**
 * Alternatives; empty: every request.
 */
matches: Array<Match>, 
/**
 * Changes to the request's headers.
 */
requestHeaders: HeaderEdits, 
/**
 * Changes to the response's headers.
 */
responseHeaders: HeaderEdits, 
/**
 * Changes to what is asked for.
 */
rewrite: Rewrite | null, 
/**
 * Answers with a redirect instead of forwarding; `backends` is empty then.
 */
redirect: Redirect | null, 
/**
 * From the request's last byte to the response's head, over all attempts; 0: no limit.
 */
requestTimeoutMs: number, 
/**
 * Bodies, streams and tunnels without a byte either way end after this; 0: no limit.
 */
streamIdleTimeoutMs: number, 
/**
 * The same for one attempt; 0: no limit.
 */
perTryTimeoutMs: number, 
/**
 * When and how often another attempt is made.
 */
retry: Retry, 
/**
 * How many requests pass, or null for any number.
 */
rateLimit: RateLimit | null, 
/**
 * What is done wrong on purpose, or null.
 */
fault: Fault | null, 
/**
 * Where copies go, or null.
 */
mirror: Mirror | null, 
/**
 * Who is turned away last when there is too much to do.
 */
priority: Priority, 
/**
 * Requests with the same key go to the same backend; null: each is drawn anew.
 */
sticky: RequestKey | null, 
/**
 * Where requests go, by weight.
 */
backends: Array<Backend>, };
export type Match = { 
/**
 * On the normalized path, without the query; null: any.
 */
path: PathMatch | null, 
/**
 * The method, as sent (case-sensitive); null: any.
 */
method: string | null, 
/**
 * Exact values; names lower-case.
 */
headers: Array<HeaderMatch>, 
/**
 * Exact values of query parameters.
 */
query: Array<QueryMatch>, 
/**
 * Exact values of cookies; names have a case.
 */
cookies: Array<HeaderMatch>, };
export type PathMatch = { "kind": "exact", 
/**
 * Begins with `/`.
 */
value: string, } | { "kind": "prefix", 
/**
 * Begins with `/`.
 */
value: string, } | { "kind": "regex", 
/**
 * Syntax of the `regex` crate, at most 1024 bytes.
 */
value: string, };
export type HeaderMatch = { 
/**
 * Lower-case.
 */
name: string, 
/**
 * Compared byte by byte.
 */
value: string, };
export type QueryMatch = { 
/**
 * Decoded.
 */
name: string, 
/**
 * Decoded.
 */
value: string, };
export type HeaderEdits = { 
/**
 * Names taken out, lower-case.
 */
remove: Array<string>, 
/**
 * Fields that replace all of that name.
 */
set: Array<HeaderEdit>, 
/**
 * Fields added beside what is there.
 */
add: Array<HeaderEdit>, };
export type HeaderEdit = { 
/**
 * As written to the wire.
 */
name: string, 
/**
 * As written to the wire.
 */
value: string, };
export type Rewrite = { 
/**
 * The new path, or null to keep it.
 */
path: PathEdit | null, 
/**
 * The new Host, or null to keep it.
 */
host: string | null, };
export type PathEdit = { "kind": "full", 
/**
 * Begins with `/`.
 */
value: string, } | { "kind": "replace-prefix", 
/**
 * Begins with `/`.
 */
value: string, };
export type Redirect = { 
/**
 * 301, 302, 303, 307 or 308.
 */
status: number, 
/**
 * `http` or `https`.
 */
scheme: string | null, 
/**
 * The new host, without a port.
 */
host: string | null, 
/**
 * The new port.
 */
port: number | null, 
/**
 * The new path.
 */
path: PathEdit | null, };
export type Retry = { 
/**
 * Attempts after the first, 0 to 10.
 */
attempts: number, 
/**
 * After which failures.
 */
on: Array<RetryOn>, 
/**
 * After which statuses besides, 400 to 599.
 */
statuses: Array<number>, 
/**
 * The longest wait before the first retry; each further one waits up to twice as long, with full jitter.
 */
backoffBaseMs: number, 
/**
 * The longest wait.
 */
backoffMaxMs: number, 
/**
 * How many retries there may be.
 */
budget: RetryBudget, 
/**
 * Requests of any method are retried, even where they may have been seen.
 */
nonIdempotent: boolean, 
/**
 * A second attempt beside a slow first one, or null for none.
 */
hedge: Hedge | null, };
export type RetryBudget = { 
/**
 * Of the requests, 0 to 100.
 */
percent: number, 
/**
 * Always allowed beside them.
 */
minPerSecond: number, };
export type Hedge = { 
/**
 * Slower than this share of requests, 50 to 99.
 */
percentile: number, 
/**
 * How many requests more than without, 1 to 100 percent.
 */
maxPercent: number, };
export type RetryOn = "connect-failure" | "reset" | "gateway-error" | "5xx" | "per-try-timeout" | "grpc-cancelled" | "grpc-deadline-exceeded" | "grpc-resource-exhausted" | "grpc-internal" | "grpc-unavailable";
export type RateLimit = { 
/**
 * The rate per key, 1 to 1,000,000.
 */
requestsPerSecond: number, 
/**
 * How many pass at once from rest, at least 1.
 */
burst: number, 
/**
 * What has a bucket of its own; null: one for all.
 */
key: RequestKey | null, 
/**
 * Keys that have a bucket of their own at a time; further ones share that of requests without a key.
 */
keys: number, };
export type Fault = { 
/**
 * Only for requests with these headers; empty: for all.
 */
headers: Array<HeaderMatch>, 
/**
 * Waits before the request is sent on.
 */
delay: FaultDelay | null, 
/**
 * Answers instead of sending the request on.
 */
abort: FaultAbort | null, 
/**
 * Sends answers on slowly.
 */
bandwidth: FaultBandwidth | null, };
export type FaultDelay = { 
/**
 * The share, 0 to 1,000,000.
 */
perMillion: number, 
/**
 * How long.
 */
durationMs: number, };
export type FaultAbort = { 
/**
 * The share, 0 to 1,000,000.
 */
perMillion: number, 
/**
 * The status, 400 to 599.
 */
status: number, 
/**
 * What gRPC calls get, 1 to 16; null: what the status stands for.
 */
grpcStatus: number | null, };
export type FaultBandwidth = { 
/**
 * The share, 0 to 1,000,000.
 */
perMillion: number, 
/**
 * Bytes of the answer's body per second, at least 1.
 */
bytesPerSecond: number, };
export type Mirror = { 
/**
 * Index into the snapshot's services.
 */
service: number, 
/**
 * Index into the service's subsets, or null for all endpoints.
 */
subset: number | null, 
/**
 * The share in parts per million, 0 to 1,000,000.
 */
perMillion: number, };
export type Priority = "low" | "normal" | "high";
export type Backend = { 
/**
 * Index into the snapshot's services.
 */
service: number, 
/**
 * Index into the service's subsets, or null for all endpoints.
 */
subset: number | null, 
/**
 * Relative share, 0 to 1,000,000; the sum over a rule is above 0.
 */
weight: number, 
/**
 * Its share moves to the others while it has no usable endpoint.
 */
fallback: boolean, };
export type Policy = { 
/**
 * The operator's name for it.
 */
name: string, 
/**
 * Indices of the listeners it guards, ascending, not empty.
 */
listeners: Array<number>, 
/**
 * Allow or deny.
 */
action: Action, 
/**
 * Enforce, or only record.
 */
mode: Mode, 
/**
 * The policy fits a request when one of these does.
 */
rules: Array<PolicyRule>, };
export type Action = "allow" | "deny";
export type Mode = "enforce" | "shadow";
export type PolicyRule = { 
/**
 * SPIFFE IDs, one of which the caller must have. Null: any authenticated caller for allow (any caller where the
 * listener asks for no client certificate), everybody for deny.
 */
from: Array<string> | null, 
/**
 * Methods, case-sensitive; null: any.
 */
methods: Array<string> | null, 
/**
 * On the normalized path; null: any.
 */
paths: Array<PathMatch> | null, };
