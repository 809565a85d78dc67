//! A cursor over the payload of one packet. Every read is checked; a malformed length is an error,
//! not zero (which is why `mysql_common::io::ParseBuf` is not used here).

use super::Malformed;

#[derive(Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Reader<'a> {
    pub fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload, total: payload.len() }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.total - self.rest.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    pub fn bytes(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(Malformed(what))?;
        self.rest = tail;
        Ok(head)
    }

    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(Malformed(what))?;
        self.rest = tail;
        Ok(*head)
    }

    pub fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.array(what)?))
    }

    pub fn u16(&mut self, what: &'static str) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub fn u64(&mut self, what: &'static str) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A length-encoded integer.
    pub fn lenenc(&mut self, what: &'static str) -> Result<u64, Malformed> {
        match self.u8(what)? {
            small @ 0..=0xFA => Ok(u64::from(small)),
            0xFC => Ok(u64::from(self.u16(what)?)),
            0xFD => {
                let [a, b, c] = self.array(what)?;
                Ok(u64::from(u32::from_le_bytes([a, b, c, 0])))
            }
            0xFE => self.u64(what),
            _ => Err(Malformed(what)),
        }
    }

    /// A length-encoded string.
    pub fn lenenc_bytes(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.lenenc(what)?).map_err(|_| Malformed(what))?;
        self.bytes(length, what)
    }

    /// A length-encoded string of a text row, or NULL (0xFB).
    pub fn nullable_lenenc_bytes(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, Malformed> {
        if self.rest.first() == Some(&0xFB) {
            self.u8(what)?;
            return Ok(None);
        }
        self.lenenc_bytes(what).map(Some)
    }

    /// Up to a NUL, which is consumed and not part of the answer.
    pub fn nul_terminated(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        let end = self.rest.iter().position(|&byte| byte == 0).ok_or(Malformed(what))?;
        let head = self.bytes(end, what)?;
        self.u8(what)?;
        Ok(head)
    }
}

/// Appends a length-encoded integer.
pub fn put_lenenc(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_le_bytes();
    let [a, b, c, ..] = bytes;
    match value {
        0..=0xFA => out.push(a),
        0xFB..=0xFFFF => out.extend_from_slice(&[0xFC, a, b]),
        0x1_0000..=0xFF_FFFF => out.extend_from_slice(&[0xFD, a, b, c]),
        _ => {
            out.push(0xFE);
            out.extend_from_slice(&bytes);
        }
    }
}

/// Appends a length-encoded string.
pub fn put_lenenc_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_lenenc(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lenenc_integers_round_trip_at_every_boundary() {
        for value in [0, 1, 0xFA, 0xFB, 0xFF, 0xFFFF, 0x1_0000, 0xFF_FFFF, 0x100_0000, u64::MAX] {
            let mut out = Vec::new();
            put_lenenc(&mut out, value);
            let mut reader = Reader::new(&out);
            assert_eq!(reader.lenenc("test"), Ok(value));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn a_null_or_reserved_marker_is_not_a_length() {
        assert!(Reader::new(&[0xFB]).lenenc("test").is_err());
        assert!(Reader::new(&[0xFF]).lenenc("test").is_err());
        assert_eq!(Reader::new(&[0xFB]).nullable_lenenc_bytes("test"), Ok(None));
    }

    #[test]
    fn truncated_input_is_an_error_everywhere() {
        assert!(Reader::new(&[0xFC, 1]).lenenc("test").is_err());
        assert!(Reader::new(&[5, b'a']).lenenc_bytes("test").is_err());
        assert!(Reader::new(b"abc").nul_terminated("test").is_err());
        assert!(Reader::new(&[0xFE, 255, 255, 255, 255, 255, 255, 255, 255]).lenenc_bytes("test").is_err());
    }
}
