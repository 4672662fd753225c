"""The schema of every kind that is served: fields, types, and how lists and maps merge.

Facts come from `definitions.json` (see scripts/gen_schema.py); they are read once, on first use,
and never change. The API server's decoding and defaulting and the patch code all stand on
`schema_of`. What is not here has no schema: unknown kinds give None.
"""

from services.machinery.schema.schema import Field, Schema, SchemaType, definition, in_order, schema_of

__all__ = ["Field", "Schema", "SchemaType", "definition", "in_order", "schema_of"]
