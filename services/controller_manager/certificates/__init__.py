"""Certificates on request: who is approved by itself, what the cluster's CA signs, and what is forgotten.

Upstream: `pkg/controller/certificates`.
"""
