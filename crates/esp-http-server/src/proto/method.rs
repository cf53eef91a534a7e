//! Request methods.

use core::fmt;

macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A request method (RFC 9110, section 9): the names that ESP-IDF's `http_method` knows.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Method {
            $($(#[$doc])* $variant,)*
        }

        impl Method {
            /// Every method, in ESP-IDF's order.
            pub const ALL: &[Method] = &[$(Method::$variant,)*];

            /// The method as it stands on the request line.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Method::$variant => $name,)*
                }
            }

            fn find(name: &[u8]) -> Option<Method> {
                $(
                    if name == $name.as_bytes() {
                        return Some(Method::$variant);
                    }
                )*
                None
            }
        }
    };
}

methods! {
    /// Remove the resource.
    Delete = "DELETE",
    /// Transfer a representation of the resource.
    #[default]
    Get = "GET",
    /// Like `GET`, without the body.
    Head = "HEAD",
    /// Let the resource process the enclosed body.
    Post = "POST",
    /// Replace the resource by the enclosed body.
    Put = "PUT",
    /// Open a tunnel to the authority in the target.
    Connect = "CONNECT",
    /// Ask what the resource, or the server, can do.
    Options = "OPTIONS",
    /// Loop the request back.
    Trace = "TRACE",
    /// WebDAV, RFC 4918.
    Copy = "COPY",
    /// WebDAV, RFC 4918.
    Lock = "LOCK",
    /// WebDAV, RFC 4918.
    Mkcol = "MKCOL",
    /// WebDAV, RFC 4918.
    Move = "MOVE",
    /// WebDAV, RFC 4918.
    Propfind = "PROPFIND",
    /// WebDAV, RFC 4918.
    Proppatch = "PROPPATCH",
    /// WebDAV search, RFC 5323.
    Search = "SEARCH",
    /// WebDAV, RFC 4918.
    Unlock = "UNLOCK",
    /// WebDAV bindings, RFC 5842.
    Bind = "BIND",
    /// WebDAV bindings, RFC 5842.
    Rebind = "REBIND",
    /// WebDAV bindings, RFC 5842.
    Unbind = "UNBIND",
    /// WebDAV access control, RFC 3744.
    Acl = "ACL",
    /// WebDAV versioning, RFC 3253.
    Report = "REPORT",
    /// WebDAV versioning, RFC 3253.
    Mkactivity = "MKACTIVITY",
    /// WebDAV versioning, RFC 3253.
    Checkout = "CHECKOUT",
    /// WebDAV versioning, RFC 3253.
    Merge = "MERGE",
    /// SSDP search of UPnP.
    MSearch = "M-SEARCH",
    /// UPnP eventing.
    Notify = "NOTIFY",
    /// UPnP eventing.
    Subscribe = "SUBSCRIBE",
    /// UPnP eventing.
    Unsubscribe = "UNSUBSCRIBE",
    /// Change a part of the resource, RFC 5789.
    Patch = "PATCH",
    /// Drop the resource from a cache.
    Purge = "PURGE",
    /// Calendars, RFC 4791.
    Mkcalendar = "MKCALENDAR",
    /// Relations between resources, RFC 2068.
    Link = "LINK",
    /// Relations between resources, RFC 2068.
    Unlink = "UNLINK",
}

impl Method {
    /// The longest name, in bytes. A longer token is an unknown method, whatever follows.
    pub const MAX_LEN: usize = 11;

    /// The method of that name; names are case-sensitive (RFC 9110, section 9.1). `None` is what a
    /// server answers with 501 if the name is a token.
    pub fn parse(name: &[u8]) -> Option<Method> {
        match name {
            b"GET" => Some(Method::Get),
            b"POST" => Some(Method::Post),
            _ => Self::find(name),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Some methods, each once, in the order of [`Method::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MethodSet(u64);

// Each method has a bit.
const _: () = assert!(Method::ALL.len() <= 64);

impl MethodSet {
    pub(crate) fn insert(&mut self, method: Method) {
        self.0 |= 1 << method as u32;
    }

    pub(crate) fn contains(self, method: Method) -> bool {
        self.0 & 1 << method as u32 != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Extend<Method> for MethodSet {
    fn extend<I: IntoIterator<Item = Method>>(&mut self, methods: I) {
        methods.into_iter().for_each(|method| self.insert(method));
    }
}

impl fmt::Display for MethodSet {
    /// As in an `Allow` field (RFC 9110, section 10.2.1).
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut separator = "";
        for method in Method::ALL.iter().filter(|method| self.contains(**method)) {
            write!(f, "{separator}{method}")?;
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn every_method_parses_from_its_own_name() {
        assert_eq!(Method::ALL.len(), 33);
        for &method in Method::ALL {
            assert_eq!(Method::parse(method.as_str().as_bytes()), Some(method));
        }
    }

    #[test]
    fn max_len_is_the_longest_name() {
        let longest = Method::ALL.iter().map(|method| method.as_str().len()).max();
        assert_eq!(longest, Some(Method::MAX_LEN));
    }

    #[test]
    fn names_are_case_sensitive_and_whole() {
        for name in ["get", "Get", "GE", "GETT", "GET ", "", "BREW", "M_SEARCH"] {
            assert_eq!(Method::parse(name.as_bytes()), None, "{name:?}");
        }
    }

    #[test]
    fn a_set_lists_each_of_its_methods_once() {
        let mut methods = MethodSet::default();
        assert!(methods.is_empty() && methods.to_string().is_empty());
        methods.extend([Method::Unlink, Method::Get, Method::Delete, Method::Get]);
        assert_eq!(methods.to_string(), "DELETE, GET, UNLINK");
        assert!(methods.contains(Method::Unlink) && !methods.contains(Method::Link));
        methods.extend(Method::ALL.iter().copied());
        assert_eq!(methods.to_string().split(", ").count(), Method::ALL.len());
    }
}
