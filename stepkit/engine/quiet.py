"""Lightning's tips, and warnings that a user cannot act on, are not shown; all others are.

Each is matched by its message and its module: a warning of the user's own model is seen.
"""

from __future__ import annotations

import logging
import warnings

# (message, module) as regular expressions, with the reason.
SILENCED = (
    (r".*does not have many workers which may be a bottleneck.*", r"pytorch_lightning\..*"),  # data.num_workers says it
    (
        r".*number of training batches .* is smaller than the logging interval.*",
        r"pytorch_lightning\..*",
    ),  # every step is logged
    (r".*exists and is not empty.*", r"pytorch_lightning\.callbacks\.model_checkpoint"),  # a run's directory is its own
    (r".*isinstance\(treespec, LeafSpec\).*", r".*"),  # torch's deprecation inside Lightning's loaders
    (r".*`isinstance\(.*LeafSpec.*", r".*"),
    (r".*ModelCheckpoint\(save_last=.*", r"pytorch_lightning\..*"),
    (r".*You called `self\.log\(.* but have no logger.*", r"pytorch_lightning\..*"),  # logger=null was asked for
    (
        r".*The epoch parameter in `scheduler\.step\(\)`.*",
        r"torch\.optim\.lr_scheduler",
    ),  # torch's own plateau inside SequentialLR
    (
        r".*self\.log\('\w+/(val|test)', \.\.\., sync_dist=True\).*",
        r"pytorch_lightning\..*",
    ),  # torchmetrics has summed over ranks
    (r".*GPU available but not used.*", r"pytorch_lightning\..*"),  # trainer=cpu was asked for
    (r".*MPS available but not used.*", r"pytorch_lightning\..*"),
)
LOUD = ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric")


def hush() -> None:
    """Install the filters. After Lightning's import: it sets its levels and filters itself while it is imported."""
    import pytorch_lightning  # noqa: F401

    for message, module in SILENCED:
        warnings.filterwarnings("ignore", message=message, module=module)
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
