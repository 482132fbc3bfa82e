//! Which Hosts name this very machine.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether a Host means loopback without asking anyone: `localhost`, an address in 127.0.0.0/8, or `[::1]`, with any
/// port or none. Names below `localhost` are refused: not every resolver keeps them on the machine, and nobody needs
/// them here. An address must be written in its plain form, as `127.1` and the like are what look-alikes are made of.
pub(super) fn is_loopback(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else {
        return false;
    };
    if let Some(bracketed) = host.strip_prefix('[') {
        let Some((address, port)) = bracketed.split_once(']') else {
            return false;
        };
        let address = address.parse::<Ipv6Addr>();
        return is_port(port) && address.is_ok_and(|address| address.to_canonical().is_loopback());
    }
    let (name, port) = host.find(':').map_or((host, ""), |colon| host.split_at(colon));
    let name = name.strip_suffix('.').unwrap_or(name);
    let loopback =
        name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
    loopback && is_port(port)
}

/// Nothing, or a colon and digits that are a port; RFC 3986 section 3.2.3 allows no digits at all.
fn is_port(text: &str) -> bool {
    let Some(digits) = text.strip_prefix(':') else {
        return text.is_empty();
    };
    digits.is_empty() || (digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_nothing_that_looks_like_it() {
        let ours = [
            "localhost",
            "LocalHost",
            "localhost.",
            "localhost:18900",
            "localhost:",
            "127.0.0.1",
            "127.0.0.1:1",
            "127.255.255.254:65535",
            "127.0.0.1.",
            "[::1]",
            "[::1]:18900",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]:80",
        ];
        for host in ours {
            assert!(is_loopback(host.as_bytes()), "{host:?} is loopback");
        }
        let others = [
            "",
            ".",
            ":80",
            "localhost..",
            "localhost.example",
            "x.localhost",
            "notlocalhost",
            "localhost:x",
            "localhost:99999",
            "localhost:-1",
            "localhost:+80",
            "localhost:80:80",
            "localhost@evil.test",
            "evil.test",
            "evil.test:80",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "127.0.0.01",
            "127.0.0.1.evil.test",
            "127.0.0.1:80.evil.test",
            "128.0.0.1",
            "0.0.0.0",
            "10.0.0.1",
            "::1",
            "[::1",
            "[::1]x",
            "[::1].evil.test",
            "[::]",
            "[::2]",
            "[::1%lo]",
            "[::ffff:10.0.0.1]",
            "[]",
            "[127.0.0.1]",
            " localhost",
            "localhost ",
            "localhost\t",
            "localhost/",
            "localhost\0",
            "127.0.0.1\u{2024}",
        ];
        for host in others {
            assert!(!is_loopback(host.as_bytes()), "{host:?} is not loopback");
        }
        assert!(!is_loopback(b"localhost\xff"));
    }
}
