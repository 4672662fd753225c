"""What a CustomResourceDefinition may say, and how it is refused."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.crd import conditions, definition, definition_rules, schemas
from services.machinery.field_errors import Causes
from tests.unit.apiserver.crd.definitions import definition_of, spec_schema, version_of

Json = dict[str, Any]
_EMPTY: Json = {"type": "object"}


def refusals(obj: Json) -> list[str]:
    out: Causes = []
    definition.create(obj, out)
    return [f"{cause['field']}: {cause['message']}" for cause in out]


def schema_refusals(properties: Json, **more: Any) -> list[str]:
    found = refusals(definition_of(version_of(spec_schema(properties, **more))))
    prefix = "spec.validation.openAPIV3Schema.properties[spec]."
    return [each.removeprefix(prefix) for each in found]


def test_a_plain_one_is_fine() -> None:
    assert refusals(definition_of(version_of(_EMPTY))) == []


def test_names_of_the_group() -> None:
    obj = definition_of(version_of(_EMPTY), group="example")
    obj["metadata"]["name"] = "things.example"
    assert refusals(obj) == ['spec.group: Invalid value: "example": should be a domain with at least one dot']


def test_kind_and_list_kind_differ() -> None:
    obj = definition_of(version_of(_EMPTY))
    obj["spec"]["names"]["listKind"] = "Thing"
    assert refusals(obj) == [
        'spec.names.listKind: Invalid value: "Thing": kind and listKind may not be the same'
    ]


def test_one_version_is_stored() -> None:
    first, second = version_of(_EMPTY), version_of({"type": "object", "properties": {}}, "v2")
    obj = definition_of(first, second)
    (told,) = refusals(obj)
    assert told.startswith('spec.versions: Invalid value: [{"Name":"v1","Served":true,"Storage":true,')
    assert told.endswith(": must have exactly one version marked as storage version")


def test_what_versions_share_stands_above_them() -> None:
    odd = {"type": "object", "properties": {"a": {}}}
    shared = refusals(definition_of(version_of(odd), version_of(odd, "v2", storage=False)))
    apart = refusals(definition_of(version_of(odd), version_of(_EMPTY, "v2", storage=False)))
    why = "properties[a].type: Required value: must not be empty for specified object fields"
    assert shared == [f"spec.validation.openAPIV3Schema.{why}"]
    assert apart == [f"spec.versions[0].schema.openAPIV3Schema.{why}"]


STRUCTURE: list[tuple[Json, str]] = [
    ({"a": {"type": "array"}}, "properties[a].items: Required value: must be specified"),
    (
        {"a": {"type": "object", "anyOf": [{"properties": {"b": {"minimum": 1}}}]}},
        "",  # only the root is looked at for completeness
    ),
    (
        {"a": {"type": "string", "anyOf": [{"type": "string"}]}},
        "properties[a].anyOf[0].type: Forbidden: must be empty to be structural",
    ),
    (
        {"a": {"type": "string", "allOf": [{"default": "x"}]}},
        "properties[a].allOf[0].default: Forbidden: must be undefined to be structural",
    ),
    (
        {"a": {"type": "string", "pattern": "["}},
        'properties[a].pattern: Invalid value: "[": must be a valid regular expression, but isn\'t:'
        " error parsing regexp: missing closing ]: `[`",
    ),
    (
        {"a": {"x-kubernetes-int-or-string": True, "x-kubernetes-preserve-unknown-fields": True}},
        "properties[a].x-kubernetes-preserve-unknown-fields: Invalid value: true:"
        " must be false if x-kubernetes-int-or-string is true",
    ),
    (
        {"a": {"type": "object", "x-kubernetes-embedded-resource": True}},
        "properties[a].properties: Required value: must not be empty if x-kubernetes-embedded-resource is"
        " true without x-kubernetes-preserve-unknown-fields",
    ),
    (
        {"a": {"type": "integer", "default": "x"}},
        'properties[a].default: Invalid value: "string":  in body must be of type integer: "string"',
    ),
    (
        {"a": {"type": "object", "properties": {}, "default": {"b": 1}}},
        'properties[a].default: Invalid value: {"b":1}: must not have unknown fields',
    ),
]


@pytest.mark.parametrize(("properties", "told"), STRUCTURE)
def test_structure(properties: Json, told: str) -> None:
    assert schema_refusals(properties) == ([told] if told else [])


SCHEMAS: list[tuple[Json, list[str]]] = [
    (
        {"a": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}},
        [
            "properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime"
            " complexity becomes quadratic"
        ],
    ),
    ({"a": {"type": "string", "$ref": "#"}}, ["properties[a].$ref: Forbidden: $ref is not supported"]),
    (
        {
            "a": {
                "type": "object",
                "properties": {"b": {"type": "string"}},
                "additionalProperties": {"type": "string"},
            }
        },
        [
            "properties[a].additionalProperties: Forbidden:"
            " additionalProperties and properties are mutual exclusive"
        ],
    ),
    (
        {"a": {"type": "string", "x-kubernetes-list-type": "set"}},
        ['properties[a].type: Invalid value: "string": must be array if x-kubernetes-list-type is specified'],
    ),
    (
        {"a": {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"}},
        [
            "properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if"
            " x-kubernetes-list-type is map"
        ],
    ),
    (
        {
            "a": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}}},
            }
        },
        [
            "properties[a].items.properties[k].default: Required value: this property is in"
            " x-kubernetes-list-map-keys, so it must have a default or be a required property"
        ],
    ),
    (
        {"a": {"type": "object", "x-kubernetes-map-type": "odd"}},
        [
            'properties[a].x-kubernetes-map-type: Unsupported value: "odd":'
            ' supported values: "atomic", "granular"'
        ],
    ),
    (
        {"a": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object"}}},
        [
            "properties[a].items.x-kubernetes-map-type: Invalid value: null:"
            " must be atomic as item of a list with x-kubernetes-list-type=set"
        ],
    ),
]


@pytest.mark.parametrize(("properties", "told"), SCHEMAS)
def test_schemas(properties: Json, told: list[str]) -> None:
    assert schema_refusals(properties) == told


def test_an_unknown_type() -> None:
    (told,) = schema_refusals({"a": {"type": "text"}})
    assert told == (
        'properties[a].type: Unsupported value: "text":'
        ' supported values: "array", "boolean", "integer", "number", "object", "string"'
    )


def test_metadata_can_only_be_narrowed_by_name() -> None:
    schema: Json = {
        "type": "object",
        "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}},
    }
    (told,) = refusals(definition_of(version_of(schema)))
    assert told == (
        "spec.validation.openAPIV3Schema.properties[metadata]: Forbidden: must not specify anything other"
        " than name and generateName, but metadata is implicitly specified"
    )
    schema["properties"]["metadata"]["properties"] = {"name": {"type": "string", "maxLength": 5}}
    assert refusals(definition_of(version_of(schema))) == []


def test_with_a_status_the_root_is_bound() -> None:
    schema = {"type": "object", "minProperties": 1}
    (told,) = refusals(definition_of(version_of(schema, subresources={"status": {}})))
    assert told.startswith('spec.validation.openAPIV3Schema: Invalid value: {"ID":"","Schema":"",')
    assert "only [Description Type Format" in told


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            {"additionalPrinterColumns": [{"name": "A", "type": "text", "jsonPath": "spec"}]},
            [
                'spec.additionalPrinterColumns[0].type: Invalid value: "text":'
                " must be one of boolean,date,integer,number,string",
                'spec.additionalPrinterColumns[0].JSONPath: Invalid value: "spec":'
                " must be a simple json path starting with .",
            ],
        ),
        (
            {"subresources": {"scale": {"specReplicasPath": ".status.n", "statusReplicasPath": ""}}},
            [
                'spec.subresources.scale.specReplicasPath: Invalid value: ".status.n":'
                " should be a json path under .spec",
                "spec.subresources.scale.statusReplicasPath: Required value",
            ],
        ),
        (
            {"selectableFields": [{"jsonPath": ".spec.none"}, {"jsonPath": ".metadata.name"}]},
            [
                'spec.selectableFields[0].jsonPath: Invalid value: ".spec.none":'
                " is an invalid path: does not refer to a valid field",
                'spec.selectableFields[1].jsonPath: Invalid value: ".metadata.name":'
                " is an invalid path: does not refer to a valid field",
            ],
        ),
        (
            {"deprecationWarning": "old"},
            [
                'spec.versions[0].deprecationWarning: Invalid value: "old":'
                " can only be set for deprecated versions"
            ],
        ),
    ],
)
def test_parts_of_a_version(more: Json, told: list[str]) -> None:
    assert refusals(definition_of(version_of(spec_schema({}), **more))) == told


def test_conversion() -> None:
    strategy = {"strategy": "Webhook"}
    assert refusals(definition_of(version_of(_EMPTY), conversion=strategy)) == [
        "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
        "spec.conversion.conversionReviewVersions: Required value",
    ]
    client = {"clientConfig": {"url": "http://x"}, "conversionReviewVersions": ["v9"]}
    assert refusals(definition_of(version_of(_EMPTY), conversion={**strategy, "webhook": client})) == [
        'spec.conversion.webhookClientConfig.url: Invalid value: "http":'
        " 'https' is the only allowed URL scheme; desired format: https://host[/path]",
        'spec.conversion.conversionReviewVersions: Invalid value: ["v9"]:'
        " must include at least one of v1, v1beta1",
    ]


class TestRules:
    def refused(self, *rules: Json, **more: Any) -> list[str]:
        schema = {"n": {"type": "integer"}, **more}
        return schema_refusals(schema, **{"x-kubernetes-validations": list(rules)})

    def test_fine(self) -> None:
        assert (
            self.refused({"rule": "self.n > 0", "messageExpression": "self.n < 0 ? 'below' : 'none'"}) == []
        )

    def test_what_cannot_be_compiled_is_shown(self) -> None:
        (told,) = self.refused({"rule": "self.m > 0"})
        assert told.startswith(
            'x-kubernetes-validations[0].rule: Invalid value: {"Rule":"self.m \\u003e 0","Message":"",'
            '"MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}: compilation failed:'
            " ERROR: <input>:1:5: undefined field 'm'"
        )

    def test_a_rule_is_a_condition(self) -> None:
        (told,) = self.refused({"rule": "self.n"})
        assert told.endswith("cel expression must evaluate to a bool")

    def test_its_own_fields(self) -> None:
        given = {"rule": "true", "message": " ", "reason": "Odd", "fieldPath": ".none"}
        assert [each.partition(": ")[0] for each in self.refused(given)] == [
            "x-kubernetes-validations[0].message",
            "x-kubernetes-validations[0].reason",
            "x-kubernetes-validations[0].fieldPath",
        ]

    def test_the_old_value_has_to_be_found_again(self) -> None:
        item = {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= oldSelf"}]}
        (told,) = self.refused(l={"type": "array", "items": item})
        path = "spec.validation.openAPIV3Schema.properties[spec].properties[l]"
        assert told == (
            'properties[l].items.x-kubernetes-validations[0].rule: Invalid value: "self >= oldSelf":'
            f" oldSelf cannot be used on the uncorrelatable portion of the schema within {path}"
        )


class TestUpdate:
    def established(self) -> Json:
        obj = definition_of(version_of(_EMPTY))
        obj["status"]["conditions"] = [{"type": "Established", "status": "True"}]
        return obj

    def refused(self, new: Json, old: Json) -> list[str]:
        out: Causes = []
        definition.update(new, old, out)
        return [f"{cause['field']}: {cause['message']}" for cause in out]

    def test_what_never_changes(self) -> None:
        old, new = self.established(), self.established()
        new["spec"]["scope"] = "Cluster"
        new["spec"]["names"]["kind"] = "Other"
        assert self.refused(new, old) == [
            'spec.scope: Invalid value: "Cluster": field is immutable',
            'spec.names.kind: Invalid value: "Other": field is immutable',
        ]

    def test_a_version_that_objects_are_stored_in_stays(self) -> None:
        old, new = self.established(), self.established()
        new["spec"]["versions"] = [version_of(_EMPTY, "v2")]
        definition_rules.prepare_update(new, old)
        assert new["status"]["storedVersions"] == ["v1", "v2"]
        (told,) = self.refused(new, old)
        assert told.startswith('status.storedVersions[0]: Invalid value: "v1": missing from spec.versions;')

    def test_the_generation_moves_with_the_spec(self) -> None:
        old, new = self.established(), self.established()
        old["metadata"]["generation"] = new["metadata"]["generation"] = 4
        definition_rules.prepare_update(new, old)
        assert new["metadata"]["generation"] == 4
        new["spec"]["names"]["categories"] = ["all"]
        definition_rules.prepare_update(new, old)
        assert new["metadata"]["generation"] == 5


def test_warnings_of_formats_that_mean_nothing() -> None:
    schema = spec_schema(
        {"a": {"type": "string", "format": "odd"}, "b": {"type": "integer", "format": "int32"}}
    )
    obj = definition_of(version_of(schema))
    assert schemas.warnings(obj, None) == ['unrecognized format "odd"']
    assert schemas.warnings(obj, obj) == []


def test_defaults() -> None:
    obj: Json = {
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [version_of(_EMPTY)],
        },
        "status": {},
    }
    definition_rules.default(obj)
    assert obj["spec"]["names"] == {
        "plural": "things",
        "kind": "Thing",
        "singular": "thing",
        "listKind": "ThingList",
    }
    assert obj["spec"]["conversion"] == {"strategy": "None"}
    assert obj["status"] == {"storedVersions": ["v1"]}


class TestConditions:
    def test_nothing_to_say(self) -> None:
        obj = definition_of(version_of(_EMPTY))
        assert conditions.structure(obj) is None
        assert conditions.approved(obj) is None

    def test_schemas_from_before_they_had_to_be_structural(self) -> None:
        obj = definition_of(version_of({"properties": {"a": {"type": "string"}}}))
        assert conditions.structure(obj) == (
            "NonStructuralSchema",
            "True",
            "Violations",
            "spec.versions[0].schema.openAPIV3Schema.type: Required value: must not be empty at the root",
        )

    @pytest.mark.parametrize(
        ("annotation", "status", "reason"),
        [
            ("https://github.com/kubernetes/kubernetes/pull/1", "True", "ApprovedAnnotation"),
            ("unapproved, for a test", "False", "UnapprovedAnnotation"),
            ("because", "False", "InvalidAnnotation"),
            ("", "False", "MissingAnnotation"),
        ],
    )
    def test_who_approved_a_kind_of_kubernetes(self, annotation: str, status: str, reason: str) -> None:
        obj = definition_of(version_of(_EMPTY), group="x.k8s.io")
        obj["metadata"]["annotations"] = {"api-approved.kubernetes.io": annotation} if annotation else {}
        judgement = conditions.approved(obj)
        assert judgement is not None
        assert judgement[:3] == ("KubernetesAPIApprovalPolicyConformant", status, reason)


class TestCosts:
    hint = (
        "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and"
        " strings are declared)"
    )
    rule: Json = {"rule": "self.l.all(a, self.l.all(b, a == b))"}

    def listed(self, **more: Any) -> Json:
        return {"l": {"type": "array", "items": {"type": "string"}, **more}}

    def test_what_could_take_for_ever_is_refused(self) -> None:
        told = schema_refusals(self.listed(), **{"x-kubernetes-validations": [self.rule]})
        budget = "exceeds budget by factor of more than 100x"
        assert told == [
            f"x-kubernetes-validations[0].rule: Forbidden: estimated rule cost {budget} {self.hint}",
            "x-kubernetes-validations[0].rule: Forbidden: contributed to estimated rule cost total exceeding"
            " cost limit for entire OpenAPIv3 schema",
            "spec.validation.openAPIV3Schema: Forbidden: x-kubernetes-validations estimated rule cost total"
            f" for entire OpenAPIv3 schema {budget} {self.hint}",
        ]

    def test_bounds_make_it_cheap(self) -> None:
        bounds = {"maxItems": 10, "items": {"type": "string", "maxLength": 10}}
        assert schema_refusals(self.listed(**bounds), **{"x-kubernetes-validations": [self.rule]}) == []

    def test_what_stands_in_a_list_is_counted_as_often(self) -> None:
        inner = {
            "type": "string",
            "maxLength": 1000,
            "x-kubernetes-validations": [{"rule": "self.contains('aaaa')"}],
        }
        assert schema_refusals(self.listed(maxItems=1000, items=inner)) == []
        told = schema_refusals(self.listed(items=inner))
        assert told[0] == (
            "properties[l].items.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds"
            f" budget by factor of 42.0x {self.hint}"
        )
        assert "exceeds budget by factor of 4.2x" in told[2]

    def test_what_is_there_already_may_stay(self) -> None:
        schema = spec_schema(
            self.listed(maxItems=2000),
            **{"x-kubernetes-validations": [{"rule": "self.l.all(a, self.l.all(b, true))"}]},
        )
        obj = definition_of(version_of(schema))
        assert len(refusals(obj)) == 1
        out: Causes = []
        definition.update(obj, obj, out)
        assert out == []
