"""The configured training as one plain PyTorch file, and the proof that it is the same training."""

from __future__ import annotations

from .prove import Verdict, prove, steps_to_prove
from .script import LONGEST, Script, write

__all__ = ["LONGEST", "Script", "Verdict", "prove", "steps_to_prove", "write"]
