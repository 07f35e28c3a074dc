"""Make everything here: draw and cut the pictures, train the networks, write caffemodels and PNGs, or check them.

python -m sample_models.train                       everything
python -m sample_models.train digits_plain          the digit pictures and one network
python -m sample_models.train --check               exit 1 where README.md states an accuracy that is not reached
"""

from __future__ import annotations

import click

from sample_models import digits, shapes
from sample_models.accuracy import check as shortfalls_of_all
from sample_models.accuracy import measure
from sample_models.images import SHIPPED_TEST, Dataset, save, save_labels
from sample_models.samples import CALIBRATION, SAMPLES

DATASETS = {"digits": digits.dataset, "shapes": shapes.dataset}


def save_pictures(name: str, dataset: Dataset) -> None:
    """The calibration pictures, and the leading held-out ones with labels."""
    test = dataset.held_out.part(0, SHIPPED_TEST)
    save(CALIBRATION / name, dataset.calibration)
    save(CALIBRATION / f"{name}_test", test)
    save_labels(CALIBRATION / f"{name}_test.labels.txt", test.labels)


def make(names: tuple[str, ...]) -> None:
    """Train the named networks and print their rows for README.md."""
    from sample_models.fit import compare, trained, write  # torch is wanted for training only, never for --check

    chosen = [SAMPLES[name] for name in names]
    for kind in sorted({sample.dataset for sample in chosen}):
        dataset = DATASETS[kind]()
        save_pictures(kind, dataset)
        for sample in (sample for sample in chosen if sample.dataset == kind):
            net = trained(sample, dataset)
            write(sample, net)
            compare(sample, net, dataset)
            click.echo(f"| `{sample.name}` | {measure(sample)} |")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(sorted(SAMPLES)))
@click.option("--check", is_flag=True, help="Train nothing: measure the files as they are against README.md.")
def main(names: tuple[str, ...], check: bool) -> None:
    """Train the sample networks NAMES (default: all), or check them."""
    if not check:
        make(names or tuple(SAMPLES))
        return
    problems = shortfalls_of_all()
    for problem in problems:
        click.echo(problem, err=True)
    raise SystemExit(1 if problems else 0)


if __name__ == "__main__":
    main()
