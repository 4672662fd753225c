"""The generic store: every verb over every resource, once. Upstream: `apiserver/pkg/registry`."""
