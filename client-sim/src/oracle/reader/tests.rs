use super::*;
use crate::oracle::bodies::Bodies;
use crate::plan::Group;
use std::rc::Rc;
use tidelog_protocol::NodeId;

/// A user with an author of so many actions, and somebody who reads.
fn scene(count: u64) -> (Ledger, AuthorNo, Reader) {
    let mut ledger = Ledger::default();
    let user = ledger.user();
    let bodies = Rc::new(Bodies::new(&Group::default()).unwrap());
    let [author, reader] = ["1:a:t", "1:b:t"]
        .map(|node| ledger.author(NodeId::new(node).unwrap(), user, None, (0, bodies.clone())));
    for n in 0..count {
        ledger.make(author, n * 10_000, u8::try_from(n % 4).unwrap());
    }
    let all = usize::try_from(count).unwrap();
    ledger.acknowledge(author, all).unwrap();
    (ledger, author, Reader::new(user, reader, None, Leeway::None))
}

fn hear(
    reader: &mut Reader,
    ledger: &Ledger,
    author: AuthorNo,
    at: usize,
) -> Result<Heard, Violation> {
    let author = ledger.of(author).unwrap();
    reader.hear(ledger, author.body(at), &author.meta(at))
}

#[test]
fn what_comes_once_and_in_order_is_right() {
    let (ledger, author, mut reader) = scene(3);
    for at in 0..3 {
        assert_eq!(reader.received(), at as u64);
        assert_eq!(hear(&mut reader, &ledger, author, at), Ok(Heard::New(author, at)));
    }
    assert_eq!((reader.received(), reader.owed(&ledger)), (3, 3));
    assert_eq!(reader.first_missing(&ledger), None);
}

#[test]
fn each_way_to_be_wrong_is_told() {
    let (ledger, author, mut reader) = scene(5);
    hear(&mut reader, &ledger, author, 0).unwrap();
    hear(&mut reader, &ledger, author, 3).unwrap();
    assert_eq!(reader.first_missing(&ledger), Some(ledger.of(author).unwrap().id(1)));
    assert!(matches!(hear(&mut reader, &ledger, author, 3), Err(Violation::Repeated { .. })));
    assert!(matches!(hear(&mut reader, &ledger, author, 2), Err(Violation::OutOfOrder { .. })));
    assert!(matches!(hear(&mut reader, &ledger, author, 2), Err(Violation::Repeated { .. })));
    let of = ledger.of(author).unwrap();
    let (mut unknown, body) = (of.meta(4), of.body(4).clone());
    assert!(matches!(
        reader.hear(&ledger, of.body(3), &of.meta(4)),
        Err(Violation::Altered { .. })
    ));
    unknown.id.sequence = 9;
    assert!(matches!(reader.hear(&ledger, &body, &unknown), Err(Violation::NeverMade { .. })));
}

#[test]
fn where_servers_do_not_know_each_other_what_comes_again_is_taken_for_that() {
    let (ledger, author, reader) = scene(3);
    let mut reader = Reader { leeway: Leeway::Repeats, ..reader };
    for at in [0, 1, 2] {
        hear(&mut reader, &ledger, author, at).unwrap();
    }
    assert_eq!(hear(&mut reader, &ledger, author, 1), Ok(Heard::Again));
    assert_eq!(reader.received(), 3);
}

#[test]
fn at_one_of_several_replicas_only_the_order_may_be_another() {
    let (ledger, author, reader) = scene(3);
    let mut reader = Reader { leeway: Leeway::Order, ..reader };
    for at in [2, 0, 1] {
        assert_eq!(hear(&mut reader, &ledger, author, at), Ok(Heard::New(author, at)));
    }
    assert!(matches!(hear(&mut reader, &ledger, author, 1), Err(Violation::Repeated { .. })));
}

#[test]
fn devices_that_have_the_same_end_equal_and_another_order_shows() {
    let (ledger, author, mut one) = scene(4);
    let mut two = one.clone();
    for at in 0..4 {
        hear(&mut one, &ledger, author, at).unwrap();
        hear(&mut two, &ledger, author, at).unwrap();
    }
    assert_eq!((one.differs(&two, &ledger), one.order()), (None, two.order()));
    let sequence = [0, 1, 2, 3].map(|at| (author, at));
    assert_eq!(Reader::order_of(one.own(), &sequence), one.order());
    let other = [0, 2, 1, 3].map(|at| (author, at));
    assert_ne!(Reader::order_of(one.own(), &other), one.order());
    let (_, _, mut less) = scene(4);
    hear(&mut less, &ledger, author, 0).unwrap();
    assert!(matches!(less.differs(&one, &ledger), Some(Violation::EndUnequal { .. })));
}
