//! How far this host's clock may be from the time that all hosts share, as its kernel knows it.

/// Above this the shards of a run are apart by more than a quick server takes.
const WARN_ABOVE_MS: f64 = 5.0;

/// What a shard should know of its clock, in one sentence; `None` where the clock is good enough.
pub(crate) fn warning(error_ms: Option<f64>) -> Option<String> {
    match error_ms {
        None => Some(
            "nothing keeps this host's clock in step, as its kernel says (run.json: clock_error_ms is null), so the shards may be apart by any time; start an NTP or PTP client on each host".to_owned(),
        ),
        Some(ms) if ms > WARN_ABOVE_MS => Some(format!(
            "this host's clock may be off by {ms:.1} ms, and this shard's requests with it; have an NTP or PTP client keep the hosts' clocks within {WARN_ABOVE_MS} ms"
        )),
        Some(_) => None,
    }
}

/// The bound of the clock's error in milliseconds; `None` where nothing keeps the clock in step.
pub(crate) fn clock_error_ms() -> Option<f64> {
    let (state, answer) = adjtimex()?;
    bound_ms(state, answer.status, answer.maxerror)
}

/// What the kernel keeps of the clock, and in what state that is.
#[expect(unsafe_code, reason = "no maintained crate wraps adjtimex for reading")]
fn adjtimex() -> Option<(libc::c_int, libc::timex)> {
    // SAFETY: a timex is plain integers, for which zeroes are values; `modes` 0 only reads, so the call
    // needs no privilege, and it writes nothing but the struct that it is given.
    let (state, answer) = unsafe {
        let mut answer: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut answer), answer)
    };
    (state >= 0).then_some((state, answer))
}

/// `maxerror` grows by 500 ppm while nobody corrects the clock, and means nothing once it is at its end.
fn bound_ms(state: libc::c_int, status: libc::c_int, maxerror_us: libc::c_long) -> Option<f64> {
    let in_step = state != libc::TIME_ERROR && status & libc::STA_UNSYNC == 0;
    in_step.then_some(maxerror_us as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_nobody_keeps_in_step_has_no_bound() {
        assert_eq!(bound_ms(libc::TIME_OK, libc::STA_PLL, 1_500), Some(1.5));
        assert_eq!(bound_ms(libc::TIME_INS, 0, 250), Some(0.25), "a leap second to come is no error");
        assert_eq!(bound_ms(libc::TIME_ERROR, libc::STA_UNSYNC, 16_000_000), None);
        assert_eq!(bound_ms(libc::TIME_OK, libc::STA_UNSYNC, 1_500), None);
    }

    #[test]
    fn a_clock_that_may_be_off_by_more_than_five_milliseconds_is_a_warning() {
        assert_eq!(warning(Some(0.0)).or(warning(Some(5.0))), None);
        assert!(warning(Some(5.1)).unwrap().contains("off by 5.1 ms"));
        assert!(warning(None).unwrap().contains("null"));
    }

    #[test]
    fn the_kernel_answers() {
        let (_, answer) = adjtimex().expect("reading needs no privilege");
        assert!(answer.tick > 0 && answer.maxerror >= 0);
    }
}
