"""Training: what each stage minimises, the loop, and what listens to it."""
