"""`python -m roost` is the command `roost`."""

from roost.cli import main

main()
