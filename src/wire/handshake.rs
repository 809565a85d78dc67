//! The server's greeting and the client's answer to it, edited in place: only capability bytes change,
//! unless an answer is withheld that would put a password at risk.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html>

use std::ops::Range;

use super::Malformed;
use super::capability::*;
use super::reader::Reader;

/// What the proxy needs of `Protocol::HandshakeV10`, and the payload itself.
pub struct Greeting {
    payload: Vec<u8>,
    lower: usize,
    upper: usize,
    extended: usize,
    /// As the server sent them.
    pub capabilities: u32,
    /// MariaDB's; 0 from a server that says CLIENT_MYSQL.
    pub extended_capabilities: u32,
    pub server_version: String,
    pub connection_id: u32,
    /// The scramble, 20 bytes with every plugin known.
    pub auth_plugin_data: Vec<u8>,
    pub auth_plugin: Vec<u8>,
}

impl Greeting {
    /// Errors: not version 10, truncated, or a server without the 4.1 protocol.
    pub fn parse(payload: Vec<u8>) -> Result<Self, Malformed> {
        let mut reader = Reader::new(&payload);
        if reader.u8("greeting: protocol version")? != 10 {
            return Err(Malformed("greeting: protocol version is not 10"));
        }
        let server_version = String::from_utf8_lossy(reader.nul_terminated("greeting: server version")?).into_owned();
        let connection_id = reader.u32("greeting: connection id")?;
        let mut scramble = reader.bytes(8, "greeting: scramble")?.to_vec();
        reader.u8("greeting: filler")?;
        let lower = reader.position();
        let low = reader.u16("greeting: capabilities")?;
        reader.bytes(3, "greeting: character set and status")?;
        let upper = reader.position();
        let high = reader.u16("greeting: upper capabilities")?;
        let capabilities = u32::from(low) | u32::from(high) << 16;
        let data_length = usize::from(reader.u8("greeting: scramble length")?);
        reader.bytes(6, "greeting: reserved")?;
        let extended = reader.position();
        let extended_capabilities = extended_of(capabilities, reader.u32("greeting: extended capabilities")?);
        if capabilities & CLIENT_PROTOCOL_41 == 0 || capabilities & CLIENT_SECURE_CONNECTION == 0 {
            return Err(Malformed("greeting: the server does not speak the 4.1 protocol"));
        }
        let second = data_length.saturating_sub(8).max(13).min(reader.remaining().len());
        scramble.extend_from_slice(reader.bytes(second, "greeting: scramble")?);
        if scramble.last() == Some(&0) {
            scramble.pop();
        }
        let rest = reader.remaining();
        let auth_plugin = rest.split(|&byte| byte == 0).next().unwrap_or_default().to_vec();
        Ok(Self {
            lower,
            upper,
            extended,
            capabilities,
            extended_capabilities,
            server_version,
            connection_id,
            auth_plugin_data: scramble,
            auth_plugin,
            payload,
        })
    }

    /// The payload with `capabilities` in place of the server's own and `extended` in place of MariaDB's.
    pub fn with_capabilities(&self, capabilities: u32, extended: u32) -> Vec<u8> {
        let mut payload = self.payload.clone();
        let [a, b, c, d] = capabilities.to_le_bytes();
        patch(&mut payload, self.lower, &[a, b]);
        patch(&mut payload, self.upper, &[c, d]);
        patch(&mut payload, self.extended, &extended.to_le_bytes());
        payload
    }
}

/// What the proxy needs of `Protocol::HandshakeResponse41`, and the payload itself.
pub struct HandshakeResponse {
    payload: Vec<u8>,
    /// As the client sent them.
    pub capabilities: u32,
    /// MariaDB's; 0 from a client that says CLIENT_MYSQL.
    pub extended_capabilities: u32,
    /// Low byte of the collation id.
    pub collation: u8,
    pub user: Vec<u8>,
    pub schema: Option<Vec<u8>>,
    pub auth_plugin: Option<Vec<u8>>,
    /// Where the answer to the scramble stands, with its length or its NUL.
    auth_field: Range<usize>,
    plugin_field: Option<Range<usize>>,
    /// Zstandard's level, which ends the packet with CLIENT_ZSTD_COMPRESSION_ALGORITHM.
    pub zstd_level: Option<u8>,
}

/// Bytes of the fixed part: capabilities, maximum packet size, character set, filler.
const FIXED: usize = 32;

impl HandshakeResponse {
    /// Whether the packet is an `SSLRequest`: the fixed part alone, with CLIENT_SSL.
    pub fn is_ssl_request(payload: &[u8]) -> bool {
        payload.len() == FIXED
            && payload.first_chunk::<4>().is_some_and(|bytes| u32::from_le_bytes(*bytes) & CLIENT_SSL != 0)
    }

    /// Errors: truncated, or a client without the 4.1 protocol.
    pub fn parse(payload: Vec<u8>) -> Result<Self, Malformed> {
        let mut reader = Reader::new(&payload);
        let capabilities = reader.u32("handshake response: capabilities")?;
        if capabilities & CLIENT_PROTOCOL_41 == 0 {
            return Err(Malformed("handshake response: the client does not speak the 4.1 protocol"));
        }
        reader.u32("handshake response: maximum packet size")?;
        let collation = reader.u8("handshake response: character set")?;
        reader.bytes(19, "handshake response: filler")?;
        let extended_capabilities = extended_of(capabilities, reader.u32("handshake response: extended capabilities")?);
        let user = reader.nul_terminated("handshake response: user")?.to_vec();
        let start = reader.position();
        if capabilities & CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA != 0 {
            reader.lenenc_bytes("handshake response: auth response")?;
        } else if capabilities & CLIENT_SECURE_CONNECTION != 0 {
            let length = usize::from(reader.u8("handshake response: auth response length")?);
            reader.bytes(length, "handshake response: auth response")?;
        } else {
            reader.nul_terminated("handshake response: auth response")?;
        }
        let auth_field = start..reader.position();
        // A schema may be missing although its flag is set: some clients end the packet early.
        let schema = match capabilities & CLIENT_CONNECT_WITH_DB != 0 && !reader.is_empty() {
            true => Some(reader.nul_terminated("handshake response: schema")?.to_vec()),
            false => None,
        };
        let start = reader.position();
        let auth_plugin = match capabilities & CLIENT_PLUGIN_AUTH != 0 && !reader.is_empty() {
            true => Some(reader.remaining().split(|&byte| byte == 0).next().unwrap_or_default().to_vec()),
            false => None,
        };
        let plugin_field = auth_plugin.as_ref().map(|name| start..start + name.len());
        let schema = schema.filter(|name| !name.is_empty());
        let zstd_level = match capabilities & CLIENT_ZSTD_COMPRESSION_ALGORITHM != 0 && !reader.is_empty() {
            // A client that left it out ends with a NUL, or with text.
            true => payload.last().copied().filter(|level| (1..=22).contains(level)),
            false => None,
        };
        Ok(Self {
            capabilities,
            extended_capabilities,
            collation,
            user,
            schema,
            auth_plugin,
            zstd_level,
            auth_field,
            plugin_field,
            payload,
        })
    }

    /// The payload with `capabilities` in place of the client's and `extended` in place of MariaDB's.
    pub fn with_capabilities(&self, capabilities: u32, extended: u32) -> Vec<u8> {
        self.finish(self.payload.clone(), capabilities, extended)
    }

    /// As [`HandshakeResponse::with_capabilities`] without the answer to the scramble. See [`withhold`].
    pub fn withheld(&self, capabilities: u32, extended: u32) -> Vec<u8> {
        self.finish(withhold(&self.payload, &self.auth_field, self.plugin_field.as_ref()), capabilities, extended)
    }

    fn finish(&self, mut payload: Vec<u8>, capabilities: u32, extended: u32) -> Vec<u8> {
        if self.zstd_level.is_some() && capabilities & CLIENT_ZSTD_COMPRESSION_ALGORITHM == 0 {
            payload.pop();
        }
        edit(&mut payload, capabilities, extended);
        payload
    }

    /// The `SSLRequest` that precedes [`HandshakeResponse::with_capabilities`] on a TLS leg.
    pub fn ssl_request(&self, capabilities: u32, extended: u32) -> Vec<u8> {
        let mut payload: Vec<u8> = self.payload.iter().copied().take(FIXED).collect();
        edit(&mut payload, capabilities, extended);
        payload
    }
}

/// An authentication packet with an empty answer and the name of a plugin that no account has: a server
/// answers with an `AuthSwitchRequest` of the account's own plugin, whatever it is, and nothing that
/// depends on the password has been sent.
pub(super) fn withhold(payload: &[u8], auth_field: &Range<usize>, plugin_field: Option<&Range<usize>>) -> Vec<u8> {
    let part = |range: Range<usize>| payload.get(range).unwrap_or_default();
    let mut out = Vec::with_capacity(payload.len());
    out.extend_from_slice(part(0..auth_field.start));
    // An empty answer, in each of the three forms: length-encoded, one byte of length, NUL at the end.
    out.push(0);
    let Some(plugin) = plugin_field else {
        out.extend_from_slice(part(auth_field.end..payload.len()));
        return out;
    };
    out.extend_from_slice(part(auth_field.end..plugin.start));
    out.extend_from_slice(b"sealwire");
    out.extend_from_slice(part(plugin.end..payload.len()));
    out
}

/// The four bytes are filler where CLIENT_MYSQL is said.
fn extended_of(capabilities: u32, bytes: u32) -> u32 {
    if capabilities & CLIENT_MYSQL == 0 { bytes } else { 0 }
}

fn edit(payload: &mut [u8], capabilities: u32, extended: u32) {
    patch(payload, 0, &capabilities.to_le_bytes());
    if capabilities & CLIENT_MYSQL == 0 {
        patch(payload, FIXED - 4, &extended.to_le_bytes());
    }
}

fn patch(payload: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = payload.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mariadb_greeting() -> Vec<u8> {
        let mut p = vec![10];
        p.extend_from_slice(b"5.5.5-10.11.6-MariaDB\0");
        p.extend_from_slice(&7u32.to_le_bytes());
        p.extend_from_slice(b"abcdefgh\0");
        p.extend_from_slice(&[0xFE, 0xF7, 45, 2, 0, 0xFF, 0x81, 21, 0, 0, 0, 0, 0, 0, 0x1F, 0, 0, 0]);
        p.extend_from_slice(b"ijklmnopqrst\0mysql_native_password\0");
        p
    }

    #[test]
    fn a_greeting_is_read_and_only_capability_bytes_change() {
        let original = mariadb_greeting();
        let greeting = Greeting::parse(original.clone()).unwrap();
        assert_eq!(greeting.auth_plugin_data, b"abcdefghijklmnopqrst");
        assert_eq!(greeting.auth_plugin, b"mysql_native_password");
        assert_eq!(greeting.connection_id, 7);
        let edited = greeting.with_capabilities(CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION, 1 << 3);
        assert_eq!(edited.len(), original.len());
        let again = Greeting::parse(edited).unwrap();
        assert_eq!(again.capabilities, CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION);
        assert_eq!(again.auth_plugin_data, greeting.auth_plugin_data);
        assert_eq!((greeting.extended_capabilities, again.extended_capabilities), (0x1F, 1 << 3));
    }

    #[test]
    fn a_greeting_cut_anywhere_is_an_error_not_a_panic() {
        let whole = mariadb_greeting();
        for end in 0..whole.len() - 40 {
            assert!(Greeting::parse(whole[..end].to_vec()).is_err() || end >= 50, "cut at {end}");
        }
    }

    #[test]
    fn a_response_gives_user_schema_and_plugin() {
        let caps = CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | CLIENT_CONNECT_WITH_DB | CLIENT_PLUGIN_AUTH;
        let mut p = caps.to_le_bytes().to_vec();
        p.extend_from_slice(&[0, 0, 0, 1, 45]);
        p.extend_from_slice(&[0; 23]);
        p.extend_from_slice(b"app\0\x03xyzshop\0mysql_native_password\0");
        let response = HandshakeResponse::parse(p).unwrap();
        assert_eq!(response.user, b"app");
        assert_eq!(response.schema.as_deref(), Some(&b"shop"[..]));
        assert_eq!(response.auth_plugin.as_deref(), Some(&b"mysql_native_password"[..]));
        let withheld = response.withheld(caps, 0);
        assert!(withheld.ends_with(b"app\0\0shop\0sealwire\0"), "{withheld:?}");
        assert_eq!(response.ssl_request(caps | CLIENT_SSL, 0).len(), 32);
        assert!(HandshakeResponse::is_ssl_request(&response.ssl_request(caps | CLIENT_SSL, 0)));
    }

    #[test]
    fn extended_capabilities_are_read_and_written_only_without_client_mysql() {
        let mut p = (CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION).to_le_bytes().to_vec();
        p.extend_from_slice(&[0, 0, 0, 1, 45]);
        p.extend_from_slice(&[0; 19]);
        p.extend_from_slice(&[0x3D, 0, 0, 0]);
        p.extend_from_slice(b"app\0\x03xyz");
        let response = HandshakeResponse::parse(p.clone()).unwrap();
        assert_eq!(response.extended_capabilities, 0x3D);
        let edited = response.with_capabilities(response.capabilities, 1 << 3);
        assert_eq!((&edited[..28], &edited[28..32], &edited[32..]), (&p[..28], &[8, 0, 0, 0][..], &p[32..]));
        assert_eq!(response.ssl_request(response.capabilities, 1 << 3), edited[..32]);
        p[0] |= 1;
        let response = HandshakeResponse::parse(p.clone()).unwrap();
        assert_eq!(response.extended_capabilities, 0);
        assert_eq!(response.with_capabilities(response.capabilities, 0), p);
    }

    #[test]
    fn the_level_of_zstandard_does_not_reach_the_server() {
        let caps = CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH;
        let mut p = (caps | CLIENT_ZSTD_COMPRESSION_ALGORITHM).to_le_bytes().to_vec();
        p.extend_from_slice(&[0, 0, 0, 1, 45]);
        p.extend_from_slice(&[0; 23]);
        p.extend_from_slice(b"app\0\x03xyzcaching_sha2_password\0");
        let without = p.clone();
        p.push(7);
        let response = HandshakeResponse::parse(p.clone()).unwrap();
        assert_eq!(response.zstd_level, Some(7));
        assert_eq!(response.with_capabilities(caps, 0)[4..], without[4..]);
        assert_eq!(response.with_capabilities(response.capabilities, 0), p);
        assert!(response.withheld(caps, 0).ends_with(b"\0"));
    }
}
