//! Authentication, packet by packet between client and server. The proxy keeps no password; it steps in
//! only where one leg is safe for a password in the clear and the other is not.

use zeroize::Zeroizing;

use super::Shared;
use super::error::SessionError;
use super::leg::Leg;
use crate::wire::Malformed;
use crate::wire::auth::*;
use crate::wire::reader::Reader;

/// How the authentication ended.
pub enum Verdict {
    /// The server's OK payload: to be relayed by the caller, who reads the session state in it.
    Accepted(Vec<u8>),
    /// The server refused; the client has been told.
    Denied,
}

/// What the two sides agreed on so far.
pub struct Exchange {
    pub plugin: Vec<u8>,
    pub scramble: Vec<u8>,
}

impl Exchange {
    fn is(&self, plugin: &[u8]) -> bool {
        self.plugin == plugin
    }

    /// Relays until the server accepts or denies.
    pub async fn run(&mut self, shared: &Shared, client: &mut Leg, server: &mut Leg) -> Result<Verdict, SessionError> {
        loop {
            let payload = server.read_packet().await?;
            match payload.first().copied() {
                Some(0x00) => return Ok(Verdict::Accepted(payload)),
                Some(0xFF) => {
                    client.put(&payload);
                    client.flush().await?;
                    return Ok(Verdict::Denied);
                }
                Some(AUTH_SWITCH_REQUEST) => {
                    self.switch(&payload)?;
                    client.put(&payload);
                    client.flush().await?;
                    // sha256_password sends the password itself at once where it thinks that safe.
                    let password = self.is(b"sha256_password");
                    self.answer(shared, client, server, password).await?;
                }
                Some(AUTH_MORE_DATA)
                    if self.is(b"caching_sha2_password") && payload.get(1..) == Some(&[FAST_AUTH_SUCCESS]) =>
                {
                    client.put(&payload);
                }
                Some(AUTH_MORE_DATA)
                    if self.is(b"caching_sha2_password")
                        && payload.get(1..) == Some(&[PERFORM_FULL_AUTHENTICATION]) =>
                {
                    client.put(&payload);
                    client.flush().await?;
                    self.answer(shared, client, server, true).await?;
                }
                Some(_) => {
                    // A server's public key, a further factor, a plugin's own dialogue: the client answers.
                    client.put(&payload);
                    client.flush().await?;
                    self.answer(shared, client, server, false).await?;
                }
                None => return Err(Malformed("authentication: empty packet").into()),
            }
        }
    }

    /// `AuthSwitchRequest`: 0xFE, plugin name, NUL, plugin data. A lone 0xFE asks for the old
    /// password hash of before 4.1, which no server here speaks.
    fn switch(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let mut reader = Reader::new(payload);
        reader.u8("AuthSwitchRequest")?;
        self.plugin = reader.nul_terminated("AuthSwitchRequest: plugin")?.to_vec();
        self.scramble = reader.remaining().to_vec();
        if self.scramble.last() == Some(&0) {
            self.scramble.pop();
        }
        Ok(())
    }

    /// Takes the client's next packet to the server, translating the password where the legs differ.
    /// `password`: whether a client on a safe leg answers with its password in the clear, NUL at the end.
    async fn answer(
        &mut self,
        shared: &Shared,
        client: &mut Leg,
        server: &mut Leg,
        password: bool,
    ) -> Result<(), SessionError> {
        let payload = Zeroizing::new(client.read_packet().await?);
        let caching = self.is(b"caching_sha2_password");
        let sha256 = self.is(b"sha256_password");
        let (from_safe, to_safe) = (client.stream.is_secure(), server.stream.is_secure());
        let request: &[u8] = if caching { &[REQUEST_PUBLIC_KEY] } else { &[SHA256_REQUEST_PUBLIC_KEY] };
        if (caching || sha256) && !from_safe && to_safe && payload.as_slice() == request {
            // The server would take a request for its key as a password: the proxy offers its own key.
            let mut key = vec![AUTH_MORE_DATA];
            key.extend_from_slice(shared.rsa()?.public_pem().as_bytes());
            client.put(&key);
            client.flush().await?;
            let encrypted = client.read_packet().await?;
            let password = shared.rsa()?.decrypt_password(&encrypted, &self.scramble)?;
            server.put(&password);
        } else if (caching || sha256) && from_safe && !to_safe && password && payload.len() > 1 {
            server.put(request);
            server.flush().await?;
            let key = server.read_packet().await?;
            let Some((&AUTH_MORE_DATA, pem)) = key.split_first() else {
                return Err(Malformed("authentication: no public key from the server").into());
            };
            let encrypted = encrypt_password(pem, &payload, &self.scramble)?;
            server.put(&encrypted);
        } else {
            server.put(&payload);
        }
        server.flush().await?;
        Ok(())
    }
}
