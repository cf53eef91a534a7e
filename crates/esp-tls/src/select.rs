//! Which certificate a client gets to see, decided per connection.

use core::fmt;

use crate::alert::AlertCode;
use crate::certified_key::CertifiedKey;
use crate::client_ca::ClientCa;
use crate::hello::ClientHello;

/// Chooses a certificate by what the client says, the counterpart of ESP-IDF's `cert_select_cb`.
///
/// Every `Fn(&ClientHello<'_>) -> Selection` is one, and so is [`SniTable`](crate::SniTable). It
/// runs once per handshake, resumed ones included, on the thread that drives the handshake; that
/// thread's other sessions wait for it.
///
/// ```
/// use esp_tls::{CertifiedKey, ClientHello, Refusal, Selection};
///
/// fn selector(of_gateway: CertifiedKey) -> impl Fn(&ClientHello<'_>) -> Selection {
///     move |hello| match hello.server_name() {
///         Some("gateway.local") => Selection::of(&of_gateway),
///         None => Selection::own(),
///         Some(_) => Selection::refuse(Refusal::UnrecognizedName),
///     }
/// }
/// ```
pub trait SelectCertificate: Send + Sync {
    /// The choice for this client.
    fn select(&self, hello: &ClientHello<'_>) -> Selection;
}

impl<F: Fn(&ClientHello<'_>) -> Selection + Send + Sync> SelectCertificate for F {
    fn select(&self, hello: &ClientHello<'_>) -> Selection {
        self(hello)
    }
}

/// What a client gets to see, and whom it has to show itself to.
///
/// Everything else (protocols, versions, cipher suites, tickets) is the configuration's.
#[derive(Clone, Debug)]
pub struct Selection {
    pub(crate) certificate: Certificate,
    pub(crate) clients: Clients,
}

#[derive(Clone, Debug)]
pub(crate) enum Certificate {
    Own,
    Other(CertifiedKey),
    Refused(Refusal),
}

#[derive(Clone, Debug)]
pub(crate) enum Clients {
    AsConfigured,
    NotAsked,
    VerifiedBy(ClientCa),
}

impl Selection {
    /// The configuration's own certificate. If it has none the handshake fails with
    /// [`TlsErrorKind::NoCertificate`](crate::TlsErrorKind::NoCertificate).
    pub fn own() -> Self {
        Self { certificate: Certificate::Own, clients: Clients::AsConfigured }
    }

    /// This certificate.
    pub fn of(certified: &CertifiedKey) -> Self {
        Self { certificate: Certificate::Other(certified.clone()), clients: Clients::AsConfigured }
    }

    /// None: the client is sent away with the refusal's alert.
    pub fn refuse(refusal: Refusal) -> Self {
        Self { certificate: Certificate::Refused(refusal), clients: Clients::AsConfigured }
    }

    /// The client's certificate is judged by this CA, instead of the configuration's.
    pub fn client_ca(self, client_ca: &ClientCa) -> Self {
        Self { clients: Clients::VerifiedBy(client_ca.clone()), ..self }
    }

    /// The client is asked for no certificate, whatever the configuration says.
    pub fn no_client_ca(self) -> Self {
        Self { clients: Clients::NotAsked, ..self }
    }
}

impl From<CertifiedKey> for Selection {
    fn from(certified: CertifiedKey) -> Self {
        Self::of(&certified)
    }
}

/// Why a client is sent away before the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// Nobody here has this name: alert `unrecognized_name` (RFC 6066, section 3).
    UnrecognizedName,
    /// A name is needed and the client gave none: alert `missing_extension` (RFC 8446, section 9.2).
    MissingName,
    /// Not this client: alert `access_denied`.
    AccessDenied,
}

impl Refusal {
    /// The alert that the client gets.
    pub fn alert(self) -> AlertCode {
        match self {
            Refusal::UnrecognizedName => AlertCode::UNRECOGNIZED_NAME,
            Refusal::MissingName => AlertCode::MISSING_EXTENSION,
            Refusal::AccessDenied => AlertCode::ACCESS_DENIED,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::UnrecognizedName => "there is no server of the name it asked for",
            Refusal::MissingName => "it named no server",
            Refusal::AccessDenied => "access denied",
        })
    }
}
