//! Who merges by itself is told who had seen what, as the server knows it.

use super::site::{Pulled, RULES, Site, post_to};
use serde_json::{Value, json};

/// Who asks for it is told the name of each action and what its author had seen.
#[tokio::test]
async fn a_reader_that_asks_is_told_what_authors_had_seen() {
    let site = Site::open(RULES);
    let life = site.app.log.incarnation().to_string();
    site.push("11:b", &[post_to("1", "1"), post_to("1", "2")]).await;
    let cursor = site.pull("10:a", "channel=posts/1").await.cursor;
    // The author has seen both, and then its own, but not what came between.
    let push = |x: &str| json!([[post_to("1", x), {}]]);
    let own = json!({"actions": push("3"), "seen": cursor, "causality": true});
    let first = site.post("10:a", "/v1/log", &own).await.json()["results"][0].clone();
    assert_eq!(first["dots"], json!([format!("{life}:3")]));
    assert_eq!(first["context"][&life][0], 2, "{first}");
    site.push("11:b", &[post_to("1", "4")]).await;
    let body = json!({"actions": push("5"), "seen": cursor, "since": cursor, "causality": true,
        "channels": ["posts/1"]});
    let answer = site.post("10:a", "/v1/sync", &body).await.json();
    let second = &answer["results"][0];
    assert_eq!(second["dots"], json!([format!("{life}:5")]));
    assert_eq!(second["context"][&life], json!([2, [3, 3]]), "{second}");
    assert_eq!(answer["actions"][0][1]["dots"], json!([format!("{life}:4")]));
    // Another reader is told the same of them.
    let path = "/v1/log?channel=posts/1&causality=true";
    let page = site.get("12:c", path).await.json();
    let metas: Vec<&Value> = page["actions"].as_array().unwrap().iter().map(|it| &it[1]).collect();
    let dots: Vec<_> = metas.iter().map(|meta| meta["dots"][0].clone()).collect();
    assert_eq!(dots, [1, 2, 3, 4, 5].map(|at| json!(format!("{life}:{at}"))));
    assert_eq!(
        (&metas[2]["context"], &metas[4]["context"]),
        (&first["context"], &second["context"])
    );
    // Who does not ask is not.
    let page = site.get("12:c", "/v1/log?channel=posts/1&causality=false").await.json();
    assert_eq!(Pulled::of(&page).texts().len(), 5);
    assert!(page["actions"].as_array().unwrap().iter().all(|it| it[1].get("dots").is_none()));
    let plain = site.post("10:a", "/v1/log", &json!({"actions": push("6")})).await.json();
    assert!(plain["results"][0].get("context").is_none(), "{plain}");
}

#[tokio::test]
async fn what_is_undone_or_not_kept_has_no_name() {
    let site = Site::open(&format!("[[action]]\ntype = \"live\"\nkeep = false\n{RULES}"));
    let actions = json!([[{"type": "live"}, {}], [{"type": "nobody knows"}, {}]]);
    let body = json!({"actions": actions, "causality": true});
    let answer = site.post("10:a", "/v1/log", &body).await.json();
    for result in answer["results"].as_array().unwrap() {
        assert!(result.get("dots").is_none() && result.get("context").is_none(), "{result}");
    }
}
