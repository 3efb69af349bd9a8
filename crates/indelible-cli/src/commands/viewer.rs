//! `keys viewer`: a token that shows a tenant's records, made by a server.
//!
//! Not in the data directory: a token is made in the name of a key, and only who asks a server
//! shows one.

use indelible_api::{CreateViewerToken, ViewerToken};

use crate::args::KeysViewer;
use crate::config::Config;
use crate::exit::{Failure, Result};
use crate::output::Output;
use crate::remote::Remote;

const VIEWER_TOKENS: &str = "/v1/viewer-tokens";

/// Makes a token and prints it, this once.
pub fn create(args: &KeysViewer, config: &Config, output: &mut Output) -> Result {
    let Some(remote) = Remote::meant(&args.through, config, output)? else {
        let text = "a server makes viewer tokens, in the name of a key: say --url, and the key in \
                    INDELIBLE_API_KEY";
        return Err(Failure::Usage(text.to_owned()));
    };
    let wanted = CreateViewerToken {
        tenant: args.tenant.clone(),
        query: args.query.clone(),
        lasts: args.lasts.clone(),
    };
    let (_, made): (_, ViewerToken) = remote.post(VIEWER_TOKENS, &wanted)?;
    if output.json {
        return output.json_line(&made);
    }
    output.note(format_args!(
        "a token that shows records of {} until {}",
        made.tenant, made.expires_at
    ));
    output.line(made.bearer)
}
