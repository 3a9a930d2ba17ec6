//! One author after the other, each seeing everything: a list does what a vector does.

use proptest::prelude::*;
use proptest::sample::Index;
use tidelog_crdt::{
    Change, Document, DocumentAction, DocumentName, Json, List, ListOp, Operation, Path, Replica,
};

#[derive(Clone, Debug)]
enum Edit {
    Insert(Index, u8),
    /// At the very front, where the tree grows deep.
    Prepend(u8),
    Delete(Index, u8),
    Move(Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => (any::<Index>(), 1_u8..4).prop_map(|(at, count)| Edit::Insert(at, count)),
        3 => (1_u8..3).prop_map(Edit::Prepend),
        1 => (any::<Index>(), 1_u8..5).prop_map(|(at, count)| Edit::Delete(at, count)),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Edit::Move(from, to)),
    ]
}

/// Does the edit to the vector; returns what it is for the list.
fn edit_both(list: &List, model: &mut Vec<Json>, edit: &Edit, next: &mut u32) -> Option<ListOp> {
    let mut fresh = |count: u8| -> Vec<Json> {
        let values = (0..count).map(|_| {
            *next += 1;
            serde_json::json!(next).into()
        });
        values.collect()
    };
    match edit {
        Edit::Insert(at, count) => {
            let (at, values) = (at.index(model.len() + 1), fresh(*count));
            model.splice(at..at, values.iter().cloned());
            list.insert(at, values)
        }
        Edit::Prepend(count) => {
            let values = fresh(*count);
            model.splice(0..0, values.iter().cloned());
            list.insert(0, values)
        }
        Edit::Delete(at, count) => {
            let at = at.index(model.len() + 1);
            let end = model.len().min(at + usize::from(*count));
            model.drain(at..end);
            list.delete(at..end)
        }
        Edit::Move(..) if model.is_empty() => None,
        Edit::Move(from, to) => {
            let (from, to) = (from.index(model.len()), to.index(model.len() + 1));
            let operation = list.move_to(from, to);
            let value = model.remove(from);
            model.insert(if from < to { to - 1 } else { to }, value);
            operation
        }
    }
}

proptest! {
    #[test]
    fn edits_by_index_do_what_they_do_to_a_vector(edits in prop::collection::vec(edit(), 0..120)) {
        let (mut one, mut other) = (Replica::new(1), Replica::new(2));
        let (mut model, mut next) = (Vec::new(), 0);
        for (at, edit) in edits.iter().enumerate() {
            // In turn; each has all that the other did.
            let (author, node) = if at % 2 == 0 { (&mut one, "10:a:b") } else { (&mut other, "11:c:d") };
            let empty = List::default();
            let list = author.document().list(&Path::default()).unwrap_or(&empty);
            let Some(operation) = edit_both(list, &mut model, edit, &mut next) else { continue };
            let change = Change { path: Path::default(), operation: Operation::List(operation) };
            let document = DocumentName::new("d").unwrap();
            let action = DocumentAction { document, changes: vec![change] }.to_value();
            // Clocks are wrong by far, and only moves go by them: the last one wins.
            let is_move = matches!(edit, Edit::Move(..));
            let time = if is_move { 10_000 + at as u64 } else { 5000 + at as u64 * 7919 % 1000 };
            let entry = author.act(node, time, &action).unwrap();
            let _ = one.receive(&entry);
            let _ = other.receive(&entry);
            let values = |document: &Document| -> Vec<Json> {
                let list = document.list(&Path::default()).into_iter();
                list.flat_map(List::values).cloned().collect()
            };
            prop_assert_eq!(&values(one.document()), &model, "{:?}", edit);
        }
        prop_assert_eq!(one.document(), other.document());
    }
}
