"""Flows: what an operator says. They wire tasks, and decide nothing."""
