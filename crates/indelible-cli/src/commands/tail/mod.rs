//! `tail`: records as they are committed, from a server (`there`) or beside a writer (`here`).

mod here;
mod there;

use indelible_event::ids::{Micros, TenantId};
use indelible_query::Parsed;

use crate::args::Tail;
use crate::commands::query::{cursor, parsed};

use crate::config::Config;
use crate::exit::{Failure, Result};
use crate::output::Output;
use crate::process::{environment, tenant_to_read};
use crate::remote::Remote;

/// What is followed, wherever it comes from.
struct Following {
    parsed: Parsed,
    tenant: Option<TenantId>,
    /// Where a tail before ended.
    after: Option<String>,
    /// As of when its times are meant.
    now: Micros,
    /// Whether it begins with what is there already.
    from_start: bool,
}

/// Follows, until a signal ends it.
pub fn run(args: &Tail, config: &Config, output: &mut Output) -> Result {
    let remote = Remote::meant(&args.through, config, output)?;
    // Times like 1h stay what they were for the tail whose cursor a server gave.
    let (after, now) = match &remote {
        Some(_) => cursor(args.after.as_deref())?,
        None => (args.after.clone(), None),
    };
    let now = now.unwrap_or_else(|| environment().clock.now());
    let mut text = args.text.join(" ");
    if let Some(since) = &args.since {
        // Read alone first, so that nothing but a time is taken.
        let time = format!("since:{since}");
        if since.contains(|c: char| c.is_whitespace() || "()\"".contains(c)) {
            let what = format!("`{since}` is no time, like 1h or 2026-01-31");
            return Err(Failure::Usage(what));
        }
        parsed(&time, now, output)?;
        text = if text.trim().is_empty() {
            time
        } else {
            format!("({text}) {time}")
        };
    }
    let following = Following {
        parsed: parsed(&text, now, output)?,
        tenant: tenant_to_read(args.tenant.as_deref(), config)?,
        after,
        now,
        from_start: args.since.is_some(),
    };
    match remote {
        Some(remote) => there::follow(&following, &remote, output),
        None => here::follow(&following, config, output),
    }
}

/// How a tail ends that a signal ends.
fn cancelled(cursor: Option<&str>) -> Failure {
    Failure::Cancelled(match cursor {
        Some(cursor) => format!("go on with --after {cursor}"),
        None => "nothing was followed yet".to_owned(),
    })
}
