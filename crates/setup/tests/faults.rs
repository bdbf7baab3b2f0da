//! A server that refuses, loses and limits inserts: every row gets there once.

use squall_core::dataset::Dataset;
use squall_core::schema::{Consistency, Transport};
use squall_sandbox::SandboxConfig;
use squall_setup::{Event, Outcome, Phase, SetupConfig, SetupError, SetupReport};

use crate::{admin, config, run, sandbox_with};

/// Seeds 1,050 rows; what it reports and what was waited for.
async fn seeded(
    sandbox: SandboxConfig,
    transport: Transport,
    batch_size: usize,
) -> (SetupReport, Vec<String>) {
    let uri = sandbox_with(sandbox).await;
    let admin = admin(&uri, transport).await;
    let config = SetupConfig { batch_size, ..config(&uri, transport) };
    let (report, events) = run(&admin, &config).await;
    let report = report.unwrap();
    assert_eq!(report.outcome, Outcome::Created);
    assert_eq!(admin.count("c", None, Consistency::Strong).await.unwrap(), 1_050);
    // The sandbox counts each row of a key, so that one that is there twice cannot stand for one that is not:
    // this looks at all keys.
    let (again, resumed) = run(&admin, &SetupConfig { resume: true, ..config }).await;
    assert_eq!(again.unwrap().outcome, Outcome::AlreadyThere);
    assert!(resumed.contains(&Event::Resuming { missing: 0, doubled: 0 }), "{resumed:?}");
    let finished = |phase: Phase| {
        events
            .iter()
            .rposition(|event| matches!(event, Event::Finished { phase: done, .. } if *done == phase))
    };
    if let Some(looked) = finished(Phase::Count) {
        assert!(finished(Phase::Index) > Some(looked), "what is mended is flushed and indexed, too");
    }
    let reasons = events.into_iter().filter_map(|event| match event {
        Event::Waiting { reason } => Some(reason),
        _ => None,
    });
    (report, reasons.collect())
}

#[tokio::test]
async fn a_rate_limit_is_waited_out() {
    for transport in [Transport::Grpc, Transport::Rest] {
        let sandbox = SandboxConfig { insert_reject_rate: 0.4, seed: 3, ..SandboxConfig::default() };
        let (report, reasons) = seeded(sandbox, transport, 50).await;
        assert_eq!((report.rows_sent, report.rows_mended, report.bytes_mended), (1_050, 0, 0));
        assert!(
            !reasons.is_empty() && reasons.iter().all(|reason| reason.contains("rate limit")),
            "{reasons:?}"
        );
    }
}

#[tokio::test]
async fn batches_whose_answer_is_lost_are_looked_for_and_not_sent_twice() {
    for transport in [Transport::Grpc, Transport::Rest] {
        // Of 21 batches some are lost before and some after their rows were taken.
        let sandbox = SandboxConfig { insert_drop_rate: 0.3, seed: 5, ..SandboxConfig::default() };
        let (report, reasons) = seeded(sandbox, transport, 50).await;
        assert!(!reasons.is_empty());
        // A batch of which only the answer was lost is sent neither time.
        assert!(report.rows_mended > 0 && report.rows_sent + report.rows_mended <= 1_050, "{report:?}");
        let vectors = report.rows_mended * 16 * 4;
        assert!(report.bytes_mended > vectors, "{report:?}");
    }
}

#[tokio::test]
async fn batches_shrink_to_what_the_server_takes() {
    let sandbox = SandboxConfig { max_message_bytes: 20_000, ..SandboxConfig::default() };
    let (_, reasons) = seeded(sandbox, Transport::Grpc, 1_050).await;
    assert!(reasons.is_empty(), "a smaller batch needs no wait: {reasons:?}");
}

#[tokio::test]
async fn a_row_that_is_too_large_by_itself_is_said_in_the_servers_words() {
    let uri = sandbox_with(SandboxConfig { max_message_bytes: 2_000, ..SandboxConfig::default() }).await;
    let admin = admin(&uri, Transport::Grpc).await;
    // Eight kilobytes a row; what makes the collection fits.
    let dataset = Dataset::reference(42, 2_048).unwrap();
    let error = run(&admin, &SetupConfig { dataset, ..config(&uri, Transport::Grpc) }).await.0.unwrap_err();
    assert!(matches!(error, SetupError::LeftIncomplete { rows_sent: 0, .. }), "{error:?}");
    let words = error.to_string();
    assert!(words.contains("larger than max") && words.contains("`c` is left incomplete"), "{words}");
}
