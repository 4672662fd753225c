"""Flags are read as cobra reads them, complaints included."""

from __future__ import annotations

import re

import pytest

from services.kubectl import flags

DECLARED = (
    flags.text("output", short="o"),
    flags.text("namespace", short="n"),
    flags.boolean("all-namespaces", short="A"),
    flags.boolean("watch", short="w"),
    flags.integer("tail", default=-1),
    flags.seconds("timeout"),
    flags.texts("label-columns", short="L"),
    flags.texts("from-literal", split=False),
    flags.text("dry-run", default="none", bare="unchanged"),
    flags.text("image", required=True),
)


@pytest.mark.parametrize(
    "words",
    [
        ["-o", "json"],
        ["-ojson"],
        ["-o=json"],
        ["--output", "json"],
        ["--output=json"],
        ["-Aojson"],
        ["-Awo=json"],
    ],
)
def test_forms_of_a_value(words: list[str]) -> None:
    parsed = flags.parse(DECLARED, ["get", *words, "pods"])
    assert parsed["output"] == "json"
    assert parsed.args == ["get", "pods"]


def test_a_bare_flag_takes_no_following_word() -> None:
    parsed = flags.parse(DECLARED, ["--dry-run", "client"])
    assert parsed["dry-run"] == "unchanged"
    assert parsed.args == ["client"]
    assert flags.parse(DECLARED, ["--dry-run=server"])["dry-run"] == "server"


def test_lists_split_at_commas_only_where_declared() -> None:
    parsed = flags.parse(DECLARED, ["-La,b", "-L", "c", "--from-literal=k=a,b", "--from-literal=l=c"])
    assert parsed["label-columns"] == ("a", "b", "c")
    assert parsed["from-literal"] == ("k=a,b", "l=c")


def test_two_dashes_end_the_flags() -> None:
    parsed = flags.parse(DECLARED, ["exec", "kubia", "--", "ls", "-l"])
    assert (parsed.args, parsed.dash) == (["exec", "kubia", "ls", "-l"], 2)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--bogus"], "unknown flag: --bogus"),
        (["-x"], "unknown shorthand flag: 'x' in -x"),
        (["-Ax"], "unknown shorthand flag: 'x' in -x"),
        (["-n"], "flag needs an argument: 'n' in -n"),
        (["--namespace"], "flag needs an argument: --namespace"),
        (["--=1"], "bad flag syntax: --=1"),
        (
            ["--tail=x"],
            'invalid argument "x" for "--tail" flag: strconv.ParseInt: parsing "x": invalid syntax',
        ),
        (
            ["--watch=x"],
            'invalid argument "x" for "-w, --watch" flag: strconv.ParseBool: parsing "x": invalid syntax',
        ),
        (["--timeout=x"], 'invalid argument "x" for "--timeout" flag: time: invalid duration "x"'),
        (["--timeout=5"], 'invalid argument "5" for "--timeout" flag: time: missing unit in duration "5"'),
    ],
)
def test_complaints(words: list[str], complaint: str) -> None:
    with pytest.raises(flags.FlagError, match=f"^{re.escape(complaint)}$"):
        flags.parse(DECLARED, words)


def test_required_flags() -> None:
    with pytest.raises(flags.FlagError, match=r'required flag\(s\) "image" not set'):
        flags.check_required(DECLARED, flags.parse(DECLARED, []))
    flags.check_required(DECLARED, flags.parse(DECLARED, ["--image="]))
