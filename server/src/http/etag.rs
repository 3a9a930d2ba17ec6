//! The entity tag of a page: weak, because the times in it differ, and made of what decides the rest.

use super::caller::Caller;
use super::format::Format;
use super::reader::Reader;
use crate::documents::Read;
use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hash;
use tidelog_protocol::http::Cursor;

/// `W/"`, 16 bytes in Base64, `"`.
const TAG_BYTES: usize = 3 + 22 + 1;

/// What identifies a page of one URL.
pub(super) struct ETag(String);

impl ETag {
    /// The tag of the page that leaves the reader at `cursor`.
    pub(super) fn of(
        caller: &Caller,
        reader: &Reader,
        cursor: &Cursor,
        more: bool,
        format: Format,
    ) -> Self {
        let mut hasher = SipHasher24::new();
        cursor.as_str().hash(&mut hasher);
        (more, format).hash(&mut hasher);
        caller.device().hash(&mut hasher);
        for (channel, access) in reader.accesses() {
            channel.as_str().hash(&mut hasher);
            format!("{access:?}").hash(&mut hasher);
        }
        Self::made_of(&hasher)
    }

    /// The tag of a document as it was read.
    pub(super) fn of_document(
        caller: &Caller,
        reader: &Reader,
        read: &Read,
        format: Format,
    ) -> Self {
        let mut hasher = SipHasher24::new();
        caller.user().as_str().hash(&mut hasher);
        (read.changed.get(), read.version, format).hash(&mut hasher);
        reader.life().0.hash(&mut hasher);
        Self::made_of(&hasher)
    }

    fn made_of(hasher: &SipHasher24) -> Self {
        let hash = hasher.finish128().as_u128().to_be_bytes();
        let mut tag = String::with_capacity(TAG_BYTES);
        tag.push_str("W/\"");
        URL_SAFE_NO_PAD.encode_string(hash, &mut tag);
        tag.push('"');
        Self(tag)
    }

    /// Whether the client has the page already.
    pub(super) fn is_known(&self, headers: &HeaderMap) -> bool {
        let values = headers.get_all(header::IF_NONE_MATCH).iter();
        let tags = values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
        tags.map(opaque).any(|tag| tag == "*" || tag == opaque(&self.0))
    }

    /// As a header.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

/// A tag without what says that it is weak.
fn opaque(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag)
}
