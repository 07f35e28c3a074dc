"""`xportdnn`: the conversion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from xportdnn.choices import (
    FL_METHODS,
    PARAMS_METHODS,
    THRESHOLD_METHODS,
    TRIMMING_MODES,
    Dialect,
    Fraction,
    Matrix,
    Mode,
    ScaleClasses,
    Triple,
)
from xportdnn.cli.arguments import normalized, numbers, picked, preprocessing, speech
from xportdnn.cli.commands import Commands
from xportdnn.errors import UsageError
from xportdnn.version import __version__

_EPILOG = """\
A network is fed (pixel * raw_scale - mean) * input_scale, pixel in 0 .. 1.

Exit codes: 0 done, 1 bad input, 2 bad usage, 130 interrupted.
"""


def _list_layers(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from xportdnn.matrix import table

    for matrix in Matrix:
        rows = [(f"--matrix {matrix.value}", *(mode.value for mode in Mode)), *table(matrix)]
        width = max(len(row[0]) for row in rows)
        for name, xilinx, dynamic_fixed in rows:
            click.echo(f"{name:<{width}}  {xilinx:<6}  {dynamic_fixed}")
        click.echo()
    ctx.exit()


def _fraction(value: str | Fraction) -> Fraction:
    return "auto" if value == "auto" else Triple(*numbers(3)(value))


def _names(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """The names of all occurrences, each once, in order."""
    return tuple(dict.fromkeys(name.strip() for text in value for name in text.split(",")))


@click.group(
    cls=Commands,
    invoke_without_command=True,
    epilog=_EPILOG,
    context_settings={
        "token_normalize_func": normalized,
        "help_option_names": ["--help", "-h"],
        "max_content_width": 100,
    },
)
@click.option(
    "--quant_type",
    type=click.Choice([mode.value for mode in Mode], case_sensitive=False),
    metavar="[Xilinx|DynamicFixed]",
    default=Mode.XILINX.value,
    show_default=True,
    help="Xilinx: thresholds from calibration pictures. DynamicFixed: your own Q.F formats.",
)
@click.option("--deploy_model", metavar="FILE", help="Deploy prototxt to read.")
@click.option("--weights", metavar="FILE", help="Caffemodel to read.")
@click.option("--quantized_deploy_model", metavar="FILE", help="Prototxt to write; - for standard output.")
@click.option(
    "--bitwidths",
    type=numbers(3),
    metavar="N,N,N",
    help="Bit-widths of input, params, output: 6 or 8.  [default: 6,6,6; with --dialect jacinto 8,12,8]",
)
@click.option(
    "--fl_bitwidths",
    type=_fraction,
    metavar="N,N,N|auto",
    help="DynamicFixed: fractional bits of input, params, output, may be negative; auto finds those of every blob and "
    "every layer's params from calibration pictures.  [default: 2,5,2]",
)
@click.option(
    "--fl_method",
    type=click.Choice(FL_METHODS),
    help="How auto finds them: least squared error, no overflow by more than half a step, or as Ristretto does.  "
    f"[default: {FL_METHODS[0]}]",
)
@click.option("--calibration_directory", metavar="DIR", help="Folder of calibration pictures.")
@picked
@preprocessing
@click.option(
    "--threshold_method",
    type=click.Choice(THRESHOLD_METHODS),
    help="xilinx: the original's rule, layer by layer. auto: by the effect on the outputs. The others: one pass over "
    "the float network.  [default: auto; with --scale_classes original xilinx]",
)
@click.option(
    "--params_method",
    type=click.Choice(PARAMS_METHODS),
    help="th_params: the largest absolute weight of each output channel, or the threshold of least squared error.  "
    "[default: mse; with --scale_classes original max]",
)
@click.option(
    "--overrides",
    metavar="FILE",
    help="JSON of what single layers have instead: threshold, bits, params_threshold, params_bits, float ...",
)
@click.option(
    "--skip_layers",
    multiple=True,
    metavar="NAME,...",
    callback=_names,
    help="Layers that get no block and stay float, for experiments; may be repeated.",
)
@click.option(
    "--scale_classes",
    type=click.Choice([how.value for how in ScaleClasses]),
    default="board",
    show_default=True,
    help="board: blobs that the hardware ties together share a threshold. original: as XportDNN did.",
)
@click.option(
    "--guards/--no_guards",
    default=None,
    help="Raise thresholds with which the board would wrap, clip or stop, and warn of such Q.F formats.  "
    "[default: guards, with --scale_classes original none]",
)
@click.option(
    "--matrix",
    type=click.Choice([matrix.value for matrix in Matrix]),
    default="guide",
    show_default=True,
    help="Which layers get a block: the user guide's table, or what CHaiDNN's parser reads.",
)
@click.option(
    "--list-layers",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_layers,
    help="Print both tables and leave.",
)
@click.option(
    "--fold", is_flag=True, help="First fold BatchNorm and Scale into the weights, which go into --folded_weights."
)
@click.option("--folded_weights", metavar="FILE", help="With --fold: the caffemodel that belongs to the new prototxt.")
@click.option(
    "--dialect",
    type=click.Choice([dialect.value for dialect in Dialect]),
    default=Dialect.CHAIDNN.value,
    show_default=True,
    help="Whose formats to write: CHaiDNN's; Ristretto's quantization_param and layer types; caffe-jacinto's "
    "net_quantization_param; or CHaiDNN's as JSON (schemas/plan.schema.json).",
)
@click.option(
    "--trimming_mode",
    type=click.Choice(TRIMMING_MODES),
    help="--dialect ristretto: which of its formats.  [default: dynamic_fixed_point]",
)
@click.option(
    "--net_quantization_param",
    metavar="'FIELD: VALUE ...'",
    help="--dialect jacinto: fields of its block, beside those that --bitwidths and --skip_layers give.",
)
@click.option("--workers", type=int, metavar="N", help="Processes to calibrate with.  [default: the cores]")
@click.option("--strict", is_flag=True, help="A layer type without a rule is an error.")
@click.option("--force", is_flag=True, help="Allow bit-widths that the board does not take.")
@click.option("--json", "json_file", metavar="FILE", help="Write everything decided as JSON; - for standard output.")
@speech
@click.version_option(__version__, prog_name="xportdnn", message="%(prog)s %(version)s")
@click.pass_context
def conversion(ctx: click.Context, /, **options: Any) -> None:
    """Write a Caffe network's prototxt with the fixed-point precision_param blocks of CHaiDNN.

    Without a command this is the conversion.
    """
    if ctx.invoked_subcommand is not None:
        return
    names = ("deploy_model", "weights", "quantized_deploy_model")
    missing = [f"--{name}" for name in names if options[name] is None]
    if missing:
        raise UsageError(f"{' and '.join(missing)} must be given; see `xportdnn --help`")
    _convert(**options)


def _convert(
    quantized_deploy_model: str,
    folded_weights: str | None,
    json_file: str | None,
    quiet: bool,
    verbose: bool,
    debug: bool,
    **given: Any,
) -> None:
    from xportdnn import output
    from xportdnn.cli.console import journal
    from xportdnn.conversion import convert
    from xportdnn.options import Options, widths
    from xportdnn.prototxt import to_bytes

    if given["fold"] != (folded_weights is not None):
        needs = "--fold needs --folded_weights FILE" if given["fold"] else "--folded_weights needs --fold"
        raise UsageError(f"{needs}: folding makes new weights, which belong to the new prototxt")
    targets = _targets(
        {"--quantized_deploy_model": quantized_deploy_model, "--folded_weights": folded_weights, "--json": json_file}
    )
    given |= {
        "quant_type": Mode(given["quant_type"]),
        "scale_classes": ScaleClasses(given["scale_classes"]),
        "matrix": Matrix(given["matrix"]),
        "dialect": Dialect(given["dialect"]),
        "bitwidths": widths(given["bitwidths"], Dialect(given["dialect"])),
    }
    options = Options(**given)
    inputs = [path for path in (options.deploy_model, options.weights, options.overrides) if path is not None]
    for path in targets:
        output.check(path, inputs)
    speaker = journal(quiet, verbose)
    told = json_file is not None or not quiet
    result = convert(options, speaker if told else None)
    if told:
        from xportdnn.check.written import tell

        tell(result.findings, speaker, result.foreseen)
    data = to_bytes(result.text)
    files: dict[str, Iterable[bytes | memoryview]] = {quantized_deploy_model: (data,)}
    if folded_weights is not None and result.folded is not None:
        from xportdnn.modelfile import pieces

        files[folded_weights] = pieces(result.folded.layers)
    if json_file is not None:
        from xportdnn.report import as_json

        files[json_file] = (as_json(result, speaker.remarks),)
    output.write_all(files)
    if quantized_deploy_model != output.STDOUT:
        count = 1 if options.dialect is Dialect.JACINTO else len(result.blocks)
        blocks = f"{count} {'block' if count == 1 else 'blocks'} in {len(result.opened.net.layers)} layers"
        speaker.info(f"{quantized_deploy_model}: {blocks}, {len(data)} bytes")


def _targets(given: Mapping[str, str | None]) -> list[str]:
    """The files to write, by their options.

    Raises:
        UsageError: two of them are one.
    """
    options: dict[str, str] = {}
    for option, path in given.items():
        if path is None:
            continue
        other = options.setdefault(path, option)
        if other != option:
            both = "cannot both be standard output" if path == "-" else "name the same file"
            raise UsageError(f"{other} and {option} {both}")
    return list(options)
