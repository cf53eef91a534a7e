//! As much of X.509 as a server must know about a certificate before it serves it: its dates and
//! its public key (RFC 5280, section 4.1). Everything else is the client's to judge.

use core::time::Duration;

use der::asn1::{AnyRef, BitStringRef, GeneralizedTime, ObjectIdentifier, UintRef, UtcTime};
use der::{Decode, Reader, SliceReader, Tag, Tagged};

/// What a certificate says about its validity and its key.
pub(crate) struct Certificate<'a> {
    /// First second of its validity, since 1970 (UTC).
    pub(crate) not_before: Duration,
    /// Last second of its validity, since 1970 (UTC).
    pub(crate) not_after: Duration,
    /// What kind of key it has.
    key_algorithm: ObjectIdentifier,
    /// `subjectPublicKey` without its algorithm.
    pub(crate) public_key: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Walks a DER certificate. Fields that aren't needed are stepped over, not judged.
    pub(crate) fn parse(der: &'a [u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(der)?;
        let certificate = reader.sequence(|certificate| {
            let tbs_certificate = certificate.sequence(Self::parse_tbs)?;
            skip(certificate)?; // signatureAlgorithm
            BitStringRef::decode(certificate)?;
            der::Result::Ok(tbs_certificate)
        })?;
        reader.finish()?;
        Ok(certificate)
    }

    fn parse_tbs(tbs: &mut SliceReader<'a>) -> der::Result<Self> {
        if Tag::peek(tbs)?.is_context_specific() {
            skip(tbs)?; // version
        }
        skip(tbs)?; // serialNumber
        skip(tbs)?; // signature
        skip(tbs)?; // issuer
        let (not_before, not_after) =
            tbs.sequence(|validity| der::Result::Ok((time(validity)?, time(validity)?)))?;
        skip(tbs)?; // subject
        let (key_algorithm, public_key) = tbs.sequence(|info| {
            let algorithm = info.sequence(|algorithm| {
                let oid = ObjectIdentifier::decode(algorithm)?;
                skip_all(algorithm)?; // parameters
                der::Result::Ok(oid)
            })?;
            der::Result::Ok((algorithm, BitStringRef::decode(info)?.raw_bytes()))
        })?;
        skip_all(tbs)?; // extensions
        Ok(Self { not_before, not_after, key_algorithm, public_key })
    }

    /// The length of its RSA key (RFC 8017, appendix A.1.1); `None` if it has another, or a broken
    /// one.
    pub(crate) fn rsa_bits(&self) -> Option<usize> {
        const RSA_ENCRYPTION: ObjectIdentifier =
            ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
        if self.key_algorithm != RSA_ENCRYPTION {
            return None;
        }
        let modulus = SliceReader::new(self.public_key).and_then(|mut reader| {
            reader.sequence(|key| {
                let modulus = UintRef::decode(key)?.as_bytes();
                skip(key)?; // publicExponent
                der::Result::Ok(modulus)
            })
        });
        let modulus = modulus.ok()?;
        Some(8 * modulus.len() - modulus.first()?.leading_zeros() as usize)
    }
}

/// The `nextUpdate` of a CRL (RFC 5280, section 5.1), since 1970 (UTC), if it has one.
pub(crate) fn crl_next_update(der: &[u8]) -> der::Result<Option<Duration>> {
    let mut reader = SliceReader::new(der)?;
    let next_update = reader.sequence(|crl| {
        let next_update = crl.sequence(|tbs| {
            if Tag::peek(tbs)? == Tag::Integer {
                skip(tbs)?; // version
            }
            skip(tbs)?; // signature
            skip(tbs)?; // issuer
            time(tbs)?; // thisUpdate
            let next_update = match tbs.is_finished() {
                false if is_time(Tag::peek(tbs)?) => Some(time(tbs)?),
                _ => None,
            };
            skip_all(tbs)?; // revokedCertificates, extensions
            der::Result::Ok(next_update)
        })?;
        skip_all(crl)?; // signatureAlgorithm, signature
        der::Result::Ok(next_update)
    })?;
    reader.finish()?;
    Ok(next_update)
}

/// What a DER structure looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DerKind {
    /// A certificate, or something else that is signed.
    Certificate,
    /// A private key in the clear: PKCS #8, PKCS #1 or SEC 1.
    PrivateKey,
    /// A private key under a password: PKCS #8 `EncryptedPrivateKeyInfo`.
    EncryptedKey,
    /// None of these.
    Unknown,
}

impl DerKind {
    /// Tells certificates and keys apart by the types of their first two fields.
    pub(crate) fn of(der: &[u8]) -> DerKind {
        let fields = SliceReader::new(der).and_then(|mut reader| {
            reader.sequence(|outer| {
                let first = AnyRef::decode(outer)?.tag();
                let second = AnyRef::decode(outer)?.tag();
                skip_all(outer)?;
                der::Result::Ok((first, second))
            })
        });
        match fields {
            Ok((Tag::Sequence, Tag::Sequence)) => DerKind::Certificate,
            Ok((Tag::Sequence, Tag::OctetString)) => DerKind::EncryptedKey,
            Ok((Tag::Integer, _)) => DerKind::PrivateKey,
            _ => DerKind::Unknown,
        }
    }
}

/// Splits concatenated DER structures. Nothing follows an error.
pub(crate) fn split(mut der: &[u8]) -> impl Iterator<Item = der::Result<&[u8]>> {
    core::iter::from_fn(move || {
        if der.is_empty() {
            return None;
        }
        let first = SliceReader::new(der).and_then(|mut reader| reader.tlv_bytes());
        der = &der[first.as_ref().map_or(der.len(), |bytes| bytes.len())..];
        Some(first)
    })
}

fn skip(reader: &mut SliceReader<'_>) -> der::Result<()> {
    AnyRef::decode(reader).map(|_| ())
}

fn skip_all(reader: &mut SliceReader<'_>) -> der::Result<()> {
    while !reader.is_finished() {
        skip(reader)?;
    }
    Ok(())
}

fn is_time(tag: Tag) -> bool {
    matches!(tag, Tag::UtcTime | Tag::GeneralizedTime)
}

fn time(validity: &mut SliceReader<'_>) -> der::Result<Duration> {
    match Tag::peek(validity)? {
        Tag::UtcTime => Ok(UtcTime::decode(validity)?.to_unix_duration()),
        _ => Ok(GeneralizedTime::decode(validity)?.to_unix_duration()),
    }
}
