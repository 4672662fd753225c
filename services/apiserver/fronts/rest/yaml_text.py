"""Documents as YAML, in the form that Go's encoder gives them: keys sorted, strings that look like something
else in double quotes.
"""

from __future__ import annotations

from typing import Any

import orjson
import yaml


class _Dumper(yaml.SafeDumper):
    """Indents lists as upstream does: not at all."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if "\n" in text:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
    resolve: Any = dumper.resolve
    plain = resolve(yaml.ScalarNode, text, (True, False)) == "tag:yaml.org,2002:str"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _represent)


def to_yaml(body: bytes) -> bytes:
    text: str = yaml.dump(
        orjson.loads(body), Dumper=_Dumper, sort_keys=True, default_flow_style=False, width=80,
        allow_unicode=True,
    )  # fmt: skip
    return text.encode()
