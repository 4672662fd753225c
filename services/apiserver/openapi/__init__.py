"""The OpenAPI documents: what is served, from the tables and the schema that the server validates with.

`types` describes values, `operations` verbs, `rendering` writes these down; `documents` puts all together and
keeps what it made, compressed; `protobuf` is the older document in the encoding that kubectl asks for. All
are pure. The REST front and the gRPC front serve them. Nothing here is loaded before somebody asks.

What only the recorded documents know (which fields are required, enumerations, the types of answers) lies in
`facts.json`, written by scripts/gen_openapi.py. Descriptions are few and our own.
"""
