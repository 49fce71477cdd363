"""A run's directory: what ran, how it ended, and where everything it left lies. No torch."""
