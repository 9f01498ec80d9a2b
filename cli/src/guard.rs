//! Which requests are answered: whoever reaches the port drives the robot, and every page in a browser on this machine
//! can reach the port.

use axum::http::{HeaderMap, Method, header};

/// Why a request is not passed on, in words; none when it is.
///
/// A browser sends requests of any page to `localhost`. A page that made its own name point here (DNS rebinding) is
/// known by its `Host`, a page of another site by its `Origin` or `Sec-Fetch-Site`. Programs send none of the latter.
pub(crate) fn objection(
    method: &Method,
    headers: &HeaderMap,
    local_only: bool,
) -> Option<&'static str> {
    let of = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = of(header::HOST.as_str()).map(hostname);
    if local_only && host.is_some_and(|host| !is_local(host)) {
        return Some(
            "this rover is served under the names of this machine only: use http://localhost, or --bind",
        );
    }
    let other = "a page of another origin must not drive this rover: call it from a program";
    if let Some(origin) = of(header::ORIGIN.as_str()) {
        let name = hostname(origin.split_once("://").map_or("", |(_, rest)| rest));
        let own = is_local(name) || (!local_only && !name.is_empty() && host == Some(name));
        if !own {
            return Some(other);
        }
    }
    // Following a link to the page is no harm.
    let follows = *method == Method::GET && of("sec-fetch-mode") == Some("navigate");
    (of("sec-fetch-site") == Some("cross-site") && !follows).then_some(other)
}

/// The host of `host:port`, with the brackets of an IPv6 address.
fn hostname(authority: &str) -> &str {
    match authority.find(']') {
        Some(end) => authority.get(..=end).unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

fn is_local(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost"
        || name.ends_with(".localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn objects(headers: &[(&'static str, &'static str)], local_only: bool) -> bool {
        let pairs = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        objection(&Method::POST, &pairs.collect(), local_only).is_some()
    }

    #[test]
    fn programs_and_own_pages_pass() {
        for headers in [
            &[][..],
            &[("host", "localhost:8000")],
            &[("host", "127.0.0.1:8000"), ("origin", "http://localhost:3000")],
            &[("host", "[::1]:8000"), ("sec-fetch-site", "same-origin")],
        ] {
            assert!(!objects(headers, true), "{headers:?}");
        }
        assert!(!objects(
            &[("host", "rover.lan:8000"), ("origin", "http://rover.lan:8000")],
            false
        ));
    }

    #[test]
    fn other_names_and_other_pages_do_not() {
        for headers in [
            &[("host", "evil.example:8000")][..],
            &[("host", "127.0.0.1.evil.example")],
            &[("host", "localhost:8000"), ("origin", "https://evil.example")],
            &[("host", "localhost:8000"), ("origin", "null")],
            &[("host", "localhost:8000"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(objects(headers, true), "{headers:?}");
        }
        assert!(objects(&[("host", "rover.lan"), ("origin", "http://evil.example")], false));
    }
}
