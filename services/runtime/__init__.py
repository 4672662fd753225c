"""The container runtime of an emulated machine: CRI on top, containers that behave below.

`server.serve` is the way in; `machine.Machine` is one node's state; `kernel.Kernel` runs processes;
`behaviour`, `shell` and `programs` are what happens inside containers. Nothing here runs a program
of the real machine or touches a file outside the root directory.
"""
