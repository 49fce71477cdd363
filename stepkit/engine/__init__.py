"""All that reaches into Lightning."""
