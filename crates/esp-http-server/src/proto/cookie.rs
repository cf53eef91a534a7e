//! The `Cookie` field (RFC 6265, section 4.2): `name=value` pairs, separated by `;`.

/// The pairs of a `Cookie` field's value, in the order in which they came. Values are given as they
/// were sent, quotes included; what isn't a pair, or
/// not UTF-8, is skipped (RFC 6265 leaves it to the server).
pub fn pairs(field: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    field
        .split(|&byte| byte == b';')
        .filter_map(|pair| str::from_utf8(pair).ok()?.split_once('='))
        .map(|(name, value)| (trim(name), trim(value)))
        .filter(|(name, _)| !name.is_empty())
}

/// The value of the first cookie of that name; names are case-sensitive. What ESP-IDF's
/// `httpd_req_get_cookie_val` gives.
///
/// ```
/// use esp_http_server::proto::cookie;
///
/// assert_eq!(cookie::value(b"theme=dark; session=31d4", "session"), Some("31d4"));
/// ```
pub fn value<'f>(field: &'f [u8], name: &str) -> Option<&'f str> {
    pairs(field).find(|(candidate, _)| *candidate == name).map(|(_, value)| value)
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let field = b"theme=dark; session=31d4; xsession=no; empty=";
        assert_eq!(value(field, "session"), Some("31d4"));
        assert_eq!(value(field, "theme"), Some("dark"));
        assert_eq!(value(field, "empty"), Some(""));
        for missing in ["sess", "ession", "SESSION", "dark", "", "session=31d4"] {
            assert_eq!(value(field, missing), None, "{missing:?}");
        }
    }

    #[test]
    fn the_first_of_two_cookies_of_one_name_counts() {
        assert_eq!(value(b"a=1; a=2", "a"), Some("1"));
    }

    #[test]
    fn only_the_first_equals_sign_separates() {
        assert_eq!(value(b"token=a=b==; next=1", "token"), Some("a=b=="));
    }

    #[test]
    fn what_is_no_pair_is_skipped() {
        let found: Vec<_> = pairs(b";; junk ;=nameless; a=1 ;\tb=\"2 3\"; c=\xff; d=4").collect();
        assert_eq!(found, [("a", "1"), ("b", "\"2 3\""), ("d", "4")]);
        assert_eq!(pairs(b"").count(), 0);
    }
}
