"""The commands of ``python -m optax_lrs``, one file each.

A command module has ``add(commands)``, which declares its arguments to argparse and sets the
function that runs it. ``optax_lrs.__main__`` lists the modules.
"""
