//! At most so many rows a second, evenly.

use std::time::Duration;

use tokio::time::Instant;

/// Gives out turns so that rows go at a rate. A turn that comes late is not made up for: after a
/// pause there is no burst.
#[derive(Debug)]
pub(crate) struct Pacer {
    rows_per_second: Option<f64>,
    next: Option<Instant>,
}

impl Pacer {
    /// No limit where there is no rate.
    pub(crate) fn new(rows_per_second: Option<f64>) -> Self {
        Self { rows_per_second, next: None }
    }

    /// Waits until `rows` rows may go.
    pub(crate) async fn turn(&mut self, rows: usize) {
        let Some(rate) = self.rows_per_second else { return };
        let now = Instant::now();
        let due = self.next.map_or(now, |next| next.max(now));
        tokio::time::sleep_until(due).await;
        self.next = Some(due + Duration::from_secs_f64(rows as f64 / rate));
    }
}

/// Rows of a batch at that rate: not more than go in a tenth of a second, or the rate would be a
/// series of bursts.
pub(crate) fn paced_batch(batch_size: usize, rows_per_second: Option<f64>) -> usize {
    rows_per_second.map_or(batch_size, |rate| batch_size.min((rate / 10.0) as usize)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn turns(pacer: &mut Pacer, turns: u32, rows: usize) -> Duration {
        let started = Instant::now();
        for _ in 0..turns {
            pacer.turn(rows).await;
        }
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn turns_are_even_and_a_pause_is_not_made_up_for() {
        let mut pacer = Pacer::new(Some(1_000.0));
        assert_eq!(turns(&mut pacer, 11, 100).await, Duration::from_secs(1));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(turns(&mut pacer, 11, 100).await, Duration::from_secs(1), "no burst");
        assert_eq!(turns(&mut Pacer::new(None), 1_000, 1_000).await, Duration::ZERO);
    }

    #[test]
    fn a_batch_is_at_most_a_tenth_of_a_second() {
        assert_eq!(paced_batch(1_000, None), 1_000);
        assert_eq!(paced_batch(1_000, Some(50_000.0)), 1_000);
        assert_eq!(paced_batch(1_000, Some(500.0)), 50);
        assert_eq!(paced_batch(1_000, Some(0.5)), 1);
    }
}
