//! How much is done for an answer, by what is asked of the stores: no clock is looked at.

use crate::shadow::{
    AUDITOR, NO_DIGEST, NOBODYS, READER, THEIR_DIGEST, THEIRS, asked, get, id, reading, served_on,
};
use crate::support::Stand;

/// How long an answer takes is what is done for it: so much is asked of the stores for what is
/// another's as for what is not there.
#[test]
fn as_much_is_looked_up_for_what_is_theirs_as_for_what_is_not_there() {
    let (stand, counted) = Stand::counting();
    let beside = served_on(stand, true);
    let mut some = 0;
    let mut work = |key: usize, path: &str| {
        counted.asked();
        get(&beside, key, path);
        let asked = counted.asked();
        some += usize::from(!asked.is_empty());
        asked
    };
    // What is known of our own tenant from the first time on.
    work(READER, "/v1/records?tenant=acme");
    for key in [READER, AUDITOR] {
        for route in reading() {
            for path in asked(route).into_iter().filter(|path| path.contains("{t}")) {
                let [theirs, nobodys] = [THEIRS, NOBODYS].map(|name| {
                    let asked = work(key, &path.replace("{t}", name)).join("\n");
                    asked.replace(name, "{t}")
                });
                assert_eq!(theirs, nobodys, "{path}");
            }
        }
        for end in ["", "/proof", "/related", "?tenant=acme"] {
            let mut of = |id: &str| work(key, &format!("/v1/records/{id}{end}"));
            let (theirs, nobodys) = (of(&id(50)), of(&id(5_000)));
            assert!(
                theirs.iter().any(|one| one.starts_with("find")),
                "{theirs:?}"
            );
            assert_eq!(theirs, nobodys, "{end}");
            assert_eq!(of("ext-50"), of("ext-5000"), "{end}");
        }
        let mut of = |digest: &str| work(key, &format!("/v1/attachments/{digest}?tenant=acme"));
        assert_eq!(of(THEIR_DIGEST), of(NO_DIGEST));
    }
    assert!(some > 30, "{some}");
}
