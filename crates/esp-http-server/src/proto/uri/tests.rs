//! Tests of templates, percent-encoding and queries; targets are tested with heads.

use super::*;

#[test]
fn templates_match_as_upstreams_do() {
    for (template, path, expected) in [
        ("/", "/", true),
        ("", "", true),
        ("/", "", false),
        ("/other", "/", false),
        ("/", "/other", false),
        ("/a/long/template", "/a/long/template", true),
        ("/path", "/path", true),
        ("/path", "/Path", false),
        ("/path", "/path/", false),
        ("/path/", "/path", false),
        // Nothing that could be optional.
        ("?", "", false),
        ("?", "?", false),
        ("?", "abc", false),
        ("?*", "", false),
        ("?*", "a", false),
        ("*?", "", false),
        ("*?", "*", false),
        // An optional character at the end.
        ("/path/?", "/pa", false),
        ("/path/?", "/path", true),
        ("/path/?", "/path/", true),
        ("/path/?", "/pathx", false),
        ("/path/?", "/path/x", false),
        ("a?", "", true),
        ("a?", "a", true),
        ("a?", "aa", false),
        ("a??", "a", true),
        ("a??", "a?", true),
        ("a??", "ab", false),
        // Anything at the end.
        ("/path/*", "/path", false),
        ("/path/*", "/", false),
        ("/path/*", "/path/", true),
        ("/path/*", "/path/any/thing", true),
        ("*", "", true),
        ("*", "/", true),
        ("*", "/any", true),
        ("**", "*any", true),
        ("**", "any", false),
        // Both, in either order.
        ("/path/?*", "/pat", false),
        ("/path/?*", "/pathx", false),
        ("/path/?*", "/pathany", false),
        ("/path/?*", "/path", true),
        ("/path/?*", "/path/", true),
        ("/path/?*", "/path/any", true),
        ("/path/*?", "/pat", false),
        ("/path/*?", "/pathx", false),
        ("/path/*?", "/path", true),
        ("/path/*?", "/path/", true),
        ("/path/*?", "/path/any", true),
        ("a?*", "", true),
        ("a?*", "b", false),
        // Special at the end only.
        ("/path/*/x", "/path/", false),
        ("/path/*/x", "/path/any/x", false),
        ("/path/*/x", "/path/*/x", true),
        ("/p?th", "/pth", false),
        ("/p?th", "/p?th", true),
    ] {
        assert_eq!(match_wildcard(template, path), expected, "{template} {path}");
    }
}

#[test]
fn targets_are_split_into_path_and_query() {
    for (target, path, query) in [
        ("/", "/", None),
        ("/a?b", "/a", Some("b")),
        ("/a?", "/a", Some("")),
        ("/a?b?c", "/a", Some("b?c")),
        ("/?http://x/y", "/", Some("http://x/y")),
        ("*", "*", None),
        ("http://h", "", None),
        ("http://h?q", "", Some("q")),
        ("http://h/a?q", "/a", Some("q")),
        ("h:80", "", None),
        ("", "", None),
    ] {
        assert_eq!(split_target(target), (path, query), "{target}");
    }
    assert_eq!(authority("http://h:80/a"), Some("h:80"));
    assert_eq!(authority("h:80"), Some("h:80"));
    assert_eq!(authority("/http://h/"), None);
    assert_eq!(authority("*"), None);
    assert_eq!(authority(""), None);
}

#[test]
fn percent_encoding_is_decoded_strictly() {
    for (encoded, decoded) in [
        ("", &b""[..]),
        ("abc", b"abc"),
        ("a%20b", b"a b"),
        ("%2e%2E%2f", b"../"),
        ("%00%0d%0A%ff", b"\0\r\n\xff"),
        ("%25%32%30", b"%20"),
        ("a+b", b"a+b"),
    ] {
        assert_eq!(percent_decode(encoded).unwrap(), decoded, "{encoded}");
    }
    for invalid in ["%", "%2", "a%", "a%2", "%zz", "%2g", "%g2", "%%20", "%+2", "% 2", "%u0041"] {
        assert_eq!(percent_decode(invalid), Err(DecodeError::InvalidEscape), "{invalid}");
        assert_eq!(form_decode(invalid), Err(DecodeError::InvalidEscape), "{invalid}");
    }
}

#[test]
fn nothing_to_decode_is_borrowed() {
    assert!(matches!(percent_decode("a+b"), Ok(Cow::Borrowed(_))));
    assert!(matches!(form_decode("ab"), Ok(Cow::Borrowed("ab"))));
    assert!(matches!(form_decode("a+b"), Ok(Cow::Owned(_))));
}

#[test]
fn text_is_utf8() {
    assert_eq!(percent_decode_str("caf%C3%A9").as_deref(), Ok("café"));
    for invalid in ["%ff", "%C3", "%ED%A0%80", "%C0%80"] {
        assert_eq!(percent_decode_str(invalid), Err(DecodeError::NotUtf8), "{invalid}");
    }
}

#[test]
fn a_plus_is_a_space_in_forms_only() {
    assert_eq!(form_decode("a+b%2Bc").as_deref(), Ok("a b+c"));
    assert_eq!(percent_decode_str("a+b%2Bc").as_deref(), Ok("a+b+c"));
}

#[test]
fn queries_are_walked_pair_by_pair() {
    let pairs: Vec<_> = query_pairs("a=1&b&=x&&c=d=e&a=2&").collect();
    assert_eq!(pairs, [("a", "1"), ("b", ""), ("", "x"), ("c", "d=e"), ("a", "2")]);
    assert_eq!(query_pairs("").count(), 0);
    assert_eq!(query_pairs("&&").count(), 0);
}

#[test]
fn a_value_is_found_by_its_whole_name() {
    let query = "name=J%C3%BC+rgen&n=1&a%20b=c%26d&bad=%zz";
    assert_eq!(query_value(query, "name"), Some("J%C3%BC+rgen"));
    assert_eq!(query_value(query, "n"), Some("1"));
    assert_eq!(query_value(query, "a b"), None);
    assert_eq!(query_value(query, "nam"), None);
    assert_eq!(query_value_decoded(query, "name"), Ok(Some("Jü rgen".into())));
    assert_eq!(query_value_decoded(query, "a b"), Ok(Some("c&d".into())));
    assert_eq!(query_value_decoded(query, "missing"), Ok(None));
    assert_eq!(query_value_decoded(query, "bad"), Err(DecodeError::InvalidEscape));
    // A broken name elsewhere hides nothing.
    assert_eq!(query_value_decoded("%=1&a=2", "a"), Ok(Some("2".into())));
}

#[test]
fn a_reference_has_only_the_characters_of_a_uri() {
    for valid in
        ["/", "a", "?", "#", "//h", "http://u@[::1]:1/a;b?c=d&e#f", "/%00%0d%0A", "/~(!*')"]
    {
        assert!(is_reference(valid.as_bytes()), "{valid}");
    }
    for invalid in [
        "", " ", "/a b", "/\r", "/\n", "/\0", "/\t", "/é", "/%", "/%2", "/%zz", "\\", "<", ">",
        "\"", "{", "|", "^", "`", "\u{7f}",
    ] {
        assert!(!is_reference(invalid.as_bytes()), "{invalid:?}");
    }
}
