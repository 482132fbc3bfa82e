//! The same handshakes against OpenSSL's client, over a real socket.

use super::pki::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tulle_proxy::tls::{ServerTls, Session, TlsError};

/// A port below the range that outgoing connections take.
fn listen() -> TcpListener {
    let start = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    (start..32_000).find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).expect("a free port")
}

/// Serves one connection: reads a line, answers `hello NAME`, closes.
fn serve(session: Session, socket: &mut TcpStream) -> Result<Session, TlsError> {
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut end = End::new(session);
    let mut buffer = [0; 4096];
    loop {
        let count = socket.read(&mut buffer).unwrap_or(0);
        if count == 0 {
            return Ok(end.session);
        }
        end.incoming.extend_from_slice(&buffer[..count]);
        let mut out = Vec::new();
        let result = end.take_in(usize::MAX, &mut out);
        if result.is_ok() && end.plain.ends_with(b"\n") {
            end.session.send(&[b"hello ", &end.plain], &mut out).unwrap();
            end.session.close(&mut out);
            end.plain.clear();
        }
        socket.write_all(&out).unwrap();
        result?;
    }
}

fn s_client(tls: &ServerTls, arguments: &[&str]) -> (Output, Result<Session, TlsError>) {
    let listener = listen();
    let address = listener.local_addr().unwrap().to_string();
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-brief", "-ign_eof"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is needed for this test");
    child.stdin.take().unwrap().write_all(b"openssl\n").unwrap();
    let session = tls.session().unwrap();
    let (mut socket, _) = listener.accept().unwrap();
    let result = serve(session, &mut socket);
    drop(socket);
    (child.wait_with_output().unwrap(), result)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// OpenSSL looks at the real clock.
fn today(mut params: rcgen::CertificateParams) -> rcgen::CertificateParams {
    params.not_before = at(1_600_000_000);
    params.not_after = at(4_000_000_000);
    params
}

#[test]
fn openssl_connects() {
    let (dir, time) = (Dir::new(), Time::new());
    let ca = Ca::from_params(today(ca_params("root")));
    let bundle = dir.write("ca.crt", &ca.pem);
    let edge = dir.pair("edge", &ca.leaf(today(dns_params(&["edge.test"]))));
    let other = dir.pair("other", &ca.leaf(today(dns_params(&["other.test"]))));
    let tls = server(&simple_listener(vec![edge, other]), &time);
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let strict = [
            version,
            "-servername",
            "other.test",
            "-verify_hostname",
            "other.test",
            "-CAfile",
            &bundle,
            "-verify_return_error",
            "-alpn",
            "h2,http/1.1",
        ];
        let (output, session) = s_client(&tls, &strict);
        let said = text(&output);
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains("hello openssl") && said.contains(name) && said.contains("Verification: OK"),
            "{said}"
        );
        let session = session.unwrap();
        assert_eq!((session.sni(), session.alpn()), (Some("other.test"), Some(b"http/1.1".as_slice())));
    }
}

#[test]
fn openssl_is_let_in_with_an_identity_only() {
    let (dir, time) = (Dir::new(), Time::new());
    let ca = Ca::from_params(today(ca_params("root")));
    let bundle = dir.write("ca.crt", &ca.pem);
    let reviews = dir.pair("reviews", &ca.leaf(today(svid_params(REVIEWS))));
    let tls = server(&mutual_listener(reviews, bundle.clone()), &time);
    let web = dir.pair("web", &ca.leaf(today(svid_params(WEB))));
    let shown = ["-cert", &web.cert, "-key", &web.key, "-CAfile", &bundle, "-verify_return_error"];
    let (output, session) = s_client(&tls, &shown);
    assert!(text(&output).contains("hello openssl"), "{}", text(&output));
    assert_eq!(session.unwrap().peer().unwrap().spiffe.as_str(), WEB);

    let (output, session) = s_client(&tls, &["-CAfile", &bundle]);
    assert!(!text(&output).contains("hello"), "{}", text(&output));
    assert_eq!(session.unwrap_err().reason(), "no_certificate");

    let stranger = Ca::from_params(today(ca_params("stranger")));
    let web = dir.pair("stranger", &stranger.leaf(today(svid_params(WEB))));
    let (output, session) = s_client(&tls, &["-cert", &web.cert, "-key", &web.key, "-CAfile", &bundle]);
    assert!(!text(&output).contains("hello"), "{}", text(&output));
    assert_eq!(session.unwrap_err().reason(), "unknown_issuer");
}
