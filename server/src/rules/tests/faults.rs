//! Rules that are wrong: the line and the reason.

use super::*;

/// Each faulty rule, the line that is named, and a word of the reason.
const FAULTS: &[(&str, usize, &str)] = &[
    ("[[action]]\ntype = \"\"", 2, "glob"),
    ("[[action]]\ntype = \"logux/x\"", 2, "protocol's own"),
    ("[[action]]\ntype = \"a\"\n\nallow = \"user.id ==\"", 4, "in the expression"),
    ("[[action]]\ntype = \"a\"\nallow = '''\nuser.id == '1'\n && (\n'''", 6, "in the expression"),
    ("[[action]]\ntype = \"a\"\nallow = \"\"", 3, "in the expression"),
    ("[[action]]\ntype = \"a\"\nallow = \"usr.id == 'a'\"", 3, "\"usr\" is unknown"),
    ("[[action]]\ntype = \"a\"\nallow = \"owner == 'a'\"", 3, "\"owner\" is unknown"),
    ("[[action]]\ntype = \"a\"\nallow = \"params.id == 'a'\"", 3, "[[channel]]"),
    ("[[action]]\ntype = \"a\"\nallow = \"user.id.startWith('a')\"", 3, "no function startWith()"),
    ("[[action]]\ntype = \"a\"\nallow = \"lower(user.id) == 'a'\"", 3, "no function lower()"),
    ("[[action]]\ntype = \"a\"\nallow = \"user.id.matches('(')\"", 3, "no regular expression"),
    ("[[action]]\ntype = \"a\"\nallow = \"user.id.matches(action.re)\"", 3, "written out"),
    ("[[action]]\ntype = \"a\"\nallow = \"action.l.all(x, x.matches('a'))\"", 3, "in a loop"),
    ("[[action]]\ntype = \"a\"\nallow = \"[1].all(a, [1].all(b, [1].all(c, true)))\"", 3, "loops"),
    ("[[action]]\ntype = \"a\"\nallow = \"Foo{a: 1} == 1\"", 3, "is no type"),
    ("[[action]]\ntype = \"a\"\nallow = \"[1].all(x, true) && x == 1\"", 3, "\"x\" is unknown"),
    ("[[action]]\ntype = \"a\"\nchannels = [\"a\",\n\"a/{action.}\"]", 4, "in the expression"),
    ("[[action]]\ntype = \"a\"\nchannels = [\"a/{action.id\"]", 3, "without its }"),
    ("[[action]]\ntype = \"a\"\nchannels = [\"a/action.id}\"]", 3, "without its {"),
    ("[[action]]\ntype = \"a\"\nchannels = [\"a/{}\"]", 3, "in the expression"),
    ("[[action]]\ntype = \"a\"\nchannels = [\"\"]", 3, "name of a channel"),
    ("[[action]]\ntype = \"a\"\nusers = [\"a\", \"b:c\"]", 3, "colon"),
    ("[[action]]\ntype = \"a\"\nclients = [\"a b\"]", 3, "space"),
    ("[[action]]\ntype = \"a\"\nnodes = [\"a b\"]", 3, "space"),
    ("[[action]]\ntype = \"a\"\nusers = [\"b\"]\nown_log = false", 4, "go to channels"),
    ("[[channel]]\npattern = \"a/:\"", 2, "parameter"),
    ("[[channel]]\npattern = \"a/:id\"\nallow = \"params.ide == 'a'\"", 3, "no params.ide"),
    ("[[channel]]\npattern = \"a\"\nload = \"log\"\nsquash = 9", 4, "load = \"state\""),
    ("[[sync_map]]\nname = \"\"", 2, "name of a channel"),
    ("[[sync_map]]\nname = \"logux\"", 2, "taken"),
    ("[[sync_map]]\nname = \"crdt/a\"", 2, "taken"),
    ("[[sync_map]]\nname = \"a\"\n[[sync_map]]\nname = \"a\"", 4, "share channels"),
    ("[[sync_map]]\nname = \"a/b\"\n[[sync_map]]\nname = \"a\"", 4, "share channels"),
    ("[[sync_map]]\nname = \"a\"\nallow = \"params.id == '1'\"", 3, "[[channel]]"),
    (
        "[[merge]]\ntype = \"logux/x\"\ndocument = \"a\"\noperation = \"map/remove\"",
        2,
        "of your own",
    ),
    (
        "[[merge]]\ntype = \"crdt/*\"\ndocument = \"a\"\noperation = \"map/remove\"",
        2,
        "of your own",
    ),
    ("[[merge]]\ntype = \"a\"\ndocument = \"\"\noperation = \"map/remove\"", 3, "1 to 256 bytes"),
    (
        "[[merge]]\ntype = \"a\"\ndocument = \"{user.id}\"\noperation = \"map/remove\"",
        3,
        "every replica",
    ),
    (
        "[[merge]]\ntype = \"a\"\ndocument = \"a\"\noperation = \"set/blow\"",
        4,
        "no operation `set/blow`",
    ),
    (
        "[[merge]]\ntype = \"a\"\ndocument = \"a\"\noperation = \"set/add\"",
        4,
        "value: a value is needed",
    ),
    (
        "[[merge]]\ntype = \"a\"\ndocument = \"a\"\noperation = \"counter/add\"\nvalue = \"1\"",
        5,
        "has no value",
    ),
    (
        "[[merge]]\ntype = \"a\"\ndocument = \"a\"\noperation = \"counter/add\"\nby = \"headers.a\"",
        5,
        "every replica",
    ),
    (
        "[[merge]]\ntype = \"a\"\ndocument = \"a\"\noperation = \"counter/add\"\nwhen = \"1 +\"",
        5,
        "in the expression",
    ),
    ("[[sync_map]]\nname = \"a\"\nsubscribe = \"x\"", 3, "unknown"),
];

#[test]
fn an_error_in_a_rule_has_its_line_and_reason() {
    for (text, line, reason) in FAULTS {
        let error = compile(text).expect_err(text).to_string();
        assert!(error.starts_with(&format!("t.toml:{line}: ")), "{text:?}: {error}");
        assert!(error.contains(reason), "{text:?}: {error}");
    }
    let long = format!("[[action]]\ntype = \"a\"\nallow = \"{}true\"", "true && ".repeat(600));
    assert!(compile(&long).unwrap_err().to_string().contains("longer than 4096 bytes"));
}
