//! Failures in a few classes with names that stay, for counters.

use core::fmt;

macro_rules! failure_classes {
    ($($(#[$doc:meta])* $class:ident = $name:literal;)*) => {
        /// The class of a [`TlsErrorKind`](crate::TlsErrorKind), for a record of what failed and how
        /// often.
        ///
        /// ```
        /// use esp_tls::FailureClass;
        ///
        /// let mut record = [0_u32; FailureClass::ALL.len()];
        /// record[FailureClass::NotTls.index()] += 1;
        /// for class in FailureClass::ALL {
        ///     println!("tls_failures{{class=\"{class}\"}} {}", record[class.index()]);
        /// }
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum FailureClass {
            $($(#[$doc])* $class,)*
        }

        impl FailureClass {
            /// All classes, by [`index`](Self::index).
            pub const ALL: &[FailureClass] = &[$(FailureClass::$class),*];

            /// A name for logs and metrics; it doesn't change.
            pub fn name(self) -> &'static str {
                match self {
                    $(FailureClass::$class => $name,)*
                }
            }
        }
    };
}

failure_classes! {
    /// The peer gave up with an alert.
    AlertReceived = "alert_received";
    /// The peer doesn't speak TLS.
    NotTls = "not_tls";
    /// The peer broke a rule of TLS.
    Protocol = "protocol";
    /// No version, cipher suite, group or signature scheme in common.
    Incompatible = "incompatible";
    /// No application protocol in common.
    ApplicationProtocol = "application_protocol";
    /// No client certificate where one is required.
    CertificateMissing = "certificate_missing";
    /// A client certificate that has expired or isn't valid yet.
    CertificateDates = "certificate_dates";
    /// A client certificate of an unknown CA.
    CertificateIssuer = "certificate_issuer";
    /// A client certificate that was revoked, or can't be looked up.
    CertificateRevoked = "certificate_revoked";
    /// A client certificate that is bad in another way, or whose key is another.
    CertificateOther = "certificate_other";
    /// The selector sent the client away.
    Refused = "refused";
    /// The server's key could not sign.
    SigningKey = "signing_key";
    /// The configuration lacked something, or the time or random numbers did.
    Config = "config";
    /// The program called at the wrong time.
    Misuse = "misuse";
    /// A defect.
    Internal = "internal";
}

impl FailureClass {
    /// Its place in [`ALL`](Self::ALL).
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_places_and_names_differ() {
        for (place, class) in FailureClass::ALL.iter().enumerate() {
            assert_eq!(class.index(), place);
            let same = FailureClass::ALL.iter().filter(|other| other.name() == class.name());
            assert_eq!(same.count(), 1, "{class}");
        }
    }
}
