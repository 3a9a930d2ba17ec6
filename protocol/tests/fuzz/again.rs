//! What was read, written, and read again.

use serde_json::Value;
use tidelog_protocol::codec::Codec;
use tidelog_protocol::{Action, Form, Frame, Message, Pair, Sync};

/// Whatever way a frame was written, what it says comes back, and from then on in the same bytes.
pub(crate) fn check(message: &Message, form: Form, client: &Codec, server: &Codec) {
    let message = kept(message.clone());
    let frame = client.encode(form, &message);
    assert_eq!(frame.form(), form);
    let again = read(server, &frame);
    assert_alike(&message, &again, form);
    let frame_again = client.encode(form, &again);
    assert_eq!(frame_again, frame, "written in one way only");
}

fn read(server: &Codec, frame: &Frame) -> Message {
    server.decode(frame).unwrap_or_else(|error| panic!("{:?}: {error:?}", frame.bytes()))
}

/// Keys of a meta that nobody knows are marked, and not kept.
fn kept(message: Message) -> Message {
    let Message::Sync(Sync { number, batch }) = message else { return message };
    let batch = batch.into_iter().map(|pair| Pair { extra_keys: false, ..pair }).collect();
    Message::Sync(Sync { number, batch })
}

fn assert_alike(message: &Message, again: &Message, form: Form) {
    let (Message::Sync(one), Message::Sync(other), Form::Binary) = (message, again, form) else {
        assert_eq!(message, again);
        return;
    };
    assert_eq!((one.number, one.batch.len()), (other.number, other.batch.len()));
    for (one, other) in one.batch.iter().zip(&other.batch) {
        assert_eq!((&one.meta, one.action.kind()), (&other.meta, other.action.kind()));
        // The protocol's own actions have a shape that does not know the order of keys.
        assert!(one.action == other.action || value(&one.action) == value(&other.action));
    }
}

fn value(action: &Action) -> Value {
    let mut value: Value = action.body().unwrap();
    // Of an encrypted action: left out is as good as false.
    if let (Some(fields), "0") = (value.as_object_mut(), action.kind()) {
        fields.entry("z").or_insert(false.into());
    }
    value
}
