//! What has begun ends once.
//~ use of moved value: `begun`

use indelible_emit::{Actor, Emitter};

fn emit(emitter: &Emitter) {
    let event = emitter.for_tenant("t").action("a.b").actor(Actor::user("u"));
    let begun = event.target("x", "1").begin();
    let _ = begun.succeeded().emit();
    let _ = begun.failed("E1", "m").emit();
}

fn main() {}
