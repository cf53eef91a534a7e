//! From HTTP to HTTPS: a server that knows one answer.

use alloc::string::String;
use alloc::vec::Vec;

use esp_http_server::{Error, HttpConfig, Request, Result, ServerBuilder, Status};

/// What [`HttpsServer::redirect`](crate::HttpsServer::redirect) is told.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// The plain HTTP server: where it listens (port 80 by default), its limits and timeouts. It keeps
    /// no session for long: by default one worker, 128 sockets, and 10 s without a request.
    pub httpd: HttpConfig,
    /// The port of the HTTPS server. Default 443, which URIs then don't name.
    pub https_port: u16,
    /// The names and addresses, without a port, under which the HTTPS server is reached. Clients that
    /// ask for another are answered with 421, and those that ask for none are sent to the first.
    ///
    /// Empty, which is the default, means that a client is sent to the host that it has asked for, if
    /// that has the form of one.
    pub hosts: Vec<String>,
}

impl Default for Redirect {
    fn default() -> Self {
        let httpd = HttpConfig {
            workers: 1,
            max_open_sockets: 128,
            idle_timeout: core::time::Duration::from_secs(10),
            ..HttpConfig::default()
        };
        Self { httpd, https_port: 443, hosts: Vec::new() }
    }
}

impl Redirect {
    /// A server that answers everything that has no handler of its own with the redirect.
    pub(crate) fn into_builder(self) -> ServerBuilder<HttpConfig> {
        let Self { httpd, https_port, hosts } = self;
        let target = Target { https_port, hosts };
        ServerBuilder::new(httpd).any("*", move |req: &mut Request<'_>| target.answer(req))
    }
}

/// Where clients are sent.
struct Target {
    https_port: u16,
    hosts: Vec<String>,
}

impl Target {
    /// 308, so that a POST stays one (RFC 9110, section 15.4.9).
    fn answer(&self, req: &mut Request<'_>) -> Result {
        // RFC 9110, section 7.1: OPTIONS * asks the server itself. It is the same there.
        let path = if req.path() == "*" { "/" } else { req.path() };
        let mut location = self.origin(req.authority())?;
        location.push_str(path);
        if let Some(query) = req.query() {
            location.push('?');
            location.push_str(query);
        }
        req.respond().redirect(Status::PERMANENT_REDIRECT, &location)
    }

    /// `https://host[:port]` for a client that has asked for this authority.
    fn origin(&self, authority: Option<&str>) -> Result<String> {
        let host = match (authority.map(without_port), self.hosts.first()) {
            (Some(host), Some(_)) => self.known(host)?,
            (Some(host), None) => host,
            (None, Some(first)) => first,
            (None, None) => {
                let why = "this server speaks HTTPS only, and you have named no host";
                return Err(Error::Refused(Status::BAD_REQUEST, why.into()));
            }
        };
        // The general form of a host allows what no name has, and what some clients read differently.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        if !host.bytes().all(is_plain) {
            return Err(Error::Refused(Status::BAD_REQUEST, "this is no name of a host".into()));
        }
        Ok(match self.https_port {
            443 => alloc::format!("https://{host}"),
            port => alloc::format!("https://{host}:{port}"),
        })
    }

    fn known(&self, host: &str) -> Result<&str> {
        let named = host.strip_suffix('.').unwrap_or(host);
        let mut known = self.hosts.iter();
        match known.find(|known| known.eq_ignore_ascii_case(named)) {
            Some(known) => Ok(known),
            None => {
                let why = "no such host here".into();
                Err(Error::Refused(Status::MISDIRECTED_REQUEST, why))
            }
        }
    }
}

/// The host of an authority, whose form was checked with the head (RFC 3986, section 3.2).
fn without_port(authority: &str) -> &str {
    match (authority.rfind(':'), authority.rfind(']')) {
        (Some(colon), Some(bracket)) if colon < bracket => authority,
        (Some(colon), _) => &authority[..colon],
        (None, _) => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn to(https_port: u16, hosts: &[&str]) -> Target {
        Target { https_port, hosts: hosts.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn a_client_is_sent_to_the_host_that_it_has_asked_for() {
        for (authority, origin) in [
            ("gateway.local", "https://gateway.local"),
            ("gateway.local:80", "https://gateway.local"),
            ("gateway.local:", "https://gateway.local"),
            ("192.0.2.1:8080", "https://192.0.2.1"),
            ("[2001:db8::1]", "https://[2001:db8::1]"),
            ("[2001:db8::1]:80", "https://[2001:db8::1]"),
        ] {
            assert_eq!(to(443, &[]).origin(Some(authority)).unwrap(), origin);
        }
        assert_eq!(to(8443, &[]).origin(Some("a:80")).unwrap(), "https://a:8443");
        assert_eq!(to(8443, &[]).origin(Some("[::1]:80")).unwrap(), "https://[::1]:8443");
    }

    #[test]
    fn what_some_clients_may_read_as_another_host_is_refused() {
        for host in ["a%2eb", "a;b", "user&b", "a!b", "a$b", "a'b", "a(b)", "a=b", "a+b", "~a"] {
            let error = to(443, &[]).origin(Some(host)).unwrap_err();
            assert!(matches!(error, Error::Refused(Status::BAD_REQUEST, _)), "{host}");
        }
        assert!(to(443, &[]).origin(None).is_err());
    }

    #[test]
    fn with_a_list_nobody_is_sent_elsewhere() {
        let target = to(443, &["gateway.local", "192.0.2.1"]);
        assert_eq!(target.origin(Some("GATEWAY.local.:80")).unwrap(), "https://gateway.local");
        assert_eq!(target.origin(Some("192.0.2.1")).unwrap(), "https://192.0.2.1");
        assert_eq!(target.origin(None).unwrap(), "https://gateway.local");
        let error = target.origin(Some("evil.example")).unwrap_err();
        assert!(matches!(error, Error::Refused(Status::MISDIRECTED_REQUEST, _)));
    }
}
