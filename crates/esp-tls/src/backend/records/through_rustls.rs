//! Records sealed and opened by the ciphers that a provider has for rustls, which makes a `Vec` of
//! each record that is sealed.

use alloc::boxed::Box;
use alloc::vec::Vec;

use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, Iv, MessageDecrypter, MessageEncrypter, OutboundChunks,
    OutboundPlainMessage,
};
use rustls::{ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion, Tls13CipherSuite};

use super::{Opened, Sequence};

pub(super) struct Sealer {
    encrypter: Box<dyn MessageEncrypter>,
    sequence: Sequence,
}

impl Sealer {
    pub(super) fn new(
        suite: &'static Tls13CipherSuite,
        secrets: ConnectionTrafficSecrets,
        sequence: u64,
    ) -> Result<Self, Error> {
        let (key, iv) = key_and_iv(secrets)?;
        let encrypter = suite.aead_alg.encrypter(key, iv);
        Ok(Self { encrypter, sequence: Sequence(sequence) })
    }

    /// How many records this key has sealed.
    pub(super) fn sealed(&self) -> u64 {
        self.sequence.0
    }

    /// Appends a record with `content`, which is no longer than a record may be.
    pub(super) fn seal(
        &mut self,
        content_type: u8,
        content: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let message = OutboundPlainMessage {
            typ: ContentType::from(content_type),
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(content),
        };
        let record = self.encrypter.encrypt(message, self.sequence.advance()?)?;
        out.extend_from_slice(&record.encode());
        Ok(())
    }
}

pub(super) struct Opener {
    decrypter: Box<dyn MessageDecrypter>,
    sequence: Sequence,
}

impl Opener {
    pub(super) fn new(
        suite: &'static Tls13CipherSuite,
        secrets: ConnectionTrafficSecrets,
        sequence: u64,
    ) -> Result<Self, Error> {
        let (key, iv) = key_and_iv(secrets)?;
        let decrypter = suite.aead_alg.decrypter(key, iv);
        Ok(Self { decrypter, sequence: Sequence(sequence) })
    }

    /// Opens the record whose ciphertext is `payload`, which is scratch if that fails.
    pub(super) fn open<'r>(&mut self, payload: &'r mut [u8]) -> Result<Opened<'r>, Error> {
        let record = InboundOpaqueMessage::new(
            ContentType::ApplicationData,
            ProtocolVersion::TLSv1_2,
            payload,
        );
        let message = self.decrypter.decrypt(record, self.sequence.advance()?)?;
        Ok(Opened { content_type: message.typ.into(), content: message.payload })
    }
}

fn key_and_iv(secrets: ConnectionTrafficSecrets) -> Result<(AeadKey, Iv), Error> {
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => Ok((key, iv)),
        _ => Err(super::unknown_cipher()),
    }
}
