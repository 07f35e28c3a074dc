"""`xportdnn export`, from options to files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from xportdnn import codefile, modelfile, output
from xportdnn.dialects.formats import formats
from xportdnn.errors import WeightsError
from xportdnn.exporting import places
from xportdnn.exporting.c_folder import c_files, random_feeds
from xportdnn.exporting.grid import on_grid
from xportdnn.exporting.manifest import contents
from xportdnn.exporting.options import ExportOptions
from xportdnn.exporting.weights import Exported, exported, quantized_share
from xportdnn.folding.command import input_shapes
from xportdnn.journal import Journal
from xportdnn.layers import Array
from xportdnn.network import Value, runnable
from xportdnn.npy import read_inputs
from xportdnn.opening import Opened, complete, open_net, open_weights
from xportdnn.precision import Precision
from xportdnn.simulation import sparsity
from xportdnn.simulation.formats import Block
from xportdnn.simulation.grid import Beyond, beyond_codes

Files: TypeAlias = dict[str, Sequence[bytes | memoryview]]


def export_files(options: ExportOptions, journal: Journal) -> None:
    """Write what was asked for, all of it or nothing.

    Raises:
        InputError: something the user gave cannot be used (see `errors`).
        UsageError: an output is an input or another output, or the inputs are not the network's.
        NetworkError: layers that cannot be exported.
    """
    with places.tidy(options):
        places.check(options)
        _export(options, journal)


def _export(options: ExportOptions, journal: Journal) -> None:
    net, model = open_weights(open_net(options.deploy_model, journal), options.weights, journal)
    if isinstance(model, codefile.CodedModel):
        raise WeightsError(
            f"{options.weights}: holds quantized weights already; give the caffemodel that they were made from"
        )
    feeds = read_inputs(net, options.inputs, journal) if options.inputs else {}
    shapes = {value: array.shape for value, array in feeds.items()} or input_shapes(net, options.dims)
    opened = complete(net, model, shapes, journal, strict=options.c_dir is not None)
    blocks = formats(net, None, None, journal)
    found = exported(opened, blocks)
    _summarise(opened, found, blocks, journal)
    outputs: dict[str, Files] = {}
    if options.npz is not None:
        whole = contents(found, options.deploy_model, options.weights, options.pack6)
        if options.pack6 and not whole.has_packed:
            journal.info("--pack6: nothing was packed, since no weights have codes of 6 bits or less")
        outputs[options.npz] = {options.npz: (codefile.to_bytes(whole.manifest, whole.arrays),)}
    if options.caffemodel is not None:
        outputs[options.caffemodel] = {options.caffemodel: tuple(modelfile.pieces(on_grid(model, found).layers))}
    if options.c_dir is not None:
        outputs[options.c_dir] = _c(options.c_dir, opened, found, blocks, feeds)
        places.check_apart(options, outputs[options.c_dir])
    files = {path: data for each in outputs.values() for path, data in each.items()}
    for path in files:
        output.check(path, options.files)
    output.write_all(files)
    for place, written in outputs.items():
        if place != output.STDOUT:
            journal.info(_written(place, written, Path(options.weights).stat().st_size))
    old = [] if options.c_dir is None else places.left_over(options.c_dir, files)
    if old:
        journal.warn(
            f"{options.c_dir}: these files are of an earlier export, this network needs none: {', '.join(old)}"
        )


def _c(
    folder: str, opened: Opened, found: Sequence[Exported], blocks: Mapping[int, Block], feeds: Mapping[Value, Array]
) -> Files:
    texts = c_files(opened, found, blocks, feeds or random_feeds(opened, blocks))
    return {str(Path(folder, name)): (text.encode(),) for name, text in texts.items()}


def _written(place: str, files: Files, caffemodel: int) -> str:
    size = sum(len(piece) for pieces in files.values() for piece in pieces)
    if len(files) > 1:
        return f"{place}: {len(files)} files, {size:,} bytes"
    return f"{place}: {size:,} bytes, {100 * size / caffemodel:.1f} % of the caffemodel"


def _summarise(opened: Opened, found: Sequence[Exported], blocks: Mapping[int, Block], journal: Journal) -> None:
    coded, total = quantized_share(found)
    name = opened.net.source.name
    journal.info(f"{name}: {coded:,} of {total:,} numbers have codes ({100 * coded / max(1, total):.1f} %)")
    for each in found:
        if each.zeros.total:
            journal.detail(f"{each.layer.name}: zeros {each.zeros} of {each.zeros.total:,} weights")
    whole = sparsity.total(each.zeros for each in found)
    journal.info(f"{name}: zeros {whole} of {whole.total:,} weights")
    changed = list(_changed_by_the_board(opened, found, blocks))
    if inside := [each.layer.name for each in changed if each.foldable]:
        journal.warn(
            "the board makes its own integers of these layers' float weights, and other ones of exported weights; fold "
            f"the network before its conversion (--fold) to have the same: {', '.join(inside)}"
        )
    if others := [f"{each.layer.name} ({each.reason})" for each in changed if not each.foldable]:
        journal.warn(
            "the board computes with these layers' float weights and not with their codes; give it the original "
            f"caffemodel: {', '.join(others)}"
        )
    filled = [each.layer.name for each in found if each.zeros.after < each.zeros.before]
    if filled:
        journal.warn(f"powers of two have no zero; the zeros of these layers become weights: {', '.join(filled)}")


def _changed_by_the_board(opened: Opened, found: Sequence[Exported], blocks: Mapping[int, Block]) -> Iterator[Beyond]:
    """None of Ristretto's layers, which no board reads."""
    coded = {each.layer.index for each in found if any(blob.codes is not None for blob in each.blobs)}
    for each in beyond_codes(opened.net, runnable(opened.net, opened.inputs)):
        if each.layer.index in coded and isinstance(blocks[each.layer.index], Precision):
            yield each
