//! An event without its action does not compile.

use indelible_emit::{Actor, Emitter};

fn emit(emitter: &Emitter) {
    let _ = emitter.for_tenant("t").actor(Actor::user("u"));
}

fn main() {}
