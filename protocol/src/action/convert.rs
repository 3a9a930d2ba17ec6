//! An action inside other formats: in JSON it stays what it is, in a binary one such as `MessagePack`
//! it is a map, made from the JSON on the way out and turned into JSON on the way in.

use super::Action;
use super::nearest::nearest;
use bytes::Bytes;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde::ser::{Error as _, Serialize, SerializeStruct, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

/// What `serde_json` calls a [`RawValue`] on the way out. One of its own would be made by reading the JSON
/// through again, and this was read when it became an action.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// How deep a map may nest. The stack that the recursion needs is small up to here, and the JSON
/// parser has the same limit.
const DEPTH_MAX: usize = 127;

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let json = std::str::from_utf8(&self.json).map_err(S::Error::custom)?;
            let mut raw = serializer.serialize_struct(RAW_VALUE, 1)?;
            raw.serialize_field(RAW_VALUE, json)?;
            raw.end()
        } else {
            self.value().map_err(S::Error::custom)?.serialize(serializer)
        }
    }
}

impl Action {
    /// The JSON as it can be written elsewhere. Some is JSON, and was taken as such, that is no text or no number there.
    fn value(&self) -> Result<Value, serde_json::Error> {
        self.body().or_else(|_| serde_json::from_slice(&nearest(&self.json)))
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = if deserializer.is_human_readable() {
            Box::<str>::from(Box::<RawValue>::deserialize(deserializer)?).into_string().into_bytes()
        } else {
            let mut json = Vec::new();
            ToJson { json: &mut json, levels_left: DEPTH_MAX }.deserialize(deserializer)?;
            json
        };
        // Without the parser's words: they would name a place within the action, and the reader
        // adds the place within the whole.
        let action = Self::new(Bytes::from(json));
        action.map_err(|_| D::Error::custom("an action is an object with one string \"type\""))
    }
}

/// Appends a value as JSON; what JSON cannot hold is an error.
struct ToJson<'a> {
    json: &'a mut Vec<u8>,
    levels_left: usize,
}

impl ToJson<'_> {
    fn write<E: de::Error>(self, value: &(impl Serialize + ?Sized)) -> Result<(), E> {
        serde_json::to_writer(self.json, value).map_err(E::custom)
    }

    fn inner<E: de::Error>(&mut self) -> Result<ToJson<'_>, E> {
        let levels_left = self.levels_left.checked_sub(1);
        let levels_left = levels_left.ok_or_else(|| E::custom("nested too deep"))?;
        Ok(ToJson { json: self.json, levels_left })
    }
}

impl<'de> DeserializeSeed<'de> for ToJson<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ToJson<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what JSON can hold")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.write(&())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.write(&value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.write(&value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.write(&value)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        if value.is_finite() {
            self.write(&value)
        } else {
            Err(E::custom("JSON has no infinite numbers and no NaN"))
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.write(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut separator = b'[';
        loop {
            let before = self.json.len();
            self.json.push(separator);
            if seq.next_element_seed(self.inner()?)?.is_none() {
                self.json.truncate(before);
                break;
            }
            separator = b',';
        }
        self.json.extend_from_slice(if separator == b'[' { b"[]" } else { b"]" });
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut separator = b'{';
        while let Some(key) = map.next_key::<String>()? {
            self.json.push(separator);
            separator = b',';
            serde_json::to_writer(&mut *self.json, &key).map_err(A::Error::custom)?;
            self.json.push(b':');
            map.next_value_seed(self.inner()?)?;
        }
        self.json.extend_from_slice(if separator == b'{' { b"{}" } else { b"}" });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str =
        r#"{"type":"a","n":[1,-2,0.5,null,true,[],{}],"o":{"x":{"y":"\"ä\""}},"s":""}"#;

    fn action(json: &'static str) -> Action {
        Action::new(Bytes::from_static(json.as_bytes())).unwrap()
    }

    fn packed(value: &impl Serialize) -> Vec<u8> {
        rmp_serde::to_vec_named(value).unwrap()
    }

    fn unpack(bytes: &[u8]) -> Result<Action, rmp_serde::decode::Error> {
        rmp_serde::from_slice(bytes)
    }

    #[test]
    fn in_json_an_action_stays_byte_for_byte() {
        let odd = r#"{ "type":"a",  "n":1.50, "s":"\u0041" }"#;
        let list = serde_json::to_string(&[action(odd)]).unwrap();
        assert_eq!(list, format!("[{odd}]"));
        assert_eq!(serde_json::from_str::<Vec<Action>>(&list).unwrap(), [action(odd)]);
        assert!(serde_json::from_str::<Action>("{}").is_err());
    }

    #[test]
    fn in_messagepack_an_action_is_a_map_with_the_same_content() {
        let there = packed(&action(BODY));
        let map: Value = rmp_serde::from_slice(&there).unwrap();
        assert_eq!(map, action(BODY).body::<Value>().unwrap());
        let back = unpack(&there).unwrap();
        assert_eq!(back.kind(), "a");
        assert_eq!(back.body::<Value>().unwrap(), map);
    }

    #[test]
    fn what_json_alone_can_hold_becomes_what_is_nearest() {
        let odd = action(r#"{"type":"a","text":"Hi \ud83d","o":{"\ude00":[1e999,-1e999]}}"#);
        let map: Value = rmp_serde::from_slice(&packed(&odd)).unwrap();
        let numbers = [f64::MAX, f64::MIN];
        assert_eq!(
            map,
            serde_json::json!({"type": "a", "text": "Hi \u{fffd}", "o": {"\u{fffd}": numbers}})
        );
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        let refused = |bytes: &[u8]| unpack(bytes).unwrap_err().to_string();
        let with = |value: &dyn Fn() -> Vec<u8>| {
            [&[0x82, 0xa4][..], b"type", &[0xa1], b"a", &[0xa1], b"x", &value()].concat()
        };
        assert!(unpack(&with(&|| packed(&1))).is_ok());
        assert!(refused(&with(&|| packed(&f64::NAN))).contains("NaN"));
        assert!(refused(&with(&|| packed(&f32::INFINITY))).contains("infinite"));
        assert!(refused(&with(&|| vec![0xc4, 1, 0])).contains("what JSON can hold"));
        assert!(refused(&with(&|| vec![0xd4, 1, 0])).contains("what JSON can hold"));
        assert!(refused(&with(&|| vec![0x81, 1, 1])).contains("string"));
        let deep = |levels| [vec![0x91; levels], vec![1]].concat();
        assert!(unpack(&with(&|| deep(DEPTH_MAX - 1))).is_ok());
        assert!(refused(&with(&|| deep(DEPTH_MAX))).contains("too deep"));
        assert!(unpack(&packed(&[1])).is_err(), "an array is no action");
    }
}
