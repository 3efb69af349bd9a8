//! `ledger` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    indelible_fuzz::ledger::run(input);
});
