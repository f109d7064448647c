//! Certificates for one server: its own authority, and a certificate for the loopback addresses
//! that it signs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::error::{Error, Result};

#[derive(Debug)]
pub(crate) struct Tls {
    /// The certificate of the authority, in PEM form.
    pub(crate) ca_pem: String,
    /// The files of the authority, of the certificate and of its key.
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Tls {
    /// Creates an authority and a certificate and writes them to `directory`.
    pub(crate) fn issue(directory: &Path) -> Result<Self> {
        let (ca_pem, certificate_pem, key_pem) =
            certificates().map_err(|error| Error::Certificate(error.to_string()))?;
        let tls = Self {
            ca: directory.join("ca.pem"),
            certificate: directory.join("certificate.pem"),
            key: directory.join("key.pem"),
            ca_pem,
        };
        for (path, text) in
            [(&tls.ca, &tls.ca_pem), (&tls.certificate, &certificate_pem), (&tls.key, &key_pem)]
        {
            std::fs::write(path, text)
                .map_err(Error::io(format!("cannot write to {}", directory.display())))?;
        }
        Ok(tls)
    }
}

/// The certificate of the authority, the certificate of the server, and the key of the server, all
/// in PEM form.
fn certificates() -> Result<(String, String, String), rcgen::Error> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.distinguished_name.push(DnType::CommonName, "PicArcade test authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_certificate = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);

    let key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned()])?;
    leaf.distinguished_name.push(DnType::CommonName, "localhost");
    for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        leaf.subject_alt_names.push(SanType::IpAddress(address));
    }
    leaf.use_authority_key_identifier_extension = true;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = leaf.signed_by(&key, &issuer)?;
    Ok((ca_certificate.pem(), certificate.pem(), key.serialize_pem()))
}
