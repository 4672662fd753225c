"""The Kubernetes REST API: HTTPS, JSON and YAML, over the same registry as the gRPC front.

`paths` and `negotiation` are pure: which object is meant, how it is to be written. `verbs` translates
requests and answers, `watching` streams, `discovery` describes what is served, `identity` says who asks and
whether he may, `server` puts it on a port. What may be asked of an object, and what becomes of it, is the
registry's to say: nothing is judged twice.
"""
