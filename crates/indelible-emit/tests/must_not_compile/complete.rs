//! A complete event compiles: otherwise the others would fail for another reason than theirs.

use indelible_emit::{Actor, Emitter};

fn emit(emitter: &Emitter) {
    let event = emitter.for_tenant("t").action("a.b").actor(Actor::user("u"));
    let _ = event.target("x", "1").succeeded().api_proof("p").emit();
}

fn main() {}
