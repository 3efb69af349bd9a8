//! An event without its action does not compile.
//~ no method named `actor` found for struct `NeedsAction

use indelible_emit::{Actor, Emitter};

fn emit(emitter: &Emitter) {
    let _ = emitter.for_tenant("t").actor(Actor::user("u"));
}

fn main() {}
