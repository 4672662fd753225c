"""Measures the cluster as its user runs it: `make bench`."""
