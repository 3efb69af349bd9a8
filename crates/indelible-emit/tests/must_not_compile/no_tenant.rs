//! An event without its tenant does not compile.
//~ no method named `action` found for reference `&Emitter`

use indelible_emit::{Actor, Emitter};

fn emit(emitter: &Emitter) {
    let _ = emitter.action("a.b");
}

fn main() {}
