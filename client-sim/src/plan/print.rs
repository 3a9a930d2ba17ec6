//! A plan as text: what is the same for the same seed.

use super::{DevicePlan, Plan, What};
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} with seed {}", self.spec.name, self.spec.seed)?;
        for event in &self.spec.events {
            writeln!(f, "at {:.3} s: {:?} for {} s", event.at, event.what, event.lasts)?;
        }
        for device in self.devices.iter().chain(&self.pace) {
            let group = self.group(device).map_or("", |group| &group.name);
            let pace = if device.pace { "pace of " } else { "" };
            let DevicePlan { user, device: number, protocol, .. } = device;
            writeln!(f, "{pace}{group}: user {user}, device {number}, speaks {}", protocol.name())?;
            for step in &device.steps {
                let (seconds, rest) = (step.at / 1_000_000, step.at % 1_000_000);
                writeln!(f, "  {seconds}.{rest:06} {}", step.what)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Online => f.write_str("goes online"),
            Self::Edit(field) => write!(f, "edits field {field}"),
            Self::Refused => f.write_str("does what is refused"),
            Self::Cut => f.write_str("loses its connection"),
            Self::Silent(ms) => write!(f, "hears and says nothing for {ms} ms"),
            Self::Move => f.write_str("moves to the next server"),
        }
    }
}
