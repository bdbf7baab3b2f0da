//! The rules of the dependency graph, over plain facts.

use std::collections::BTreeSet;

/// What is known of the workspace.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) crates: Vec<CrateFacts>,
    /// Every package of Cargo.lock.
    pub(super) locked: BTreeSet<String>,
    /// See [`features_of_its_own`].
    pub(super) features_of_its_own: BTreeSet<String>,
}

/// What is known of one of our crates.
#[derive(Clone, Debug, Default)]
pub(super) struct CrateFacts {
    pub(super) name: String,
    /// Our crates that it names as normal or build dependencies.
    pub(super) normal: BTreeSet<String>,
    /// Our crates that it names for its tests.
    pub(super) dev: BTreeSet<String>,
    /// Every package that it is built with, at any distance, tests apart.
    pub(super) sees: BTreeSet<String>,
    /// Dependencies whose version or path stands in its own manifest.
    pub(super) own_versions: Vec<String>,
}

/// What a crate may know.
struct Rule {
    name: &'static str,
    /// Our crates that it may depend on.
    may_know: &'static [&'static str],
    /// Our crates that its tests may add.
    tests_may_add: &'static [&'static str],
    /// Packages that it must not be built with, at any distance.
    never_sees: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        name: "squall-core",
        may_know: &[],
        tests_may_add: &[],
        never_sees: &["tokio", "futures", "futures-util", "hyper", "tonic", "reqwest", "polars", "plotters"],
    },
    Rule { name: "squall-proto", may_know: &[], tests_may_add: &[], never_sees: &["polars", "plotters"] },
    Rule {
        name: "squall-milvus",
        may_know: &["squall-core", "squall-proto"],
        tests_may_add: &["squall-sandbox"],
        never_sees: &["polars", "plotters"],
    },
    Rule {
        name: "squall-setup",
        may_know: &["squall-core", "squall-milvus"],
        tests_may_add: &["squall-sandbox"],
        never_sees: &["polars", "plotters"],
    },
    Rule {
        name: "squall-run",
        may_know: &["squall-core", "squall-milvus"],
        tests_may_add: &["squall-sandbox"],
        never_sees: &["polars", "plotters"],
    },
    Rule {
        name: "squall-analyze",
        may_know: &["squall-core"],
        tests_may_add: &[],
        never_sees: &["squall-milvus", "squall-proto", "tonic"],
    },
    Rule {
        name: "squall-sandbox",
        may_know: &["squall-core", "squall-proto"],
        tests_may_add: &[],
        never_sees: &["squall-milvus", "polars", "plotters"],
    },
    Rule {
        name: "squall",
        may_know: &[
            "squall-analyze",
            "squall-core",
            "squall-milvus",
            "squall-run",
            "squall-sandbox",
            "squall-setup",
        ],
        tests_may_add: &[],
        never_sees: &[],
    },
    Rule { name: "xtask", may_know: &[], tests_may_add: &[], never_sees: &["polars"] },
];

/// Packages that must not even be in Cargo.lock: a second TLS provider, the system's TLS, and
/// fontconfig's way into plotters.
const NOWHERE: &[&str] = &["native-tls", "openssl-sys", "aws-lc-rs", "aws-lc-sys", "font-kit"];

/// Every broken rule, one sentence each.
pub(super) fn broken(facts: &Facts) -> Vec<String> {
    let mut broken: Vec<String> = facts.crates.iter().flat_map(broken_by).collect();
    for name in NOWHERE.iter().filter(|name| facts.locked.contains(**name)) {
        broken.push(format!("Cargo.lock holds {name}: find the feature that brings it and leave it out"));
    }
    for package in &facts.features_of_its_own {
        broken.push(format!(
            "{package} lies under polars and has other features in the whole workspace than in \
             `-p squall`, so polars would be built twice: state the union in the root Cargo.toml"
        ));
    }
    broken
}

fn broken_by(krate: &CrateFacts) -> Vec<String> {
    let name = &krate.name;
    let mut broken: Vec<String> = krate
        .own_versions
        .iter()
        .map(|dependency| {
            format!("{name} states `{dependency}` itself: move version and features to the root, say `workspace = true`")
        })
        .collect();
    let Some(rule) = RULES.iter().find(|rule| rule.name == name) else {
        broken.push(format!("{name} is in no rule of the design: add one"));
        return broken;
    };
    for known in krate.normal.iter().filter(|known| !rule.may_know.contains(&known.as_str())) {
        broken.push(format!("{name} must not depend on {known}"));
    }
    let for_tests = [rule.may_know, rule.tests_may_add].concat();
    for known in krate.dev.iter().filter(|known| !for_tests.contains(&known.as_str())) {
        broken.push(format!("the tests of {name} must not depend on {known}"));
    }
    for seen in rule.never_sees.iter().filter(|seen| krate.sees.contains(**seen)) {
        broken.push(format!(
            "{name} must not be built with {seen}: `cargo tree -p {name} -i {seen}` says how it is"
        ));
    }
    broken
}

/// Dependencies in a crate's manifest that do not say `workspace = true`, or add features to it.
pub(super) fn own_versions(manifest: &toml::Table) -> Vec<String> {
    const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

    let mut tables = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    let sections =
        tables.iter().flat_map(|table| SECTIONS.iter().filter_map(|section| table.get(*section)?.as_table()));
    sections
        .flatten()
        .filter(|(_, stated)| {
            let inherited = stated.get("workspace").and_then(toml::Value::as_bool) == Some(true);
            !inherited || stated.get("features").is_some() || stated.get("default-features").is_some()
        })
        .map(|(name, _)| name.clone())
        .collect()
}

/// Of the packages `under_polars` (`name version`), those lines (`name version [features]`) of a build
/// `alone` that a build `together` does not have.
///
/// The other way round says nothing: a package may be built a second time for a build script.
pub(super) fn features_of_its_own(
    under_polars: &BTreeSet<String>,
    alone: &BTreeSet<String>,
    together: &BTreeSet<String>,
) -> BTreeSet<String> {
    let is_under_polars =
        |line: &&String| line.split_once(" [").is_some_and(|(package, _)| under_polars.contains(package));
    alone.difference(together).filter(is_under_polars).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn krate(name: &str) -> CrateFacts {
        CrateFacts { name: name.to_owned(), ..CrateFacts::default() }
    }

    fn broken_by_one(krate: CrateFacts) -> Vec<String> {
        broken(&Facts { crates: vec![krate], ..Facts::default() })
    }

    #[test]
    fn arrows_of_the_design_are_fine() {
        let run = CrateFacts {
            normal: names(&["squall-core", "squall-milvus"]),
            dev: names(&["squall-sandbox", "squall-core"]),
            sees: names(&["tokio", "squall-proto", "tonic"]),
            ..krate("squall-run")
        };
        assert_eq!(broken_by_one(run), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_too_many_is_named() {
        let analyze =
            CrateFacts { normal: names(&["squall-core", "squall-milvus"]), ..krate("squall-analyze") };
        assert_eq!(broken_by_one(analyze), ["squall-analyze must not depend on squall-milvus"]);
        let core = CrateFacts { dev: names(&["squall-sandbox"]), ..krate("squall-core") };
        assert_eq!(broken_by_one(core), ["the tests of squall-core must not depend on squall-sandbox"]);
    }

    #[test]
    fn what_a_crate_sees_at_second_hand_counts() {
        let run = CrateFacts { sees: names(&["polars"]), ..krate("squall-run") };
        let broken = broken_by_one(run);
        assert_eq!(broken.len(), 1);
        assert!(broken[0].starts_with("squall-run must not be built with polars"), "{broken:?}");
    }

    #[test]
    fn a_crate_without_a_rule_is_named() {
        assert_eq!(
            broken_by_one(krate("squall-extra")),
            ["squall-extra is in no rule of the design: add one"]
        );
    }

    #[test]
    fn a_second_tls_provider_is_refused() {
        let facts = Facts { locked: names(&["ring", "aws-lc-rs"]), ..Facts::default() };
        let broken = broken(&facts);
        assert_eq!(broken.len(), 1);
        assert!(broken[0].contains("aws-lc-rs"), "{broken:?}");
    }

    #[test]
    fn versions_and_features_outside_the_root_are_found() {
        let manifest = r#"
            [dependencies]
            fine.workspace = true
            version = "1"
            path = { path = "../path" }
            features = { workspace = true, features = ["x"] }
            [dev-dependencies]
            dev = { version = "1" }
            [target.'cfg(unix)'.dependencies]
            unix = "1"
        "#;
        let found = own_versions(&manifest.parse().unwrap());
        assert_eq!(
            found.into_iter().collect::<BTreeSet<_>>(),
            names(&["version", "path", "features", "dev", "unix"])
        );
    }

    #[test]
    fn only_packages_under_polars_must_have_the_same_features() {
        let under_polars = names(&["serde v1", "tokio v1"]);
        let alone = names(&["serde v1 [std]", "tokio v1 [rt]", "clap v4 [derive]"]);
        let together =
            names(&["serde v1 [std]", "serde v1 [derive,std]", "tokio v1 [net,rt]", "clap v4 [help]"]);
        assert_eq!(features_of_its_own(&under_polars, &alone, &together), names(&["tokio v1 [rt]"]));
    }
}
