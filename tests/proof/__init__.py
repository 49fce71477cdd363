"""The proof: what stepkit trains is what a plain PyTorch loop trains, to the last bit. `python -m tests.proof`."""
