//! A certificate authority for tests, a clock that they move, and two sessions joined in memory.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use time::OffsetDateTime;
use tulle_proxy::tls::{
    ClientTls, Material, ServerTls, Session, Source, TlsConfigError, TlsError, UpstreamTls, WallClock,
};
use tulle_snapshot::wire::{Certificate, ListenerTls, ServiceTls, TlsMode};

/// When the tests take place, Unix seconds.
pub(crate) const T0: u64 = 1_900_000_000;
pub(crate) const DAY: u64 = 86_400;
pub(crate) const WEB: &str = "spiffe://example.test/ns/shop/sa/web";
pub(crate) const REVIEWS: &str = "spiffe://example.test/ns/shop/sa/reviews";

pub(crate) fn at(seconds: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap()).unwrap()
}

/// A clock that stands where it was put.
#[derive(Clone)]
pub(crate) struct Time(Arc<AtomicU64>);

impl Time {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(T0)))
    }
    pub(crate) fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
    pub(crate) fn clock(&self) -> WallClock {
        let time = self.0.clone();
        WallClock::new(move || time.load(Ordering::Relaxed))
    }
}

/// A directory that goes away with its owner.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("tulle-tls-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }
    /// Writes `NAME.crt` and `NAME.key`.
    pub(crate) fn pair(&self, name: &str, leaf: &Leaf) -> Certificate {
        Certificate {
            cert: self.write(&format!("{name}.crt"), &leaf.chain),
            key: self.write(&format!("{name}.key"), &leaf.key),
        }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A chain and its key as PEM.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) chain: String,
    pub(crate) key: String,
    pub(crate) serial: Vec<u8>,
}

/// A CA, root or intermediate.
pub(crate) struct Ca {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
    /// Certificates that leaves send along.
    pub(crate) above: String,
}

pub(crate) fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = at(T0 - 30 * DAY);
    params.not_after = at(T0 + 3650 * DAY);
    params
}

/// A SPIFFE leaf as a mesh makes it.
pub(crate) fn svid_params(id: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = at(T0 - DAY);
    params.not_after = at(T0 + DAY);
    params
}

/// A leaf for DNS names, without an identity.
pub(crate) fn dns_params(names: &[&str]) -> CertificateParams {
    let mut params = svid_params(WEB);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names =
        names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect();
    params
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        Self::from_params(ca_params(name))
    }

    pub(crate) fn from_params(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem, above: String::new() }
    }

    pub(crate) fn intermediate(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        let above = format!("{pem}{}", self.above);
        Self { issuer: Issuer::new(params, key), pem, above }
    }

    pub(crate) fn leaf(&self, mut params: CertificateParams) -> Leaf {
        static SERIAL: AtomicU64 = AtomicU64::new(0x1122_3344_5566_7788);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed).to_be_bytes().to_vec();
        params.serial_number = Some(SerialNumber::from(serial.clone()));
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf { chain: format!("{}{}", certificate.pem(), self.above), key: key.serialize_pem(), serial }
    }

    pub(crate) fn svid(&self, id: &str) -> Leaf {
        self.leaf(svid_params(id))
    }

    /// A revocation list of these serial numbers.
    pub(crate) fn crl(&self, serials: &[&[u8]], next_update: u64) -> String {
        let revoked = |serial: &&[u8]| RevokedCertParams {
            serial_number: SerialNumber::from(serial.to_vec()),
            revocation_time: at(T0 - 60),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: at(T0 - DAY),
            next_update: at(next_update),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

pub(crate) fn simple_listener(certificates: Vec<Certificate>) -> ListenerTls {
    ListenerTls {
        mode: TlsMode::Simple,
        certificates,
        trust_bundle: None,
        trust_domain: None,
        crl: None,
        alpn: vec!["http/1.1".into()],
        tls12: true,
    }
}

pub(crate) fn mutual_listener(identity: Certificate, trust_bundle: String) -> ListenerTls {
    ListenerTls { mode: TlsMode::Mutual, trust_bundle: Some(trust_bundle), ..simple_listener(vec![identity]) }
}

pub(crate) fn simple_service(trust_bundle: &str, server_name: &str) -> UpstreamTls {
    let tls = ServiceTls::Simple {
        server_name: Some(server_name.into()),
        trust_bundle: Some(trust_bundle.into()),
        identity: None,
    };
    UpstreamTls { tls, alpn: vec!["http/1.1".into()] }
}

pub(crate) fn mutual_service(identity: Certificate, trust_bundle: String, expect: &[&str]) -> UpstreamTls {
    let tls = ServiceTls::Mutual {
        identity,
        trust_bundle,
        expect: expect.iter().map(|id| (*id).to_owned()).collect(),
        trust_domain: None,
        crl: None,
    };
    UpstreamTls { tls, alpn: vec!["http/1.1".into()] }
}

/// Builds from files as they are now.
pub(crate) fn build<S: Source>(source: &S, time: &Time) -> Result<S::Built, TlsConfigError> {
    source.build(&Material::read(source.files()), &time.clock())
}

pub(crate) fn server(source: &ListenerTls, time: &Time) -> ServerTls {
    build(source, time).unwrap()
}

pub(crate) fn client(source: &UpstreamTls, time: &Time) -> ClientTls {
    build(source, time).unwrap()
}

/// One end, with the bytes that are on their way to it.
pub(crate) struct End {
    pub(crate) session: Session,
    pub(crate) incoming: Vec<u8>,
    pub(crate) plain: Vec<u8>,
    pub(crate) peer_closed: bool,
}

impl End {
    pub(crate) fn new(session: Session) -> Self {
        Self { session, incoming: Vec::new(), plain: Vec::new(), peer_closed: false }
    }

    /// Takes in what arrived, `chunk` bytes at a time; appends what goes back to `out`.
    pub(crate) fn take_in(&mut self, chunk: usize, out: &mut Vec<u8>) -> Result<(), TlsError> {
        let mut arrived = std::mem::take(&mut self.incoming);
        let mut held = Vec::new();
        while !arrived.is_empty() {
            let rest = arrived.split_off(chunk.min(arrived.len()));
            held.extend_from_slice(&arrived);
            arrived = rest;
            let received = self.session.receive(&mut held, &mut self.plain, out)?;
            held.drain(..received.consumed);
            self.peer_closed |= received.peer_closed;
        }
        self.incoming = held;
        Ok(())
    }
}

/// A client and a server with a wire between them.
pub(crate) struct Pair {
    pub(crate) client: End,
    pub(crate) server: End,
}

/// Who noticed.
#[derive(Debug)]
pub(crate) enum Failure {
    Client(TlsError),
    Server(TlsError),
}

impl Pair {
    pub(crate) fn new(client: Session, server: Session) -> Self {
        Self { client: End::new(client), server: End::new(server) }
    }

    pub(crate) fn between(client: &ClientTls, server: &ServerTls) -> Self {
        Self::new(client.session(Some("localhost")).unwrap(), server.session().unwrap())
    }

    /// Begins, and moves bytes until none are left.
    pub(crate) fn handshake(&mut self) -> Result<(), Failure> {
        let mut out = Vec::new();
        self.client.session.start(&mut out).map_err(Failure::Client)?;
        self.server.incoming.extend(out);
        self.settle(usize::MAX)
    }

    /// Moves bytes both ways until none are left, `chunk` at a time. After a failure the other end hears what it said.
    pub(crate) fn settle(&mut self, chunk: usize) -> Result<(), Failure> {
        let mut held = (0, 0);
        while self.server.incoming.len() > held.0 || self.client.incoming.len() > held.1 {
            let mut out = Vec::new();
            let result = self.server.take_in(chunk, &mut out);
            self.client.incoming.extend(out);
            held.0 = self.server.incoming.len();
            if let Err(error) = result {
                let _ = self.client.take_in(chunk, &mut Vec::new());
                return Err(Failure::Server(error));
            }
            let mut out = Vec::new();
            let result = self.client.take_in(chunk, &mut out);
            self.server.incoming.extend(out);
            held.1 = self.client.incoming.len();
            if let Err(error) = result {
                let _ = self.server.take_in(chunk, &mut Vec::new());
                return Err(Failure::Client(error));
            }
        }
        Ok(())
    }

    pub(crate) fn say_as_client(&mut self, parts: &[&[u8]]) {
        let mut out = Vec::new();
        self.client.session.send(parts, &mut out).unwrap();
        self.server.incoming.extend(out);
    }

    pub(crate) fn say_as_server(&mut self, parts: &[&[u8]]) {
        let mut out = Vec::new();
        self.server.session.send(parts, &mut out).unwrap();
        self.client.incoming.extend(out);
    }
}

/// A folder with what an authority's peers trust, and a clock.
pub(crate) struct World {
    pub(crate) dir: Dir,
    pub(crate) ca: Ca,
    pub(crate) time: Time,
    pub(crate) bundle: String,
}

impl World {
    pub(crate) fn new() -> Self {
        let (dir, ca) = (Dir::new(), Ca::new("root"));
        let bundle = dir.write("ca.crt", &ca.pem);
        Self { dir, ca, time: Time::new(), bundle }
    }
}

/// A client and a server of each mode, which take each other.
pub(crate) struct Modes {
    pub(crate) simple: (ClientTls, ServerTls),
    pub(crate) mesh: (ClientTls, ServerTls),
}

impl Modes {
    pub(crate) fn new() -> Self {
        let World { dir, ca, time, bundle } = World::new();
        let edge = dir.pair("edge", &ca.leaf(dns_params(&["localhost"])));
        let web = dir.pair("web", &ca.svid(WEB));
        let reviews = dir.pair("reviews", &ca.svid(REVIEWS));
        Self {
            simple: (
                client(&simple_service(&bundle, "localhost"), &time),
                server(&simple_listener(vec![edge]), &time),
            ),
            mesh: (
                client(&mutual_service(web, bundle.clone(), &[REVIEWS]), &time),
                server(&mutual_listener(reviews, bundle), &time),
            ),
        }
    }
}
