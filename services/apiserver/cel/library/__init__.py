"""The functions that expressions may call, a module for each of upstream's libraries."""
