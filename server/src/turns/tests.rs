//! Owners take turns.

use super::*;
use futures_util::FutureExt;

type Names = Turns<&'static str>;

/// Lets everyone who can have what it waits for have it.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_waits_is_served_one_owner_after_the_other() {
    let turns = Names::new(1, 1);
    let served = Arc::new(Mutex::new(Vec::new()));
    let first = turns.take("eve", 1).await;
    let mut tasks = Vec::new();
    for owner in ["eve", "eve", "eve", "bob", "ann", "bob"] {
        let (turns, served) = (turns.clone(), Arc::clone(&served));
        tasks.push(tokio::spawn(async move {
            let held = turns.take(owner, 1).await;
            served.lock().unwrap().push(owner);
            drop(held);
        }));
        settle().await;
    }
    drop(first);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*served.lock().unwrap(), ["eve", "bob", "ann", "eve", "bob", "eve"]);
}

#[tokio::test]
async fn no_owner_has_more_than_its_share_nor_do_others_wait_for_it() {
    let turns = Names::new(10, 4);
    let eve = (turns.take("eve", 3).await, turns.take("eve", 1).await);
    let mut more = Box::pin(turns.take("eve", 1));
    assert!(more.as_mut().now_or_never().is_none(), "eve has its share");
    let bob = turns.take("bob", 100).await;
    assert_eq!(bob.units, 4, "who needs more than its share gets its share");
    let mut ann = Box::pin(turns.take("ann", 4));
    assert!(ann.as_mut().now_or_never().is_none(), "there are two left");
    let mut zed = Box::pin(turns.take("zed", 1));
    assert!(zed.as_mut().now_or_never().is_none(), "ann is not overtaken");
    drop(ann);
    assert!(zed.as_mut().now_or_never().is_some(), "who goes away is not waited for");
    drop(eve);
    assert!(more.as_mut().now_or_never().is_some());
    drop((more, bob));
}

#[tokio::test]
async fn what_was_granted_to_one_who_went_away_comes_back() {
    let turns = Names::new(2, 2);
    let held = turns.take("eve", 2).await;
    let mut granted = Box::pin(turns.take("bob", 2));
    assert!(granted.as_mut().now_or_never().is_none());
    drop(held);
    // It is bob's by now, who never looks.
    drop(granted);
    assert!(turns.take("ann", 2).now_or_never().is_some());
    let state = locked(&turns.state);
    assert_eq!((state.free, state.owners.len(), state.order.len()), (2, 0, 0));
}
