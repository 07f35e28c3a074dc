"""`xportdnn search`: how few bits will do."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

from xportdnn.choices import FL_METHODS, TRIMMING_MODES, Mode
from xportdnn.cli.arguments import normalized, picked, preprocessing, speech
from xportdnn.errors import UsageError


@click.command(context_settings={"token_normalize_func": normalized, "help_option_names": ["--help", "-h"]})
@click.option("--deploy_model", metavar="FILE", required=True, help="Deploy prototxt to read, not quantized.")
@click.option("--weights", metavar="FILE", required=True, help="Its caffemodel.")
@click.option("--images", metavar="DIR", required=True, help="Folder of pictures to judge by, or of one per class.")
@click.option(
    "--labels",
    metavar="FILE",
    help="Lines `name label`, the label an index from 0.  [default: sorted folders are classes; else unlabelled]",
)
@click.option(
    "--images_size", type=int, metavar="N", help="How many pictures, spread over the sorted names.  [default: all]"
)
@click.option(
    "--score_blob", metavar="NAME", help="The output with the scores.  [default: the last, if it has classes]"
)
@click.option(
    "--metric",
    type=click.Choice(["top1", "top5", "agreement", "sqnr"]),
    help="Judge by accuracy, agreement with the float network, or the noise of the worst output.  [default: top1 with "
    "labels, else agreement; sqnr of networks without classes]",
)
@click.option(
    "--error_margin",
    type=float,
    metavar="X",
    help="Points of the metric, below 100, that may be lost; with sqnr the least ratio in dB.  [default: 1.0; with "
    "sqnr 20]",
)
@click.option(
    "--trimming_mode",
    type=click.Choice(TRIMMING_MODES),
    default=TRIMMING_MODES[0],
    show_default=True,
    help="Which of Ristretto's formats.",
)
@click.option(
    "--formats",
    type=click.Choice(FL_METHODS),
    default=FL_METHODS[0],
    show_default=True,
    help="How fractional lengths and a minifloat's exponent are found; ristretto: its own formulas, letter by letter, "
    "for comparison.",
)
@click.option(
    "--mixed",
    is_flag=True,
    help="Instead of the ladder: 6 or 8 bits for each layer's weights and for all activations, as the board has them.",
)
@click.option(
    "--quant_type",
    type=click.Choice([mode.value for mode in Mode]),
    default=Mode.DYNAMIC_FIXED.value,
    show_default=True,
    help="With --mixed: the mode of the conversion.",
)
@click.option("--calibration_directory", metavar="DIR", help="Pictures to find formats from.  [default: --images]")
@picked
@click.option(
    "--like", metavar="FILE", help="Preprocessing as in the JSON of a conversion; options given here go before."
)
@preprocessing
@click.option(
    "--quantized_deploy_model",
    metavar="FILE",
    help="Write the prototxt with the widths found: Ristretto's layers and blocks; with --mixed the board's.",
)
@click.option("--overrides", metavar="FILE", help="With --mixed: write the widths of single layers, for --overrides.")
@click.option("--workers", type=int, metavar="N", help="Processes to search with.  [default: the cores]")
@click.option("--json", "json_file", metavar="FILE", help="Write everything measured as JSON; - for standard output.")
@speech
@click.pass_context
def search(
    ctx: click.Context,
    /,
    like: str | None,
    quantized_deploy_model: str | None,
    overrides: str | None,
    json_file: str | None,
    quiet: bool,
    verbose: bool,
    debug: bool,
    **given: Any,
) -> None:
    """Find how few bits a network's weights and activations need, within a loss of accuracy.

    Weights of convolutions, weights of fully connected layers and activations descend 16, 8, 4, 2, 1 bits apart, as in
    `ristretto quantize`; then all together are checked, and raised where that helps most. The report goes to standard
    output. A network that misses the margin is a warning, no failure: in the JSON `within` says whether it does.
    """
    from xportdnn import output
    from xportdnn.cli.console import journal
    from xportdnn.prototxt import to_bytes
    from xportdnn.searching.command import search as run
    from xportdnn.searching.metric import Metric
    from xportdnn.searching.options import SearchOptions
    from xportdnn.searching.result import Mixed
    from xportdnn.searching.table import text
    from xportdnn.searching.values import as_json

    if like is not None:
        from xportdnn.evaluation.options import remembered

        explicit = click.core.ParameterSource.COMMANDLINE
        known = remembered(like)
        given |= {name: value for name, value in known.items() if ctx.get_parameter_source(name) is not explicit}
    given["metric"] = Metric(given["metric"]) if given["metric"] else None
    options = SearchOptions(**{**given, "quant_type": Mode(given["quant_type"])})
    if overrides is not None and not options.mixed:
        raise UsageError("--overrides writes what --mixed finds; give --mixed, too")
    targets = [path for path in (quantized_deploy_model, overrides, json_file) if path is not None]
    if len(targets) != len(set(targets)):
        raise UsageError("--quantized_deploy_model, --overrides and --json must name different files")
    inputs = [path for path in (options.deploy_model, options.weights, options.labels, like) if path is not None]
    for path in targets:
        output.check(path, inputs)
    speaker = journal(quiet, verbose)
    found = run(options, speaker)
    files: dict[str, Iterable[bytes]] = {}
    if quantized_deploy_model is not None:
        files[quantized_deploy_model] = (to_bytes(found.text),)
    if overrides is not None and isinstance(found, Mixed):
        files[overrides] = (to_bytes(json.dumps(found.overrides, indent=2, ensure_ascii=False) + "\n"),)
    if json_file is not None:
        files[json_file] = (as_json(found, speaker.remarks),)
    output.write_all(files)
    if not quiet and output.STDOUT not in targets:
        output.write(output.STDOUT, to_bytes(text(found)))
    for path in targets:
        if path != output.STDOUT:
            speaker.info(f"{path}: written")
