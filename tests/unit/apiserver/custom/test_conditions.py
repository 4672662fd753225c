"""Which names a definition gets, and what its status says of that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.apiserver.custom import conditions
from services.apiserver.custom.entries import resources_of
from services.apiserver.custom.resource import condition, is_served
from tests.support.custom import definition, version

Json = dict[str, Any]
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def named(plural: str = "widgets", kind: str = "Widget", *short: str, accepted: Json | None = None) -> Json:
    body = definition(plural, kind)
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    body["spec"]["names"] = {**names, **({"shortNames": list(short)} if short else {})}
    body["metadata"]["uid"] = plural
    body["status"] = {"acceptedNames": accepted or {"plural": "", "kind": ""}, "conditions": None}
    return body


def judged(body: Json, *others: Json) -> Json:
    status = conditions.named(body, others, NOW)
    assert status is not None
    return {**body, "status": status}


def said(body: Json, kind: str) -> tuple[str, str, str]:
    found = condition(body, kind)
    assert found is not None
    return found["status"], found["reason"], found["message"]


def test_free_names_are_accepted_and_then_it_is_established() -> None:
    body = judged(named("widgets", "Widget", "wd"))
    assert body["status"]["acceptedNames"] == body["spec"]["names"]
    assert said(body, "NamesAccepted") == ("True", "NoConflicts", "no conflicts found")
    assert said(body, "Established") == ("False", "Installing", "the initial names have been accepted")
    assert is_served(body)
    status = conditions.established(body, NOW)
    assert status is not None
    done = {**body, "status": status}
    assert said(done, "Established")[:2] == ("True", "InitialNamesAccepted")
    assert conditions.named(done, [], NOW) is None
    assert conditions.established(done, NOW) is None


def test_a_taken_kind_is_not_accepted() -> None:
    first = judged(named())
    second = judged(named("gadgets", "Widget"), first)
    assert said(second, "NamesAccepted") == ("False", "ListKindConflict", '"WidgetList" is already in use')
    assert said(second, "Established") == ("False", "NotAccepted", "not all names are accepted")
    assert second["status"]["acceptedNames"]["plural"] == "gadgets"
    assert not is_served(second)
    assert conditions.established(second, NOW) is None


def test_a_short_name_of_another_group_is_free() -> None:
    first = judged(named("widgets", "Widget", "wd"))
    same = judged(named("gadgets", "Gadget", "wd"), first)
    assert said(same, "NamesAccepted") == ("False", "ShortNamesConflict", '"wd" is already in use')
    other = named("gadgets", "Gadget", "wd")
    other["spec"]["group"] = "example.org"
    assert said(judged(other, first), "NamesAccepted")[0] == "True"


def test_a_bundle_that_is_none_keeps_it_from_being_established() -> None:
    body = judged(named())
    webhook = {"clientConfig": {"url": "https://x", "caBundle": "bm90aGluZw=="}}
    body["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
    status = conditions.established(body, NOW)
    assert status is not None
    assert said({**body, "status": status}, "Established")[:2] == ("False", "InvalidCABundle")


def test_the_time_of_a_condition_moves_with_its_status_alone() -> None:
    body = judged(named())
    later = datetime(2026, 11, 22, tzinfo=UTC)
    changed = conditions.set_condition(body, ("NamesAccepted", "True", "Other", "words"), later)
    assert changed is not None
    found = condition({**body, "status": changed}, "NamesAccepted")
    assert found is not None
    assert found["lastTransitionTime"] == "2026-11-21T00:00:00Z"


def test_an_entry_of_the_catalog_for_each_version() -> None:
    body = judged(named("widgets", "Widget", "wd"))
    body["spec"]["versions"] = [
        version("v1beta1", deprecated=True),
        version("v1", storage=True, subresources={"status": {}}),
        version("v2alpha1", deprecated=True, deprecationWarning="mind"),
    ]
    old, stored, new = resources_of(body)
    assert (old.stored_as, stored.stored_as) == ("example.com/v1", "")
    assert old.deprecation == "example.com/v1beta1 Widget is deprecated; use example.com/v1 Widget"
    assert (stored.deprecation, new.deprecation) == ("", "mind")
    assert [part.name for part in stored.subresources] == ["status"]
    assert (stored.short_names, stored.list_kind, stored.key_prefix) == (
        ("wd",),
        "WidgetList",
        "example.com/widgets",
    )
    assert stored.digest != old.digest
