"""One file a verb: arguments and printing, nothing else."""
