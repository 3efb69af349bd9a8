//! One builder emits one event.
//~ use of moved value: `event`

use indelible_emit::{Actor, Emitter};

fn emit(emitter: &Emitter) {
    let event = emitter.for_tenant("t").action("a.b").actor(Actor::user("u"));
    let event = event.target("x", "1").succeeded();
    let _ = event.emit();
    let _ = event.emit();
}

fn main() {}
