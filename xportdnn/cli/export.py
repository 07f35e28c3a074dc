"""`xportdnn export`: the quantized weights as files."""

from __future__ import annotations

from typing import Any

import click

from xportdnn.cli.arguments import normalized, numbers, speech


@click.command(context_settings={"token_normalize_func": normalized, "help_option_names": ["--help", "-h"]})
@click.option("--deploy_model", metavar="FILE", required=True, help="Quantized prototxt, as the conversion wrote it.")
@click.option("--weights", metavar="FILE", required=True, help="Its caffemodel, the original one.")
@click.option(
    "--npz", metavar="FILE", help="Integer codes, scales, biases and a manifest; `simulate` and `evaluate` take it."
)
@click.option(
    "--pack6",
    is_flag=True,
    help="With --npz: codes of 6 bits or less without gaps, four in three bytes, for memory of that layout.  The file "
    "does not become smaller, since all arrays are compressed anyway.",
)
@click.option("--caffemodel", metavar="FILE", help="Caffemodel of floats, every weight a whole number of steps.")
@click.option(
    "--c_dir",
    metavar="DIR",
    help="Folder of C99: arrays, scales, shifts and multipliers, a reference in integers, and golden vectors.",
)
@click.option(
    "--input",
    "inputs",
    metavar="[BLOB=]FILE.npy",
    multiple=True,
    help="With --c_dir: what the golden vectors are computed from; with several inputs one option each.  "
    "[default: random numbers]",
)
@click.option("--dims", type=numbers(3), metavar="N,N,N", help="C,H,W of the input.  [default: the network's own]")
@speech
def export(quiet: bool, verbose: bool, debug: bool, **given: Any) -> None:
    """Write the quantized weights of a converted network: as codes, as floats on the grid, as C.

    How many weights are 0 before and after quantization is said of the network, with --verbose of every layer.
    """
    from xportdnn.cli.console import journal
    from xportdnn.exporting.command import export_files
    from xportdnn.exporting.options import ExportOptions

    options = ExportOptions(**given)
    export_files(options, journal(quiet, verbose))
