//! The texts that name actions and nodes.

use tidelog_fuzz::bolero::check;
use tidelog_fuzz::{Feed, run, within};
use tidelog_protocol::{ActionId, ClientId, NodeId, UserId};

#[test]
fn ids() {
    let feed = Feed::of(["1795222838711 10:lvzqTSjK:SJpRmI9h 0", "0 a 9007199254740991", "10:c:t"]);
    run(check!(), &feed, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let memory = NodeId::BYTES_MAX + 64;
        if let Ok(id) = within(memory, || text.parse::<ActionId>()) {
            assert_eq!(id.to_string(), text, "each id has one text");
        }
        let Ok(node) = within(memory, || NodeId::new(text)) else { return };
        assert_eq!(node.as_str(), text);
        assert_eq!(ClientId::new(node.client_str()), Ok(node.client()));
        let user = node.user_str().map(|user| UserId::new(user).unwrap());
        assert_eq!(user, node.user());
    });
}
