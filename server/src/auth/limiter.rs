//! How often signing in may fail: see `auth` for what is limited and why.

use crate::config::Limits;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// The ceiling of an address counts failures within a minute.
const MINUTE_MS: u64 = 60_000;
/// An address over its ceiling gets a hundred attempts a second.
const TURN_MS: u64 = 10;
/// Users and addresses that are remembered, each; beyond it, new ones are not until old ones are
/// forgotten. Filling it takes more failures than the ceilings let through.
const REMEMBERED_MAX: usize = 1 << 16;

/// Remembers failures.
#[derive(Debug)]
pub(super) struct Limiter {
    failures_max: usize,
    window_ms: u64,
    /// What one failure adds to the account of its address.
    cost_ms: u64,
    hasher: RandomState,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// By hash of address and user: when each of the last failures was.
    users: HashMap<u64, VecDeque<u64>>,
    addresses: HashMap<IpAddr, Address>,
    swept_ms: u64,
}

/// The account of an address (a leaky bucket whose unit is time).
#[derive(Clone, Copy, Debug, Default)]
struct Address {
    /// When all failures will have drained away.
    clear_ms: u64,
    /// When the next one in line has its turn.
    turn_ms: u64,
}

impl Limiter {
    pub(super) fn new(limits: &Limits) -> Self {
        let ceiling = limits.sign_in_failures_per_address as u64;
        Self {
            failures_max: limits.sign_in_failures,
            window_ms: u64::try_from(limits.sign_in_window.as_millis()).unwrap_or(u64::MAX),
            cost_ms: (MINUTE_MS / ceiling).max(1),
            hasher: RandomState::new(),
            memory: Mutex::default(),
        }
    }

    /// Whether `user` has failed too often from `address`. An attempt in that time is a failure.
    pub(super) fn locked(&self, address: IpAddr, user: &str, now_ms: u64) -> bool {
        let key = self.hasher.hash_one((network(address), user));
        let mut memory = self.memory();
        let Some(failures) = memory.users.get_mut(&key) else {
            return false;
        };
        let recent = failures.iter().filter(|it| it.abs_diff(now_ms) < self.window_ms).count();
        let locked = recent >= self.failures_max;
        if locked {
            self.remember(failures, now_ms);
        }
        locked
    }

    /// Counts a failure of `user` from `address`.
    pub(super) fn failed(&self, address: IpAddr, user: &str, now_ms: u64) {
        let address = network(address);
        let key = self.hasher.hash_one((address, user));
        let mut memory = self.memory();
        memory.make_room(now_ms, self.window_ms);
        if memory.users.len() < REMEMBERED_MAX || memory.users.contains_key(&key) {
            self.remember(memory.users.entry(key).or_default(), now_ms);
        }
        if memory.addresses.len() < REMEMBERED_MAX || memory.addresses.contains_key(&address) {
            let account = memory.addresses.entry(address).or_default();
            let clear_ms = account.clear_ms.max(now_ms).saturating_add(self.cost_ms);
            account.clear_ms = clear_ms.min(now_ms.saturating_add(2 * MINUTE_MS));
        }
    }

    /// How long an attempt from `address` has to wait for its turn, in ms.
    pub(super) fn place_in_line(&self, address: IpAddr, now_ms: u64) -> u64 {
        let mut memory = self.memory();
        let Some(account) = memory.addresses.get_mut(&network(address)) else {
            return 0;
        };
        if account.clear_ms <= now_ms.saturating_add(MINUTE_MS) {
            return 0;
        }
        let longest = now_ms.saturating_add(MINUTE_MS);
        let turn = account.turn_ms.clamp(now_ms, longest);
        account.turn_ms = turn.saturating_add(TURN_MS);
        turn - now_ms
    }

    fn remember(&self, failures: &mut VecDeque<u64>, now_ms: u64) {
        if failures.len() >= self.failures_max {
            failures.pop_front();
        }
        failures.push_back(now_ms);
    }

    /// Nothing that can panic runs under the lock, and counts would be right even then.
    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// Forgets what is over, once the memory is full and not more than once a window.
    fn make_room(&mut self, now_ms: u64, window_ms: u64) {
        let full = self.users.len().max(self.addresses.len()) >= REMEMBERED_MAX;
        if !full || self.swept_ms.abs_diff(now_ms) < window_ms {
            return;
        }
        self.swept_ms = now_ms;
        self.users.retain(|_, failures| {
            failures.back().is_some_and(|last| last.abs_diff(now_ms) < window_ms)
        });
        self.addresses.retain(|_, account| account.clear_ms > now_ms);
    }
}

/// Whom an address stands for: one of IPv4; of IPv6 its /64, which one household has whole.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
    const NOW: u64 = 1_700_000_000_000;

    fn limiter() -> Limiter {
        Limiter::new(&Limits::default())
    }

    fn fail(limiter: &Limiter, times: usize, user: &str) {
        (0..times).for_each(|_| limiter.failed(HERE, user, NOW));
    }

    #[test]
    fn three_failures_lock_a_user_at_an_address_for_three_seconds() {
        let limiter = limiter();
        fail(&limiter, 2, "10");
        assert!(!limiter.locked(HERE, "10", NOW));
        fail(&limiter, 1, "10");
        assert!(limiter.locked(HERE, "10", NOW + 2_999));
        assert!(!limiter.locked(HERE, "20", NOW) && !limiter.locked(THERE, "10", NOW));
    }

    #[test]
    fn each_failure_is_forgotten_on_its_own() {
        let limiter = limiter();
        for ms in [0, 1_000, 2_000] {
            limiter.failed(HERE, "10", NOW + ms);
        }
        assert!(!limiter.locked(HERE, "10", NOW + 3_000), "the first is over");
        limiter.failed(HERE, "10", NOW + 3_000);
        assert!(limiter.locked(HERE, "10", NOW + 3_001));
    }

    #[test]
    fn hammering_extends_the_lock() {
        let limiter = limiter();
        fail(&limiter, 3, "10");
        for ms in (500..20_000).step_by(500) {
            assert!(limiter.locked(HERE, "10", NOW + ms), "{ms}");
        }
        assert!(!limiter.locked(HERE, "10", NOW + 19_500 + 3_000));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_lock_for_long() {
        let limiter = limiter();
        fail(&limiter, 400, "10");
        let back = NOW - 86_400_000;
        assert!(!limiter.locked(HERE, "10", back));
        assert!(limiter.place_in_line(HERE, back) <= MINUTE_MS);
    }

    #[test]
    fn an_address_over_its_ceiling_waits_in_line_until_it_has_calmed_down() {
        let limiter = limiter();
        for user in 0..300 {
            limiter.failed(HERE, &user.to_string(), NOW);
        }
        assert_eq!(limiter.place_in_line(HERE, NOW), 0, "at the ceiling");
        limiter.failed(HERE, "one more", NOW);
        let waits = [NOW, NOW, NOW].map(|now| limiter.place_in_line(HERE, now));
        assert_eq!(waits, [0, 10, 20], "a hundred a second");
        assert_eq!(limiter.place_in_line(HERE, NOW + 25), 5);
        assert_eq!(limiter.place_in_line(THERE, NOW), 0, "others do not wait");
        assert_eq!(limiter.place_in_line(HERE, NOW + 1_000), 0);
        fail(&limiter, 10_000, "flood");
        let later = [0, 0].map(|_| limiter.place_in_line(HERE, NOW + MINUTE_MS + 1));
        assert_eq!(later, [0, 0], "a minute later there is no line");
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let limiter = limiter();
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        for host in 1..=3 {
            limiter.failed(at(&format!("2001:db8::{host}")), "10", NOW);
        }
        assert!(limiter.locked(at("2001:db8::ffff"), "10", NOW));
        assert!(!limiter.locked(at("2001:db8:0:1::1"), "10", NOW));
        fail(&limiter, 3, "10");
        assert!(limiter.locked(at("::ffff:10.0.0.1"), "10", NOW), "IPv4 in the clothes of IPv6");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten() {
        let limits = Limits { sign_in_window: Duration::from_secs(1), ..Limits::default() };
        let limiter = Limiter::new(&limits);
        for number in 0..2 * u32::try_from(REMEMBERED_MAX).unwrap() {
            let address = IpAddr::V4(std::net::Ipv4Addr::from_bits(number));
            limiter.failed(address, "10", NOW);
        }
        let sizes = |limiter: &Limiter| {
            let memory = limiter.memory();
            (memory.users.len(), memory.addresses.len())
        };
        assert_eq!(sizes(&limiter), (REMEMBERED_MAX, REMEMBERED_MAX));
        limiter.failed(HERE, "10", NOW + 2_000);
        assert_eq!(sizes(&limiter), (1, 1), "each paid off its one failure long ago");
    }
}
