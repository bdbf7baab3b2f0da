//! Commit, branch and build number, as CI services tell them in the environment.

/// A service, and the variables in which it tells what it builds; of several the first that is set.
struct Service {
    /// Set in every job of this service and in no other's.
    marker: &'static str,
    commit: &'static [&'static str],
    branch: &'static [&'static str],
    build: &'static str,
}

/// A merge request's own branch comes before the ref that is made for it.
const SERVICES: [Service; 10] = [
    // GitHub Actions
    Service {
        marker: "GITHUB_ACTIONS",
        commit: &["GITHUB_SHA"],
        branch: &["GITHUB_HEAD_REF", "GITHUB_REF_NAME"],
        build: "GITHUB_RUN_NUMBER",
    },
    // GitLab CI
    Service {
        marker: "GITLAB_CI",
        commit: &["CI_COMMIT_SHA"],
        branch: &["CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME"],
        build: "CI_PIPELINE_IID",
    },
    Service {
        marker: "BUILDKITE",
        commit: &["BUILDKITE_COMMIT"],
        branch: &["BUILDKITE_BRANCH"],
        build: "BUILDKITE_BUILD_NUMBER",
    },
    // CircleCI
    Service {
        marker: "CIRCLECI",
        commit: &["CIRCLE_SHA1"],
        branch: &["CIRCLE_BRANCH", "CIRCLE_TAG"],
        build: "CIRCLE_BUILD_NUM",
    },
    // Azure Pipelines
    Service {
        marker: "TF_BUILD",
        commit: &["BUILD_SOURCEVERSION"],
        branch: &["SYSTEM_PULLREQUEST_SOURCEBRANCH", "BUILD_SOURCEBRANCH"],
        build: "BUILD_BUILDNUMBER",
    },
    Service {
        marker: "TRAVIS",
        commit: &["TRAVIS_PULL_REQUEST_SHA", "TRAVIS_COMMIT"],
        branch: &["TRAVIS_PULL_REQUEST_BRANCH", "TRAVIS_BRANCH"],
        build: "TRAVIS_BUILD_NUMBER",
    },
    // Bitbucket Pipelines
    Service {
        marker: "BITBUCKET_BUILD_NUMBER",
        commit: &["BITBUCKET_COMMIT"],
        branch: &["BITBUCKET_BRANCH", "BITBUCKET_TAG"],
        build: "BITBUCKET_BUILD_NUMBER",
    },
    // Drone and Woodpecker
    Service {
        marker: "DRONE",
        commit: &["DRONE_COMMIT_SHA"],
        branch: &["DRONE_SOURCE_BRANCH", "DRONE_BRANCH"],
        build: "DRONE_BUILD_NUMBER",
    },
    Service { marker: "TEAMCITY_VERSION", commit: &["BUILD_VCS_NUMBER"], branch: &[], build: "BUILD_NUMBER" },
    // Jenkins, last: its variables are plain names that agents of others may inherit
    Service {
        marker: "JENKINS_URL",
        commit: &["GIT_COMMIT"],
        branch: &["CHANGE_BRANCH", "BRANCH_NAME", "GIT_BRANCH"],
        build: "BUILD_NUMBER",
    },
];

/// The labels `commit`, `branch` and `build`, as far as `environment` tells them; outside of CI none.
pub fn labels(environment: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let set = |name: &&str| environment(name).filter(|value| !value.trim().is_empty());
    let Some(service) = SERVICES.iter().find(|service| set(&service.marker).is_some()) else {
        return Vec::new();
    };
    let first = |names: &[&str]| names.iter().find_map(set);
    let branch = first(service.branch).map(|branch| {
        let plain = ["refs/heads/", "refs/tags/", "origin/"]
            .into_iter()
            .find_map(|prefix| branch.strip_prefix(prefix));
        plain.map_or_else(|| branch.clone(), str::to_owned)
    });
    let found = [("commit", first(service.commit)), ("branch", branch), ("build", set(&service.build))];
    found.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// Adds the labels of CI to those that were given, which come first.
pub fn add_labels(given: &mut Vec<(String, String)>, environment: impl Fn(&str) -> Option<String>) {
    for (key, value) in labels(environment) {
        if !given.iter().any(|(known, _)| *known == key) {
            given.push((key, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> String {
        let environment = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let labels = labels(environment);
        labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_service_tells_what_it_builds() {
        let github = [("GITHUB_ACTIONS", "true"), ("GITHUB_SHA", "ab12"), ("GITHUB_RUN_NUMBER", "412")];
        let pushed = [&github[..], &[("GITHUB_HEAD_REF", ""), ("GITHUB_REF_NAME", "main")]].concat();
        assert_eq!(found(&pushed), "commit=ab12 branch=main build=412");
        let asked = [&github[..], &[("GITHUB_HEAD_REF", "faster"), ("GITHUB_REF_NAME", "7/merge")]].concat();
        assert_eq!(found(&asked), "commit=ab12 branch=faster build=412");
        let gitlab = [
            ("GITLAB_CI", "true"),
            ("CI_COMMIT_SHA", "c"),
            ("CI_COMMIT_BRANCH", "main"),
            ("CI_PIPELINE_IID", "9"),
        ];
        assert_eq!(found(&gitlab), "commit=c branch=main build=9");
        let jenkins = [
            ("JENKINS_URL", "http://j"),
            ("GIT_COMMIT", "c"),
            ("GIT_BRANCH", "origin/main"),
            ("BUILD_NUMBER", "9"),
        ];
        assert_eq!(found(&jenkins), "commit=c branch=main build=9");
        let buildkite = [
            ("BUILDKITE", "true"),
            ("BUILDKITE_COMMIT", "c"),
            ("BUILDKITE_BRANCH", "b"),
            ("BUILDKITE_BUILD_NUMBER", "3"),
        ];
        assert_eq!(found(&buildkite), "commit=c branch=b build=3");
        let circle =
            [("CIRCLECI", "true"), ("CIRCLE_SHA1", "c"), ("CIRCLE_TAG", "v1"), ("CIRCLE_BUILD_NUM", "5")];
        assert_eq!(found(&circle), "commit=c branch=v1 build=5");
        let azure =
            [("TF_BUILD", "True"), ("BUILD_SOURCEVERSION", "c"), ("BUILD_SOURCEBRANCH", "refs/heads/main")];
        assert_eq!(found(&azure), "commit=c branch=main");
    }

    #[test]
    fn outside_of_ci_nothing_is_told() {
        assert_eq!(found(&[("GIT_COMMIT", "c"), ("BUILD_NUMBER", "9"), ("BRANCH_NAME", "main")]), "");
        assert_eq!(found(&[("GITHUB_ACTIONS", ""), ("GITHUB_SHA", "c")]), "");
    }

    #[test]
    fn a_label_that_was_given_stands() {
        let mut labels = vec![("build".to_owned(), "mine".to_owned())];
        let environment = |name: &str| match name {
            "CIRCLECI" => Some("true".to_owned()),
            "CIRCLE_BUILD_NUM" => Some("5".to_owned()),
            "CIRCLE_BRANCH" => Some("main".to_owned()),
            _ => None,
        };
        add_labels(&mut labels, environment);
        let pairs: Vec<_> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("build", "mine"), ("branch", "main")]);
    }
}
