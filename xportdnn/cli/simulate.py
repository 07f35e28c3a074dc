"""`xportdnn simulate`: a quantized network as hardware computes it."""

from __future__ import annotations

from typing import Any

import click

from xportdnn.choices import Arithmetic
from xportdnn.cli.arguments import normalized, preprocessing, speech


@click.command(context_settings={"token_normalize_func": normalized, "help_option_names": ["--help", "-h"]})
@click.option("--deploy_model", metavar="FILE", required=True, help="Quantized prototxt, as the conversion wrote it.")
@click.option("--plan", metavar="FILE", help="What --dialect json wrote; --deploy_model is then the float prototxt.")
@click.option("--weights", metavar="FILE", help="Its caffemodel, or the .npz that `xportdnn export` made of it.")
@click.option(
    "--input",
    "inputs",
    metavar="[BLOB=]FILE.npy",
    multiple=True,
    help="The input; with several inputs one option each, BLOB=FILE.npy.",
)
@click.option("--images", metavar="DIR", help="Folder of pictures instead, prepared by the options below.")
@click.option(
    "--images_size",
    type=int,
    default=8,
    show_default=True,
    help="How many pictures make the batch: the first of the sorted folder.",
)
@click.option(
    "--blobs_dir",
    metavar="DIR",
    help="Folder for the tops: <layer>.npy, or <layer>__<index>_<blob>.npy of layers with several.",
)
@click.option(
    "--arithmetic",
    type=click.Choice([arithmetic.value for arithmetic in Arithmetic]),
    default=Arithmetic.FAKE.value,
    show_default=True,
    help="fake: quantized numbers, float arithmetic. integer: wide sums, rounded once. chaidnn: the board.",
)
@click.option(
    "--vectors",
    metavar="DIR",
    help="Folder for the integers of every layer: inputs, weights, biases, multipliers, outputs; manifest.json.",
)
@click.option("--c_header", is_flag=True, help="With --vectors: a C header for every layer, too.")
@preprocessing
@speech
def simulate(quiet: bool, verbose: bool, debug: bool, **given: Any) -> None:
    """Run a quantized network as fixed-point hardware computes it, and count what saturates and wraps.

    `<layer>.npy` holds real values, the integers times their step. Layers that the board computes inside another one
    (--arithmetic chaidnn: BatchNorm, Scale, ReLU) leave no file but the last one's.
    """
    from xportdnn.cli.console import journal
    from xportdnn.simulation.command import SimulationOptions, simulate_files

    given["arithmetic"] = Arithmetic(given["arithmetic"])
    speaker = journal(quiet, verbose)
    options = SimulationOptions(**given)
    counts = simulate_files(options, speaker)
    if options.blobs_dir is not None:
        speaker.info(f"{options.blobs_dir}: {counts.files} files")
