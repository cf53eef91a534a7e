//! A client that says what no library would: records made by hand, before and after the handshake.

use rustls::ConnectionTrafficSecrets;

use super::{Client, Pair};

pub const CHANGE_CIPHER_SPEC: u8 = 20;
pub const ALERT: u8 = 21;
pub const HANDSHAKE: u8 = 22;
pub const APPLICATION_DATA: u8 = 23;

/// A record in the clear.
pub fn record(content_type: u8, payload: &[u8]) -> Vec<u8> {
    let mut record = vec![content_type, 3, 3];
    record.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
    record.extend_from_slice(payload);
    record
}

/// The payloads of the records in `wire`, with their types.
pub fn records(mut wire: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut records = Vec::new();
    while let [content_type, _, _, high, low, rest @ ..] = wire {
        let (payload, rest) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        records.push((*content_type, payload.to_vec()));
        wire = rest;
    }
    assert!(wire.is_empty(), "half a record");
    records
}

/// The sending half of a client with AES-128-GCM, taken over after the handshake.
pub struct RawClient {
    key: ring::aead::LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
    version: esp_tls::TlsVersion,
}

impl RawClient {
    /// Takes the keys of the pair's client, which is used up by it.
    pub fn take_over(pair: Pair) -> (Self, esp_tls::TlsSession) {
        let Pair { client: Client { tls }, server } = pair;
        let version = server.version().unwrap();
        #[allow(deprecated)] // What is deprecated is to go on for real with it.
        let secrets = tls.dangerous_extract_secrets().unwrap();
        let (sequence, ConnectionTrafficSecrets::Aes128Gcm { key, iv }) = secrets.tx else {
            panic!("the server prefers AES-128-GCM");
        };
        let key = ring::aead::UnboundKey::new(&ring::aead::AES_128_GCM, key.as_ref()).unwrap();
        let key = ring::aead::LessSafeKey::new(key);
        (Self { key, iv: iv.as_ref().try_into().unwrap(), sequence, version }, server)
    }

    /// An encrypted record.
    pub fn encrypt(&mut self, content_type: u8, payload: &[u8]) -> Vec<u8> {
        match self.version {
            esp_tls::TlsVersion::Tls12 => self.encrypt_tls12(content_type, payload),
            esp_tls::TlsVersion::Tls13 => self.encrypt_tls13(content_type, payload),
        }
    }

    /// RFC 5288, section 3.
    fn encrypt_tls12(&mut self, content_type: u8, payload: &[u8]) -> Vec<u8> {
        let sequence = self.sequence.to_be_bytes();
        self.sequence += 1;
        let mut nonce = self.iv;
        nonce[4..].copy_from_slice(&sequence);
        let mut aad = sequence.to_vec();
        aad.extend_from_slice(&record(content_type, payload)[..5]);
        let mut sealed = payload.to_vec();
        self.key
            .seal_in_place_append_tag(
                ring::aead::Nonce::assume_unique_for_key(nonce),
                ring::aead::Aad::from(&aad),
                &mut sealed,
            )
            .unwrap();
        record(content_type, &[&sequence[..], &sealed].concat())
    }

    /// RFC 8446, section 5.2.
    fn encrypt_tls13(&mut self, content_type: u8, payload: &[u8]) -> Vec<u8> {
        let mut nonce = self.iv;
        for (byte, sequence) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= sequence;
        }
        self.sequence += 1;
        let mut inner = [payload, &[content_type]].concat();
        let tag_len = ring::aead::AES_128_GCM.tag_len();
        let mut header = record(APPLICATION_DATA, &vec![0; inner.len() + tag_len]);
        header.truncate(5);
        self.key
            .seal_in_place_append_tag(
                ring::aead::Nonce::assume_unique_for_key(nonce),
                ring::aead::Aad::from(&header),
                &mut inner,
            )
            .unwrap();
        [header, inner].concat()
    }
}
