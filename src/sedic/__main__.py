"""``python -m sedic``: the command line."""

from sedic.cli.main import program

program()
