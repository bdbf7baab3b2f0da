//! The filter language: text → [`parse`] → [`ast`] → [`bind`] (names and types against a schema) →
//! [`eval`] (one bit a row).
//!
//! Served: `== != < <= > >=`, `1 < a <= 4`, `in [..]`, `not in [..]`, `and && or || not !`,
//! `like "a%"`, `+ - * / %`, parentheses, numbers, `"text"` or `'text'`, `true false`, fields,
//! `$meta["k"]`, `json["a"][0]`, bare keys of the dynamic field, `exists k`, `json_contains(f, v)`,
//! `json_contains_all(f, [..])`, `json_contains_any(f, [..])`. Keywords in any case.
//!
//! Where Milvus 2.3.5 is narrower, this is wider (a bare `true`, a comparison of two fields, `not`
//! before a comparison without parentheses): a filter that Milvus takes means the same here.

pub(crate) mod ast;
pub(crate) mod bind;
pub(crate) mod bitmap;
pub(crate) mod eval;
pub(crate) mod parse;
