//! Records sealed and opened where they lie, by the ciphers of aws-lc or ring, without an allocation.

use alloc::vec::Vec;

use rustls::crypto::cipher::{Iv, Nonce};
use rustls::{ConnectionTrafficSecrets, Error, PeerMisbehaved, Tls13CipherSuite};

#[cfg(feature = "aws-lc-rs")]
use aws_lc_rs::aead;
#[cfg(not(feature = "aws-lc-rs"))]
use ring::aead;

use super::{APPLICATION_DATA, HEADER_LEN, Opened, Sequence, TAG_LEN};
use crate::backend::MAX_FRAGMENT_LEN;

pub(super) struct Sealer(Key);

impl Sealer {
    pub(super) fn new(
        _suite: &'static Tls13CipherSuite,
        secrets: ConnectionTrafficSecrets,
        sequence: u64,
    ) -> Result<Self, Error> {
        Key::new(secrets, sequence).map(Self)
    }

    /// How many records this key has sealed.
    pub(super) fn sealed(&self) -> u64 {
        self.0.sequence.0
    }

    /// Appends a record with `content`, which is no longer than a record may be.
    pub(super) fn seal(
        &mut self,
        content_type: u8,
        content: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let nonce = self.0.nonce()?;
        let header = header(content.len() + 1 + TAG_LEN);
        out.reserve(HEADER_LEN + content.len() + 1 + TAG_LEN);
        let start = out.len();
        out.extend_from_slice(&header);
        out.extend_from_slice(content);
        out.push(content_type);
        let sealed = self.0.key.seal_in_place_separate_tag(
            nonce,
            aead::Aad::from(header),
            &mut out[start + HEADER_LEN..],
        );
        match sealed {
            Ok(tag) => {
                out.extend_from_slice(tag.as_ref());
                Ok(())
            }
            Err(_) => {
                // What isn't sealed must not leave.
                out.truncate(start);
                Err(Error::EncryptError)
            }
        }
    }
}

pub(super) struct Opener(Key);

impl Opener {
    pub(super) fn new(
        _suite: &'static Tls13CipherSuite,
        secrets: ConnectionTrafficSecrets,
        sequence: u64,
    ) -> Result<Self, Error> {
        Key::new(secrets, sequence).map(Self)
    }

    /// Opens the record whose ciphertext is `payload`, which is scratch if that fails.
    pub(super) fn open<'r>(&mut self, payload: &'r mut [u8]) -> Result<Opened<'r>, Error> {
        let nonce = self.0.nonce()?;
        let aad = aead::Aad::from(header(payload.len()));
        let opened = self.0.key.open_in_place(nonce, aad, payload);
        let plain: &[u8] = opened.map_err(|_| Error::DecryptError)?;
        if plain.len() > MAX_FRAGMENT_LEN + 1 {
            return Err(Error::PeerSentOversizedRecord);
        }
        // Zeros behind the type are padding.
        let padding_len = plain.iter().rev().take_while(|byte| **byte == 0).count();
        match plain[..plain.len() - padding_len].split_last() {
            Some((content_type, content)) => Ok(Opened { content_type: *content_type, content }),
            None => Err(PeerMisbehaved::IllegalTlsInnerPlaintext.into()),
        }
    }
}

/// The header of a record whose ciphertext has `len` bytes; it is authenticated with it.
fn header(len: usize) -> [u8; HEADER_LEN] {
    let [.., high, low] = len.to_be_bytes();
    [APPLICATION_DATA, 3, 3, high, low]
}

/// One direction's key.
struct Key {
    key: aead::LessSafeKey,
    iv: Iv,
    sequence: Sequence,
}

impl Key {
    fn new(secrets: ConnectionTrafficSecrets, sequence: u64) -> Result<Self, Error> {
        let (algorithm, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&aead::AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&aead::AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (&aead::CHACHA20_POLY1305, key, iv)
            }
            _ => return Err(super::unknown_cipher()),
        };
        let key = aead::UnboundKey::new(algorithm, key.as_ref())
            .map_err(|_| Error::General("a key of another length than its cipher's".into()))?;
        Ok(Self { key: aead::LessSafeKey::new(key), iv, sequence: Sequence(sequence) })
    }

    /// The next one; none comes twice.
    fn nonce(&mut self) -> Result<aead::Nonce, Error> {
        let number = self.sequence.advance()?;
        Ok(aead::Nonce::assume_unique_for_key(Nonce::new(&self.iv, number).0))
    }
}
