"""`xportdnn fold`: BatchNorm, Scale and their like computed into the weights, two new files."""

from __future__ import annotations

from typing import Any

import click

from xportdnn.choices import PARAMS_METHODS, THRESHOLD_METHODS, Triple
from xportdnn.cli.arguments import normalized, numbers, picked, preprocessing, speech
from xportdnn.errors import UsageError


@click.command(context_settings={"token_normalize_func": normalized, "help_option_names": ["--help", "-h"]})
@click.option("--deploy_model", metavar="FILE", required=True, help="Deploy prototxt to read.")
@click.option("--weights", metavar="FILE", required=True, help="Caffemodel to read.")
@click.option("--folded_deploy_model", metavar="FILE", required=True, help="Prototxt to write; - for standard output.")
@click.option("--folded_weights", metavar="FILE", required=True, help="Caffemodel to write; - for standard output.")
@click.option(
    "--input",
    "inputs",
    metavar="[BLOB=]FILE.npy",
    multiple=True,
    help="An input to prove the result on; with several inputs one option each, BLOB=FILE.npy.  [default: random]",
)
@click.option(
    "--equalize",
    is_flag=True,
    help="Make the channels of blobs alike, in the weights around them; kept if it helps on pictures held back.",
)
@click.option(
    "--bias_correct",
    is_flag=True,
    help="Take back what quantization shifts the mean of channels; kept if it helps on pictures held back.",
)
@click.option(
    "--calibration_directory",
    metavar="DIR",
    help="Folder of calibration pictures for these two; every second one is held back.",
)
@picked
@preprocessing
@click.option(
    "--bitwidths",
    type=numbers(3),
    metavar="N,N,N",
    default="6,6,6",
    show_default=True,
    help="Bit-widths that the network is meant for.",
)
@click.option(
    "--threshold_method",
    type=click.Choice(THRESHOLD_METHODS),
    default="mse",
    show_default=True,
    help="Rule for the thresholds that it is judged with.",
)
@click.option(
    "--params_method",
    type=click.Choice(PARAMS_METHODS),
    default="max",
    show_default=True,
    help="Rule for th_params that it is judged with.",
)
@click.option("--workers", type=int, metavar="N", help="Processes to work with.  [default: the cores]")
@speech
def fold(
    deploy_model: str,
    weights: str,
    folded_deploy_model: str,
    folded_weights: str,
    inputs: tuple[str, ...],
    equalize: bool,
    bias_correct: bool,
    quiet: bool,
    verbose: bool,
    debug: bool,
    **given: Any,
) -> None:
    """Fold BatchNorm, BN, Scale, Bias and Power into the weights next to them; take out Dropout and Split.

    The outputs keep their names and their values: both networks are run and compared before anything is written. Only
    --bias_correct changes the values, for a network that is to be quantized.
    """
    from xportdnn import output
    from xportdnn.cli.console import journal
    from xportdnn.folding.command import fold_files
    from xportdnn.modelfile import pieces
    from xportdnn.prototxt import to_bytes

    improved = equalize or bias_correct
    if improved and given["calibration_directory"] is None:
        raise UsageError("--equalize and --bias_correct are judged by pictures: give --calibration_directory DIR")
    if given["calibration_directory"] is not None and not improved:
        raise UsageError("--calibration_directory belongs to --equalize and --bias_correct; folding needs no pictures")
    dims = given["dims"]
    if dims is not None and min(dims) < 1:
        raise UsageError(f"--dims must be three positive numbers C,H,W, it is {','.join(map(str, dims))}")
    if folded_deploy_model == folded_weights:
        raise UsageError(f"--folded_deploy_model and --folded_weights are both {folded_weights}; give each a place")
    arrays = [part for text in inputs for part in (text, text.partition("=")[2]) if part]
    for path in (folded_deploy_model, folded_weights):
        output.check(path, (deploy_model, weights, *arrays))
    speaker = journal(quiet, verbose)
    if improved:
        from xportdnn.improvement.choosing import Wanted
        from xportdnn.improvement.command import improve_files
        from xportdnn.options import Options

        options = Options(deploy_model, weights, **{**given, "bitwidths": Triple(*given["bitwidths"])})
        folded = improve_files(options, inputs, Wanted(equalize, bias_correct), speaker)
    else:
        folded = fold_files(deploy_model, weights, inputs, dims, speaker)
    text = to_bytes(folded.net.source.text)
    output.write_all({folded_deploy_model: (text,), folded_weights: pieces(folded.model.layers)})
    if folded_deploy_model != output.STDOUT:
        speaker.info(f"{folded_deploy_model}: {len(folded.net.layers)} layers, {len(text)} bytes")
    if folded_weights != output.STDOUT:
        speaker.info(f"{folded_weights}: {len(folded.model.names)} layers with weights")
