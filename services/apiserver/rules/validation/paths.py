"""Paths inside containers and volumes: relative, and never upwards."""

from __future__ import annotations

from services.machinery.field_errors import Causes, invalid, required


def no_backsteps(text: str, path: str, out: Causes) -> bool:
    if ".." in text.split("/"):
        out.append(invalid(path, text, "must not contain '..'"))
        return False
    return True


def local_descending_path(text: str, path: str, out: Causes) -> None:
    if text.startswith("/"):
        out.append(invalid(path, text, "must be a relative path"))
    no_backsteps(text, path, out)


def local_non_reserved_path(text: str, path: str, out: Causes) -> None:
    """For files that a volume projects: names beginning with two dots are its own."""
    before = len(out)
    local_descending_path(text, path, out)
    if len(out) == before and text.startswith(".."):
        out.append(invalid(path, text, "must not start with '..'"))


def required_path(text: str, path: str, out: Causes) -> bool:
    if not text:
        out.append(required(path))
    return bool(text)
