"""From a data plugin's splits to batches: which samples, in which order, on which process, prepared how."""
