"""Admission that the cluster's users define: webhooks, and policies in CEL.

What is built in stands in `rules/admission.py`; this is the asynchronous step beside it, which the store
awaits where `registry/store.py` says so. `step.Admission` is the door; with nothing registered it is
closed, and a write costs one look at an attribute. Upstream: `apiserver/pkg/admission/plugin`.
"""
