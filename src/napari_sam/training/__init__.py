"""Promptable training: data sets, interaction simulator, losses and the loop."""
