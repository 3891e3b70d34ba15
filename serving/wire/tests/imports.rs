//! Which part may know which library. The compiler does not check it inside a crate; this does.

#![allow(clippy::unwrap_used, reason = "helpers of a test")]

use std::{fs, path::Path};

/// A folder or file of the workspace, and the libraries that nothing in it may name.
const RULES: [(&str, &[&str]); 5] = [
    ("wire/src/tensor", &["tonic::", "tokio::"]),
    ("wire/src/oip", &["tonic::", "tokio::"]),
    ("wire/src/signature.rs", &["tonic::", "tokio::"]),
    ("server/src/batch", &["tonic::", "hyper::"]),
    (
        "server/src/batch/policy.rs",
        &["tokio::", "parking_lot::", "Instant::now", "aimodel_wire::"],
    ),
];

fn offenders(path: &Path, forbidden: &[&str]) -> Vec<String> {
    if path.is_dir() {
        let entries = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        return entries
            .flat_map(|path| offenders(&path, forbidden))
            .collect();
    }
    let text = fs::read_to_string(path).unwrap();
    let names = forbidden.iter().filter(|name| text.contains(**name));
    names
        .map(|name| format!("{} names {name}", path.display()))
        .collect()
}

#[test]
fn the_core_knows_no_transport() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (place, forbidden) in RULES {
        assert_eq!(
            offenders(&workspace.join(place), forbidden),
            Vec::<String>::new()
        );
    }
}
