//! Against the examples of the RFCs, and against aws-lc for what those leave out.

use alloc::vec;
use alloc::vec::Vec;

use rustls::crypto::hmac::Hmac as _;
use rustls::crypto::tls13::Hkdf;
use rustls::crypto::{aws_lc_rs, hash::Hash as _};

use super::*;

/// What the suites derive keys with.
const HKDF: &dyn Hkdf = &HkdfUsingHmac(&HmacSha256);

/// Bytes written in hexadecimal.
fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
    let value = |digit: u8| char::from(digit).to_digit(16).unwrap() as u8;
    digits.chunks(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect()
}

/// Those of aws-lc.
fn others(find: fn(&SupportedCipherSuite) -> bool) -> SupportedCipherSuite {
    let provider = aws_lc_rs::default_provider();
    let is_wanted = |suite: &SupportedCipherSuite| {
        suite.suite().as_str().unwrap().ends_with("SHA256") && find(suite)
    };
    provider.cipher_suites.into_iter().find(is_wanted).unwrap()
}

fn their_hkdf() -> &'static dyn Hkdf {
    others(|suite| suite.tls13().is_some()).tls13().unwrap().hkdf_provider
}

/// Messages of all lengths around the ends of blocks.
fn message(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + len) as u8).collect()
}

#[test]
fn a_hash_is_that_of_fips_180() {
    let abc = hex("ba7816bf 8f01cfea 414140de 5dae2223 b00361a3 96177a9c b410ff61 f20015ad");
    assert_eq!(HashSha256.hash(b"abc").as_ref(), abc);
    let mut hashing = HashSha256.start();
    hashing.update(b"ab");
    let fork = hashing.fork();
    hashing.update(b"c");
    assert_eq!(hashing.fork_finish().as_ref(), abc);
    assert_eq!(hashing.finish().as_ref(), abc);
    assert_eq!(fork.finish().as_ref(), HashSha256.hash(b"ab").as_ref());
}

#[test]
fn a_tag_is_that_of_rfc_4231() {
    let cases: [(Vec<u8>, &[u8], &str); 4] = [
        (
            [0x0b; 20].to_vec(),
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe".to_vec(),
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            [0xaa; 20].to_vec(),
            &[0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            [0xaa; 131].to_vec(),
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ];
    for (key, message, tag) in cases {
        let key = HmacSha256.with_key(&key);
        assert_eq!(key.sign(&[message]).as_ref(), hex(tag));
        let (first, last) = message.split_at(3);
        assert_eq!(key.sign_concat(first, &[], last).as_ref(), hex(tag), "of a message in parts");
    }
}

#[test]
fn what_is_expanded_is_that_of_rfc_5869() {
    let okm =
        hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    let salt = hex("000102030405060708090a0b0c");
    let info = hex("f0f1f2f3f4f5f6f7f8f9");
    let expander = HKDF.extract_from_secret(Some(&salt), &[0x0b; 22]);
    let mut output = [0; 42];
    expander.expand_slice(&[&info[..4], &info[4..]], &mut output).unwrap();
    assert_eq!(&output[..], okm);
    assert_eq!(expander.expand_block(&[&info]).as_ref(), &okm[..32]);
}

#[test]
fn no_more_is_expanded_than_255_blocks() {
    let expander = HKDF.extract_from_zero_ikm(None);
    assert!(expander.expand_slice(&[b"info"], &mut [0; 255 * 32]).is_ok());
    assert!(expander.expand_slice(&[b"info"], &mut [0; 255 * 32 + 1]).is_err());
}

#[test]
fn aws_lc_comes_to_the_same() {
    let theirs = their_hkdf();
    for len in [0, 1, 31, 32, 33, 55, 56, 63, 64, 65, 119, 200] {
        let (secret, info) = (message(len), message(len + 1));
        for salt in [None, Some(&message(len + 2)[..])] {
            let [ours, theirs] = [HKDF, theirs].map(|hkdf| {
                let extracted = hkdf.extract_from_secret(salt, &secret);
                let zero = hkdf.extract_from_zero_ikm(salt);
                let block = extracted.expand_block(&[&info]);
                let next = hkdf.expander_for_okm(&block);
                let signed = hkdf.hmac_sign(&block, &secret);
                let mut outputs = [[0; 100]; 3];
                for (expander, output) in [&extracted, &zero, &next].into_iter().zip(&mut outputs) {
                    expander.expand_slice(&[&info, b"and more"], output).unwrap();
                    assert_eq!(expander.hash_len(), HASH_LEN);
                }
                (block.as_ref().to_vec(), signed.as_ref().to_vec(), outputs)
            });
            assert_eq!(ours, theirs, "{len} bytes");
        }
    }
}

#[test]
fn aws_lc_derives_the_same_in_tls_1_2() {
    let theirs = match others(|suite| suite.tls13().is_none()) {
        SupportedCipherSuite::Tls12(suite) => suite.prf_provider,
        SupportedCipherSuite::Tls13(_) => unreachable!(),
    };
    let ours: &dyn crypto::tls12::Prf = &PrfUsingHmac(&HmacSha256);
    for len in [1, 12, 48, 104] {
        let [ours, theirs] = [ours, theirs].map(|prf| {
            let mut output = vec![0; len];
            prf.for_secret(&mut output, &message(48), b"key expansion", &message(64));
            output
        });
        assert_eq!(ours, theirs, "{len} bytes");
    }
}

#[test]
fn every_suite_with_sha_256_is_replaced_and_no_other() {
    let old = aws_lc_rs::default_provider();
    let mut new = old.clone();
    replace_in(&mut new);
    assert_eq!(old.cipher_suites.len(), new.cipher_suites.len());
    for (old, new) in old.cipher_suites.iter().zip(&new.cipher_suites) {
        assert_eq!(old.suite(), new.suite());
        let common = |suite: &SupportedCipherSuite| match suite {
            SupportedCipherSuite::Tls13(suite) => core::ptr::from_ref(&suite.common),
            SupportedCipherSuite::Tls12(suite) => core::ptr::from_ref(&suite.common),
        };
        let is_replaced = common(old) != common(new);
        assert_eq!(is_replaced, old.suite().as_str().unwrap().ends_with("SHA256"), "{old:?}");
    }
}
