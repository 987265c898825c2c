"""Pure: who may decide what a task asks a person, and what the decision says.

The question has the fields of the recipe's `Approval`: `title`, `show`, `who`, `edit`.
"""

from collections.abc import Mapping
from typing import Any, Literal

from chittycan.errors import Forbidden, InvalidRequest

Decision = Literal["approved", "rejected"]


def check_may(question: Mapping[str, Any], name: str | None) -> None:
    """Whether `name` may decide: the owner (None) always, others where the question names them. Raises Forbidden."""
    who = question.get("who") or []
    if name is not None and name not in who:
        whose = f"{', '.join(map(str, who))} or the owner" if who else "the owner"
        raise Forbidden(f"This is for {whose} to decide.", code="decision_not_allowed")


def decided(
    question: Mapping[str, Any],
    decision: Decision,
    *,
    by: str,
    comment: str | None = None,
    values: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The answer: `decision`, `by`, `comment`, and `values` as shown, changed where that was asked for.

    Raises InvalidRequest for changes that are not wanted.
    """
    shown: Mapping[str, Any] = question.get("show") or {}
    if values and not question.get("edit"):
        raise InvalidRequest("What is shown here can be approved or rejected, not changed.", param="values")
    strange = next((name for name in values or {} if name not in shown), None)
    if strange is not None:
        known = ", ".join(shown) or "nothing"
        raise InvalidRequest(f"There is no {strange!r} to change.", param=f"values.{strange}", fix=f"Shown: {known}.")
    return {"decision": decision, "by": by, "comment": comment, "values": {**shown, **(values or {})}}
