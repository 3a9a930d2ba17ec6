//! What a rule matches: globs over action types, patterns of channels.

/// A glob over action types: `*` is any run of characters, slashes among them, and nothing else
/// is special, because types such as `[todo] add` are common.
#[derive(Clone, Debug)]
pub(crate) struct Glob {
    /// What comes before the first `*`, or everything without one.
    head: Box<str>,
    /// What comes between and after each `*`.
    rest: Box<[Box<str>]>,
}

impl Glob {
    pub(crate) fn new(text: &str) -> Self {
        let mut parts = text.split('*').map(Box::from);
        Self { head: parts.next().unwrap_or_default(), rest: parts.collect() }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        let Some(mut left) = text.strip_prefix(&*self.head) else {
            return false;
        };
        let Some((tail, middle)) = self.rest.split_last() else {
            return left.is_empty();
        };
        for part in middle {
            // The first place is the best one: it leaves the most for what follows.
            match left.split_once(&**part) {
                Some((_, after)) => left = after,
                None => return false,
            }
        }
        left.ends_with(&**tail)
    }
}

/// A pattern of channels: parts between slashes, each a text or a `:name` that takes any part
/// that is not empty.
#[derive(Clone, Debug)]
pub(super) struct ChannelPattern {
    parts: Box<[Part]>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(Box<str>),
    Param(Box<str>),
}

/// The values of `params`, by name.
pub(super) type Params<'a> = Vec<(&'a str, &'a str)>;

impl ChannelPattern {
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let mut names = Vec::new();
        let parts = text.split('/').map(|part| match part.strip_prefix(':') {
            Some(name) if !is_name(name) => Err(format!(
                "{part:?} is no parameter: a colon is followed by a name of letters, digits and _"
            )),
            Some(name) if names.contains(&name) => {
                Err(format!("the parameter {part:?} comes twice"))
            }
            Some(name) => {
                names.push(name);
                Ok(Part::Param(name.into()))
            }
            None => Ok(Part::Text(part.into())),
        });
        let parts = parts.collect::<Result<_, _>>()?;
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err("a pattern is not empty and has no control characters".to_owned());
        }
        Ok(Self { parts })
    }

    /// The names that the pattern gives to `params`.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Param(name) => Some(&**name),
            Part::Text(_) => None,
        })
    }

    pub(super) fn matches<'a>(&'a self, channel: &'a str) -> Option<Params<'a>> {
        let mut params = Vec::new();
        let mut given = channel.split('/');
        for part in &self.parts {
            let given = given.next()?;
            match part {
                Part::Text(text) if **text != *given => return None,
                Part::Param(_) if given.is_empty() => return None,
                Part::Text(_) => {}
                Part::Param(name) => params.push((&**name, given)),
            }
        }
        given.next().is_none().then_some(params)
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_is_any_run_and_nothing_else_is_special() {
        for (glob, yes, no) in [
            ("tasks/add", vec!["tasks/add"], vec!["tasks/ad", "tasks/adds", ""]),
            ("tasks/*", vec!["tasks/add", "tasks/", "tasks/a/b"], vec!["tasks", "task/add"]),
            ("*", vec!["", "a", "a/b"], vec![]),
            ("*/add", vec!["/add", "a/b/add"], vec!["add", "a/adds"]),
            ("a*b*c", vec!["abc", "a1b2c", "abbc", "abcbc"], vec!["ac", "acb", "abcd"]),
            ("a*a", vec!["aa", "aba"], vec!["a"]),
            ("[todo] *", vec!["[todo] add"], vec!["t add", "todo add"]),
            ("{a,b}?", vec!["{a,b}?"], vec!["a1"]),
        ] {
            let compiled = Glob::new(glob);
            assert!(yes.iter().all(|text| compiled.matches(text)), "{glob}");
            assert!(!no.iter().any(|text| compiled.matches(text)), "{glob}");
        }
    }

    #[test]
    fn a_pattern_fills_its_parameters() {
        let pattern = ChannelPattern::new("lists/:list/tasks/:id").unwrap();
        assert_eq!(pattern.matches("lists/1/tasks/é x"), Some(vec![("list", "1"), ("id", "é x")]));
        assert_eq!(pattern.names().collect::<Vec<_>>(), ["list", "id"]);
        for channel in
            ["lists/1/tasks", "lists/1/tasks/", "lists/1/tasks/2/3", "lists//tasks/2", ""]
        {
            assert_eq!(pattern.matches(channel), None, "{channel}");
        }
        assert_eq!(ChannelPattern::new("tasks").unwrap().matches("tasks"), Some(vec![]));
    }

    #[test]
    fn a_pattern_that_cannot_be_meant_is_refused() {
        for pattern in ["", "a/:", "a/:1", "a/:b-c", ":a/:a", "a\n"] {
            assert!(ChannelPattern::new(pattern).is_err(), "{pattern:?}");
        }
    }

    proptest! {
        /// The glob against its definition: a star takes nothing, or one character and goes on.
        #[test]
        fn a_glob_is_its_definition(glob in "[ab*]{0,6}", text in "[ab]{0,8}") {
            fn naive(glob: &[u8], text: &[u8]) -> bool {
                match (glob.split_first(), text.split_first()) {
                    (None, None) => true,
                    (Some((b'*', rest)), after) => {
                        naive(rest, text) || after.is_some_and(|(_, after)| naive(glob, after))
                    }
                    (Some((g, rest)), Some((t, after))) => g == t && naive(rest, after),
                    _ => false,
                }
            }
            prop_assert_eq!(Glob::new(&glob).matches(&text), naive(glob.as_bytes(), text.as_bytes()));
        }
    }
}
