//! Short names for long things: hashes that tell two datasets, workloads or plans apart.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// The first 64 bits of SHA-256 of `value` as JSON, in hexadecimal (16 characters).
///
/// Objects are hashed in the order of their fields, so the type's declaration is part of the
/// identity: reorder or rename a field and the hash changes.
pub fn hash_of<T: Serialize>(value: &T) -> String {
    let json = serde_json::to_vec(value).expect("plain data serialises");
    let digest = Sha256::digest(&json);
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
