"""`forward` beside the conversion."""

from __future__ import annotations

from tests.cli.desk import NET, Desk, Run
from tests.small_nets import net_of


def test_forward_beside_the_conversion(desk: Desk, run: Run) -> None:
    import numpy as np

    np.save(desk.folder / "x.npy", np.zeros((1, 3, 10, 12), np.float32))
    ended = run("forward", *desk.network, "--input", desk.folder / "x.npy", "--blobs-dir", desk.folder / "blobs")
    assert ended.code == 0
    assert sorted(path.stem for path in (desk.folder / "blobs").iterdir()) == sorted(
        each.name for each in net_of(NET).layers
    )
