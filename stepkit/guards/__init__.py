"""Silent mistakes and numbers gone wrong, stopped at the batch."""
