"""`prefect deployment run live-trading`: a plug-in of Prefect's, by which our deployments are known by one word.

Prefect asks for `<flow>/<deployment>`, and ours carry the flow's name twice: `live-trading/live-trading`. Prefect loads
this at its start where plug-ins are switched on, as pyproject.toml does in the checkout; elsewhere
PREFECT_PLUGINS_ENABLED=true does it. It is loaded at every `import prefect`, and so must not import our flows.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from prefect.plugins import register_hook

NAMES = ("backtest", "collect", "live-trading", "portfolio", "sweep", "upkeep")
"""Our deployments: each is called as its flow is."""

_GROUPS = ("deployment", "deployments")
_WITHOUT_VALUE = ("--name", "--watch", "--no-watch", "--empty-param", "--empty-tag", "--empty-job-variable", "--")
"""Options after which a deployment's name may stand; all others take the word behind them for themselves."""


@register_hook
def setup_environment(*, ctx: Any) -> None:  # noqa: ARG001 - the hook is called with it
    """Write the name out in the command line, before Prefect reads it; other programs are left alone."""
    if Path(sys.argv[0]).name == "prefect":
        sys.argv[1:] = written_out(sys.argv[1:])


def written_out(words: list[str]) -> list[str]:
    """Return a command line of `prefect deployment` with the first of our names written out.

    >>> written_out(["deployment", "run", "live-trading", "--tag", "by-hand"])
    ['deployment', 'run', 'live-trading/live-trading', '--tag', 'by-hand']
    """
    group = next((place for place, word in enumerate(words) if word in _GROUPS), len(words))
    for place in range(group + 2, len(words)):
        before = words[place - 1]
        if words[place] in NAMES and (before in _WITHOUT_VALUE or not before.startswith("-")):
            return [*words[:place], f"{words[place]}/{words[place]}", *words[place + 1 :]]
    return words
