"""A user's own CSV or Parquet file as data: `data=table data.path=… data.target=…`."""

from __future__ import annotations

from .table import Table

__all__ = ["Table"]
