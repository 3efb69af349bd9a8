//! How long to wait before the next attempt.

use std::time::Duration;

use crate::options::Retry;

impl Retry {
    /// The delay after so many attempts, 1 or more. `random` shortens it by up to a quarter; what
    /// the other side asked for is not shortened.
    pub(crate) fn delay(&self, attempts: u32, asked: Option<Duration>, random: u8) -> Duration {
        if let Some(asked) = asked {
            return asked.min(self.delay_max);
        }
        let doubled = self
            .delay_first
            .saturating_mul(
                1_u32
                    .checked_shl(attempts.saturating_sub(1))
                    .unwrap_or(u32::MAX),
            )
            .min(self.delay_max);
        doubled.saturating_sub((doubled / 4).saturating_mul(u32::from(random)) / 255)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_keep_to_what_was_asked() {
        let retry = Retry {
            attempts_max: 10,
            delay_first: Duration::from_millis(100),
            delay_max: Duration::from_secs(2),
        };
        let ms = |attempts, random| retry.delay(attempts, None, random).as_millis();
        assert_eq!(
            [1, 2, 3, 4, 5, 6, 60].map(|n| ms(n, 0)),
            [100, 200, 400, 800, 1_600, 2_000, 2_000]
        );
        assert_eq!([1, 6].map(|n| ms(n, 255)), [75, 1_500]);
        let asked = |s| retry.delay(1, Some(Duration::from_secs(s)), 255);
        assert_eq!([asked(1), asked(60)].map(|d| d.as_secs()), [1, 2]);
    }
}
