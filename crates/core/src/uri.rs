//! URIs without the credentials that a user may have written into them.

/// The URI without user and password: `http://root:secret@host` is `http://host`.
pub fn without_credentials(uri: &str) -> String {
    let (scheme, rest) = uri.split_once("://").map_or(("", uri), |(scheme, rest)| (scheme, rest));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_left_out() {
        for (uri, plain) in [
            ("http://root:se@cret@10.0.0.5:19530/db", "http://10.0.0.5:19530/db"),
            ("root:secret@host:19530", "host:19530"),
            ("https://host/a@b", "https://host/a@b"),
            ("http://localhost:19530", "http://localhost:19530"),
        ] {
            assert_eq!(without_credentials(uri), plain);
        }
    }
}
