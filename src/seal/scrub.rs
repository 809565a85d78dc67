//! Finding sealed values inside text that is not a column: error and warning messages, which quote what
//! the server could not store or found twice. Errs towards finding too much.

/// What stands where a sealed value stood.
const PLACEHOLDER: &[u8] = b"(sealed value)";
/// Shorter runs are not taken for a sealed value; servers cut what they quote, but not this short.
const MIN_RUN: usize = 12;

/// Whether a stored value has the look of a sealed one, in text or byte form, whole or cut.
pub fn looks_sealed(stored: &[u8]) -> bool {
    run(stored).is_some_and(|len| len == stored.len()) || stored.starts_with(&[0xA5]) && stored.len() >= MIN_RUN
}

/// `message` with every sealed value in it replaced. `None`: there is none, keep the message.
pub fn scrub(message: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut found = false;
    let mut rest = message;
    let mut before = None;
    while let Some((first, tail)) = rest.split_first() {
        // In the middle of a word nothing begins.
        let boundary = !before.is_some_and(is_base64);
        match run(rest).filter(|_| boundary || *first == b'\\') {
            Some(len) => {
                out.extend(PLACEHOLDER);
                found = true;
                before = None;
                rest = rest.get(len..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                before = Some(*first);
                rest = tail;
            }
        }
    }
    found.then_some(out)
}

/// The length of the sealed value that `text` begins with.
fn run(text: &[u8]) -> Option<usize> {
    // The first characters of an envelope's text form, and of the blobs of AWS KMS in base64.
    let lead = text.starts_with(b"pQE") || text.starts_with(b"pQI") || text.starts_with(b"pQM");
    if lead || text.starts_with(b"AQICAH") || text.starts_with(b"AQECAH") {
        let mut len = text.iter().position(|byte| !is_base64(*byte)).unwrap_or(text.len());
        while matches!(text.get(len), Some(b'.' | b'=')) {
            len = len.saturating_add(1);
        }
        return (len >= MIN_RUN).then_some(len);
    }
    // The byte form, as servers quote bytes that are not text: `\xA5\x01\x00…`, printable ones as they are;
    // or as hexadecimal digits.
    if [&b"\\xA5\\x01"[..], b"\\xA5\\x02", b"\\xA5\\x03"]
        .iter()
        .any(|lead| text.get(..8).is_some_and(|head| head.eq_ignore_ascii_case(lead)))
    {
        return Some(text.iter().position(|byte| matches!(byte, b'\'' | b'"')).unwrap_or(text.len()));
    }
    if [&b"A501"[..], b"A502", b"A503"]
        .iter()
        .any(|lead| text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(lead)))
    {
        let len = text.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(text.len());
        return (len >= 2 * MIN_RUN).then_some(len);
    }
    // Raw bytes.
    if matches!(text, [0xA5, 1 | 3, 0, ..] | [0xA5, 2, 1..=super::format::MAX_SEARCH_VERSION, ..]) {
        return Some(text.len());
    }
    None
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "pQEAAQIDBAUGBwgJCgsMAAAAB0L8v1iW3rR1xH2YwPjFJw0a3Zk.";

    fn scrubbed(message: &str) -> Option<String> {
        scrub(message.as_bytes()).map(|out| String::from_utf8(out).unwrap())
    }

    #[test]
    fn whole_and_cut_values_are_taken_out_of_messages() {
        assert_eq!(
            scrubbed(&format!("Duplicate entry '{VALUE}' for key 'users.email'")).as_deref(),
            Some("Duplicate entry '(sealed value)' for key 'users.email'")
        );
        assert_eq!(
            scrubbed(&format!("Duplicate entry '7-{}' for key 'k'", &VALUE[..40])).as_deref(),
            Some("Duplicate entry '7-(sealed value)' for key 'k'")
        );
        assert_eq!(
            scrubbed(r"Duplicate entry '\xA5\x01\x00ab\x02' for key 'k'").as_deref(),
            Some("Duplicate entry '(sealed value)' for key 'k'")
        );
    }

    #[test]
    fn searchable_values_are_found_in_every_form() {
        let text = format!("pQIB{}", &VALUE[4..]);
        for (message, expected) in [
            (format!("Duplicate entry '{text}' for key 'k'"), "Duplicate entry '(sealed value)' for key 'k'"),
            (
                r"Duplicate entry '\xA5\x02\x01ab\x02' for key 'k'".into(),
                "Duplicate entry '(sealed value)' for key 'k'",
            ),
            (
                "Duplicate entry 'A50201000102030405060708090A' for key 'k'".into(),
                "Duplicate entry '(sealed value)' for key 'k'",
            ),
        ] {
            assert_eq!(scrubbed(&message).as_deref(), Some(expected), "{message}");
        }
        assert!(looks_sealed(text.as_bytes()) && looks_sealed(b"\xA5\x02\x01 0123456789"));
    }

    #[test]
    fn blobs_of_kms_are_found() {
        for lead in ["AQICAH", "AQECAH"] {
            let message = format!("Duplicate entry '{lead}{}==' for key 'k'", "jk0+/".repeat(40));
            assert_eq!(scrubbed(&message).as_deref(), Some("Duplicate entry '(sealed value)' for key 'k'"));
        }
    }

    #[test]
    fn several_values_in_one_message_all_go() {
        let message = format!("'{VALUE}' and '{VALUE}'");
        assert_eq!(scrubbed(&message).as_deref(), Some("'(sealed value)' and '(sealed value)'"));
    }

    #[test]
    fn ordinary_messages_stay_as_they_are() {
        for message in ["", "Duplicate entry 'jane@example.org' for key 'email'", "pQE", "Unknown column 'pQx' in 'x'"]
        {
            assert_eq!(scrubbed(message), None, "{message}");
        }
    }

    #[test]
    fn stored_values_are_recognised_by_their_look() {
        assert!(looks_sealed(VALUE.as_bytes()));
        assert!(looks_sealed(&VALUE.as_bytes()[..30]));
        assert!(!looks_sealed(b"jane@example.org"));
    }
}
