//! An event without its tenant does not compile.

use indelible_emit::{Actor, Emitter};

fn emit(emitter: &Emitter) {
    let _ = emitter.action("a.b");
}

fn main() {}
