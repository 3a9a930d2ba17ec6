//! What a document costs grows with the servers that took its actions in, not with the clients that
//! made them.

use serde_json::json;
use tidelog_crdt::{Applied, Entry, Malformed, Replica};

const ACTIONS: usize = 10_000;

/// Actions of so many clients, half of them on each of two servers, which hear of each other's later.
fn edited_by(clients: usize) -> Result<(Replica, Vec<Entry>), Malformed> {
    let (mut ship, mut shore) = (Replica::new(1), Replica::new(2));
    let mut entries = Vec::new();
    for number in 0..ACTIONS {
        let at = if number % 2 == 0 { &mut ship } else { &mut shore };
        let action = json!({ "type": "crdt/counter/add", "doc": "likes", "by": 1 });
        let node = format!("{}:client:tab", number % clients);
        entries.push(at.act(&node, 1_000, &action)?);
    }
    for entry in &entries {
        for replica in [&mut ship, &mut shore] {
            assert_ne!(replica.receive(entry), Applied::FoldAgain);
        }
    }
    assert_eq!(ship.document(), shore.document());
    Ok((ship, entries))
}

#[test]
fn a_document_that_ten_thousand_clients_edited_has_a_clock_of_one_entry_per_server()
-> Result<(), Malformed> {
    let (replica, entries) = edited_by(ACTIONS)?;
    assert_eq!(replica.document().value(), json!(ACTIONS));
    for context in entries.iter().map(|entry| &entry.context).chain([replica.document().folded()]) {
        assert!(context.iter().len() <= 2, "{context:?}");
        let gaps: usize = context.iter().map(|(_, seen)| seen.own.len()).sum();
        assert!(gaps <= 2, "{context:?}");
    }
    let by_one = edited_by(1)?.0;
    assert_eq!(replica.document().encode().len(), by_one.document().encode().len());
    Ok(())
}
