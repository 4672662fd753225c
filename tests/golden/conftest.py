"""Servers that the tests of this folder run against."""

from tests.support.apiserver import apiserver
from tests.support.etcd import etcd, shared_etcd

__all__ = ["apiserver", "etcd", "shared_etcd"]
