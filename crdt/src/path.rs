//! Where in a document an operation works.

use crate::Malformed;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// The name of a document: what it is called in its log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentName(Arc<str>);

impl DocumentName {
    /// The longest name, in bytes.
    pub const BYTES_MAX: usize = 256;

    /// Checks and takes a name.
    pub fn new(text: &str) -> Result<Self, Malformed> {
        match text.len() {
            1..=Self::BYTES_MAX => Ok(Self(text.into())),
            _ => Err(Malformed::new("doc", "a document's name has 1 to 256 bytes")),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DocumentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The keys that lead from the root of a document to a place in it. No keys: the root itself.
///
/// Maps on the way come into being with what is written under them.
///
/// ```
/// use tidelog_crdt::Path;
///
/// let path = Path::new(["items", "sku-1"])?;
/// assert_eq!(path.to_string(), "items/sku-1");
/// assert!(Path::new(vec!["deep"; Path::DEPTH_MAX + 1]).is_err());
/// # Ok::<(), tidelog_crdt::Malformed>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Vec<Arc<str>>);

impl Path {
    /// The most keys; what is deeper is refused, because values are read by descending.
    pub const DEPTH_MAX: usize = 32;
    /// The longest key, in bytes.
    pub const KEY_BYTES_MAX: usize = 1024;

    /// The path with these keys.
    pub fn new<K: Into<Arc<str>>>(keys: impl IntoIterator<Item = K>) -> Result<Self, Malformed> {
        let mut path = Vec::new();
        for key in keys {
            let key = key.into();
            if path.len() == Self::DEPTH_MAX {
                return Err(Malformed::new("path", "a path has at most 32 keys"));
            }
            if key.len() > Self::KEY_BYTES_MAX {
                let place = format!("path[{}]", path.len());
                return Err(Malformed::new(place, "a key has at most 1024 bytes"));
            }
            path.push(key);
        }
        Ok(Self(path))
    }

    /// Reads the `path` of an action; none is the root.
    pub fn parse(value: Option<&Value>) -> Result<Self, Malformed> {
        let keys = match value {
            None => return Ok(Self::default()),
            Some(Value::Array(keys)) => keys,
            Some(_) => return Err(Malformed::new("path", "a path is an array of keys")),
        };
        let texts = keys.iter().enumerate().map(|(at, key)| {
            let place = || format!("path[{at}]");
            key.as_str().ok_or_else(|| Malformed::new(place(), "a key is a string"))
        });
        Self::new(texts.collect::<Result<Vec<_>, _>>()?)
    }

    /// The keys, from the root.
    pub fn keys(&self) -> &[Arc<str>] {
        &self.0
    }

    /// Whether `other` is this place or lies under it.
    pub fn includes(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// As an action has it.
    pub fn to_value(&self) -> Value {
        self.0.iter().map(|key| Value::from(&**key)).collect()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fault_is_named_by_its_place() {
        let fault = |value: Value| Path::parse(Some(&value)).unwrap_err().to_string();
        assert_eq!(fault(json!("a")), "path: a path is an array of keys");
        assert_eq!(fault(json!(["a", 1])), "path[1]: a key is a string");
        assert_eq!(fault(json!(["a", "b".repeat(1025)])), "path[1]: a key has at most 1024 bytes");
        assert_eq!(fault(json!(vec!["a"; 33])), "path: a path has at most 32 keys");
    }
}
