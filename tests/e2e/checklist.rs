//! The documents name the tests that show what they say: each of these tests is there.

use std::path::{Path, PathBuf};

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// `module::…::name`, where `name` may be cut off by `*` or dots: the path of the file, and how the name begins.
fn test_named(text: &str) -> Option<(Vec<&str>, &str, bool)> {
    let (modules, name) = text.rsplit_once("::")?;
    let modules: Vec<&str> = modules.split("::").collect();
    let start = name.trim_end_matches(['*', '.', '…']);
    let well_formed = modules.iter().all(|module| is_name(module)) && (start.is_empty() || is_name(start));
    well_formed.then_some((modules, start, start.len() == name.len()))
}

/// Where a test of these modules may be: the end-to-end tests, or below the code.
fn file(root: &Path, modules: &[&str]) -> Option<PathBuf> {
    let path = modules.join("/");
    let candidates = [format!("tests/e2e/{path}.rs"), format!("src/{path}.rs"), format!("src/{path}/mod.rs")];
    candidates.iter().map(|candidate| root.join(candidate)).find(|candidate| candidate.exists())
}

#[test]
fn every_test_that_the_documents_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut missing, mut found) = (Vec::new(), 0);
    for document in ["protocol-tests.md", "protocol.md"] {
        let text = std::fs::read_to_string(root.join("docs").join(document)).unwrap();
        // A name may be broken over two lines.
        for quoted in quoted(&text.replace('\n', " ")) {
            let exists = if let Some(target) = quoted.strip_prefix("fuzz ") {
                root.join(format!("fuzz/fuzz_targets/{target}.rs")).exists()
            } else if let Some((modules, start, whole)) = test_named(quoted) {
                let code = file(root, &modules).map(|file| std::fs::read_to_string(file).unwrap()).unwrap_or_default();
                let function = if whole { format!("fn {start}(") } else { format!("fn {start}") };
                code.contains(&function)
            } else {
                continue;
            };
            found += 1;
            if !exists {
                missing.push(format!("{document}: {quoted}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(found > 150, "{found} names");
}
