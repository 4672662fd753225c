"""Every mistake is one line that names the field."""

from __future__ import annotations

import pytest
import yaml

from services.registry.behaviour_schema import BadBehaviour, check

GOOD = """
program: /app
arguments: [serve]
answers: {--version: v1}
needs: [{host: "${env.DB:-db}", port: 3306, error: ["no ${host}"], exitCode: 2}]
startSeconds: 0.5
log: [started]
http:
  - port: "${flag.port:-8080}"
    root: /html
    headers: {Server: x}
    routes:
      - {path: /a, prefix: true, method: GET, status: 201, body: ok}
      - {path: /b, proxy: http://b/, failure: {status: 502}}
    failsAfter: {seconds: 10}
    hangsAfter: {requests: 3}
    errors: {"404": nothing}
tcp: [{port: 1, greeting: hi}]
every: [{seconds: 1, log: tick}]
exit: {afterSeconds: 1, code: 3}
signals: {TERM: {code: 0, seconds: 1, log: [bye]}, HUP: ignore}
memory: {mebibytes: 3, growMebibytesPerSecond: 1}
cpu: {millicores: 5}
portTaken: taken
"""


def test_everything_that_there_is() -> None:
    check("x", yaml.safe_load(GOOD))
    check("x", {"program": ["/a", "/b"], "cases": [{"arguments": ["go"], "exit": None}]})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "x: a table is wanted"),
        ("{}", "x: program is missing"),
        ("{program: app}", "x.program: an absolute path is wanted"),
        ("{program: /a, colour: red}", "x: unknown field 'colour'"),
        ("{program: /a, log: hello}", "x.log: a list is wanted"),
        ("{program: /a, log: [5]}", "x.log[0]: a text is wanted (put it in quotes)"),
        ("{program: /a, http: [{port: 99999}]}", "x.http[0].port: a port from 1 to 65535 is wanted"),
        ("{program: /a, http: [{port: web}]}", "x.http[0].port: a port from 1 to 65535 is wanted"),
        ("{program: /a, http: [{prot: 80}]}", "x.http[0]: unknown field 'prot'"),
        (
            "{program: /a, http: [{routes: [{status: ok}]}]}",
            "x.http[0].routes[0].status: a number from 100 to 599",
        ),
        ('{program: /a, http: [{headers: {"A b": c}}]}', "x.http[0].headers.A b: this cannot be a header"),
        (
            '{program: /a, http: [{headers: {A: "b\\r\\nC: d"}}]}',
            "x.http[0].headers.A: this cannot be a header",
        ),
        ("{program: /a, exit: {code: 256}}", "x.exit.code: a number from 0 to 255 is wanted"),
        ("{program: /a, exit: {code: true}}", "x.exit.code: a number from 0 to 255 is wanted"),
        ("{program: /a, startSeconds: .inf}", "x.startSeconds: a number from 0 to"),
        ("{program: /a, startSeconds: .nan}", "x.startSeconds: a number from 0 to"),
        ("{program: /a, signals: {TERM: yes}}", "x.signals.TERM: a table is wanted"),
        ("{program: /a, needs: [{host: db}]}", "x.needs[0]: port is missing"),
        ("{program: /a, tcp: [{}]}", "x.tcp[0]: port is missing"),
        ("{program: /a, cases: [{log: [a]}]}", "x.cases[0]: arguments is missing"),
        ("{program: /a, cases: [{arguments: [a], program: /b}]}", "x.cases[0]: unknown field 'program'"),
        ("{program: /a, arguments: [a], cases: [{arguments: [b]}]}", "x: arguments are those of each case"),
        (
            "{program: /a, memory: {mebibytes: -1}}",
            "x.memory.mebibytes: a number from 0 to 1.04858e+06 is wanted",
        ),
    ],
)
def test_mistakes(text: str, words: str) -> None:
    with pytest.raises(BadBehaviour) as caught:
        check("x", yaml.safe_load(text))
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)
