//! The RSA exchange of `caching_sha2_password` and `sha256_password`, for connections whose two legs
//! are not equally secure: the proxy plays the server's part towards a client without TLS, and the
//! client's part towards a server without TLS. No password is kept.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html>

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Packet headers of the authentication phase.
pub const AUTH_SWITCH_REQUEST: u8 = 0xFE;
pub const AUTH_MORE_DATA: u8 = 0x01;
/// Asks for the next factor; only with MULTI_FACTOR_AUTHENTICATION.
pub const AUTH_NEXT_FACTOR: u8 = 0x02;
/// `caching_sha2_password`, server to client: the cached digest matched.
pub const FAST_AUTH_SUCCESS: u8 = 0x03;
/// `caching_sha2_password`, server to client: send the password itself.
pub const PERFORM_FULL_AUTHENTICATION: u8 = 0x04;
/// `caching_sha2_password`, client to server: send your public key.
pub const REQUEST_PUBLIC_KEY: u8 = 0x02;
/// The same in `sha256_password`.
pub const SHA256_REQUEST_PUBLIC_KEY: u8 = 0x01;

/// The exchange failed; the authentication cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RsaError {
    #[error("the server's RSA public key could not be read")]
    PublicKey,
    #[error("RSA encryption failed (a password of more than some 200 bytes needs TLS)")]
    Encrypt,
    #[error("the client's password was not encrypted for this proxy's RSA key")]
    Decrypt,
    #[error("an RSA key could not be made")]
    Generate,
}

/// The proxy's own RSA key pair, made at start and never stored.
pub struct RsaKeyPair {
    private: OaepPrivateDecryptingKey,
    public_pem: String,
}

impl RsaKeyPair {
    pub fn generate() -> Result<Self, RsaError> {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(|_| RsaError::Generate)?;
        let der: PublicKeyX509Der<'_> = private.public_key().as_der().map_err(|_| RsaError::Generate)?;
        let encoded = STANDARD.encode(der.as_ref());
        let mut public_pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (line, tail) = rest.split_at(rest.len().min(64));
            public_pem.push_str(line);
            public_pem.push('\n');
            rest = tail;
        }
        public_pem.push_str("-----END PUBLIC KEY-----\n");
        let private = OaepPrivateDecryptingKey::new(private).map_err(|_| RsaError::Generate)?;
        Ok(Self { private, public_pem })
    }

    /// What a server answers to a request for its key.
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// The password (with its NUL) out of what the client encrypted under [`RsaKeyPair::public_pem`].
    pub fn decrypt_password(&self, encrypted: &[u8], scramble: &[u8]) -> Result<Zeroizing<Vec<u8>>, RsaError> {
        let mut buffer = Zeroizing::new(vec![0; self.private.min_output_size()]);
        let plain =
            self.private.decrypt(&OAEP_SHA1_MGF1SHA1, encrypted, &mut buffer, None).map_err(|_| RsaError::Decrypt)?;
        Ok(xor(plain, scramble))
    }
}

/// The password (with its NUL) as a client sends it to a server whose public key is `pem`.
pub fn encrypt_password(pem: &[u8], password: &[u8], scramble: &[u8]) -> Result<Vec<u8>, RsaError> {
    let text = std::str::from_utf8(pem).map_err(|_| RsaError::PublicKey)?;
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let der = STANDARD.decode(body.trim_end_matches('\0')).map_err(|_| RsaError::PublicKey)?;
    let key = PublicEncryptingKey::from_der(&der).map_err(|_| RsaError::PublicKey)?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| RsaError::PublicKey)?;
    let mut buffer = vec![0; key.ciphertext_size()];
    let plain = xor(password, scramble);
    let encrypted = key.encrypt(&OAEP_SHA1_MGF1SHA1, &plain, &mut buffer, None).map_err(|_| RsaError::Encrypt)?;
    Ok(encrypted.to_vec())
}

fn xor(bytes: &[u8], scramble: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.iter().zip(scramble.iter().cycle()).map(|(a, b)| a ^ b).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_encrypted_for_the_proxys_key_comes_back() {
        let pair = RsaKeyPair::generate().unwrap();
        let scramble = b"abcdefghijklmnopqrst";
        let sent = encrypt_password(
            pair.public_pem().as_bytes(),
            b"a long enough passphrase, longer than the scramble\0",
            scramble,
        )
        .unwrap();
        let got = pair.decrypt_password(&sent, scramble).unwrap();
        assert_eq!(got.as_slice(), b"a long enough passphrase, longer than the scramble\0");
        assert_eq!(RsaKeyPair::generate().unwrap().decrypt_password(&sent, scramble).unwrap_err(), RsaError::Decrypt);
    }
}
