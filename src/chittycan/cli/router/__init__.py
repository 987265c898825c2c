"""`can router`: one module per group. A new group is a module and a row here."""

from typing import ClassVar

import typer

from chittycan.cli.lazy import LazyGroup


class RouterGroup(LazyGroup):
    COMMANDS: ClassVar = {
        "inbox": ("router.inbox", "app", "Mail: process, watch, sources, list, stats, show, read, actions."),
        "agents": ("router.agents", "app", "Agents: list, history, invoke."),
        "drafts": ("router.drafts", "app", "Drafts of replies: list, show, edit, approve, reject, send, resolve."),
        "review": ("router.review", "app", "Walk through the mail that waits for your word, one key each."),
        "corrections": ("router.review", "corrections", "What was learnt from you: list, forget."),
        "rules": ("router.rules", "app", "Rules: create, list, change, test, delete."),
        "templates": ("router.templates", "app", "Reply templates: list, show, render, create, delete."),
        "models": ("router.models", "app", "Models: list, test, fallback-chain."),
        "analytics": ("router.analytics", "app", "How agents, routing and the inbox do."),
    }
    SPELLINGS: ClassVar = {
        "inboxes": "inbox", "agent": "agents", "draft": "drafts", "correction": "corrections", "rule": "rules",
        "template": "templates", "model": "models",
    }  # fmt: skip


app = typer.Typer(cls=RouterGroup, add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def router() -> None:
    """Inbox, review, agents, drafts, rules, templates, models, analytics."""
