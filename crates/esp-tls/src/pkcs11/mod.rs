//! Server keys on a PKCS #11 token: a smart card, an HSM, a TPM behind such a module.
//!
//! `uri.rs` says which key; this file finds it and signs with it.

mod uri;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use der::Encode as _;
use der::asn1::UintRef;

use crate::config_error::{ConfigError, ConfigProblem, Input};
use crate::signing_key::{KeyAlgorithm, SignatureScheme, SigningError, SigningKey};

pub use uri::Pkcs11Uri;

/// A private key on a token, which signs with it and never gives it away.
///
/// RSA, ECDSA on P-256 or P-384, Ed25519, as far as the token can. It has one session with the
/// token, so that signatures are made one after the other. If the session ends, because the token
/// was pulled out or its driver started anew, the next signature opens another.
///
/// A module must not be used across `fork`.
///
/// ```no_run
/// # fn demo(cert: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// use esp_tls::{CertifiedKey, Pkcs11Key, Pkcs11Uri, PrivateKey};
///
/// let uri: Pkcs11Uri = "pkcs11:token=gateway;object=server\
///     ?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/gateway/pin".parse()?;
/// let key = PrivateKey::on_device(Pkcs11Key::open(uri)?);
/// let certified = CertifiedKey::new(cert, key)?;
/// # Ok(())
/// # }
/// ```
pub struct Pkcs11Key {
    uri: Pkcs11Uri,
    module: Pkcs11,
    algorithm: KeyAlgorithm,
    opened: Mutex<Opened>,
}

struct Opened {
    session: Session,
    key: ObjectHandle,
}

impl Pkcs11Key {
    /// Loads the module, opens the token and finds the key.
    ///
    /// # Errors
    ///
    /// There is no such module or token, the PIN is wrong, or not exactly one private key is meant
    /// by the URI.
    pub fn open(uri: Pkcs11Uri) -> Result<Self, ConfigError> {
        let fail = |detail: String| ConfigError {
            input: Input::PrivateKey,
            problem: ConfigProblem::Device(detail),
        };
        let module = load(&uri).map_err(fail)?;
        let opened = Opened::new(&module, &uri).map_err(fail)?;
        let algorithm = opened.algorithm().map_err(fail)?;
        Ok(Self { uri, module, algorithm, opened: Mutex::new(opened) })
    }
}

impl SigningKey for Pkcs11Key {
    fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        // A panic while it was held leaves a session that answers, or one that is replaced.
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let signature = match opened.sign(scheme, message) {
            Err(error) if session_is_lost(&error) => {
                *opened = Opened::new(&self.module, &self.uri).map_err(SigningError::new)?;
                opened.sign(scheme, message)
            }
            other => other,
        };
        signature.map_err(|error| SigningError::new(error.to_string()))
    }
}

impl fmt::Debug for Pkcs11Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Key")
            .field("uri", &self.uri)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl Opened {
    fn new(module: &Pkcs11, uri: &Pkcs11Uri) -> Result<Self, String> {
        let slot = find_token(module, uri)?;
        let session = module.open_ro_session(slot).map_err(said("the token"))?;
        if let Some(pin) = uri.pin()? {
            let pin = AuthPin::new(pin.as_str().into());
            match session.login(UserType::User, Some(&pin)) {
                // All sessions of a program with a token are logged in together.
                Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
                Err(Error::Pkcs11(RvError::PinIncorrect, _)) => return Err("wrong PIN".into()),
                Err(error) => return Err(said("login")(error)),
            }
        }
        let key = find_key(&session, uri)?;
        Ok(Self { session, key })
    }

    fn algorithm(&self) -> Result<KeyAlgorithm, String> {
        /// Object identifiers of the curves, as DER.
        const P256: &[u8] = &[6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7];
        const P384: &[u8] = &[6, 5, 0x2B, 0x81, 4, 0, 0x22];
        let wanted = [AttributeType::KeyType, AttributeType::EcParams];
        let attributes = self.session.get_attributes(self.key, &wanted).map_err(said("the key"))?;
        let (mut kind, mut curve) = (None, Vec::new());
        for attribute in attributes {
            match attribute {
                Attribute::KeyType(key_type) => kind = Some(key_type),
                Attribute::EcParams(params) => curve = params,
                _ => {}
            }
        }
        match kind {
            Some(KeyType::RSA) => Ok(KeyAlgorithm::Rsa),
            Some(KeyType::EC_EDWARDS) => Ok(KeyAlgorithm::Ed25519),
            Some(KeyType::EC) if curve == P256 => Ok(KeyAlgorithm::EcdsaP256),
            Some(KeyType::EC) if curve == P384 => Ok(KeyAlgorithm::EcdsaP384),
            _ => Err("the key is neither RSA, nor ECDSA on P-256 or P-384, nor Ed25519".into()),
        }
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, Error> {
        use SignatureScheme as Scheme;
        let plain = |mechanism: Mechanism<'_>| self.session.sign(&mechanism, self.key, message);
        match scheme {
            Scheme::RSA_PKCS1_SHA256 => plain(Mechanism::Sha256RsaPkcs),
            Scheme::RSA_PKCS1_SHA384 => plain(Mechanism::Sha384RsaPkcs),
            Scheme::RSA_PSS_RSAE_SHA256 => plain(Mechanism::Sha256RsaPkcsPss(PkcsPssParams {
                hash_alg: MechanismType::SHA256,
                mgf: PkcsMgfType::MGF1_SHA256,
                s_len: 32.into(),
            })),
            Scheme::RSA_PSS_RSAE_SHA384 => plain(Mechanism::Sha384RsaPkcsPss(PkcsPssParams {
                hash_alg: MechanismType::SHA384,
                mgf: PkcsMgfType::MGF1_SHA384,
                s_len: 48.into(),
            })),
            Scheme::ED25519 => {
                plain(Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)))
            }
            _ => {
                // Few tokens hash for ECDSA themselves.
                let digest = scheme.digest(message).ok_or(Error::NotSupported)?;
                let signature = self.session.sign(&Mechanism::Ecdsa, self.key, &digest)?;
                ecdsa_der(&signature).ok_or(Error::InvalidValue)
            }
        }
    }
}

/// The module, loaded and initialized once in the life of a program and never finalized: that would
/// end the sessions of all who use it, be it through another key or another library.
fn load(uri: &Pkcs11Uri) -> Result<Pkcs11, String> {
    static LOADED: Mutex<BTreeMap<String, Pkcs11>> = Mutex::new(BTreeMap::new());
    let path = uri.module_path().ok_or("the URI names no module (module-path)")?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = loaded.get(path) {
        return Ok(module.clone());
    }
    let module = Pkcs11::new(path).map_err(said(path))?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // By another library of this program.
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(said(path)(error)),
    }
    loaded.insert(path.into(), module.clone());
    Ok(module)
}

fn find_token(module: &Pkcs11, uri: &Pkcs11Uri) -> Result<Slot, String> {
    let mut found = None;
    for slot in module.get_slots_with_initialized_token().map_err(said("the module"))? {
        // One that can't be read is none that was meant.
        let Ok(token) = module.get_token_info(slot) else {
            continue;
        };
        let is_meant = uri.is_token(token.label(), token.serial_number(), slot.id());
        if is_meant && found.replace(slot).is_some() {
            return Err("the URI fits several tokens".into());
        }
    }
    found.ok_or_else(|| "there is no such token".into())
}

fn find_key(session: &Session, uri: &Pkcs11Uri) -> Result<ObjectHandle, String> {
    let mut template = alloc::vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
    template.extend(uri.object().map(|label| Attribute::Label(label.as_bytes().to_vec())));
    template.extend(uri.id().map(|id| Attribute::Id(id.to_vec())));
    match session.find_objects(&template).map_err(said("the token"))?[..] {
        [key] => Ok(key),
        [] if !uri.has_pin() => Err("there is no such key that can be seen without a PIN".into()),
        [] => Err("there is no such key".into()),
        _ => Err("the URI fits several keys".into()),
    }
}

fn session_is_lost(error: &Error) -> bool {
    use RvError::*;
    matches!(
        error,
        Error::Pkcs11(
            SessionHandleInvalid
                | SessionClosed
                | KeyHandleInvalid
                | ObjectHandleInvalid
                | UserNotLoggedIn
                | DeviceRemoved
                | DeviceError
                | TokenNotPresent,
            _
        )
    )
}

/// From the two numbers side by side, as PKCS #11 has them, to the structure of TLS (RFC 3279,
/// section 2.2.3).
fn ecdsa_der(signature: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = signature.split_at(signature.len() / 2);
    let numbers = [r, s].map(|number| UintRef::new(number).and_then(|number| number.to_der()).ok());
    let [Some(r), Some(s)] = numbers else {
        return None;
    };
    const SEQUENCE: u8 = 0x30;
    // P-384 takes 104 bytes at most, so the length is one byte.
    let len = u8::try_from(r.len() + s.len()).ok().filter(|len| *len < 0x80)?;
    Some([&[SEQUENCE, len], &r[..], &s].concat())
}

fn said(who: &str) -> impl Fn(Error) -> String + '_ {
    move |error| format!("{who}: {error}")
}
