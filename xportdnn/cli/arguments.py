"""Kinds of values that options take, and the options that every command has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def numbers(count: int | None = None) -> Callable[[str | tuple[int, ...]], tuple[int, ...]]:
    """A reader of whole numbers with commas between them; `count` fixes how many."""

    def read(value: str | tuple[int, ...]) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            found = tuple(int(part) for part in value.split(","))
        except ValueError:
            raise click.BadParameter(f"'{value}' must be whole numbers with commas between them") from None
        if count is not None and len(found) != count:
            raise click.BadParameter(f"'{value}' holds {len(found)} numbers, {count} are needed")
        return found

    return read


def normalized(name: str) -> str:
    """Hyphens and underscores in names are the same."""
    return name.replace("-", "_")


def preprocessing(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options about what becomes of a picture before the network is fed."""
    options = (
        click.option(
            "--dims",
            type=numbers(3),
            metavar="N,N,N",
            help="C,H,W of the input.  [default: the network's own, else 3,224,224]",
        ),
        click.option(
            "--transpose",
            type=numbers(3),
            metavar="N,N,N",
            default="2,0,1",
            show_default=True,
            help="Order of the axes of a picture H,W,C.",
        ),
        click.option(
            "--channel_swap",
            type=numbers(),
            metavar="N,...",
            help="Order of the channels; 2,1,0 is BGR.  [default: 2,1,0]",
        ),
        click.option(
            "--raw_scale", type=float, default=255.0, show_default=True, help="Factor before the mean is subtracted."
        ),
        click.option(
            "--mean_value",
            metavar="M,M,M|FILE",
            help="One mean, one per channel, or a .npy or .binaryproto file.  [default: 104,117,123]",
        ),
        click.option(
            "--input_scale", type=float, default=1.0, show_default=True, help="Factor after the mean is subtracted."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def picked(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which pictures of the calibration folder are used."""
    for decorator in (
        click.option(
            "--calibration_indices",
            type=numbers(),
            metavar="N,...",
            help="Choose the pictures by position in the sorted folder, from 0.",
        ),
        click.option(
            "--calibration_seed", type=int, help="Choose the pictures at random, the same ones for the same number."
        ),
        click.option(
            "--calibration_size",
            type=int,
            default=8,
            show_default=True,
            help="How many pictures to use: the first of the sorted folder.",
        ),
    ):
        command = decorator(command)
    return command


def speech(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options about what is said, which every command has."""
    for decorator in (
        click.option("--debug", is_flag=True, help="Show the traceback of an error."),
        click.option("--verbose", is_flag=True, help="Say more: what is left out, every layer's thresholds."),
        click.option("--quiet", is_flag=True, help="Say nothing but errors."),
    ):
        command = decorator(command)
    return command
