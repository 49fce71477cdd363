"""Benchmarks: `python -m tests.bench [NAME …] [--json]`. They measure and print; nothing here is a test."""
