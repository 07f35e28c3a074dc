"""Caffe networks to fixed-point CHaiDNN prototxts.

`convert` is the conversion, `read` and `forward` run a network in NumPy; see `xportdnn.api`. They are imported when
first used, so that `import xportdnn` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xportdnn.version import __version__

__all__ = ["Network", "__version__", "convert", "forward", "read"]

if TYPE_CHECKING:
    from xportdnn.api import Network, convert, forward, read


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'xportdnn' has no attribute '{name}'")
    from xportdnn import api

    return getattr(api, name)
