//! Cookies of a request (RFC 6265 section 4.2): read where a rule asks for one, never changed.

/// The value of the first cookie of this name within one `Cookie` field.
#[must_use]
pub fn cookie_in<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    line.split(|byte| *byte == b';').find_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name)?;
        value.strip_prefix(b"=")
    })
}

#[cfg(test)]
mod tests {
    use super::cookie_in;

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let cases: &[(&str, &str, Option<&str>)] = &[
            ("a=1", "a", Some("1")),
            ("a=1; b=2", "b", Some("2")),
            ("a=1;b=2", "b", Some("2")),
            ("ab=1; b=2", "b", Some("2")),
            ("A=1", "a", None),
            ("a", "a", None),
            ("a=", "a", Some("")),
            ("a=x=y", "a", Some("x=y")),
            ("a=\"q\"", "a", Some("\"q\"")),
            ("a=1; a=2", "a", Some("1")),
            ("", "a", None),
            (" ; ; a=1 ", "a", Some("1")),
        ];
        for (line, name, expected) in cases {
            let found = cookie_in(line.as_bytes(), name.as_bytes());
            assert_eq!(found, expected.map(str::as_bytes), "{name} in {line:?}");
        }
    }
}
