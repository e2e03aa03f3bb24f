//! Rules for requests: names of this host, origins of pages, a token.
//!
//! A page of any site can make a browser send requests to a loopback address, and a name that resolves to one makes it take
//! the answer for the site's own (DNS rebinding). So a request has to name this host, and to come from a page of its own.

use std::net::IpAddr;

/// Rules about who may ask.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    /// Names of this host, in lower case: as in a URL, IPv6 addresses without brackets.
    names: Vec<String>,
    token: Option<String>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It names another host.
    Host,
    /// It comes from a page of another site.
    Origin,
    /// It has no token.
    NoToken,
    /// It has a wrong token.
    WrongToken,
}

impl Access {
    /// Makes rules for a hub at `address`, which may also be called by `hosts`.
    pub(crate) fn new(address: IpAddr, hosts: &[String], token: Option<String>) -> Self {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        if !address.is_unspecified() {
            names.push(address.to_string());
        }
        names.extend(hosts.iter().map(|host| host.to_ascii_lowercase()));
        Self { names, token }
    }

    /// Checks the headers of a request. `site` is `Sec-Fetch-Site`, and `is_navigation` says that a user follows a link.
    pub(crate) fn check(
        &self,
        host: Option<&[u8]>,
        origin: Option<&[u8]>,
        site: Option<&[u8]>,
        is_navigation: bool,
    ) -> Result<(), Refused> {
        let is_own = |authority: Option<&[u8]>| {
            let name = authority.and_then(|authority| std::str::from_utf8(authority).ok()).and_then(name_of);
            name.is_some_and(|name| self.names.contains(&name))
        };
        if !is_own(host) {
            return Err(Refused::Host);
        }
        if let Some(origin) = origin {
            // With its port, so that another server on this machine is another site.
            let authority = origin.strip_prefix(b"http://").or(origin.strip_prefix(b"https://"));
            if authority.is_none() || authority != host {
                return Err(Refused::Origin);
            }
        }
        if matches!(site, Some(b"cross-site" | b"same-site")) && !is_navigation {
            return Err(Refused::Origin);
        }
        Ok(())
    }

    /// Checks the token in `Authorization`, if this hub has one.
    pub(crate) fn check_token(&self, authorization: Option<&[u8]>) -> Result<(), Refused> {
        let Some(token) = &self.token else { return Ok(()) };
        let given = authorization.ok_or(Refused::NoToken)?;
        let given = credentials(given).ok_or(Refused::WrongToken)?;
        if is_same(&given, token.as_bytes()) { Ok(()) } else { Err(Refused::WrongToken) }
    }

    /// Returns whether this hub has a token.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }
}

/// Returns the name in a host with or without a port, in lower case.
fn name_of(authority: &str) -> Option<String> {
    let name = match authority.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']')?;
            (port.is_empty() || is_port(port.strip_prefix(':')?)).then_some(name)?
        }
        None => match authority.split_once(':') {
            Some((name, port)) => is_port(port).then_some(name)?,
            None => authority,
        },
    };
    Some(name.to_ascii_lowercase())
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the token in `Authorization`: after `Bearer`, or the password after `Basic`, which is what a browser sends.
pub(crate) fn credentials(authorization: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) =
        authorization.split_at_checked(authorization.iter().position(|byte| *byte == b' ')?)?;
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(rest.to_vec());
    }
    let pair = scheme.eq_ignore_ascii_case(b"basic").then(|| base64(rest))??;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair.get(colon + 1..)?.to_vec())
}

/// Decodes base64 (RFC 4648, 4).
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text);
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for byte in group {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = (bits << 6) | u32::from(value);
        }
        let n_bytes = group.len() * 6 / 8;
        bits <<= 6 * (4 - group.len());
        out.extend(bits.to_be_bytes().get(1..=n_bytes)?);
    }
    Some(out)
}

/// Compares in a time that does not tell how much of a guess is right.
fn is_same(given: &[u8], token: &[u8]) -> bool {
    given.len() == token.len()
        && given.iter().zip(token).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, origin: &str, site: &str, expected: Result<(), Refused>) {
        let access = Access::new([192, 168, 1, 7].into(), &["Builds.example".to_owned()], None);
        let given = |text: &'static str| (!text.is_empty()).then_some(text.as_bytes());
        let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        let result = access.check(given(leak(host)), given(leak(origin)), given(leak(site)), false);
        assert_eq!(result, expected, "{host} {origin} {site}");
    }

    #[test]
    fn hosts_and_origins() {
        check("localhost:7766", "", "", Ok(()));
        check("LOCALHOST", "", "none", Ok(()));
        check("[::1]:7766", "http://[::1]:7766", "same-origin", Ok(()));
        check("192.168.1.7:7766", "", "", Ok(()));
        check("builds.example", "https://builds.example", "", Ok(()));
        for host in [
            "",
            "evil.example:7766",
            "localhost.evil.example",
            "localhost:7766.evil.example",
            "localhost:",
            "localhost:+1",
            "127.0.0.1.nip.example",
            "[::1",
            "[::1]x",
            "192.168.1.8",
            "user@localhost",
        ] {
            check(host, "", "", Err(Refused::Host));
        }
        for origin in [
            "null",
            "http://evil.example",
            "http://localhost",
            "http://localhost:8080",
            "file://localhost:7766",
            "https://",
        ] {
            check("localhost:7766", origin, "", Err(Refused::Origin));
        }
        check("localhost:7766", "", "cross-site", Err(Refused::Origin));
        check("localhost:7766", "", "same-site", Err(Refused::Origin));
    }

    #[test]
    fn a_link_of_another_site_may_be_followed() {
        let access = Access::new([127, 0, 0, 1].into(), &[], None);
        assert_eq!(access.check(Some(b"localhost"), None, Some(b"cross-site"), true), Ok(()));
    }

    #[test]
    fn tokens() {
        let access = Access::new([127, 0, 0, 1].into(), &[], Some("se:cret".to_owned()));
        let check = |given: Option<&str>, expected| {
            let result = access.check_token(given.map(str::as_bytes));
            assert_eq!(result, expected, "{given:?}");
        };
        check(None, Err(Refused::NoToken));
        check(Some("Bearer se:cret"), Ok(()));
        check(Some("bearer  se:cret "), Ok(()));
        // `me:se:cret`, `:se:cret`, `me:other`, `mese`
        check(Some("Basic bWU6c2U6Y3JldA=="), Ok(()));
        check(Some("Basic OnNlOmNyZXQ="), Ok(()));
        for wrong in [
            "Basic bWU6b3RoZXI=",
            "Basic bWVzZQ==",
            "Basic !",
            "Bearer",
            "Bearer se:cre",
            "Bearer se:cret2",
            "Digest x",
            "",
        ] {
            check(Some(wrong), Err(Refused::WrongToken));
        }
    }
}
