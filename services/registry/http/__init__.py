"""The OCI distribution API over HTTP, on the same data as registry.v1. Needs aiohttp."""
