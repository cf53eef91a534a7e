//! Who vouches for clients, as rustls wants it.

use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{Error, RootCertStore};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};

use super::provider::{provider, sha256};
use crate::client_ca::{ClientAuth, ExpiredCrl};
use crate::config_error::{ConfigError, ConfigProblem, Input};
use crate::resumption::Binding;

#[derive(Clone)]
pub(crate) struct ClientVerifier {
    roots: Arc<RootCertStore>,
    client_auth: ClientAuth,
    verifier: Arc<dyn ClientCertVerifier>,
    ca_digest: [u8; 32],
}

impl ClientVerifier {
    pub(crate) fn new(
        anchors: Vec<CertificateDer<'static>>,
        client_auth: ClientAuth,
    ) -> Result<Self, ConfigError> {
        let ca_digest = digest_of_set(anchors.iter().map(|anchor| anchor.as_ref()));
        let mut roots = RootCertStore::empty();
        for anchor in anchors {
            roots.add(anchor).map_err(|error| ConfigError {
                input: Input::ClientCa,
                problem: ConfigProblem::UnusableCa(error.to_string()),
            })?;
        }
        Self::build(Arc::new(roots), client_auth, ca_digest, None)
    }

    pub(crate) fn with_crls(
        self,
        crls: Vec<CertificateRevocationListDer<'static>>,
        expired: ExpiredCrl,
    ) -> Result<Self, ConfigError> {
        Self::build(self.roots, self.client_auth, self.ca_digest, Some((crls, expired)))
    }

    fn build(
        roots: Arc<RootCertStore>,
        client_auth: ClientAuth,
        ca_digest: [u8; 32],
        crls: Option<(Vec<CertificateRevocationListDer<'static>>, ExpiredCrl)>,
    ) -> Result<Self, ConfigError> {
        let mut builder =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider()));
        if client_auth == ClientAuth::Optional {
            builder = builder.allow_unauthenticated();
        }
        if let Some((crls, expired)) = crls {
            builder = builder.with_crls(crls);
            if expired == ExpiredCrl::Refuse {
                builder = builder.enforce_revocation_expiration();
            }
        }
        let verifier = builder.build().map_err(|error| match error {
            VerifierBuilderError::InvalidCrl(error) => ConfigError {
                input: Input::Crl,
                problem: ConfigProblem::UnusableCrl(format!("{error:?}")),
            },
            error => ConfigError {
                input: Input::ClientCa,
                problem: ConfigProblem::UnusableCa(error.to_string()),
            },
        })?;
        Ok(Self { roots, client_auth, verifier, ca_digest })
    }

    pub(super) fn verifier(&self) -> &Arc<dyn ClientCertVerifier> {
        &self.verifier
    }

    /// What sessions may be resumed under. CRLs are no part of it: they change often, and the
    /// certificate of a resumed session is verified again anyway.
    pub(super) fn binding(&self) -> Binding {
        let mode = match self.client_auth {
            ClientAuth::Required => 1,
            ClientAuth::Optional => 2,
        };
        sha256(&[&[mode], &self.ca_digest[..]].concat())
    }

    /// Judges what a client presented, or nothing.
    pub(super) fn verify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
        match chain {
            [leaf, intermediates @ ..] => {
                self.verifier.verify_client_cert(leaf, intermediates, now).map(|_| ())
            }
            [] if self.client_auth == ClientAuth::Optional => Ok(()),
            [] => Err(Error::NoCertificatesPresented),
        }
    }
}

impl fmt::Debug for ClientVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCa")
            .field("anchors", &self.roots.len())
            .field("client_auth", &self.client_auth)
            .finish_non_exhaustive()
    }
}

/// The same for the same set, in whatever order its members were given.
fn digest_of_set<'a>(members: impl Iterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut digests: Vec<[u8; 32]> = members.map(sha256).collect();
    digests.sort_unstable();
    digests.dedup();
    sha256(&digests.concat())
}
