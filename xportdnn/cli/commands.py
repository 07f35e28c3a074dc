"""The commands beside the conversion: each is a module of this package, imported when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

# What the help of the conversion says of them, which imports none: how their own help begins.
SUMMARIES = {
    "check": "Look at a prototxt as CHaiDNN's parser, graph optimiser and integer kernels do; - is standard input.",
    "evaluate": "Compare a quantized network with its float self on pictures.",
    "export": "Write the quantized weights of a converted network: as codes, as floats on the grid, as C.",
    "fold": "Fold BatchNorm, BN, Scale, Bias and Power into the weights next to them; take out Dropout and Split.",
    "forward": "Run a network in NumPy and write every layer's tops, right after the layer ran.",
    "search": "Find how few bits a network's weights and activations need, within a loss of accuracy.",
    "simulate": "Run a quantized network as fixed-point hardware computes it, and count what saturates and wraps.",
}


class Commands(click.Group):
    """A group of the commands that `SUMMARIES` names; `check` is `check` in `xportdnn.cli.check`.

    What `commands` holds stands for them in the help and in hints at names like a wrong one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commands = {name: click.Command(name, help=text) for name, text in SUMMARIES.items()}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands:
            return None
        command: click.Command = getattr(import_module(f"xportdnn.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = formatter.width - 6 - max(map(len, self.commands))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, self.commands[name].get_short_help_str(width)) for name in sorted(self.commands)]
            )
