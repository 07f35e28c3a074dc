"""`xportdnn forward`: the reference forward, every top as a file."""

from __future__ import annotations

import click

from xportdnn.cli.arguments import normalized, speech


@click.command(context_settings={"token_normalize_func": normalized, "help_option_names": ["--help", "-h"]})
@click.option("--deploy_model", metavar="FILE", required=True, help="Prototxt to run.")
@click.option("--weights", metavar="FILE", help="Its caffemodel; not needed by a network without weights.")
@click.option(
    "--input",
    "inputs",
    metavar="[BLOB=]FILE.npy",
    multiple=True,
    required=True,
    help="The input; with several inputs one option each, BLOB=FILE.npy.",
)
@click.option(
    "--blobs_dir",
    metavar="DIR",
    required=True,
    help="Folder for the tops: <layer>.npy, or <layer>__<index>_<blob>.npy of layers with several.",
)
@speech
def forward(
    deploy_model: str,
    weights: str | None,
    inputs: tuple[str, ...],
    blobs_dir: str,
    quiet: bool,
    verbose: bool,
    debug: bool,
) -> None:
    """Run a network in NumPy and write every layer's tops, right after the layer ran."""
    from xportdnn.cli.console import journal
    from xportdnn.dump import dump

    speaker = journal(quiet, verbose)
    count = dump(deploy_model, weights, inputs, blobs_dir, speaker)
    speaker.info(f"{blobs_dir}: {count} files")
