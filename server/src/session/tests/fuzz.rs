//! Records of nodes as the store may give them back.

use super::super::node_state::{NodeState, Remembered};
use super::super::*;
use crate::epochs::Epoch;
use tidelog_fuzz::bolero::check;
use tidelog_fuzz::{Feed, run, within};

/// What a record takes in memory, in lengths of it: the shortest subscription has seven bytes.
const TIMES: usize = 64;
/// Lists say how long they are, and room is made before they are read: a MiB at most, at each of three
/// levels.
const BESIDE: usize = (3 << 20) + (16 << 10);

#[test]
fn records_of_nodes() {
    let at = |number| Position::new(number).unwrap();
    let remembered = Remembered {
        filter: r#"{"list":1}"#.into(),
        through: at(120),
        acked: true,
        pending: vec!["1 10:a:b 0".into()],
        ..Remembered::named("tasks")
    };
    let epochs = Epochs::new(vec![Epoch { first: at(1), id: 9, started_ms: 0 }]);
    let state = NodeState {
        acked: at(100),
        own: [at(110), at(111), at(130)].into_iter().collect(),
        subscriptions: vec![remembered],
        ..NodeState::default()
    };
    let seeds = [state.of_history(&epochs).to_bytes(), NodeState::default().to_bytes()];
    run(check!(), &Feed::of(seeds).inputs(5_000), |bytes| {
        let memory = bytes.len() * TIMES + BESIDE;
        let state = within(memory, || NodeState::from_bytes(bytes));
        assert_eq!(NodeState::from_bytes(&state.to_bytes()), state);
        let mut state = state.in_history(&epochs, at(200)).of_history(&epochs);
        state.resume_at(Some(at(150)));
        state.shorten(10);
        let (last, greatest) = (state.own.iter().next_back(), Position::MAX);
        assert!(last.is_none_or(|(first, last)| first <= last && last <= greatest));
    });
}
