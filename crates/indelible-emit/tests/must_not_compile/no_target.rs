//! An event without its target does not compile.
//~ no method named `succeeded` found for struct `NeedsTarget

use indelible_emit::{Actor, Emitter};

fn emit(emitter: &Emitter) {
    let _ = emitter.for_tenant("t").action("a.b").actor(Actor::user("u")).succeeded();
}

fn main() {}
