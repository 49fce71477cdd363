"""From what the user wrote to a checked config: composing, descriptions of plugins' options, checks."""
