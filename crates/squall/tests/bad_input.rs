//! What is wrong gives one clear sentence and the right exit code.

use crate::support::{Done, SandboxProcess, Workplace, files_below};

/// A port that nothing listens on.
fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn wrong_usage_is_exit_2() {
    let place = Workplace::new();
    for (line, parts) in [
        ("run --run-time 5x", ["--run-time", "`5x`"]),
        ("run -u 5 --rate 100", ["--users and --rate", "contradict"]),
        ("run --users 0", ["--users", "at least 1"]),
        ("run --transport udp", ["--transport", "grpc or rest"]),
        ("run --target p98<5ms", ["--target", "`p98`"]),
        ("run --config missing.toml", ["missing.toml", "No such file"]),
        ("run --env-file missing.env", ["missing.env", "No such file"]),
        ("run --scenario weekly", ["`weekly`", "baseline, normal, peak, stress, endurance"]),
        ("run --stages 5m", ["--stages", "5m:1000"]),
        ("run --shard 0/3", ["--shard", "--run-id"]),
        ("run --shard 3/3 --run-id a --start-at 2026-05-01T12:30:00Z", ["--shard", "the last is 2/3"]),
        ("run --scenario mine.toml", ["mine.toml", "No such file"]),
        ("run --uri ftp://x", ["ftp", "http"]),
        ("run --master", ["--master", "--shard"]),
        ("run --worker", ["--worker", "--shard"]),
        ("setup --dimension 1", ["--dimension", "2 to 32768"]),
        ("setup --index LSH", ["--index", "IVF_FLAT"]),
        ("setup --num-vectors 0", ["--num-vectors", "at least 1"]),
        ("sandbox --error-rate 1.5", ["--error-rate", "between 0 and 1"]),
        ("sandbox --latency slow", ["--latency", "slow"]),
    ] {
        let done = place.line(line).expect(2);
        done.says(&parts);
    }
    // What has words with spaces in it.
    let shard = ["run", "--shard", "0/2", "--run-id", "r", "--start-at", "2026-05-01T12:30:00Z", "--target"];
    let words = shard.into_iter().chain(["p99 < 5ms abort"]);
    let done = Done::from(place.squall(words).output().unwrap()).expect(2);
    done.says(&["--target", "a shard sees only its own requests", "`abort`"]);
    assert!(!place.path().join("data").exists(), "nothing was made for nothing");
}

#[test]
fn what_clap_refuses_is_exit_2_too() {
    let place = Workplace::new();
    for line in ["run --uesrs 5", "walk", "analyze", "sandbox --port 99999"] {
        let done = place.line(line).expect(2);
        assert!(done.stderr.contains("error:") && done.stdout.is_empty(), "{line}: {}", done.stderr);
    }
    for line in ["--help", "run --help", "--version"] {
        let done = place.line(line).expect(0);
        assert!(!done.stdout.is_empty() && done.stderr.is_empty(), "{line}");
    }
}

#[test]
fn weights_from_the_environment_are_checked() {
    let place = Workplace::new();
    let run = |weights: [&str; 3]| {
        let mut command = place.squall(["run", "--dry-run"]);
        for (name, weight) in
            ["COMMON_QUERY_WEIGHT", "FILTERED_QUERY_WEIGHT", "RARE_QUERY_WEIGHT"].iter().zip(weights)
        {
            command.env(name, weight);
        }
        crate::support::Done::from(command.output().unwrap())
    };
    run(["-1", "1", "1"]).expect(2).says(&["COMMON_QUERY_WEIGHT", "0 or more"]);
    run(["0", "0", "0"]).expect(2).says(&["all class weights are 0"]);
    let done = run(["80", "15", "15"]).expect(0);
    assert!(done.stderr.contains("note: the class weights add up to 110"), "{}", done.stderr);
}

#[test]
fn an_unknown_key_and_an_unread_env_file_are_pointed_out() {
    let place = Workplace::new();
    std::fs::write(place.path().join("a.toml"), "user = 5\n").unwrap();
    place.line("run --config a.toml --dry-run").expect(2).says(&["a.toml", "`user`", "`users`"]);
    std::fs::write(place.path().join("config.env"), "export USERS=7  # seven\n").unwrap();
    let done = place.line("run --dry-run").expect(0);
    assert!(done.stderr.contains("--env-file config.env"), "{}", done.stderr);
    let done = place.line("run --dry-run --env-file config.env").expect(0);
    assert!(done.stdout.contains("USERS in config.env:1"), "{}", done.stdout);
}

#[test]
fn a_server_that_cannot_be_reached_is_exit_1() {
    let place = Workplace::new();
    let uri = format!("http://127.0.0.1:{}", closed_port());
    for command in ["setup", "run -t 5s --rate 10"] {
        for transport in ["grpc", "rest"] {
            let done = place.line(&format!("{command} --uri {uri} --transport {transport}")).expect(1);
            done.says(&["cannot reach", &uri, "--uri"]);
        }
    }
}

#[test]
fn what_the_server_lacks_is_found_before_the_first_request() {
    let place = Workplace::new();
    let log = place.path().join("sandbox.csv");
    let sandbox = SandboxProcess::start(&["--log", log.to_str().unwrap()]);
    let uri = &sandbox.uri;
    place
        .line(&format!("run -t 5s --rate 10 --uri {uri}"))
        .expect(1)
        .says(&["`load_test_collection`", "squall setup"]);

    let setup = format!("setup --uri {uri} --num-vectors 300 --dimension 16 --settle 0s");
    place.line(&setup).expect(0);
    let done = place.line(&format!("run -t 5s --rate 10 --dimension 32 --uri {uri}")).expect(1);
    done.says(&["32", "16"]);
    let done = place.line(&setup).expect(0);
    assert!(done.stderr.contains("already there"), "{}", done.stderr);
    let done =
        place.line(&format!("setup --uri {uri} --num-vectors 400 --dimension 16 --settle 0s")).expect(1);
    done.says(&["another one", "300 rows", "--drop-existing"]);
    place
        .line(&format!("setup --uri {uri} --num-vectors 400 --dimension 16 --settle 0s --drop-existing"))
        .expect(0);

    drop(sandbox);
    let searches = std::fs::read_to_string(&log).unwrap().lines().count().saturating_sub(1);
    assert_eq!(searches, 0, "setup and the checks before a run send no search");
}

#[test]
fn a_wrong_token_is_exit_1_and_no_token_is_in_any_file() {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&["--token", "root:s3cr3t-token"]);
    let uri = &sandbox.uri;
    for transport in ["grpc", "rest"] {
        let setup =
            format!("setup --uri {uri} --num-vectors 300 --dimension 16 --settle 0s --transport {transport}");
        place.line(&setup).expect(1).says(&["token"]);
        let done = place.line(&format!("{setup} --token root:wr0ng-token")).expect(1);
        assert!(!done.stderr.contains("wr0ng-token"), "{}", done.stderr);
        done.says(&["token"]);
        place.line(&format!("{setup} --token root:s3cr3t-token")).expect(0);
        let run = format!("run -t 2s --rate 20 --uri {uri} --transport {transport} --name {transport}");
        place.line(&run).expect(1).says(&["token"]);
        let done = place.line(&format!("{run} --token root:s3cr3t-token")).ran();
        assert!(!done.stderr.contains("s3cr3t"), "{}", done.stderr);
    }
    // The token may stand in the URI, too.
    let with_token = uri.replacen("http://", "http://root:s3cr3t-token@", 1);
    let done = place.line(&format!("run -t 2s --rate 20 --uri {with_token} --name in-uri")).ran();
    assert!(!done.stderr.contains("s3cr3t"), "{}", done.stderr);
    let done = place.line(&format!("run --dry-run --uri {with_token}")).expect(0);
    assert!(!done.stdout.contains("s3cr3t"), "{}", done.stdout);
    let encoded = "cm9vdDpzM2NyM3QtdG9rZW4=";
    for file in files_below(place.path()) {
        let content = std::fs::read(&file).unwrap();
        for secret in ["s3cr3t", encoded] {
            let found = content.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "the token is in {}", file.display());
        }
    }
}

/// The program under a limit of open files, as `ulimit` takes it.
fn with_open_files(place: &Workplace, limit: &str, line: &str) -> Done {
    let launcher = ["sh", "-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")];
    let mut command = place.squall_under(&launcher, line.split_whitespace());
    Done::from(command.output().expect("the program starts"))
}

#[test]
fn sockets_that_the_system_does_not_allow_are_found_before_the_load() {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&["--engine", "null"]);
    let uri = &sandbox.uri;
    place
        .line(&format!("setup --uri {uri} --num-vectors 300 --dimension 16 --settle 0s --ground-truth 0"))
        .expect(0);
    let run = format!("run --uri {uri} -u 300 -r 3000 --think-time 100ms -t 2s --transport rest");
    let done = with_open_files(&place, "-n 256", &run).expect(1);
    done.says(&["300 sockets", "256", "--transport grpc"]);
    assert!(!place.path().join("data/runs").exists(), "nothing was begun");
    // Over gRPC four are enough, and a soft limit is raised.
    with_open_files(&place, "-n 256", &run.replace("rest", "grpc")).ran();
    with_open_files(&place, "-Sn 256", &run).ran();
}

#[test]
fn a_port_in_use_is_named() {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&[]);
    place.line(&format!("sandbox --port {}", sandbox.port())).expect(1).says(&[sandbox.port(), "in use"]);
}

#[test]
fn a_directory_that_cannot_be_written_is_found_before_the_load() {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&[]);
    // A file where the directory should be: unlike permissions, that stops root too.
    std::fs::write(place.path().join("data"), "").unwrap();
    let done = place.line(&format!("run -t 5s --rate 10 --uri {}", sandbox.uri)).expect(1);
    done.says(&["cannot write to data", "--data"]);
}

#[test]
fn half_a_run_directory_is_named() {
    let place = Workplace::new();
    std::fs::create_dir_all(place.path().join("half/requests")).unwrap();
    place.line("analyze half").expect(1).says(&["half", "run.json"]);
    place.line("analyze nowhere").expect(1).says(&["nowhere"]);
    std::fs::write(place.path().join("half/run.json"), "{\"schema_ver").unwrap();
    place.line("analyze half").expect(1).says(&["run.json", "damaged"]);
}

#[test]
fn an_empty_collection_is_found_before_the_load() {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&[]);
    let body = r#"{"collectionName":"empty","dimension":16}"#;
    let status = std::process::Command::new("curl")
        .args(["-sf", "-X", "POST", "-d", body, &format!("{}/v2/vectordb/collections/create", sandbox.uri)])
        .stdout(std::process::Stdio::null())
        .status()
        .expect("curl is there");
    assert!(status.success());
    let done =
        place.line(&format!("run -t 5s --rate 10 --collection-name empty --uri {}", sandbox.uri)).expect(1);
    done.says(&["empty", "squall setup"]);
}
