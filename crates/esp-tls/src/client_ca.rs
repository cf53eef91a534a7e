//! Who vouches for clients: the CAs, whether a certificate is needed, and what was revoked.

use alloc::vec::Vec;
use core::fmt;

use rustls_pki_types::CertificateRevocationListDer;

use crate::backend::{self, ClientVerifier};
use crate::clock::Clock;
#[cfg(feature = "std")]
use crate::clock::SystemClock;
use crate::config_error::{ConfigError, Input};
use crate::credentials;

/// What a client without a certificate may expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientAuth {
    /// Every client must present a certificate of the client CA.
    Required,
    /// Clients without a certificate are served too; one that is presented must be good.
    Optional,
}

/// What a revocation list means after its `nextUpdate` (RFC 5280, section 5.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExpiredCrl {
    /// Nothing: the clients of its CA are refused until there is a new one, because somebody who
    /// was revoked since then could be among them.
    Refuse,
    /// What it meant before. For devices that may be cut off from the CA for long.
    Accept,
}

/// A set of CAs that issue clients' certificates, with its rules, made once and used by any number
/// of configurations and [`Selection`](crate::Selection)s. Cloning shares everything.
#[derive(Clone)]
pub struct ClientCa {
    verifier: ClientVerifier,
}

impl ClientCa {
    /// One or more CA certificates (PEM or DER), checked against [`SystemClock`].
    ///
    /// Follows `cacert_buf` and `client_cert_authmode_optional`.
    ///
    /// # Errors
    ///
    /// The input is empty, damaged, expired, not valid yet, or no certificate.
    #[cfg(feature = "std")]
    pub fn new(ca: impl AsRef<[u8]>, client_auth: ClientAuth) -> Result<Self, ConfigError> {
        Self::with_clock(ca, client_auth, &SystemClock)
    }

    /// The same as `new`, checked against the time that `clock` tells now.
    ///
    /// # Errors
    ///
    /// As `new`. While the clock doesn't know the time, dates aren't checked.
    pub fn with_clock(
        ca: impl AsRef<[u8]>,
        client_auth: ClientAuth,
        clock: &dyn Clock,
    ) -> Result<Self, ConfigError> {
        let anchors = credentials::certificates(Input::ClientCa, ca.as_ref(), clock)?;
        Ok(Self { verifier: ClientVerifier::new(anchors, client_auth)? })
    }

    /// Refuses clients whose certificates these lists revoke: one or more CRLs, PEM or DER
    /// (RFC 5280, section 5). They replace those given before.
    ///
    /// With CRLs every certificate on the way from the client to the CA is looked up, and one whose
    /// issuer has no list here is refused: give one for each CA and each intermediate. Lists aren't
    /// fetched; bring new ones with [`TlsConfig::reload`](crate::TlsConfig::reload).
    ///
    /// # Errors
    ///
    /// The input is empty, damaged or no CRL; or one has expired, if that matters by `expired`.
    #[cfg(feature = "std")]
    pub fn crls(self, crls: impl AsRef<[u8]>, expired: ExpiredCrl) -> Result<Self, ConfigError> {
        self.crls_with_clock(crls, expired, &SystemClock)
    }

    /// The same as `crls`, checked against the time that `clock` tells now.
    ///
    /// # Errors
    ///
    /// As `crls`. While the clock doesn't know the time, dates aren't checked.
    pub fn crls_with_clock(
        self,
        crls: impl AsRef<[u8]>,
        expired: ExpiredCrl,
        clock: &dyn Clock,
    ) -> Result<Self, ConfigError> {
        let crls: Vec<CertificateRevocationListDer<'static>> =
            credentials::crls(crls.as_ref(), expired, clock)?;
        Ok(Self { verifier: self.verifier.with_crls(crls, expired)? })
    }

    pub(crate) fn verifier(&self) -> &backend::ClientVerifier {
        &self.verifier
    }
}

impl fmt::Debug for ClientCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verifier.fmt(f)
    }
}
