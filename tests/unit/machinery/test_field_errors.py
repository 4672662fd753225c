"""Causes as upstream words them."""

import pytest

from services.machinery import field_errors


@pytest.mark.parametrize(
    ("cause", "reason", "message"),
    [
        (field_errors.required("a"), "FieldValueRequired", "Required value"),
        (field_errors.required("a", "why"), "FieldValueRequired", "Required value: why"),
        (field_errors.invalid("a", -1, "why"), "FieldValueInvalid", "Invalid value: -1: why"),
        (field_errors.invalid("a", 'x"\n', "why"), "FieldValueInvalid", 'Invalid value: "x\\"\\n": why'),
        (field_errors.invalid("a", None, "why"), "FieldValueInvalid", "Invalid value: null: why"),
        (
            field_errors.not_supported("a", "x", ("B", "A")),
            "FieldValueNotSupported",
            'Unsupported value: "x": supported values: "B", "A"',
        ),
        (field_errors.duplicate("a", "x"), "FieldValueDuplicate", 'Duplicate value: "x"'),
        (field_errors.forbidden("a", "why"), "FieldValueForbidden", "Forbidden: why"),
        (field_errors.not_found("a", "x"), "FieldValueNotFound", 'Not found: "x"'),
        (field_errors.too_long("a", 9), "FieldValueTooLong", "Too long: may not be more than 9 bytes"),
        (field_errors.too_many("a", 3, 1), "FieldValueTooMany", "Too many: 3: must have at most 1 item"),
    ],
)
def test_causes(cause: field_errors.Cause, reason: str, message: str) -> None:
    assert cause == {"reason": reason, "message": message, "field": "a"}
