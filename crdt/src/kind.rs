//! The kinds of replicated values, each by example.

/// The kinds of replicated values. What each means exactly stands in the crate's documentation.
///
/// One place can hold a value of each kind side by side, because whether an operation fits must not
/// depend on what arrived first. Readers see the first of them in this order: what holds other
/// things comes before what is a single value, so that a stray counter never hides a map.
///
/// In the examples a ship and a shore act without knowing of each other, and then exchange what they
/// did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Keys with values of any kind under them. A key is there as long as something under it is; removing
    /// it takes away what the remover had seen, and what was done elsewhere meanwhile stays.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use tidelog_crdt::Replica;
    /// # let (mut ship, mut shore) = (Replica::new(1), Replica::new(2));
    /// let first = ship.act("10:a:b", 1000, &json!({ "type": "crdt/counter/add", "doc": "d", "path": ["cart", "apples"] }))?;
    /// shore.receive(&first);
    /// let one = ship.act("10:a:b", 2000, &json!({ "type": "crdt/map/remove", "doc": "d", "path": ["cart"] }))?;
    /// let other = shore.act("11:c:d", 1500, &json!({ "type": "crdt/counter/add", "doc": "d", "path": ["cart", "pears"] }))?;
    /// ship.receive(&other);
    /// shore.receive(&one);
    /// assert_eq!(ship.document().value(), json!({ "cart": { "pears": 1 } }));
    /// # assert_eq!(ship.document(), shore.document());
    /// # Ok::<(), tidelog_crdt::Malformed>(())
    /// ```
    Map,
    /// Fields by last write, with creation and deletion by stamp: the SyncMap of Logux clients.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use tidelog_crdt::Replica;
    /// # let (mut ship, mut shore) = (Replica::new(1), Replica::new(2));
    /// let first = ship.act("10:a:b", 1000, &json!({ "type": "crdt/record/create", "doc": "d", "fields": { "title": "A" } }))?;
    /// shore.receive(&first);
    /// let one = ship.act("10:a:b", 3000, &json!({ "type": "crdt/record/change", "doc": "d", "fields": { "done": true } }))?;
    /// let other = shore.act("11:c:d", 2000, &json!({ "type": "crdt/record/change", "doc": "d", "fields": { "done": false, "title": "B" } }))?;
    /// ship.receive(&other);
    /// shore.receive(&one);
    /// assert_eq!(ship.document().value(), json!({ "done": true, "title": "B" }));
    /// # assert_eq!(ship.document(), shore.document());
    /// # Ok::<(), tidelog_crdt::Malformed>(())
    /// ```
    Record,
    /// Values in an order, with insert, delete and move. What two insert at one place at the same time
    /// stands one after the other; an element that two move is at the place of the later move.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use tidelog_crdt::Replica;
    /// # let (mut ship, mut shore) = (Replica::new(1), Replica::new(2));
    /// let first = ship.act("10:a:b", 1000, &json!({ "type": "crdt/list/insert", "doc": "d", "values": ["a", "b"] }))?;
    /// shore.receive(&first);
    /// let one = ship.act("10:a:b", 2000, &json!({ "type": "crdt/list/insert", "doc": "d", "after": "1000 10:a:b 1", "before": ["1000 10:a:b 1", 1], "values": ["x", "y"] }))?;
    /// let other = shore.act("11:c:d", 1500, &json!({ "type": "crdt/list/move", "doc": "d", "element": ["1000 10:a:b 1", 1], "before": "1000 10:a:b 1" }))?;
    /// ship.receive(&other);
    /// shore.receive(&one);
    /// assert_eq!(ship.document().value(), json!(["b", "a", "x", "y"]));
    /// # assert_eq!(ship.document(), shore.document());
    /// # Ok::<(), tidelog_crdt::Malformed>(())
    /// ```
    List,
    /// Characters in an order, with insert and delete. What two type at one place at the same time never
    /// interleaves.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use tidelog_crdt::Replica;
    /// # let (mut ship, mut shore) = (Replica::new(1), Replica::new(2));
    /// let first = ship.act("10:a:b", 1000, &json!({ "type": "crdt/text/insert", "doc": "d", "text": "Hi" }))?;
    /// shore.receive(&first);
    /// let one = ship.act("10:a:b", 2000, &json!({ "type": "crdt/text/insert", "doc": "d", "after": ["1000 10:a:b 1", 1], "text": " there" }))?;
    /// let other = shore.act("11:c:d", 1500, &json!({ "type": "crdt/text/insert", "doc": "d", "after": ["1000 10:a:b 1", 1], "text": "!!" }))?;
    /// ship.receive(&other);
    /// shore.receive(&one);
    /// assert_eq!(ship.document().value(), json!("Hi there!!"));
    /// # assert_eq!(ship.document(), shore.document());
    /// # Ok::<(), tidelog_crdt::Malformed>(())
    /// ```
    Text,
    /// Observed-remove set: removing an element takes away the additions that the remover had seen.
    /// Added again at the same time elsewhere, it stays.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use tidelog_crdt::Replica;
    /// # let (mut ship, mut shore) = (Replica::new(1), Replica::new(2));
    /// let first = ship.act("10:a:b", 1000, &json!({ "type": "crdt/set/add", "doc": "d", "value": "a" }))?;
    /// shore.receive(&first);
    /// let one = ship.act("10:a:b", 2000, &json!({ "type": "crdt/set/remove", "doc": "d", "value": "a" }))?;
    /// let other = shore.act("11:c:d", 1500, &json!({ "type": "crdt/set/add", "doc": "d", "value": "a" }))?;
    /// ship.receive(&other);
    /// shore.receive(&one);
    /// assert_eq!(ship.document().value(), json!(["a"]));
    /// # assert_eq!(ship.document(), shore.document());
    /// # Ok::<(), tidelog_crdt::Malformed>(())
    /// ```
    Set,
    /// A set from which a removed element is gone for good, also if it is added later.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use tidelog_crdt::Replica;
    /// # let (mut ship, mut shore) = (Replica::new(1), Replica::new(2));
    /// let one = ship.act("10:a:b", 1500, &json!({ "type": "crdt/two-phase-set/remove", "doc": "d", "value": "a" }))?;
    /// let other = shore.act("11:c:d", 2000, &json!({ "type": "crdt/two-phase-set/add", "doc": "d", "values": ["a", "b"] }))?;
    /// ship.receive(&other);
    /// shore.receive(&one);
    /// assert_eq!(ship.document().value(), json!(["b"]));
    /// # assert_eq!(ship.document(), shore.document());
    /// # Ok::<(), tidelog_crdt::Malformed>(())
    /// ```
    TwoPhaseSet,
    /// A set in which the last write about an element, addition or removal, wins.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use tidelog_crdt::Replica;
    /// # let (mut ship, mut shore) = (Replica::new(1), Replica::new(2));
    /// let one = ship.act("10:a:b", 1500, &json!({ "type": "crdt/lww-set/remove", "doc": "d", "value": "a" }))?;
    /// let other = shore.act("11:c:d", 2000, &json!({ "type": "crdt/lww-set/add", "doc": "d", "value": "a" }))?;
    /// ship.receive(&other);
    /// shore.receive(&one);
    /// assert_eq!(ship.document().value(), json!(["a"]));
    /// # assert_eq!(ship.document(), shore.document());
    /// # Ok::<(), tidelog_crdt::Malformed>(())
    /// ```
    LwwSet,
    /// A set that only grows.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use tidelog_crdt::Replica;
    /// # let (mut ship, mut shore) = (Replica::new(1), Replica::new(2));
    /// let one = ship.act("10:a:b", 2000, &json!({ "type": "crdt/grow-set/add", "doc": "d", "value": "b" }))?;
    /// let other = shore.act("11:c:d", 1500, &json!({ "type": "crdt/grow-set/add", "doc": "d", "value": "a" }))?;
    /// ship.receive(&other);
    /// shore.receive(&one);
    /// assert_eq!(ship.document().value(), json!(["a", "b"]));
    /// # assert_eq!(ship.document(), shore.document());
    /// # Ok::<(), tidelog_crdt::Malformed>(())
    /// ```
    GrowSet,
    /// A register that keeps every value written at the same time, until someone who has seen them
    /// writes again.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use tidelog_crdt::Replica;
    /// # let (mut ship, mut shore) = (Replica::new(1), Replica::new(2));
    /// let one = ship.act("10:a:b", 2000, &json!({ "type": "crdt/multi-register/set", "doc": "d", "value": "b" }))?;
    /// let other = shore.act("11:c:d", 1500, &json!({ "type": "crdt/multi-register/set", "doc": "d", "value": "a" }))?;
    /// ship.receive(&other);
    /// shore.receive(&one);
    /// assert_eq!(ship.document().value(), json!(["a", "b"]));
    /// # assert_eq!(ship.document(), shore.document());
    /// # Ok::<(), tidelog_crdt::Malformed>(())
    /// ```
    MultiRegister,
    /// A register in which the last write wins, by the order of stamps.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use tidelog_crdt::Replica;
    /// # let (mut ship, mut shore) = (Replica::new(1), Replica::new(2));
    /// let one = ship.act("10:a:b", 2000, &json!({ "type": "crdt/register/set", "doc": "d", "value": "b" }))?;
    /// let other = shore.act("11:c:d", 1500, &json!({ "type": "crdt/register/set", "doc": "d", "value": "a" }))?;
    /// ship.receive(&other);
    /// shore.receive(&one);
    /// assert_eq!(ship.document().value(), json!("b"));
    /// # assert_eq!(ship.document(), shore.document());
    /// # Ok::<(), tidelog_crdt::Malformed>(())
    /// ```
    Register,
    /// A flag that is on when it is switched on and off at the same time.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use tidelog_crdt::Replica;
    /// # let (mut ship, mut shore) = (Replica::new(1), Replica::new(2));
    /// let first = ship.act("10:a:b", 1000, &json!({ "type": "crdt/enable-wins-flag/enable", "doc": "d" }))?;
    /// shore.receive(&first);
    /// let one = ship.act("10:a:b", 2000, &json!({ "type": "crdt/enable-wins-flag/disable", "doc": "d" }))?;
    /// let other = shore.act("11:c:d", 1500, &json!({ "type": "crdt/enable-wins-flag/enable", "doc": "d" }))?;
    /// ship.receive(&other);
    /// shore.receive(&one);
    /// assert_eq!(ship.document().value(), json!(true));
    /// # assert_eq!(ship.document(), shore.document());
    /// # Ok::<(), tidelog_crdt::Malformed>(())
    /// ```
    EnableWinsFlag,
    /// A flag that is off when it is switched on and off at the same time.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use tidelog_crdt::Replica;
    /// # let (mut ship, mut shore) = (Replica::new(1), Replica::new(2));
    /// let first = ship.act("10:a:b", 1000, &json!({ "type": "crdt/disable-wins-flag/enable", "doc": "d" }))?;
    /// shore.receive(&first);
    /// let one = ship.act("10:a:b", 2000, &json!({ "type": "crdt/disable-wins-flag/enable", "doc": "d" }))?;
    /// let other = shore.act("11:c:d", 1500, &json!({ "type": "crdt/disable-wins-flag/disable", "doc": "d" }))?;
    /// ship.receive(&other);
    /// shore.receive(&one);
    /// assert_eq!(ship.document().value(), json!(false));
    /// # assert_eq!(ship.document(), shore.document());
    /// # Ok::<(), tidelog_crdt::Malformed>(())
    /// ```
    DisableWinsFlag,
    /// A counter that goes up and down.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use tidelog_crdt::Replica;
    /// # let (mut ship, mut shore) = (Replica::new(1), Replica::new(2));
    /// let one = ship.act("10:a:b", 2000, &json!({ "type": "crdt/counter/add", "doc": "d", "by": 5 }))?;
    /// let other = shore.act("11:c:d", 1500, &json!({ "type": "crdt/counter/add", "doc": "d", "by": -2 }))?;
    /// ship.receive(&other);
    /// shore.receive(&one);
    /// assert_eq!(ship.document().value(), json!(3));
    /// # assert_eq!(ship.document(), shore.document());
    /// # Ok::<(), tidelog_crdt::Malformed>(())
    /// ```
    Counter,
    /// A counter that only goes up.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use tidelog_crdt::Replica;
    /// # let (mut ship, mut shore) = (Replica::new(1), Replica::new(2));
    /// let one = ship.act("10:a:b", 2000, &json!({ "type": "crdt/grow-counter/add", "doc": "d", "by": 5 }))?;
    /// let other = shore.act("11:c:d", 1500, &json!({ "type": "crdt/grow-counter/add", "doc": "d" }))?;
    /// ship.receive(&other);
    /// shore.receive(&one);
    /// assert_eq!(ship.document().value(), json!(6));
    /// # assert_eq!(ship.document(), shore.document());
    /// # Ok::<(), tidelog_crdt::Malformed>(())
    /// ```
    GrowCounter,
}

impl Kind {
    /// Every kind, the one that readers see first at the front.
    pub const ALL: [Self; 14] = [
        Self::Map,
        Self::Record,
        Self::List,
        Self::Text,
        Self::Set,
        Self::TwoPhaseSet,
        Self::LwwSet,
        Self::GrowSet,
        Self::MultiRegister,
        Self::Register,
        Self::EnableWinsFlag,
        Self::DisableWinsFlag,
        Self::Counter,
        Self::GrowCounter,
    ];

    /// As actions call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Record => "record",
            Self::List => "list",
            Self::Text => "text",
            Self::Set => "set",
            Self::TwoPhaseSet => "two-phase-set",
            Self::LwwSet => "lww-set",
            Self::GrowSet => "grow-set",
            Self::MultiRegister => "multi-register",
            Self::Register => "register",
            Self::EnableWinsFlag => "enable-wins-flag",
            Self::DisableWinsFlag => "disable-wins-flag",
            Self::Counter => "counter",
            Self::GrowCounter => "grow-counter",
        }
    }
}
