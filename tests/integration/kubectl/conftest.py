"""Servers that the tests of this folder run against."""

from tests.support.etcd import etcd, shared_etcd

__all__ = ["etcd", "shared_etcd"]
