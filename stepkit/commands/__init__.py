"""One file a verb: arguments and printing, nothing else."""

VERBS = {  # each is a module here; train is meant where no verb is given
    "train": "train what the config declares; -m sweeps",
    "eject": "the same training as one plain PyTorch file, proven equal",
    "step": "one step, taken apart and proven",
    "check": "is this experiment wired right? before hours are spent",
    "config": "what would run, and who set each value",
    "plugins": "what is installed, from which package",
    "runs": "tables of runs",
    "show": "one run, whole",
    "compare": "what differs between runs, in config and results",
    "doctor": "what is wrong with this training, in words",
    "board": "TensorBoard on outputs/, or on one run",
}
HIDDEN = ("rank",)  # for stepkit's own use
