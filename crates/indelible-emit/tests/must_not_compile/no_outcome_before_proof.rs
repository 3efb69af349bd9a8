//! An event without its outcome does not compile.
//~ no method named `api_proof` found for struct `NeedsOutcome

use indelible_emit::{Actor, Emitter};

fn emit(emitter: &Emitter) {
    let event = emitter.for_tenant("t").action("a.b").actor(Actor::user("u"));
    let _ = event.target("x", "1").api_proof("p");
}

fn main() {}
