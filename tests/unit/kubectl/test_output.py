"""Columns, custom columns, Go templates, names, KYAML."""

from __future__ import annotations

import io
from typing import Any

import pytest

from services.kubectl.describe.writer import Writer, tabulate
from services.kubectl.errors import Fail
from services.kubectl.output import custom_columns, go_template, kyaml, printers
from services.kubectl.output.columns import TablePrinter, align

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "kubia", "labels": {"app": "kubia"}},
    "spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]},
}


def test_columns_are_padded_by_three_and_never_narrower_than_six() -> None:
    assert align([["N", "AGE"], ["a", "5s"]]) == ["N     AGE", "a     5s"]
    assert align([["NAME", "AGE"], ["a-long-name", "5s"]]) == ["NAME          AGE", "a-long-name   5s"]


def test_widths_only_grow_while_watching() -> None:
    widths: list[int] = []
    align([["a-long-name", "x"]], widths)
    assert align([["b", "x"]], widths) == ["b             x"]


def table(*cells: list[Any]) -> dict[str, Any]:
    columns = [
        {"name": "Name", "format": "name", "priority": 0},
        {"name": "Ready", "priority": 0},
        {"name": "Node", "priority": 1},
    ]
    objects = [{"metadata": {"namespace": "default", "labels": {"app": "kubia"}}} for _ in cells]
    rows = [{"cells": row, "object": obj} for row, obj in zip(cells, objects)]
    return {"columnDefinitions": columns, "rows": rows}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "NAME   READY\na      1/1\n"),
        ({"wide": True}, "NAME   READY   NODE\na      1/1     n1\n"),
        ({"headers": False}, "a     1/1\n"),
        ({"kind_prefix": "pod"}, "NAME    READY\npod/a   1/1\n"),
        ({"with_namespace": True}, "NAMESPACE   NAME   READY\ndefault     a      1/1\n"),
        ({"show_labels": True}, "NAME   READY   LABELS\na      1/1     app=kubia\n"),
        (
            {"label_columns": ("app", "x/tier")},
            "NAME   READY   APP     TIER\na      1/1     kubia   \n",
        ),
    ],
)
def test_tables(options: dict[str, Any], text: str) -> None:
    out = io.StringIO()
    assert TablePrinter(out, **options).print(table(["a", "1/1", "n1"]))
    assert out.getvalue() == text


def test_an_empty_table_prints_nothing() -> None:
    out = io.StringIO()
    assert not TablePrinter(out).print(table())
    assert out.getvalue() == ""


def test_a_tabulated_column_ends_where_its_cells_end() -> None:
    assert tabulate("Name:\ta\nLabels:\tx\nData\n====\nk:\t1") == "Name:    a\nLabels:  x\nData\n====\nk:  1"


def test_a_flush_starts_new_columns() -> None:
    writer = Writer()
    writer.line(0, "A long title:", "x")
    writer.flush()
    writer.line(0, "B:", "y")
    assert writer.text() == "A long title:  x\nB:  y\n"


def test_custom_columns() -> None:
    columns = custom_columns.parse("N:metadata.name,C:.spec.containers[*].name,L:.metadata.labels,X:.no")
    text = custom_columns.render(columns, [POD], headers=True)
    assert text == "N       C     L                X\nkubia   a,b   map[app:kubia]   <none>\n"
    with pytest.raises(Fail, match="unexpected custom-columns spec: N, expected"):
        custom_columns.parse("N")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.metadata.name}}", "kubia"),
        ("{{.nope.x}}", "<no value>"),
        ("{{range .spec.containers}}{{.name}} {{end}}", "a b "),
        ("{{range $i, $c := .spec.containers}}{{$i}}{{$c.image}}{{end}}", "0x1y"),
        ('{{if eq .kind "Pod"}}yes{{else}}no{{end}}', "yes"),
        ("{{with .nope}}x{{else}}none{{end}}", "none"),
        ("{{len .spec.containers}} {{(index .spec.containers 1).name}}", "2 b"),
        ("{{.metadata.labels}}", "map[app:kubia]"),
        ('{{"a2V5" | base64decode | printf "%s!"}}', "key!"),
        ("a {{- .kind -}} b", "aPodb"),
    ],
)
def test_go_templates(template: str, text: str) -> None:
    assert go_template.render(go_template.parse(template), POD) == text


@pytest.mark.parametrize("template", ["{{.x", "{{nope .x}}", "{{end}}", "{{if .x}}", "{{}}", "{{(.x}}"])
def test_malformed_templates(template: str) -> None:
    with pytest.raises(go_template.TemplateError, match=r"template: output:1"):
        go_template.parse(template)


def test_names_and_json() -> None:
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}
    everything = {"kind": "List", "items": [POD, deployment]}
    assert printers.structured("name")(everything) == "pod/kubia\ndeployment.apps/d\n"
    assert printers.to_json({"b": "<&>", "a": 1}) == '{\n    "a": 1,\n    "b": "\\u003c\\u0026\\u003e"\n}\n'


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(Fail, match=r'output format "bogus", allowed formats are: go-template,.*,yaml$'):
        printers.structured("bogus")


def test_kyaml() -> None:
    assert kyaml.dump({"a": [1, "y"], "y": {}}) == '---\n{\n  a: [\n    1,\n    "y",\n  ],\n  "y": {},\n}\n'
