//! Whom HTTPS trusts.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use super::TrackerError;

/// Trusts whom the system trusts. Reads files, so it may take a while.
pub(super) fn system_trust() -> Result<ClientConfig, TrackerError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems carry certificates that are too old for the rules of today.
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let why = found.errors.first().map(ToString::to_string);
        let why = why.unwrap_or_else(|| "the system trusts no certificate".to_owned());
        return Err(TrackerError::Tls(why));
    }
    trust(roots)
}

/// Trusts nobody: for clients that only see plain HTTP.
pub(super) fn no_trust() -> Result<ClientConfig, TrackerError> {
    trust(RootCertStore::empty())
}

pub(super) fn trust(roots: RootCertStore) -> Result<ClientConfig, TrackerError> {
    // Named here because a process-wide default may belong to somebody else
    // in the same game.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TrackerError::Tls(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
