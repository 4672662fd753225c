"""Garbage collector: deletes what nobody owns any more.

`graph` remembers who owns whom and decides, pure; `controller` watches every kind and acts.
Upstream: pkg/controller/garbagecollector.
"""
