//! Lists of maps: what they bring along, and what they are told of their items.

use super::world::*;
use tidelog_protocol::builtin;

#[test]
fn a_list_brings_its_items_along_and_an_item_that_leaves_it_is_still_told_of() {
    let mut world = World::new();
    world.add("11:b:t", r#"{"type":"tasks/create","id":"1","fields":{"done":false,"n":1}}"#);
    world.add("11:b:t", r#"{"type":"tasks/create","id":"2","fields":{"done":true}}"#);
    let mut page = world.open("10:a:t");
    world
        .send(&mut page, r#"{"type":"logux/subscribe","channel":"tasks","filter":{"done":false}}"#);
    assert_eq!(page.kinds(), [builtin::SUBSCRIBED, "tasks/changed", builtin::PROCESSED]);
    let leaves = world.add("11:b:t", r#"{"type":"tasks/change","id":"1","fields":{"done":true}}"#);
    world.publish(&leaves, &mut page);
    assert_eq!(page.kinds().last(), Some(&"tasks/changed"));
    let comes = world.add("11:b:t", r#"{"type":"tasks/create","id":"3","fields":{"done":false}}"#);
    world.publish(&comes, &mut page);
    assert_eq!(page.kinds()[4..], [builtin::SUBSCRIBED, "tasks/created"]);
}
