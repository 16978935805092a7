"""Commands with a file of their own; each has ``add(commands)``, which tells argparse of it."""
