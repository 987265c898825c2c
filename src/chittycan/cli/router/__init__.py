"""`can router`: one module per group. A new group is a module and a row here."""

import typer

from chittycan.cli.router import agents, analytics, drafts, inbox, models, review, rules, templates

# (names, application); the first name is shown, the others are spellings that work too.
GROUPS: tuple[tuple[tuple[str, ...], typer.Typer], ...] = (
    (("inbox", "inboxes"), inbox.app),
    (("agents", "agent"), agents.app),
    (("drafts", "draft"), drafts.app),
    (("review",), review.app),
    (("corrections", "correction"), review.corrections),
    (("rules", "rule"), rules.app),
    (("templates", "template"), templates.app),
    (("models", "model"), models.app),
    (("analytics",), analytics.app),
)

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Inbox, review, agents, drafts, rules, templates, models, analytics.",
)
for _names, _group in GROUPS:
    for _place, _name in enumerate(_names):
        app.add_typer(_group, name=_name, hidden=_place > 0)
