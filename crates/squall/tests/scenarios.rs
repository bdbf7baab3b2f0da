//! What a built-in scenario is, said before anything is sent.

use crate::support::Workplace;

#[test]
fn a_scenario_says_what_it_is_and_what_its_users_can_ask_at_most() {
    let place = Workplace::new();
    let done = place.line("run --scenario peak --dry-run").expect(0);
    for part in [
        "closed loop: 300 users, 30/s started, thinking 100ms..500ms, 30m",
        "they can ask at most 1000 requests/s",
        "qps >= 1000 (advisory)",
        "scenario peak",
    ] {
        assert!(done.stdout.contains(part), "`{part}` in:\n{}", done.stdout);
    }
    assert!(!done.stderr.contains("cannot be met"), "1,000 can be reached: {}", done.stderr);

    let done = place.line("run --scenario normal --dry-run").expect(0);
    assert!(done.stdout.contains("they can ask at most 333 requests/s"), "{}", done.stdout);
    let note = "100 users who think 0.3 s on average ask at most 333 requests/s";
    assert!(done.stderr.contains(note) && done.stderr.contains("-open twin"), "{}", done.stderr);

    let done = place.line("run --scenario normal-open --dry-run").expect(0);
    assert!(done.stdout.contains("open loop: ") && done.stdout.contains("1000/s"), "{}", done.stdout);
    assert!(done.stderr.is_empty(), "a rate is not bounded by users: {}", done.stderr);
    assert!(!place.path().join("data").exists(), "nothing was made");
}
