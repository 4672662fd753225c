"""A real etcd for each test."""

from tests.support.etcd import etcd

__all__ = ["etcd"]
