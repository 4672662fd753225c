"""What the program of a pushed image does, when nobody said it: that of the image it was built on.

Builders carry the history of the base image on into what they build. A catalogue image's history names it,
with a digest of its behaviour, so that the base is found whatever was put on top. Where the history is
lost (flattened, rebuilt), the base is the catalogue image with the longest equal stack of layers below.
Otherwise the program that the image starts is a generic server; which program that is, was found when
the image came (`pushed.program_of`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from services.registry.catalogue import Catalogue
from services.registry.images import ORIGIN, Builder, StoredImage
from services.registry.pushed import Config, described_behaviour

_ORIGIN = re.compile(re.escape(ORIGIN) + r" (\S+) (sha256:[0-9a-f]{64})")


class Behaviours:
    def __init__(self, catalogue: Catalogue, builder: Builder) -> None:
        self._catalogue, self._builder = catalogue, builder
        self._chains: dict[tuple[str, ...], StoredImage] | None = None
        # What nodes are told of a catalogue layer; by diff id, since builders pack layers anew.
        self.layer_sizes: dict[str, int] = {}

    def of(self, program: str, config: Config) -> str:
        """JSON; "" for an image that only has files, shells and tools. `program`: what else it starts."""
        return (
            described_behaviour(config) or self._inherited(program, config) or self._generic(program, config)
        )

    def prepare(self, config: Config) -> None:
        """The slow part of `of`, for a thread: builds the catalogue when only the layers can tell."""
        if self._by_history(config) is None:
            self._by_layers(config)

    def _inherited(self, program: str, config: Config) -> str:
        # A base that was pulled before the catalogue changed is at least known by its name.
        base = self._by_history(config) or self._by_layers(config) or self._by_history(config, exact=False)
        if base is None:
            return ""
        untouched = len(base.layers) == len(config.diff_ids) and config.entrypoint + config.cmd == (
            base.entrypoint + base.cmd
        )
        if base.derived and not untouched:
            return json.dumps({**json.loads(base.derived), **({"program": program} if program else {})})
        named = json.loads(base.behaviour)["program"] if base.behaviour else []
        # What starts something else than its base does is not what the base is.
        same = not program or program in (named if isinstance(named, list) else [named])
        return base.behaviour if same else ""

    def _by_history(self, config: Config, *, exact: bool = True) -> StoredImage | None:
        for step in reversed(config.steps):
            match = _ORIGIN.search(step)
            if match is None:
                continue
            for image in self._images(match[1]):
                if (not exact or image.origin == match[0]) and (image.behaviour or image.derived):
                    self._remember(image)
                    return image
        return None

    def _by_layers(self, config: Config) -> StoredImage | None:
        if self._chains is None:
            self._chains = {}
            for repository in self._catalogue.images:
                for image in self._images(repository):
                    self._remember(image)
                    if image.behaviour or image.derived:
                        self._chains.setdefault(image.chain, image)
        for length in range(len(config.diff_ids), 0, -1):
            if found := self._chains.get(config.diff_ids[:length]):
                return found
        return None

    def _remember(self, image: StoredImage) -> None:
        self.layer_sizes.update((layer.diff_id, layer.size) for layer in image.layers)

    def _images(self, repository: str) -> Iterator[StoredImage]:
        entry = self._catalogue.images.get(repository)
        if entry is None:
            return
        for group in entry.tags:
            yield self._builder.build(entry, group[0], repository)

    def _generic(self, program: str, config: Config) -> str:
        generic = self._catalogue.generic
        if not program or generic is None:
            return ""
        ports = [int(port.partition("/")[0]) for port in config.ports]
        behaviour = json.loads(json.dumps(generic.table.get("behaviour", {})))
        for server in behaviour.get("http", ()):
            if ports and server.get("fromPod"):
                server["defaultPort"] = ports[0]
        return json.dumps({**behaviour, "program": program}, sort_keys=True)
