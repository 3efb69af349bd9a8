//! The command line of `bench`: how much is sent where, for how long.

use std::time::Duration;

use clap::Args;

/// The most events a second that are asked for.
const RATE_MAX: u64 = 10_000_000;

/// `bench`.
#[derive(Debug, Args)]
#[command(after_help = "\
It writes made-up events (`bench.event`) into the ledger of a server that runs, and a ledger does
not forget: for tenants bench-1, bench-2 and so on, which it makes where the key may do that. So use
a server that is there for it. One that is not on this machine is refused without --write-for-good.

Each producer has a connection of its own and sends at its time, whether or not the answer before
has come late: latency counts from when a request was to be sent. With --rate 0 each sends as soon
as it has an answer, and latency counts from there. The key in INDELIBLE_API_KEY must be one that
may send events. Ctrl-C ends it, and the table is of what was sent until then (exit code 130); where
something was refused or lost the exit code is 1.

Examples:
  indelible bench --url http://127.0.0.1:8080
  indelible bench --url http://127.0.0.1:8080 --rate 0 --producers 64 --duration 30s --json
  indelible bench --url http://127.0.0.1:8080 --rate 50000 --batch 1000 --tenants 100")]
pub struct Bench {
    /// The server that is written to; its key is taken from `INDELIBLE_API_KEY`
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// Events a second, all producers together; 0 for as many as are taken
    #[arg(long, default_value_t = 1_000, value_parser = rates())]
    pub rate: u64,
    /// For how long: 10s, 5m, 1h
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub duration: Duration,
    /// Tenants that the events are spread over
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub tenants: u32,
    /// Producers, each with a connection of its own
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub producers: u32,
    /// Events of a request; 1 sends each alone
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub batch: u32,
    /// Write into the ledger of a server that is not on this machine: the events stay there
    #[arg(long)]
    pub write_for_good: bool,
}

fn rates() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(..=RATE_MAX)
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "so long is written as 10s, 5m or 1h, from 1s to 24h".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(unit).ok_or_else(wrong)?;
    if (1..=86_400).contains(&seconds) {
        Ok(Duration::from_secs(seconds))
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_is_read_with_its_unit() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        for wrong in [
            "",
            "s",
            "10",
            "0s",
            "-1s",
            "25h",
            "1d",
            "99999999999999999999s",
            "1é",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
