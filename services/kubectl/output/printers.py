"""The `-o` formats that show objects as they are: yaml, json, name, templates, custom columns.

`structured` turns the word behind `-o` into a printer of objects, or says which words there are.
Tables are not made here: see `columns`. Upstream: genericclioptions.PrintFlags.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.api import kinds
from services.kubectl.errors import Fail, quote

if TYPE_CHECKING:
    from services.kubectl.flags import Parsed
    from services.machinery import jsonpath

Json = dict[str, Any]
Printer = Callable[[Any], str]

COMMON_FORMATS = (
    *("go-template", "go-template-file", "json", "jsonpath", "jsonpath-as-json", "jsonpath-file", "kyaml"),
    *("name", "template", "templatefile", "yaml"),
)
GET_FORMATS = tuple(sorted((*COMMON_FORMATS, "custom-columns", "custom-columns-file", "wide")))
TEMPLATES = ("go-template", "jsonpath", "jsonpath-as-json", "template", "custom-columns")
FILES = {
    "go-template-file": "go-template",
    "templatefile": "go-template",
    "jsonpath-file": "jsonpath",
    "custom-columns-file": "custom-columns",
}


def to_json(value: Any) -> str:
    """Four spaces, sorted keys, and `<`, `>`, `&` escaped as Go does."""
    return _escape_html(json.dumps(value, indent=4, sort_keys=True, ensure_ascii=False)) + "\n"


def compact_json(value: Any) -> str:
    """One line without spaces, keys sorted, as Go marshals a map."""
    return _escape_html(json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False))


def _escape_html(text: str) -> str:
    for letter, escaped in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")):
        text = text.replace(letter, escaped)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def to_yaml(value: Any) -> str:
    from services.kubectl.output import yaml

    return yaml.dump(value)


def to_kyaml(value: Any) -> str:
    from services.kubectl.output import kyaml

    return kyaml.dump(value)


def name_of(obj: Json) -> str:
    """`deployment.apps/web`, `pod/web`."""
    group = obj.get("apiVersion", "").rpartition("/")[0]
    kind = obj.get("kind", "").lower()
    qualified = f"{kind}.{group}" if group else kind
    return f"{qualified}/{obj.get('metadata', {}).get('name', '')}"


def kind_prefix(resource: kinds.Resource) -> str:
    """How a kind is written before names: `pod`, `deployment.apps`."""
    kind = resource.kind.lower()
    return f"{kind}.{resource.group}" if resource.group else kind


def to_names(value: Json) -> str:
    items = value["items"] if value.get("kind", "").endswith("List") and "items" in value else [value]
    return "".join(f"{name_of(item)}\n" for item in items)


def asked_for(flags: Parsed) -> str:
    """The word behind `-o`; a template without one is a Go template."""
    return str(flags["output"]) or ("go-template" if flags["template"] else "")


def structured(
    output: str,
    template: str = "",
    formats: tuple[str, ...] = COMMON_FORMATS,
    *,
    allow_missing: bool = True,
) -> Printer:
    """The printer that `-o output` asks for. Fail with kubectl's words when there is none.

    Without `allow_missing`, a JSONPath to a field that is not there is an error.
    """
    simple: dict[str, Printer] = {"json": to_json, "yaml": to_yaml, "name": to_names, "kyaml": to_kyaml}
    if output in simple:
        return simple[output]
    word, equals, argument = output.partition("=")
    if word not in formats or (equals and word in ("wide", *simple)):
        raise _unknown(output, formats)
    argument = argument or template
    if word in FILES:
        word, argument = FILES[word], _read(argument, word)
    if word == "custom-columns":
        raise Fail("custom columns are printed elsewhere")
    if not argument:
        raise Fail("template format specified but no template given")
    if word == "jsonpath":
        return _jsonpath(argument, allow_missing)
    if word == "jsonpath-as-json":
        return _jsonpath_as_json(argument)
    return _go_template(argument)


def _unknown(output: str, formats: tuple[str, ...]) -> Fail:
    return Fail(
        f"unable to match a printer suitable for the output format {quote(output)},"
        f" allowed formats are: {','.join(sorted(formats))}"
    )


def _read(path: str, word: str) -> str:
    if not path:
        raise Fail("template format specified but no template given")
    try:
        return Path(path).read_text()
    except OSError as error:
        raise Fail(f"error reading --template {path}, open {path}: {str(error.strerror).lower()}") from error


def parse_jsonpath(template: str) -> list[jsonpath.Node]:
    from services.machinery import jsonpath  # loaded only by those who use it: people wait for the prompt

    try:
        return jsonpath.parse(template)
    except jsonpath.JsonPathError as error:
        raise Fail(f"error parsing jsonpath {template}, {error}") from error


def _jsonpath(template: str, allow_missing: bool) -> Printer:
    from services.machinery import jsonpath

    nodes = parse_jsonpath(template)

    def show(value: Any) -> str:
        try:
            return jsonpath.render(nodes, value, allow_missing=allow_missing)
        except jsonpath.JsonPathError as error:
            lines = (
                f"error executing jsonpath {quote(template)}: Error executing template: {error}."
                " Printing more information for debugging the template:",
                f"\ttemplate was:\n\t\t{template}",
                f"\tobject given to jsonpath engine was:\n\t\t{go_syntax(value)}\n\n\n",
            )
            raise Fail("\n".join(lines)) from error

    return show


def go_syntax(value: Any) -> str:
    """JSON as Go's `%#v` writes it once decoded."""
    if isinstance(value, dict):
        entries = (f"{quote(key)}:{go_syntax(inner)}" for key, inner in sorted(value.items()))
        return f"map[string]interface {{}}{{{', '.join(entries)}}}"
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(go_syntax, value))}}}"
    if value is None:
        return "interface {}(nil)"
    return json.dumps(value, ensure_ascii=False)


def _jsonpath_as_json(template: str) -> Printer:
    from services.machinery import jsonpath

    nodes = parse_jsonpath(template)
    return lambda value: to_json(jsonpath.find(nodes, value))


def _go_template(template: str) -> Printer:
    from services.kubectl.output import go_template

    try:
        tree = go_template.parse(template)
    except go_template.TemplateError as error:
        raise Fail(f"error parsing template {template}, {error}") from error

    def show(value: Any) -> str:
        try:
            return go_template.render(tree, value)
        except go_template.TemplateError as error:
            raise Fail(f"error executing template {quote(template)}: {error}") from error

    return show
