"""Built-in data, one a file, written as a stranger's plugin is: the examples to copy."""
