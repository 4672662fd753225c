"""Servers that the tests of this folder run against."""

from tests.support.apiserver import apiserver, https
from tests.support.etcd import etcd, shared_etcd

__all__ = ["apiserver", "etcd", "https", "shared_etcd"]
