//! An event without its actor does not compile.
//~ no method named `target` found for struct `NeedsActor

use indelible_emit::{Actor, Emitter};

fn emit(emitter: &Emitter) {
    let _ = emitter.for_tenant("t").action("a.b").target("x", "1");
}

fn main() {}
