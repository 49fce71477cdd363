"""What is read from each step: fused over all parameters, never changing a bit of the training."""
