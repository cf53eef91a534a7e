//! SHA-256, and HMAC and HKDF with it, for the suites of aws-lc.
//!
//! A handshake hashes some sixty messages of a few bytes. For each, aws-lc sets up contexts that take
//! longer than the hash itself, most of them on the heap. Here they are values, and a key that is used
//! several times is prepared once.

use alloc::boxed::Box;

use hmac::{Hmac, KeyInit, Mac};
use rustls::crypto::tls12::PrfUsingHmac;
use rustls::crypto::tls13::HkdfUsingHmac;
use rustls::crypto::{self, CryptoProvider, hash};
use rustls::{CipherSuiteCommon, SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const HASH_LEN: usize = 32;

/// Has the suites that hash with SHA-256 do that here, unless they have to be those of FIPS 140. Called
/// once, as what it makes stays.
pub(super) fn replace_in(provider: &mut CryptoProvider) {
    if provider.fips() {
        return;
    }
    for suite in &mut provider.cipher_suites {
        *suite = match *suite {
            SupportedCipherSuite::Tls13(old) if is_sha256(&old.common) => {
                SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
                    common: with_hash(&old.common),
                    hkdf_provider: &HkdfUsingHmac(&HmacSha256),
                    aead_alg: old.aead_alg,
                    quic: None,
                })))
            }
            SupportedCipherSuite::Tls12(old) if is_sha256(&old.common) => {
                SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
                    common: with_hash(&old.common),
                    prf_provider: &PrfUsingHmac(&HmacSha256),
                    kx: old.kx,
                    sign: old.sign,
                    aead_alg: old.aead_alg,
                })))
            }
            other => other,
        };
    }
}

fn is_sha256(common: &CipherSuiteCommon) -> bool {
    common.hash_provider.algorithm() == hash::HashAlgorithm::SHA256
}

fn with_hash(common: &CipherSuiteCommon) -> CipherSuiteCommon {
    let CipherSuiteCommon { suite, confidentiality_limit, .. } = *common;
    CipherSuiteCommon { suite, hash_provider: &HashSha256, confidentiality_limit }
}

struct HashSha256;

impl hash::Hash for HashSha256 {
    fn start(&self) -> Box<dyn hash::Context> {
        Box::new(Hashing(Sha256::new()))
    }

    fn hash(&self, data: &[u8]) -> hash::Output {
        hash::Output::new(&Sha256::digest(data))
    }

    fn output_len(&self) -> usize {
        HASH_LEN
    }

    fn algorithm(&self) -> hash::HashAlgorithm {
        hash::HashAlgorithm::SHA256
    }
}

struct Hashing(Sha256);

impl hash::Context for Hashing {
    fn fork_finish(&self) -> hash::Output {
        hash::Output::new(&self.0.clone().finalize())
    }

    fn fork(&self) -> Box<dyn hash::Context> {
        Box::new(Hashing(self.0.clone()))
    }

    fn finish(self: Box<Self>) -> hash::Output {
        hash::Output::new(&self.0.finalize())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

struct HmacSha256;

impl crypto::hmac::Hmac for HmacSha256 {
    fn with_key(&self, key: &[u8]) -> Box<dyn crypto::hmac::Key> {
        Box::new(Key(Hmac::new_from_slice(key).expect("HMAC takes keys of any length")))
    }

    fn hash_output_len(&self) -> usize {
        HASH_LEN
    }
}

/// A key of HMAC-SHA-256, ready for any number of messages.
struct Key(Hmac<Sha256>);

impl crypto::hmac::Key for Key {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> crypto::hmac::Tag {
        let mut mac = self.0.clone();
        mac.update(first);
        middle.iter().for_each(|part| mac.update(part));
        mac.update(last);
        let tag = Zeroizing::new(<[u8; HASH_LEN]>::from(mac.finalize().into_bytes()));
        crypto::hmac::Tag::new(&*tag)
    }

    fn tag_len(&self) -> usize {
        HASH_LEN
    }
}

#[cfg(test)]
mod tests;
