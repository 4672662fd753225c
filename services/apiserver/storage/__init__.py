"""Where objects are kept: the `Storage` seam, etcd behind it, and the watch cache above it.

Keys are paths, values bytes; nothing here knows what a Pod is.
"""
