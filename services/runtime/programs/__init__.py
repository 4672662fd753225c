"""The small tools found in containers.

Each is a coroutine from a process to its exit status. They see the container's files, processes and network
and nothing else. An option that one does not know it refuses, in busybox' words. `toolbox.py` lists them.
"""
