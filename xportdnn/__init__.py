"""xportdnn."""
