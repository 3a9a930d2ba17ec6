//! The order in which those who wait come in.

use super::super::line::{Arrived, Class, Full, Granted, Line, Name, Ticket, Who};
use crate::ws::Owner;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use tidelog_protocol::{ClientId, UserId};

fn client(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

/// `user:device`, with a WebSocket.
fn who(name: &str) -> Who {
    let user = name.split(':').next().unwrap();
    let owner = Owner::User(UserId::new(user).unwrap());
    Who { owner, name: Some(Name::Socket(client(name))) }
}

fn arrive(line: &mut Line, name: &str) -> Ticket {
    line.arrive(who(name), Class::Light, 0).unwrap().ticket
}

/// Lets in one after the other until nobody waits.
fn all(line: &mut Line) -> Vec<Ticket> {
    let mut all = Vec::new();
    line.set_permits(Class::Light, 1);
    line.set_permits(Class::Heavy, 1);
    while let Some(Granted { ticket, class, .. }) = line.next() {
        all.push(ticket);
        line.leave(class);
    }
    all
}

#[test]
fn users_take_rounds() {
    let mut line = Line::new(100);
    let eve: Vec<_> = (0..3).map(|n| arrive(&mut line, &format!("eve:{n}"))).collect();
    let [bob, ann] = ["bob:a", "ann:a"].map(|name| arrive(&mut line, name));
    let ann_too = arrive(&mut line, "ann:b");
    // The fourth is who has waited longest.
    assert_eq!(all(&mut line), [eve[0], bob, ann, eve[1], ann_too, eve[2]]);
}

#[test]
fn who_waits_comes_in_though_others_come_all_the_while() {
    let mut line = Line::new(1000);
    line.set_permits(Class::Light, 1);
    let eve: Vec<_> = (0..10).map(|n| arrive(&mut line, &format!("eve:{n}"))).collect();
    let mut left: HashSet<_> = eve.into_iter().collect();
    for n in 0..50 {
        arrive(&mut line, &format!("new{n}:a"));
        left.remove(&line.next().unwrap().ticket);
        line.leave(Class::Light);
    }
    assert!(left.is_empty(), "{} of ten still wait behind fifty who came later", left.len());
}

#[test]
fn there_are_as_many_inside_of_each_class_as_there_are_permits() {
    let mut line = Line::new(100);
    line.set_permits(Class::Light, 2);
    for n in 0..3 {
        arrive(&mut line, &format!("light{n}:a"));
    }
    line.arrive(who("heavy:a"), Class::Heavy, 0).unwrap();
    assert_eq!(
        [line.next().is_some(), line.next().is_some(), line.next().is_some()],
        [true, true, false]
    );
    assert_eq!((line.inside(Class::Light), line.len(Class::Light)), (2, 1));
    // The light ones do not keep the heavy one waiting, nor it them.
    line.set_permits(Class::Heavy, 1);
    assert_eq!(line.next().map(|it| it.class), Some(Class::Heavy));
    line.leave(Class::Light);
    assert_eq!(line.next().map(|it| it.class), Some(Class::Light));
    assert_eq!(line.next(), None);
}

#[test]
fn who_gave_up_and_comes_back_has_its_place_and_after_a_while_it_has_not() {
    let mut line = Line::new(100);
    let first = arrive(&mut line, "a:a");
    let second = arrive(&mut line, "b:a");
    line.give_up(first, 1_000);
    let third = arrive(&mut line, "c:a");
    let Arrived { ticket: back, replaced: None } =
        line.arrive(who("a:a"), Class::Light, 999).unwrap()
    else {
        panic!("nobody else waits for it");
    };
    line.set_permits(Class::Light, 1);
    let granted = line.next().unwrap();
    assert_eq!((granted.ticket, granted.since_ms), (back, 0), "and it came when it came first");
    line.leave(Class::Light);
    line.give_up(second, 2_000);
    let late = line.arrive(who("b:a"), Class::Light, 2_000).unwrap().ticket;
    assert_eq!(all(&mut line), [third, late]);
}

#[test]
fn a_place_stays_where_it_was_though_what_was_missed_has_become_more() {
    let mut line = Line::new(100);
    let heavy =
        |line: &mut Line, name: &str| line.arrive(who(name), Class::Heavy, 5).unwrap().ticket;
    let gone = arrive(&mut line, "a:a");
    line.give_up(gone, 1_000);
    let other = heavy(&mut line, "b:a");
    let back = heavy(&mut line, "a:a");
    assert_eq!(all(&mut line), [back, other]);
}

#[test]
fn who_comes_while_nobody_waits_is_let_in_at_once() {
    let mut line = Line::new(100);
    let pass = |line: &mut Line, name: &str| line.pass(&who(name), Class::Light, 7);
    assert_eq!(pass(&mut line, "a:a"), None, "no permits");
    let gone = arrive(&mut line, "b:a");
    line.give_up(gone, 1_000);
    line.set_permits(Class::Light, 3);
    assert_eq!(pass(&mut line, "a:a"), Some(7));
    assert_eq!(pass(&mut line, "b:a"), Some(0), "it came when it came first");
    arrive(&mut line, "c:a");
    assert_eq!(pass(&mut line, "d:a"), None, "somebody waits");
    line.arrive(who("e:a"), Class::Heavy, 0).unwrap();
    assert_eq!(line.next().map(|it| it.class), Some(Class::Light));
    assert_eq!((pass(&mut line, "d:a"), line.inside(Class::Light)), (None, 3), "no more permits");
    line.leave(Class::Light);
    assert_eq!(pass(&mut line, "e:a"), None, "it waits already, having missed much");
    assert_eq!(pass(&mut line, "d:a"), Some(7));
}

#[test]
fn a_client_waits_once_and_a_device_makes_several_requests() {
    let mut line = Line::new(100);
    let first = arrive(&mut line, "a:a");
    let other = arrive(&mut line, "b:a");
    let again = line.arrive(who("a:a"), Class::Light, 0).unwrap();
    assert_eq!(again.replaced, Some(first));
    let request = || Who { name: Some(Name::Request(client("a:a"))), ..who("a:a") };
    let requests = [0; 2].map(|_| line.arrive(request(), Class::Light, 0).unwrap());
    assert!(requests.iter().all(|request| request.replaced.is_none()));
    let [one, two] = requests.map(|request| request.ticket);
    assert_eq!(all(&mut line), [again.ticket, other, one, two]);
}

#[test]
fn no_more_wait_and_no_more_places_are_kept_than_may_be() {
    let mut line = Line::new(3);
    let tickets: Vec<_> = (0..3).map(|n| arrive(&mut line, &format!("a{n}:a"))).collect();
    assert_eq!(line.arrive(who("b:a"), Class::Light, 0), Err(Full));
    for (n, ticket) in (0..).zip(tickets) {
        line.give_up(ticket, 1_000 + n);
    }
    let more: Vec<_> = (0..3).map(|n| arrive(&mut line, &format!("c{n}:a"))).collect();
    // Who has a place may wait though there are as many as may.
    let back = line.arrive(who("a1:a"), Class::Light, 0).unwrap().ticket;
    line.give_up(more[0], 5_000);
    line.give_up(more[1], 5_000);
    // Of four places the one that is forgotten first was given away.
    let gone = line.arrive(who("a0:a"), Class::Light, 0).unwrap().ticket;
    let kept = line.arrive(who("c0:a"), Class::Light, 0).unwrap().ticket;
    assert_eq!(all(&mut line), [back, kept, more[2], gone]);
}

#[derive(Clone, Debug)]
enum Do {
    Arrive { user: u8, device: u8, heavy: bool },
    GiveUp(prop::sample::Index),
    Next,
    Leave { heavy: bool },
    Permits { light: usize, heavy: usize },
    Wait(u64),
}

fn what() -> impl Strategy<Value = Do> {
    prop_oneof![
        6 => (0_u8..4, 0_u8..6, any::<bool>())
            .prop_map(|(user, device, heavy)| Do::Arrive { user, device, heavy }),
        2 => any::<prop::sample::Index>().prop_map(Do::GiveUp),
        4 => Just(Do::Next),
        3 => any::<bool>().prop_map(|heavy| Do::Leave { heavy }),
        1 => (0_usize..5, 0_usize..5).prop_map(|(light, heavy)| Do::Permits { light, heavy }),
        1 => (0_u64..2_000).prop_map(Do::Wait),
    ]
}

fn class(heavy: bool) -> Class {
    if heavy { Class::Heavy } else { Class::Light }
}

/// What the line has to do, by itself: who waits, and who is inside.
#[derive(Default)]
struct Model {
    waiting: HashMap<Ticket, Class>,
    inside: HashMap<Class, usize>,
    permits: HashMap<Class, usize>,
    now: u64,
}

impl Model {
    fn of(&self, class: Class) -> usize {
        self.inside.get(&class).copied().unwrap_or_default()
    }

    fn next(&mut self, line: &mut Line) -> Result<(), TestCaseError> {
        let free =
            |class: Class| self.of(class) < self.permits.get(&class).copied().unwrap_or_default();
        let expected = self.waiting.values().any(|class| free(*class));
        let granted = line.next();
        prop_assert_eq!(
            granted.is_some(),
            expected,
            "somebody is let in as soon as there is a permit"
        );
        let Some(Granted { ticket, class, .. }) = granted else { return Ok(()) };
        prop_assert!(free(class), "and nobody before");
        prop_assert_eq!(self.waiting.remove(&ticket), Some(class), "who waits, and once");
        *self.inside.entry(class).or_default() += 1;
        Ok(())
    }

    fn step(&mut self, line: &mut Line, step: &Do) -> Result<(), TestCaseError> {
        match step {
            Do::Arrive { user, device, heavy } => {
                let name = format!("u{user}:d{device}");
                if let Ok(arrived) = line.arrive(who(&name), class(*heavy), self.now) {
                    arrived.replaced.map(|ticket| self.waiting.remove(&ticket));
                    self.waiting.insert(arrived.ticket, class(*heavy));
                }
            }
            Do::GiveUp(which) => {
                let mut tickets: Vec<_> = self.waiting.keys().copied().collect();
                tickets.sort_unstable();
                if !tickets.is_empty() {
                    let ticket = *which.get(&tickets);
                    line.give_up(ticket, self.now + 500);
                    self.waiting.remove(&ticket);
                }
            }
            Do::Next => self.next(line)?,
            Do::Leave { heavy } if self.of(class(*heavy)) > 0 => {
                line.leave(class(*heavy));
                *self.inside.entry(class(*heavy)).or_default() -= 1;
            }
            Do::Leave { .. } => {}
            Do::Permits { light, heavy } => {
                for (class, permits) in [(Class::Light, *light), (Class::Heavy, *heavy)] {
                    line.set_permits(class, permits);
                    self.permits.insert(class, permits);
                }
            }
            Do::Wait(ms) => self.now += ms,
        }
        for class in Class::ALL {
            let waiting = self.waiting.values().filter(|it| **it == class).count();
            prop_assert_eq!(line.len(class), waiting);
            prop_assert_eq!(line.inside(class), self.of(class));
        }
        prop_assert!(self.waiting.len() <= MOST + 24, "who has a place may wait, too");
        Ok(())
    }
}

const MOST: usize = 12;

proptest! {
    #[test]
    fn whatever_happens_who_waits_comes_in_once_and_only_by_a_permit(
        steps in proptest::collection::vec(what(), 1..200)
    ) {
        let (mut line, mut model) = (Line::new(MOST), Model::default());
        for step in &steps {
            model.step(&mut line, step)?;
        }
        for class in Class::ALL {
            (0..model.of(class)).for_each(|_| line.leave(class));
        }
        let let_in: HashSet<_> = all(&mut line).into_iter().collect();
        prop_assert_eq!(let_in, model.waiting.into_keys().collect::<HashSet<_>>(), "nobody is forgotten");
    }
}
