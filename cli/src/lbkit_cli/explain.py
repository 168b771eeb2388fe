"""`lbkit explain NAME TARGET`: the whole negotiation for a human, from the kinds of check that can explain."""

from __future__ import annotations

import json
from importlib import import_module
from inspect import Parameter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lbkit_cli.kinds import KindsGroup, with_signature
from lbkit_cli.options import given, options

if TYPE_CHECKING:
    from lbkit.checks.explanation import Explainer
    from lbkit.checks.kind import CheckKind

_TARGET = Parameter(
    "target",
    Parameter.POSITIONAL_OR_KEYWORD,
    annotation=Annotated[str, typer.Argument(metavar="TARGET", help="HOST, HOST:PORT or [IPV6]:PORT.")],
)
_JSON = Parameter(
    "json_",
    Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[
        bool, typer.Option("--json", help="Print the document as a JSON object: title, sections, advice.")
    ],
)


class ExplainGroup(KindsGroup):
    """`lbkit explain`."""

    def command_for(self, kind: CheckKind[Any]) -> Any:
        """The command that explains by this kind, if it can."""
        if kind.explain is None:
            return None
        module, _, name = kind.explain.partition(":")
        explainer: Explainer[Any] = getattr(import_module(module), name)

        def command(target: str, json_: bool, **values: Any) -> None:
            from lbkit.checks.kind import validated
            from lbkit.checks.target import Target

            params = validated(f"explain {kind.name}", explainer.params, given(values))
            explanation = explainer.explain(Target.parse(target, params.port), params)
            if json_:
                print(json.dumps(explanation.as_dict(), ensure_ascii=False))
                return
            from lbkit_cli.view import show_explanation

            show_explanation(explanation)

        doc = f"{explainer.params.__doc__ or ''}\n\n\b\nExample: lbkit explain {kind.name} 192.32.40.210\n"
        return with_signature(command, [_TARGET, *options(explainer.params), _JSON], doc)


app = typer.Typer(cls=ExplainGroup, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def explain() -> None:
    """Show everything that a remote negotiates, and what to change on which side."""
