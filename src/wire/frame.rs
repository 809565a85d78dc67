//! Packet framing: the four-byte header, and payloads of 16 MB and more that span several packets.

/// Bytes of a packet header: payload length (3, little endian), sequence id (1).
pub const HEADER: usize = 4;
/// A payload of exactly this length continues in the next packet.
pub const MAX_PAYLOAD: usize = 0xFF_FFFF;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub length: usize,
    pub sequence: u8,
}

impl Header {
    /// The header at the start of `bytes`; `None` if fewer than four are there.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, sequence] = *bytes.first_chunk::<HEADER>()?;
        Some(Self { length: u32::from_le_bytes([a, b, c, 0]) as usize, sequence })
    }

    pub fn encode(self) -> [u8; HEADER] {
        let [a, b, c, ..] = (self.length as u64).to_le_bytes();
        [a, b, c, self.sequence]
    }
}

/// Appends `payload` as one packet, or several from 16 MB - 1 on, and advances `sequence`.
pub fn put_packet(out: &mut Vec<u8>, sequence: &mut u8, payload: &[u8]) {
    let mut rest = payload;
    loop {
        let (head, tail) = rest.split_at(rest.len().min(MAX_PAYLOAD));
        out.extend_from_slice(&Header { length: head.len(), sequence: *sequence }.encode());
        out.extend_from_slice(head);
        *sequence = sequence.wrapping_add(1);
        rest = tail;
        if head.len() < MAX_PAYLOAD {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_exactly_sixteen_megabytes_less_one_gets_an_empty_tail() {
        let mut out = Vec::new();
        let mut sequence = 254;
        put_packet(&mut out, &mut sequence, &vec![7; MAX_PAYLOAD]);
        assert_eq!(out.len(), MAX_PAYLOAD + 2 * HEADER);
        assert_eq!(Header::parse(&out), Some(Header { length: MAX_PAYLOAD, sequence: 254 }));
        assert_eq!(&out[MAX_PAYLOAD + HEADER..], &[0, 0, 0, 255]);
        assert_eq!(sequence, 0, "sequence ids wrap at 256");
    }

    #[test]
    fn an_empty_payload_is_one_packet() {
        let mut out = Vec::new();
        put_packet(&mut out, &mut 3, b"");
        assert_eq!(out, [0, 0, 0, 3]);
    }
}
