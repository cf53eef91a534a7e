//! Certificates by host name.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt;

use rustls_pki_types::ServerName;

use crate::config_error::{ConfigError, ConfigProblem, Input};
use crate::hello::ClientHello;
use crate::select::{Refusal, SelectCertificate, Selection};

/// A certificate for each name that a server is known by, chosen by what the client asks for (SNI).
///
/// An entry is a host name, or a wildcard that stands for exactly one label in front: `*.example.org`
/// is the entry for `www.example.org`, and for neither `example.org` nor `a.b.example.org`
/// (RFC 6125, section 6.4.3). An exact name goes before a wildcard, and case doesn't matter. For all
/// else there is the default entry; without one such a client is refused.
///
/// ```no_run
/// use esp_tls::{CertifiedKey, SniTable, SystemClock, TlsConfig};
///
/// # fn demo(gateway: CertifiedKey, devices: CertifiedKey) -> Result<(), esp_tls::ConfigError> {
/// let names = SniTable::new()
///     .entry("gateway.local", gateway)?
///     .entry("*.devices.local", devices)?;
/// let config = TlsConfig::from_selector(names, SystemClock)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct SniTable {
    exact: BTreeMap<String, Selection>,
    /// By what follows the first label, `example.org`.
    wildcards: BTreeMap<String, Selection>,
    default: Option<Selection>,
}

impl SniTable {
    /// A table without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// What clients get that ask for `name`: a [`CertifiedKey`](crate::CertifiedKey), or a
    /// [`Selection`] if it should also say which client CA is theirs.
    ///
    /// An entry replaces an earlier one of the same name.
    ///
    /// # Errors
    ///
    /// `name` is no host name (an address isn't one), or has a `*` elsewhere than as its first label.
    pub fn entry(
        mut self,
        name: &str,
        selection: impl Into<Selection>,
    ) -> Result<Self, ConfigError> {
        let (entries, name) = match name.strip_prefix("*.") {
            Some(parent) => (&mut self.wildcards, parent),
            None => (&mut self.exact, name),
        };
        entries.insert(host_name(name)?, selection.into());
        Ok(self)
    }

    /// What clients get that ask for a name without an entry, or for none.
    pub fn default_entry(self, selection: impl Into<Selection>) -> Self {
        Self { default: Some(selection.into()), ..self }
    }

    fn find(&self, name: &str) -> Option<&Selection> {
        let by_wildcard = || {
            let (_label, parent) = name.split_once('.')?;
            self.wildcards.get(parent)
        };
        self.exact.get(name).or_else(by_wildcard)
    }
}

impl SelectCertificate for SniTable {
    fn select(&self, hello: &ClientHello<'_>) -> Selection {
        let (found, refusal) = match hello.server_name() {
            Some(name) => (self.find(name), Refusal::UnrecognizedName),
            None => (None, Refusal::MissingName),
        };
        match found.or(self.default.as_ref()) {
            Some(selection) => selection.clone(),
            None => Selection::refuse(refusal),
        }
    }
}

impl fmt::Debug for SniTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wildcards = self.wildcards.keys().map(|parent| alloc::format!("*.{parent}"));
        f.debug_list()
            .entries(self.exact.keys())
            .entries(wildcards)
            .entries(self.default.iter().map(|_| "default"))
            .finish()
    }
}

/// In the form in which clients' names are compared.
fn host_name(name: &str) -> Result<String, ConfigError> {
    match ServerName::try_from(name) {
        Ok(ServerName::DnsName(name)) => Ok(name.as_ref().to_ascii_lowercase()),
        _ => Err(ConfigError {
            input: Input::ServerName,
            problem: ConfigProblem::NotAHostName(name.into()),
        }),
    }
}
