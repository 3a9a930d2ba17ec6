//! JSON that other formats can hold: escapes of half a character and numbers beyond all floats become what is nearest.

/// What stands for half of a character (UTF-16 has two for some; JSON may escape one alone).
const REPLACEMENT: &[u8] = br"\ufffd";

/// The same JSON with U+FFFD for escapes that are no character, and the greatest float for what is greater.
pub(super) fn nearest(json: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(json.len()), json);
    while let Some(&first) = rest.first() {
        let (length, instead) = match first {
            b'"' => string(rest, &mut out),
            b'-' | b'0'..=b'9' => number(rest),
            _ => (1, None),
        };
        let (token, after) = rest.split_at(length.min(rest.len()));
        // A string was written piece by piece.
        if first != b'"' {
            out.extend_from_slice(instead.unwrap_or(token));
        }
        rest = after;
    }
    out
}

/// How long the number is that `rest` begins with, and what is to stand for it.
fn number(rest: &[u8]) -> (usize, Option<&'static [u8]>) {
    let is_part = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
    let length = rest.iter().take_while(|byte| is_part(byte)).count();
    let text = rest.get(..length).and_then(|text| std::str::from_utf8(text).ok());
    let value = text.and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    let instead: Option<&[u8]> = match value {
        f64::INFINITY => Some(b"1.7976931348623157e308"),
        f64::NEG_INFINITY => Some(b"-1.7976931348623157e308"),
        _ => None,
    };
    (length, instead)
}

/// Writes the string that `rest` begins with; how long it is.
fn string(rest: &[u8], out: &mut Vec<u8>) -> (usize, Option<&'static [u8]>) {
    let mut at = 0;
    while let Some(left) = rest.get(at..).filter(|left| !left.is_empty()) {
        let (length, piece): (usize, &[u8]) = match (left, escaped(left)) {
            // The beginning is no end.
            ([b'"', ..], _) if at > 0 => {
                out.push(b'"');
                return (at + 1, None);
            }
            (_, Some(0xdc00..=0xdfff)) => (6, REPLACEMENT),
            (_, Some(0xd800..=0xdbff)) => match left.get(6..).and_then(escaped) {
                Some(0xdc00..=0xdfff) => (12, left.get(..12).unwrap_or(left)),
                _ => (6, REPLACEMENT),
            },
            ([b'\\', _, ..], _) => (2, left.get(..2).unwrap_or(left)),
            _ => (1, left.get(..1).unwrap_or(left)),
        };
        out.extend_from_slice(piece);
        at += length;
    }
    (at, None)
}

/// The half or whole character that `text` begins with as `\uXXXX`.
fn escaped(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(br"\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_other_format_can_hold_becomes_what_is_nearest() {
        for (json, expected) in [
            (r#"{"a":"Hi \ud83d"}"#, r#"{"a":"Hi \ufffd"}"#),
            (r#"["\ude00\ud83d","\ud83dx"]"#, r#"["\ufffd\ufffd","\ufffdx"]"#),
            (r#"["\uD83D\uD83D\uDE00"]"#, r#"["\ufffd\uD83D\uDE00"]"#),
            (r#"{"\udfff":1e999}"#, r#"{"\ufffd":1.7976931348623157e308}"#),
            ("[-1e999,1E+400 ]", "[-1.7976931348623157e308,1.7976931348623157e308 ]"),
        ] {
            assert_eq!(String::from_utf8(nearest(json.as_bytes())).unwrap(), expected);
            assert!(serde_json::from_str::<serde_json::Value>(json).is_err(), "{json}");
            assert!(serde_json::from_str::<serde_json::Value>(expected).is_ok(), "{json}");
        }
    }

    #[test]
    fn all_else_stays_as_it_is() {
        for json in [
            r#" {"a" : ["\ud83d\ude00", "\\ud83d", "\"\\", "ä\u00e4\n", "1e999"], "b":"" } "#,
            "[1.7976931348623157e308,-0,0.5,1e-999,123456789012345678901234567890,0e999,true,null]",
            "",
        ] {
            assert_eq!(String::from_utf8(nearest(json.as_bytes())).unwrap(), json);
        }
    }
}
