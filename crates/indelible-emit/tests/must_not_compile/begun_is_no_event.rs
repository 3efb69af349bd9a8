//! What has begun cannot be emitted before it has an outcome.
//~ no method named `emit` found for struct `Begun

use indelible_emit::{Actor, Emitter};

fn emit(emitter: &Emitter) {
    let event = emitter.for_tenant("t").action("a.b").actor(Actor::user("u"));
    let _ = event.target("x", "1").begin().emit();
}

fn main() {}
