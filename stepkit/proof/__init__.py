"""What shows that the step is the step one would write by hand, and that an experiment is wired right."""
