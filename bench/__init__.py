"""Figures with the commands that show them: `make bench`, or one part with `python -m bench PART`."""
