"""NumPy, imported when the first array is touched.

`xportdnn --help` and DynamicFixed conversions never touch an array, and importing NumPy takes longer than all of
their own work. Modules write `from xportdnn.lazy import np` and use it as usual.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["np"]

if TYPE_CHECKING:
    import numpy as np
else:

    class _NumPy:
        """Stands in for the module; every attribute is fetched once and kept."""

        def __getattr__(self, name: str) -> Any:
            import numpy

            value = getattr(numpy, name)
            setattr(self, name, value)
            return value

    np = _NumPy()
