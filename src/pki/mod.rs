//! Keys: the authority, TLS, and who a certificate is.
