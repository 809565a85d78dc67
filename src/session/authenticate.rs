//! Authentication, packet by packet between client and server. The proxy keeps no password; it steps in
//! only where one leg is safe for a password in the clear and the other is not.

use zeroize::Zeroizing;

use super::Shared;
use super::connect::LARGEST_HANDSHAKE;
use super::error::{SessionError, sealwire_error};
use super::leg::Leg;
use crate::sql::RefusalCode;
use crate::wire::Malformed;
use crate::wire::auth::*;
use crate::wire::capability::MULTI_FACTOR_AUTHENTICATION;
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
    /// Of the session; they say whether there may be further factors.
    pub capabilities: u32,
}

/// Whether a client's first answer, sent before the server named its plugin, must not go to the server as
/// it is: it holds a password that the server's leg would show (`sha256_password` over TLS,
/// `mysql_clear_password`), or asks for an RSA key that the server's leg has no use for.
pub fn must_withhold(plugin: &[u8], client: &Leg, server: &Leg) -> bool {
    match plugin {
        b"sha256_password" if server.stream.is_tls() => !client.stream.is_tls(),
        b"sha256_password" => client.stream.is_secure(),
        _ => shows_password(plugin, client, server),
    }
}

/// Whether this plugin's answers are passwords in the clear, on a server's leg that shows them. `dialog`
/// sends them over any connection, so that it is refused only where the client's own leg is better.
fn shows_password(plugin: &[u8], client: &Leg, server: &Leg) -> bool {
    match plugin {
        b"mysql_clear_password" => !server.stream.is_secure(),
        b"dialog" => client.stream.is_secure() && !server.stream.is_secure(),
        _ => false,
    }
}

impl Exchange {
    fn is(&self, plugin: &[u8]) -> bool {
        self.plugin == plugin
    }

    /// Relays until the server accepts or denies. Of an error that is the proxy's own the client is told.
    pub async fn run(&mut self, shared: &Shared, client: &mut Leg, server: &mut Leg) -> Result<Verdict, SessionError> {
        let result = self.relay(shared, client, server).await;
        let (code, message) = match &result {
            Err(SessionError::Authentication(error)) => (RefusalCode::PasswordExchange, error.to_string()),
            Err(SessionError::Refused(message)) => (RefusalCode::PasswordInClear, message.clone()),
            _ => return result,
        };
        client.put(&sealwire_error(code, message).encode());
        client.close().await;
        result
    }

    async fn relay(&mut self, shared: &Shared, client: &mut Leg, server: &mut Leg) -> Result<Verdict, SessionError> {
        let multi_factor = self.capabilities & MULTI_FACTOR_AUTHENTICATION != 0;
        loop {
            let payload = server.read_packet().await?;
            match payload.first().copied() {
                Some(0x00) => return Ok(Verdict::Accepted(payload)),
                Some(0xFF) => {
                    client.put(&payload);
                    client.flush().await?;
                    return Ok(Verdict::Denied);
                }
                Some(header) if header == AUTH_SWITCH_REQUEST || header == AUTH_NEXT_FACTOR && multi_factor => {
                    self.switch(&payload)?;
                    if shows_password(&self.plugin, client, server) {
                        let plugin = String::from_utf8_lossy(&self.plugin).into_owned();
                        return Err(SessionError::Refused(format!(
                            "the account's plugin {plugin} sends the password in the clear, and the connection \
                             to the database is not encrypted"
                        )));
                    }
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
                    // A server's public key, a plugin's own dialogue: the client answers.
                    client.put(&payload);
                    client.flush().await?;
                    self.answer(shared, client, server, false).await?;
                }
                None => return Err(Malformed("authentication: empty packet").into()),
            }
        }
    }

    /// `AuthSwitchRequest`: 0xFE, plugin name, NUL, plugin data; `AuthNextFactor`: the same after 0x02. A lone 0xFE asks for the old
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
        // A client that takes too long is the server's to judge: it closes, with an ERR or without one.
        let payload = tokio::select! {
            payload = client.read_next_packet(LARGEST_HANDSHAKE) => Zeroizing::new(payload?),
            read = server.fill() => return if read? == 0 { Err(SessionError::Closed) } else { Ok(()) },
        };
        let caching = self.is(b"caching_sha2_password");
        let sha256 = self.is(b"sha256_password");
        // Unlike caching_sha2_password, sha256_password takes a unix socket for no better than TCP, and wants the
        // password encrypted there; not every client knows.
        let asks = if sha256 { !client.stream.is_tls() } else { !client.stream.is_secure() };
        let to_safe = if sha256 { server.stream.is_tls() } else { server.stream.is_secure() };
        let from_safe = client.stream.is_secure();
        let request: &[u8] = if caching { &[REQUEST_PUBLIC_KEY] } else { &[SHA256_REQUEST_PUBLIC_KEY] };
        if (caching || sha256) && asks && to_safe && payload.as_slice() == request {
            // The server would take a request for its key as a password: the proxy offers its own key.
            let mut key = vec![AUTH_MORE_DATA];
            key.extend_from_slice(shared.rsa()?.public_pem().as_bytes());
            client.put(&key);
            client.flush().await?;
            let encrypted = client.read_next_packet(LARGEST_HANDSHAKE).await?;
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
