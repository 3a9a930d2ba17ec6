//! Keys in files that change while the server runs.

use super::*;

#[test]
fn new_keys_in_a_file_count_when_they_are_read_again() {
    let keys = Keys::new();
    let read = |name: &str| std::fs::read_to_string(keys.file(name)).unwrap();
    let (ec, ed) = (read("ec.public.pem"), read("ed.public.pem"));
    keys.write("keys.pem", &ec);
    let authenticator = keys.authenticator("[[auth.jwt]]\nkeys_file = \"keys.pem\"").unwrap();
    let [old, new] =
        ["ec.private.pem", "ed.private.pem"].map(|key| keys.sign(key, &json!({ "sub": "10" })));
    let node = NodeId::new("10:a:b").unwrap();
    let mut attempts = 0;
    let mut signs_in = |token: &str| {
        // From elsewhere each time, so that failures lock nobody.
        attempts += 1;
        let attempt =
            Attempt { address: [10, 1, 0, attempts].into(), ..attempt(&node, Some(token)) };
        authenticator.sign_in(&attempt, NOW).is_ok()
    };
    assert!(signs_in(&old) && !signs_in(&new));
    keys.write("keys.pem", format!("{ec}{ed}"));
    assert!(!signs_in(&new), "not before they are read");
    authenticator.reload();
    assert!(signs_in(&old) && signs_in(&new));
    keys.write("keys.pem", ed);
    authenticator.reload();
    assert!(!signs_in(&old) && signs_in(&new));
    keys.write("keys.pem", "nonsense");
    authenticator.reload();
    assert!(signs_in(&new), "a bad file changes nothing");
}

#[test]
fn a_new_secret_takes_the_place_of_the_old_one() {
    let keys = Keys::new();
    let authenticator = keys.authenticator(SECRET).unwrap();
    let old = keys.sign("secret", &json!({ "sub": "10" }));
    keys.write("secret", "another secret of thirty-two bytes or more");
    let new = keys.sign("secret", &json!({ "sub": "10" }));
    assert!(sign_in(&authenticator, "10:a:b", &old).is_ok());
    authenticator.reload();
    assert!(sign_in(&authenticator, "10:a:b", &old).is_err());
    assert!(sign_in(&authenticator, "10:a:b", &new).is_ok());
}
