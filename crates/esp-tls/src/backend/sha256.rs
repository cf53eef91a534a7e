//! SHA-256, and HMAC and HKDF with it, for the suites of aws-lc.
//!
//! A handshake hashes some sixty messages of a few bytes. For each, aws-lc sets up contexts that take
//! longer than the hash itself, most of them on the heap. Here they are values, and a key that is used
//! several times is prepared once.

use alloc::boxed::Box;

use hmac::{Hmac, KeyInit, Mac};
use rustls::crypto::tls12::PrfUsingHmac;
use rustls::crypto::tls13::{Hkdf, HkdfExpander, OkmBlock, OutputLengthError};
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
                    hkdf_provider: &HkdfSha256,
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
        Box::new(Key::new(key))
    }

    fn hash_output_len(&self) -> usize {
        HASH_LEN
    }
}

/// A key of HMAC-SHA-256, ready for any number of messages.
struct Key(Hmac<Sha256>);

impl Key {
    fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    /// The tag of the message that these parts make.
    fn tag<'m>(&self, message: impl IntoIterator<Item = &'m [u8]>) -> Zeroizing<[u8; HASH_LEN]> {
        let mut mac = self.0.clone();
        message.into_iter().for_each(|part| mac.update(part));
        Zeroizing::new(mac.finalize().into_bytes().into())
    }

    /// HKDF-Extract (RFC 5869, section 2.2), and the key that is expanded with what it gives.
    fn extracted(salt: Option<&[u8]>, secret: &[u8]) -> Self {
        let random_key = Self::new(salt.unwrap_or(&[0; HASH_LEN])).tag([secret]);
        Self::new(&*random_key)
    }
}

impl crypto::hmac::Key for Key {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> crypto::hmac::Tag {
        let message = [first].into_iter().chain(middle.iter().copied()).chain([last]);
        crypto::hmac::Tag::new(&*self.tag(message))
    }

    fn tag_len(&self) -> usize {
        HASH_LEN
    }
}

struct HkdfSha256;

impl Hkdf for HkdfSha256 {
    fn extract_from_zero_ikm(&self, salt: Option<&[u8]>) -> Box<dyn HkdfExpander> {
        Box::new(Key::extracted(salt, &[0; HASH_LEN]))
    }

    fn extract_from_secret(&self, salt: Option<&[u8]>, secret: &[u8]) -> Box<dyn HkdfExpander> {
        Box::new(Key::extracted(salt, secret))
    }

    fn expander_for_okm(&self, okm: &OkmBlock) -> Box<dyn HkdfExpander> {
        Box::new(Key::new(okm.as_ref()))
    }

    fn hmac_sign(&self, key: &OkmBlock, message: &[u8]) -> crypto::hmac::Tag {
        crypto::hmac::Tag::new(&*Key::new(key.as_ref()).tag([message]))
    }
}

/// HKDF-Expand (RFC 5869, section 2.3).
impl HkdfExpander for Key {
    fn expand_slice(&self, info: &[&[u8]], output: &mut [u8]) -> Result<(), OutputLengthError> {
        if output.len() > HASH_LEN * usize::from(u8::MAX) {
            return Err(OutputLengthError);
        }
        let mut before: Option<Zeroizing<[u8; HASH_LEN]>> = None;
        for (number, piece) in (1..=u8::MAX).zip(output.chunks_mut(HASH_LEN)) {
            let first = before.as_ref().map_or(&[][..], |block| &block[..]);
            let message = [first].into_iter().chain(info.iter().copied());
            let block = self.tag(message.chain([&[number][..]]));
            piece.copy_from_slice(&block[..piece.len()]);
            before = Some(block);
        }
        Ok(())
    }

    fn expand_block(&self, info: &[&[u8]]) -> OkmBlock {
        OkmBlock::new(&*self.tag(info.iter().copied().chain([&[1][..]])))
    }

    fn hash_len(&self) -> usize {
        HASH_LEN
    }
}

#[cfg(test)]
mod tests;
