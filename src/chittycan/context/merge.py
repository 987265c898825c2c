"""JSON Merge Patch. Source: RFC 7396, section 2 (the algorithm) and appendix A (its examples)."""

from typing import Any


def merge(target: Any, patch: Any) -> Any:
    """`target` with `patch` applied; neither is changed. Both are JSON values.

    An object is merged key by key, null removes a key, and anything else (a list too) takes the old value's place.
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged
