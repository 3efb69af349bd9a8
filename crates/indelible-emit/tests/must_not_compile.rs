//! What every event needs cannot be forgotten: without it, a program does not compile.

#[test]
fn an_event_that_lacks_something_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/must_not_compile/*.rs");
}
