"""Storage: which volume a claim gets, where volumes come from, and when either may go.

Upstream: pkg/controller/volume. The controllers know each other only through the objects.
"""
