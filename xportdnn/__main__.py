"""`python -m xportdnn`."""

from xportdnn.cli import main

main()
