//! Who does what when: a scenario and a seed make a plan, and nothing else does.
//!
//! Pure: no clock, no network. Times are in µs after the start of the scenario, so what a device does late because the
//! server is slow still counts from when it was meant to be done.

mod builtin;
mod chance;
mod goal;
mod print;
mod spec;

pub use builtin::{RULES, all as builtins, text as builtin};
pub use chance::Chance;
pub use goal::{Figure, Goal};
pub use spec::{Behaviour, Event, Group, Happening, Network, Pace, Protocol, Spec};

/// µs in a second.
pub(crate) const SECOND: f64 = 1e6;

/// Who does what when.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The scenario.
    pub spec: Spec,
    /// Every device of the scenario.
    pub devices: Vec<DevicePlan>,
    /// Devices that do the work of one group before the clock starts.
    pub pace: Vec<DevicePlan>,
}

/// What one device does.
#[derive(Clone, Debug, PartialEq)]
pub struct DevicePlan {
    /// Its group, by number.
    pub group: usize,
    /// Its user, by number within the group.
    pub user: u32,
    /// Its number among the devices of the user.
    pub device: u32,
    /// Whether it measures the pace.
    pub pace: bool,
    /// What it speaks.
    pub protocol: Protocol,
    /// What its chance follows from while it runs.
    pub stream: u64,
    /// What it does, in order of time.
    pub steps: Vec<Step>,
}

/// Something that a device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, in µs after the start.
    pub at: u64,
    /// What.
    pub what: What,
}

/// What a device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It wants to be online from now on.
    Online,
    /// It edits a field.
    Edit(u8),
    /// It does what the server's rules refuse.
    Refused,
    /// Its connection breaks.
    Cut,
    /// Its connection falls silent for so many ms.
    Silent(u32),
    /// It moves to the next server.
    Move,
}

impl What {
    /// Whether it makes an action.
    pub(crate) fn makes(self) -> bool {
        matches!(self, Self::Edit(_) | Self::Refused)
    }

    /// Whether it ends a connection.
    pub(crate) fn breaks(self) -> bool {
        matches!(self, Self::Cut | Self::Silent(_) | Self::Move)
    }
}

impl Plan {
    /// The plan of a scenario.
    pub fn new(spec: &Spec) -> Self {
        let mut devices = Vec::new();
        for (number, group) in spec.groups.iter().enumerate() {
            for user in 0..group.users {
                for device in 0..group.devices {
                    let stream = devices.len() as u64 + 1;
                    devices.push(DevicePlan::new(spec, (number, group), (user, device), stream));
                }
            }
        }
        Self { spec: spec.clone(), devices, pace: pace(spec) }
    }

    /// The group of a device.
    pub fn group(&self, device: &DevicePlan) -> Option<&Group> {
        self.spec.groups.get(device.group)
    }
}

fn pace(spec: &Spec) -> Vec<DevicePlan> {
    let Some(pace) = &spec.pace else { return Vec::new() };
    let Some(group) = spec.groups.iter().position(|group| group.name == pace.group) else {
        return Vec::new();
    };
    let protocols = spec.groups.get(group).map_or(&[][..], |group| &group.protocol);
    let device = |(user, protocol): (u32, &Protocol)| DevicePlan {
        group,
        user,
        device: 0,
        pace: true,
        protocol: *protocol,
        stream: u64::MAX - u64::from(user),
        steps: vec![Step { at: 0, what: What::Online }],
    };
    (0..pace.devices).zip(protocols.iter().cycle()).map(device).collect()
}

impl DevicePlan {
    fn new(
        spec: &Spec,
        (number, group): (usize, &Group),
        (user, device): (u32, u32),
        stream: u64,
    ) -> Self {
        let mut chance = Chance::new(spec.seed, stream);
        let online =
            if group.before { 0.0 } else { group.online_at + group.online_within * chance.part() };
        let mut steps = vec![Step { at: micros(online), what: What::Online }];
        let mut every = |mean: f64, from: f64, what: &mut dyn FnMut(&mut Chance) -> What| {
            if mean <= 0.0 {
                return;
            }
            let mut at = from + chance.gap(mean);
            while at < spec.seconds {
                steps.push(Step { at: micros(at), what: what(&mut chance) });
                at += chance.gap(mean);
            }
        };
        let mean = if group.rate > 0.0 { 1.0 / group.rate } else { 0.0 };
        every(mean, online, &mut |chance| group.edit(chance));
        let silence = (group.network.half_open_for * 1e3).max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "seconds as ms"
        )]
        let silent = What::Silent(silence as u32);
        every(group.network.cut_every, online, &mut |_| What::Cut);
        every(group.network.half_open_every, online, &mut |_| silent);
        every(group.move_every, online, &mut |_| What::Move);
        steps.sort_by_key(|step| step.at);
        let kinds = group.protocol.len();
        let turn = (user as usize * group.devices as usize + device as usize) % kinds.max(1);
        let protocol = group.protocol.get(turn).copied().unwrap_or(Protocol::V5);
        Self { group: number, user, device, pace: false, protocol, stream, steps }
    }
}

impl Group {
    fn edit(&self, chance: &mut Chance) -> What {
        if chance.happens(self.refused) {
            return What::Refused;
        }
        What::Edit(u8::try_from(chance.below(self.fields)).unwrap_or_default())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a scenario"
)]
pub(crate) fn micros(seconds: f64) -> u64 {
    (seconds.max(0.0) * SECOND) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(seed: u64) -> String {
        let text = builtin("flaky-mobile").unwrap();
        let settings = [format!("seed={seed}"), "phones.users=5".into(), "tablets.users=5".into()];
        Plan::new(&Spec::read("flaky-mobile", text, &settings).unwrap()).to_string()
    }

    #[test]
    fn the_same_seed_makes_the_same_plan_and_another_one_another() {
        assert_eq!(printed(7), printed(7));
        assert_ne!(printed(7), printed(8));
    }

    #[test]
    fn one_more_device_changes_nothing_for_those_before_it() {
        let of = |users: u32| {
            let settings = [format!("everyday.users={users}")];
            Plan::new(&Spec::read("x", builtin("steady").unwrap(), &settings).unwrap()).devices
        };
        assert_eq!(of(2).first(), of(3).first());
    }

    #[test]
    fn a_rate_is_kept_on_average() {
        let settings = ["everyday.users=100".to_owned(), "everyday.rate=2".to_owned()];
        let spec = Spec::read("x", builtin("steady").unwrap(), &settings).unwrap();
        let edits = |device: &DevicePlan| {
            device.steps.iter().filter(|step| matches!(step.what, What::Edit(_))).count()
        };
        let count: usize = Plan::new(&spec).devices.iter().map(edits).sum();
        let expected = 300 * 2 * 30;
        assert!(count.abs_diff(expected) < expected / 20, "{count} of {expected}");
    }
}
