"""What is observed, against slow and obvious code."""
