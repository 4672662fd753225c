"""Validation: everything about an object that its schema cannot say, in upstream's words and order.

A validator appends causes to the list it is given and goes on, so that one answer names every fault. Paths
are built where a struct is entered. Objects are in normal form and defaulted.
"""
