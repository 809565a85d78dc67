//! Reads the memory of a running process, for secrets that should not be there any longer.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use aho_corasick::AhoCorasick;

/// Read at once; a secret is shorter.
const CHUNK: usize = 4 << 20;

/// The places where each of the secrets stands in what the process may write to, by the name of the secret.
/// `None` where this user may not read it: the proxy is not dumpable, so that only root may.
pub fn find(pid: u32, secrets: &[(String, Vec<u8>)]) -> Option<Vec<(String, usize)>> {
    let longest = secrets.iter().map(|(_, secret)| secret.len()).max().expect("something is looked for");
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let mut memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let searcher = AhoCorasick::new(secrets.iter().map(|(_, secret)| secret)).expect("the secrets are few");
    let mut found = vec![0; secrets.len()];
    let mut buffer = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').expect("a range");
        let (mut at, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        while at < end {
            buffer.resize(CHUNK.min((end - at) as usize), 0);
            if memory.seek(SeekFrom::Start(at)).and_then(|_| memory.read_exact(&mut buffer)).is_err() {
                // Guard pages.
                break;
            }
            let last = at + buffer.len() as u64 == end;
            for hit in searcher.find_overlapping_iter(&buffer) {
                // What reaches into the overlap is found in the next chunk.
                if last || hit.start() + longest <= buffer.len() {
                    found[hit.pattern().as_usize()] += 1;
                }
            }
            at += if last { buffer.len() } else { buffer.len() - longest + 1 } as u64;
        }
    }
    Some(secrets.iter().zip(found).map(|((name, _), count)| (name.clone(), count)).collect())
}
