//! COM_CHANGE_USER: an authentication in mid-session.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_change_user.html>

use std::ops::Range;

use super::Malformed;
use super::capability::CLIENT_SECURE_CONNECTION;
use super::handshake::withhold;
use super::reader::Reader;

/// What the proxy needs of a COM_CHANGE_USER, and the payload itself.
pub struct ChangeUser {
    payload: Vec<u8>,
    /// Where the answer to the scramble stands, with its length or its NUL.
    auth_field: Range<usize>,
    plugin_field: Option<Range<usize>>,
    pub schema: Option<Vec<u8>>,
    /// Empty where the client names none.
    pub auth_plugin: Vec<u8>,
}

impl ChangeUser {
    /// `capabilities`: those of the session. Errors: truncated.
    pub fn parse(payload: Vec<u8>, capabilities: u32) -> Result<Self, Malformed> {
        const WHAT: &str = "COM_CHANGE_USER";
        let mut reader = Reader::new(&payload);
        reader.u8(WHAT)?;
        reader.nul_terminated(WHAT)?;
        let start = reader.position();
        if capabilities & CLIENT_SECURE_CONNECTION != 0 {
            let length = usize::from(reader.u8(WHAT)?);
            reader.bytes(length, WHAT)?;
        } else {
            reader.nul_terminated(WHAT)?;
        }
        let auth_field = start..reader.position();
        let schema = reader.nul_terminated(WHAT)?.to_vec();
        // Old clients end here; then the server takes the session's character set and its own plugin.
        let (mut auth_plugin, mut plugin_field) = (Vec::new(), None);
        if reader.u16(WHAT).is_ok() && !reader.is_empty() {
            let start = reader.position();
            auth_plugin = reader.remaining().split(|&byte| byte == 0).next().unwrap_or_default().to_vec();
            plugin_field = Some(start..start + auth_plugin.len());
        }
        let schema = Some(schema).filter(|name| !name.is_empty());
        Ok(Self { auth_field, plugin_field, schema, auth_plugin, payload })
    }

    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The payload without the answer to the scramble: the server asks for one. See [`withhold`].
    pub fn withheld(&self) -> Vec<u8> {
        withhold(&self.payload, &self.auth_field, self.plugin_field.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = b"\x11app\0\x07secret\0shop\0\x2d\0sha256_password\0\x03\x01a\0";

    #[test]
    fn fields_are_found_and_a_password_can_be_withheld() {
        let change = ChangeUser::parse(WHOLE.to_vec(), CLIENT_SECURE_CONNECTION).unwrap();
        assert_eq!(change.schema.as_deref(), Some(&b"shop"[..]));
        assert_eq!(change.auth_plugin, b"sha256_password");
        assert_eq!(change.withheld(), b"\x11app\0\0shop\0\x2d\0sealwire\0\x03\x01a\0");
        let old = ChangeUser::parse(b"\x11app\0\0\0".to_vec(), CLIENT_SECURE_CONNECTION).unwrap();
        assert_eq!((old.schema, old.auth_plugin.as_slice()), (None, &b""[..]));
    }

    #[test]
    fn a_change_of_user_cut_anywhere_is_an_error_or_short_never_a_panic() {
        for end in 0..WHOLE.len() {
            let cut = ChangeUser::parse(WHOLE[..end].to_vec(), CLIENT_SECURE_CONNECTION);
            assert_eq!(cut.is_err(), end < 18, "cut at {end}");
        }
    }
}
