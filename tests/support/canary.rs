//! Proof that a value never reached a server: a search of everything the server writes to disk.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Account, Backend, client};
use mysql_async::prelude::Queryable;

/// Fails when one of the byte strings is in the server's general log, binary log, error log or data
/// files (redo and undo log included). Choose canaries that no other test writes, and long enough that
/// chance does not make them.
pub async fn assert_no_plaintext(backend: &Backend, canaries: &[&str]) {
    flush(backend).await;
    let found = search(backend, canaries);
    assert!(found.is_empty(), "plaintext reached {:?}: {found:?}", backend.server);
}

/// The files that hold one of the canaries.
pub fn search(backend: &Backend, canaries: &[&str]) -> Vec<(PathBuf, String)> {
    let finder = aho_corasick::AhoCorasick::new(canaries).expect("canaries are few and short");
    let mut found = Vec::new();
    for root in [&backend.general_log, &backend.binlog, &backend.error_log, &backend.data] {
        visit(root, &mut |path| {
            // Temporary tables of other tests come and go while this runs.
            let Ok(file) = fs::File::open(path) else { return };
            if let Ok(Some(pattern)) = first_match(&finder, file) {
                found.push((path.to_owned(), canaries[pattern].to_owned()));
            }
        });
    }
    found
}

fn visit(path: &Path, each: &mut impl FnMut(&Path)) {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().for_each(|entry| visit(&entry.path(), each)),
        Err(_) if path.is_file() => each(path),
        Err(_) => {}
    }
}

fn first_match(finder: &aho_corasick::AhoCorasick, file: impl Read) -> io::Result<Option<usize>> {
    match finder.stream_find_iter(io::BufReader::with_capacity(1 << 20, file)).next() {
        Some(found) => found.map(|found| Some(found.pattern().as_usize())),
        None => Ok(None),
    }
}

/// Brings logs and dirty pages to disk, as far as the server offers it.
async fn flush(backend: &Backend) {
    let mut conn = client::connect(client::opts(&backend.host, backend.port, Account::ROOT, None)).await;
    for statement in ["FLUSH LOCAL GENERAL LOGS", "FLUSH LOCAL BINARY LOGS"] {
        conn.query_drop(statement).await.expect("the server flushes its logs");
    }
    conn.disconnect().await.expect("the connection ends");
}
