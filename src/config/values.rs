//! Single values of the configuration: durations, addresses, names of KMS keys.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::model::{BackendAddress, ListenAddress};

/// `500ms`, `1s`, `5m`, `1h`, also `1h30m`. `None` for anything else, an overflow included.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let units = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(units);
        let number: u64 = number.parse().ok()?;
        let part = match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = tail;
    }
    Some(total)
}

/// `127.0.0.1:3307`, `[::]:3307` or `unix:/path`.
pub fn parse_listen(text: &str, base: &Path) -> Result<ListenAddress, &'static str> {
    if let Some(path) = text.strip_prefix("unix:") {
        return if path.is_empty() {
            Err("a path is missing after unix:")
        } else {
            Ok(ListenAddress::Unix(base.join(path)))
        };
    }
    if text.starts_with('/') {
        return Err("write unix: before the path of a socket");
    }
    text.parse::<SocketAddr>().map(ListenAddress::Tcp).map_err(|_| {
        "write an IP address and a port, 127.0.0.1:3307 or [::1]:3307 (0.0.0.0:3307 for every interface), or unix:/path"
    })
}

/// `host`, `host:port`, `[::1]:port` or `unix:/path`; the port is 3306 if not given.
pub fn parse_backend(text: &str, base: &Path) -> Result<BackendAddress, &'static str> {
    const FORM: &str = "write host:port, such as 127.0.0.1:3306, or unix:/path";
    if let Some(path) = text.strip_prefix("unix:") {
        return if path.is_empty() {
            Err("a path is missing after unix:")
        } else {
            Ok(BackendAddress::Unix(base.join(path)))
        };
    }
    if text.starts_with('/') {
        return Err("write unix: before the path of a socket");
    }
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(FORM)?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| FORM)?;
        (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(FORM)?) })
    } else {
        match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            Some(_) => return Err("write an IPv6 address in brackets: [::1]:3306"),
            None => (text, None),
        }
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(legal) {
        return Err(FORM);
    }
    let port = match port {
        None => 3306,
        Some(port) => port.parse::<u16>().ok().filter(|port| *port != 0).ok_or("the port must be from 1 to 65535")?,
    };
    Ok(BackendAddress::Tcp(host.to_owned(), port))
}

/// Whether a text can name a KMS key: key id, multi-region key id, key ARN, alias or alias ARN.
pub fn names_kms_key(text: &str) -> bool {
    fn alias(text: &str) -> bool {
        text.strip_prefix("alias/").is_some_and(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-'))
        })
    }
    fn id(text: &str) -> bool {
        if let Some(rest) = text.strip_prefix("mrk-") {
            return rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit());
        }
        let groups: Vec<&str> = text.split('-').collect();
        groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
            && groups.iter().all(|group| group.bytes().all(|b| b.is_ascii_hexdigit()))
    }
    if let Some(arn) = text.strip_prefix("arn:") {
        let mut parts = arn.splitn(5, ':');
        let (partition, service) = (parts.next(), parts.next());
        let (region, account, resource) = (parts.next(), parts.next(), parts.next());
        let filled = |part: Option<&str>| part.is_some_and(|part| !part.is_empty());
        return filled(partition)
            && service == Some("kms")
            && filled(region)
            && account.is_some_and(|account| account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()))
            && resource.is_some_and(|resource| alias(resource) || resource.strip_prefix("key/").is_some_and(id));
    }
    alias(text) || id(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("1h30m"), Some(Duration::from_secs(5400)));
        for wrong in ["", "1", "s", "1 s", "-1s", "1.5s", "1d", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn backends_are_hosts_or_sockets() {
        let base = Path::new("/etc/sealwire");
        let tcp = |host: &str, port| Ok(BackendAddress::Tcp(host.into(), port));
        assert_eq!(parse_backend("db", base), tcp("db", 3306));
        assert_eq!(parse_backend("db.internal:3310", base), tcp("db.internal", 3310));
        assert_eq!(parse_backend("[::1]:3310", base), tcp("::1", 3310));
        assert_eq!(parse_backend("unix:db.sock", base), Ok(BackendAddress::Unix("/etc/sealwire/db.sock".into())));
        for wrong in ["::1", "db:0", "db:x", "/run/x.sock", "unix:", ":3306", "a b:1", "mysql://db"] {
            assert!(parse_backend(wrong, base).is_err(), "{wrong}");
        }
    }

    #[test]
    fn kms_keys_are_ids_arns_and_aliases() {
        for right in [
            "alias/my-app",
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "mrk-1234abcd12ab34cd56ef1234567890ab",
            "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws-cn:kms:cn-north-1:111122223333:alias/x",
        ] {
            assert!(names_kms_key(right), "{right}");
        }
        for wrong in ["my-app", "alias/", "arn:aws:s3:::bucket", "arn:aws:kms:eu:1:key/x", ""] {
            assert!(!names_kms_key(wrong), "{wrong}");
        }
    }
}
