"""`xportdnn evaluate`: what quantization costs, and where."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from xportdnn.choices import Arithmetic, Side
from xportdnn.cli.arguments import normalized, preprocessing, speech
from xportdnn.errors import UsageError


@click.command(context_settings={"token_normalize_func": normalized, "help_option_names": ["--help", "-h"]})
@click.option("--deploy_model", metavar="FILE", required=True, help="Quantized prototxt, as the conversion wrote it.")
@click.option("--plan", metavar="FILE", help="What --dialect json wrote; --deploy_model is then the float prototxt.")
@click.option("--weights", metavar="FILE", help="Its caffemodel, or the .npz that `xportdnn export` made of it.")
@click.option("--images", metavar="DIR", required=True, help="Folder of pictures, or of one folder per class.")
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
    "--like", metavar="FILE", help="Preprocessing as in the JSON of the conversion; options given here go before."
)
@preprocessing
@click.option(
    "--arithmetic",
    type=click.Choice([arithmetic.value for arithmetic in Arithmetic]),
    default=Arithmetic.FAKE.value,
    show_default=True,
    help="fake: quantized numbers, float arithmetic. integer: wide sums, rounded once. chaidnn: the board.",
)
@click.option(
    "--only",
    type=click.Choice([side.value for side in Side]),
    help="Quantize weights or activations alone, the other side stays float.",
)
@click.option(
    "--one_at_a_time",
    is_flag=True,
    help="Quantize one layer at a time as well, and either side alone: as many more runs over the pictures.",
)
@click.option("--workers", type=int, metavar="N", help="Processes to evaluate with.  [default: the cores]")
@click.option("--json", "json_file", metavar="FILE", help="Write everything measured as JSON; - for standard output.")
@click.option("--report", metavar="FILE.html", help="Write a page with charts; needs `pip install xportdnn[report]`.")
@speech
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    like: str | None,
    json_file: str | None,
    report: str | None,
    quiet: bool,
    verbose: bool,
    debug: bool,
    **given: Any,
) -> None:
    """Compare a quantized network with its float self on pictures.

    The table goes to standard output: accuracy (only of labelled pictures), agreement, signal-to-quantization-noise
    ratio of the outputs and of every layer, the worst first, and what is wrong with them in words.
    """
    from xportdnn import output
    from xportdnn.cli.console import journal
    from xportdnn.evaluation import page
    from xportdnn.evaluation.options import EvaluationOptions, remembered
    from xportdnn.evaluation.run import evaluate as run
    from xportdnn.prototxt import to_bytes

    if like is not None:
        known = remembered(like)
        explicit = click.core.ParameterSource.COMMANDLINE
        given |= {name: value for name, value in known.items() if ctx.get_parameter_source(name) is not explicit}
    given |= {"arithmetic": Arithmetic(given["arithmetic"]), "only": Side(given["only"]) if given["only"] else None}
    options = EvaluationOptions(**given)
    targets = [path for path in (json_file, report) if path is not None]
    if len(targets) != len(set(targets)):
        raise UsageError("--json and --report name the same file")
    inputs = [path for path in (options.deploy_model, options.weights, options.labels, like) if path is not None]
    for path in targets:
        output.check(path, inputs)
    if report is not None:
        page.check()
    speaker = journal(quiet, verbose)
    found = run(options, speaker, histograms=report is not None)
    files: dict[str, Iterable[bytes]] = {}
    if json_file is not None:
        from xportdnn.evaluation.values import as_json

        files[json_file] = (as_json(found, speaker.remarks),)
    if report is not None:
        files[report] = (page.as_html(found, speaker.remarks),)
    output.write_all(files)
    if not quiet and output.STDOUT not in targets:
        from xportdnn.evaluation.table import text

        output.write(output.STDOUT, to_bytes(text(found, whole=verbose)))
    for path in targets:
        if path != output.STDOUT:
            speaker.info(f"{path}: written")
