//! An entered context belongs to its thread: neither it nor a future that keeps one across an
//! `await` can go to another.
//~ cannot be sent between threads safely

use indelible_emit::Context;

fn send(_: impl Send) {}

fn main() {
    send(Context::new().enter());
}
