//! A page that speaks the protocol, and remembers what it got.

use super::super::*;
use tidelog_protocol::{ActionId, Frame, NodeId};

/// A page with its connection, and the session at the other end.
pub(super) struct Page {
    pub(super) node: NodeId,
    pub(super) client: Connection,
    pub(super) session: Session,
    /// The number it would connect with again.
    pub(super) number: u64,
    /// The last number that this connection sent.
    pub(super) sent_number: u64,
    /// Everything it got: type, and the time in the id.
    pub(super) got: Vec<Got>,
    /// Frames it got, by name.
    pub(super) frames: Vec<&'static str>,
    pub(super) acknowledges: bool,
    pub(super) live: bool,
    pub(super) sequence: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Got {
    pub(super) kind: String,
    pub(super) id: ActionId,
    pub(super) time: u64,
    pub(super) answers: Option<String>,
    pub(super) doc: Option<String>,
}

impl Page {
    pub(super) fn receive(&mut self, frame: &Frame, at: Moment) {
        match self.client.receive(frame, at.now).unwrap() {
            Received::Sync(sync) => {
                assert!(self.sent_number <= sync.number, "a number fell");
                (self.number, self.sent_number) = (sync.number, sync.number);
                self.frames.push("sync");
                for pair in sync.batch {
                    let Named { id: answers, doc } = pair.action.body().unwrap_or_default();
                    let (kind, time) = (pair.action.kind().to_owned(), pair.meta.time);
                    self.got.push(Got { kind, id: pair.meta.id, time, answers, doc });
                }
                if self.acknowledges {
                    let frame = self.client.synced(sync.number, at.now);
                    self.session.on_frame(&frame, at).unwrap();
                }
            }
            Received::Synced(_) => self.frames.push("synced"),
            Received::Ready(number) => {
                assert!(self.sent_number <= number, "a number fell");
                (self.number, self.sent_number) = (number, number);
                self.frames.push("ready");
            }
            _ => self.frames.push("other"),
        }
    }

    pub(super) fn kinds(&self) -> Vec<&str> {
        self.got.iter().map(|got| got.kind.as_str()).collect()
    }

    pub(super) fn count(&self, kind: &str) -> usize {
        self.got.iter().filter(|got| got.kind == kind).count()
    }
}

#[derive(Default, serde::Deserialize)]
struct Named {
    id: Option<String>,
    doc: Option<String>,
}
