//! One message of a WebSocket: bytes, and whether they are to be read as text.

use bytes::Bytes;

/// How a frame is written. Every frame says it by itself, and is answered in kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Form {
    /// JSON.
    #[default]
    Text,
    /// The bytes of protocol 7.
    Binary,
}

/// A message of a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    form: Form,
    bytes: Bytes,
}

impl Frame {
    /// A text message.
    pub fn text(bytes: impl Into<Bytes>) -> Self {
        Self { form: Form::Text, bytes: bytes.into() }
    }

    /// A binary message. One that starts as a JSON array does is JSON all the same.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let form = if bytes.first() == Some(&b'[') { Form::Text } else { Form::Binary };
        Self { form, bytes }
    }

    /// How it is written.
    pub fn form(&self) -> Form {
        self.form
    }

    /// What it says.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The same, to be kept.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A copy that does not hold on to what the socket read with it.
    pub(crate) fn detached(&self) -> Self {
        Self { form: self.form, bytes: Bytes::copy_from_slice(&self.bytes) }
    }
}
