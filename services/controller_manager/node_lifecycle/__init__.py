"""Node lifecycle: notices nodes that fell silent and keeps Pods off those in trouble.

`health` judges one node, `zones` how far a whole zone may be emptied; both are pure. `controller`
fetches and acts. Upstream: pkg/controller/nodelifecycle.
"""
