//! Any text as a target, a query, a form, a cookie, a template: decoders agree with each other.
#![no_main]

use std::borrow::Cow;

use esp_http_server::proto::field;
use esp_http_server::proto::form::Form;
use esp_http_server::proto::method::Method;
use esp_http_server::proto::{cookie, uri};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (text, other) = input;
    decoders(text);
    queries(text, other);
    forms(text, other);
    cookies(text, other);
    targets(text, other);
    let _ = Method::parse(text.as_bytes());
    for element in field::list(text.as_bytes()) {
        assert!(!element.is_empty());
    }
});

fn decoders(text: &str) {
    let bytes = uri::percent_decode(text);
    let decoded = uri::percent_decode_str(text);
    if let Ok(decoded) = &decoded {
        assert_eq!(bytes.as_deref(), Ok(decoded.as_bytes()));
        assert!(decoded.len() <= text.len());
        // Borrowed only when there is nothing to decode.
        if matches!(decoded, Cow::Borrowed(_)) {
            assert_eq!(decoded, text);
        }
    }
    // A form is the same but for its pluses.
    assert_eq!(uri::form_decode(text), uri::percent_decode_str(&text.replace('+', "%20")));
    // What was encoded comes back.
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    assert_eq!(uri::percent_decode_str(&encoded).as_deref(), Ok(text));
}

fn queries(query: &str, key: &str) {
    let pairs: Vec<_> = uri::query_pairs(query).collect();
    for (name, _) in &pairs {
        assert!(!name.contains(['&', '=']));
        assert!(uri::query_value(query, name).is_some());
    }
    let first = pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    assert_eq!(uri::query_value(query, key), first);
    let decoded = uri::query_value_decoded(query, key);
    let expected = pairs
        .iter()
        .find(|(name, _)| uri::form_decode(name).is_ok_and(|name| name == key))
        .map(|(_, value)| uri::form_decode(value))
        .transpose();
    assert_eq!(decoded, expected);
}

/// A form is what its pairs are when each is decoded for itself.
fn forms(encoded: &str, name: &str) {
    let decode =
        |(name, value)| Some((uri::form_decode(name).ok()?, uri::form_decode(value).ok()?));
    let decoded: Option<Vec<_>> = uri::query_pairs(encoded).map(decode).collect();
    match (Form::parse(encoded.as_bytes()), decoded) {
        (Ok(form), Some(decoded)) => {
            assert!(form.pairs().eq(decoded.iter().map(|(name, value)| (&**name, &**value))));
            assert_eq!(form.value(name), form.values(name).next());
        }
        (Err(_), None) => {}
        (form, decoded) => panic!("{form:?}, {decoded:?}"),
    }
}

fn cookies(field: &str, name: &str) {
    let field = field.as_bytes();
    for (found, value) in cookie::pairs(field) {
        assert!(!found.is_empty() && !found.contains([';', '=']) && !value.contains(';'));
        assert!(cookie::value(field, found).is_some());
    }
    let first = cookie::pairs(field).find(|(found, _)| *found == name).map(|(_, value)| value);
    assert_eq!(cookie::value(field, name), first);
    // A cookie that isn't text hides no other one.
    let hidden = [field, b";x=\xff"].concat();
    assert!(cookie::pairs(&hidden).eq(cookie::pairs(field)));
}

fn targets(text: &str, path: &str) {
    let (split, query) = uri::split_target(text);
    assert!(!split.contains('?'));
    assert!(text.len() >= split.len() + query.map_or(0, |query| 1 + query.len()));
    if let Some(authority) = uri::authority(text) {
        assert!(text.contains(authority));
    }
    // A template without wildcards matches itself only.
    let matched = uri::match_wildcard(text, path);
    if !text.ends_with(['*', '?']) {
        assert_eq!(matched, text == path);
    }
    assert!(uri::match_wildcard("*", path));
}
